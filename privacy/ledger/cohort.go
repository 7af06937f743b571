package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Cohort is the tree of a round's participants, whose root is in the ledger. A leaf commits to a participant under a salt
// that only the server and that participant know, so that root and proofs name nobody.
type Cohort struct {
	secret []byte
	run    string
	round  int
	leaves []Hash // sorted
	tree   tree
}

// NewCohort makes the tree of a round. secret belongs to the run, has at least 32 random bytes and stays on the server.
// size is the number of leaves: those that no participant fills are random, which hides how many took part. Give a
// public constant, such as the population, in lane B; the tree has as many leaves as participants if that is more.
func NewCohort(secret []byte, run string, round int, clients []string, size int) (*Cohort, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("%w: cohort secret of %d bytes, want at least 32", ErrInvalid, len(secret))
	}
	c := &Cohort{secret: secret, run: run, round: round}
	for _, name := range clients {
		c.leaves = append(c.leaves, leaf(run, round, name, c.Salt(name)))
	}
	for i := len(clients); i < size; i++ {
		c.leaves = append(c.leaves, c.keyed("sotto/absent/v1", fmt.Sprint(i)))
	}
	slices.SortFunc(c.leaves, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	for i := range c.leaves {
		if i > 0 && c.leaves[i] == c.leaves[i-1] {
			return nil, fmt.Errorf("%w: a client is in the cohort twice", ErrInvalid)
		}
		if _, err := c.tree.add(c.leaves[i][:]); err != nil {
			return nil, fmt.Errorf("tree of the cohort: %w", err)
		}
	}
	return c, nil
}

func (c *Cohort) keyed(label, name string) Hash {
	m := hmac.New(sha256.New, c.secret)
	m.Write(statement.New(label).String(c.run).Int(c.round).String(name).Statement())
	return Hash(m.Sum(nil))
}

// Salt opens a participant's leaf. It goes to that participant alone.
func (c *Cohort) Salt(client string) Hash { return c.keyed("sotto/salt/v1", client) }

func leaf(run string, round int, client string, salt Hash) Hash {
	return Hash(statement.New("sotto/participant/v1").String(run).Int(round).String(client).Fixed(salt[:]).Hash())
}

// Root returns the hash that goes into Certified and Commit. It covers the number of leaves.
func (c *Cohort) Root() Hash {
	if c.tree.size == 0 {
		return Hash{}
	}
	h, err := c.tree.head(c.tree.size)
	if err != nil {
		panic(fmt.Sprintf("ledger: the tree of a cohort lost a hash: %v", err))
	}
	return rootOf(h)
}

// rootOf binds the size, without which a proof could be read against another tree.
func rootOf(h Head) Hash {
	return Hash(statement.New("sotto/cohort/v1").Uint(uint64(h.Size)).Fixed(h.Root[:]).Hash())
}

// Member proves that a client is in the cohort.
type Member struct {
	Salt  Hash   `json:"salt"`
	Leaf  int64  `json:"leaf"`
	Head  Head   `json:"head"` // of the cohort's tree
	Proof []Hash `json:"proof"`
}

// Prove returns a client's proof. It is for that client: with the salt, others can check it as well.
func (c *Cohort) Prove(client string) (Member, error) {
	m := Member{Salt: c.Salt(client)}
	want := leaf(c.run, c.round, client, m.Salt)
	i, ok := slices.BinarySearchFunc(c.leaves, want, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	if !ok {
		return Member{}, fmt.Errorf("%w: the client is not in the cohort of round %d", ErrProof, c.round)
	}
	p, err := tlog.ProveRecord(c.tree.size, int64(i), &c.tree)
	if err != nil {
		return Member{}, fmt.Errorf("prove participation: %w", err)
	}
	m.Leaf, m.Proof = int64(i), hashes(p)
	m.Head, err = c.tree.head(c.tree.size)
	return m, err
}

// check returns ErrProof unless m shows that client is in the cohort with that root.
func (m Member) check(run string, round int, client string, root Hash) error {
	if len(m.Proof) > 64 || rootOf(m.Head) != root {
		return fmt.Errorf("%w: it is of another cohort", ErrProof)
	}
	l := leaf(run, round, client, m.Salt)
	if err := tlog.CheckRecord(proof(m.Proof), m.Head.Size, tlog.Hash(m.Head.Root), m.Leaf, tlog.RecordHash(l[:])); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	return nil
}
