package keyshare

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Collector is a holder's look at one proposed set: it checks the set, then opens
// and adds one box after another, in any order, and keeps one sum a group. Memory
// does not depend on the shares' size times the number of clients.
//
// Nothing that it finds binds the holder. Add is safe for concurrent use; all
// other methods are for when the Adds are done.
type Collector struct {
	record *Record
	ring   Ring
	limits Limits
	point  int
	key    *PrivateRoundKey
	set    *Set
	hash   statement.Digest
	now    uint64
	known  *Known

	announcement statement.Digest
	shared       map[statement.Key]bool // client keys that more than one client uses
	dominant     []map[string]bool      // by group
	first        []int                  // index of each group's first client
	signed       []bool                 // by client: the header's signature is its key's
	scratch      sync.Pool

	mu         sync.Mutex
	sums       [][]uint64
	state      []state // by client
	objections []Objection
}

type state uint8

const (
	missing state = iota
	busy
	added
	objected
)

// NewCollector checks everything about a set that does not need the shares. It
// returns ErrAnnouncement, ErrOtherRecord, ErrSet or ErrTooFew if the set is not
// one that a holder may sign, whatever its clients did. record must be valid, key
// be the holder's for the set's round, now in seconds since 1970 UTC; known may be nil.
// The set must not change while the collector is in use.
func NewCollector(record *Record, ring Ring, limits Limits, point int, key *PrivateRoundKey, set *Set, now uint64, known *Known) (*Collector, error) {
	if _, ok := record.Member(point); !ok {
		return nil, fmt.Errorf("%w: no member has point %d", ErrRecord, point)
	}
	if err := ring.Validate(); err != nil {
		return nil, err
	}
	if err := set.check(record, limits); err != nil {
		return nil, err
	}
	c := &Collector{
		record: record, ring: ring, limits: limits, point: point, key: key, set: set, now: now, known: known,
		hash: set.Hash(), announcement: set.Announcement.Hash(),
		shared: map[statement.Key]bool{}, state: make([]state, set.Clients()),
	}
	c.verifySignatures()
	c.scratch.New = func() any { return new(make([]uint64, ring.Len())) }
	once := make(map[statement.Key]bool, set.Clients())
	n := 0
	for _, g := range set.Groups {
		c.first = append(c.first, n)
		c.dominant = append(c.dominant, limits.dominant(g))
		c.sums = append(c.sums, make([]uint64, ring.Len()))
		n += len(g)
		for i := range g {
			if once[g[i].Key] {
				c.shared[g[i].Key] = true
			}
			once[g[i].Key] = true
		}
	}
	return c, nil
}

// verifySignatures verifies those of all headers, some together.
func (c *Collector) verifySignatures() {
	c.signed = make([]bool, 0, c.set.Clients())
	const together = 64
	part := make([]statement.Signed, 0, together)
	flush := func() {
		first := len(c.signed)
		for range part {
			c.signed = append(c.signed, true)
		}
		for _, i := range statement.VerifyAll(part) {
			c.signed[first+i] = false
		}
		part = part[:0]
	}
	for _, g := range c.set.Groups {
		for i := range g {
			part = append(part, statement.Signed{Key: g[i].Key, Statement: g[i].statement(), Signature: g[i].Signature})
			if len(part) == together {
				flush()
			}
		}
	}
	flush()
}

// Hash is that of the set.
func (c *Collector) Hash() statement.Digest { return c.hash }

// Add takes the box of the client at index, counted through all groups in order.
// Whatever is wrong with it becomes an objection; the error is for an index that
// does not exist or was added before.
func (c *Collector) Add(index int, box []byte) error {
	if index < 0 || index >= len(c.state) {
		return fmt.Errorf("%w: box %d of %d", ErrSet, index, len(c.state))
	}
	group := len(c.first) - 1
	for c.first[group] > index {
		group--
	}
	h := &c.set.Groups[group][index-c.first[group]]
	c.mu.Lock()
	if c.state[index] != missing {
		c.mu.Unlock()
		return fmt.Errorf("%w: box of client %s comes twice", ErrSet, h.Client)
	}
	c.state[index] = busy
	c.mu.Unlock()

	share := c.scratch.Get().(*[]uint64)
	defer c.scratch.Put(share)
	reason := c.examine(*share, group, index, h, box)
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason != 0 {
		c.state[index] = objected
		c.objections = append(c.objections, Objection{h.Client, reason})
		return nil
	}
	c.ring.add(c.sums[group], *share)
	c.state[index] = added
	return nil
}

func (c *Collector) examine(share []uint64, group, index int, h *Header, box []byte) Reason {
	if c.shared[h.Key] {
		return ReasonKey
	}
	if h.Order.Work < c.limits.MinWork {
		return ReasonWork
	}
	if h.Order.Weight < c.limits.MinWeight {
		return ReasonWeight
	}
	if c.dominant[group][h.Client] {
		return ReasonDominant
	}
	if !c.signed[index] {
		return ReasonHeader
	}
	if err := h.verify(c.record, c.announcement, c.now, c.known, true); err != nil {
		return reasonOf(err)
	}
	if err := Unseal(share, c.record, c.ring, h, c.point, c.key, box); err != nil {
		return reasonOf(err)
	}
	return 0
}

func reasonOf(err error) Reason {
	for _, r := range []struct {
		err    error
		reason Reason
	}{
		{ErrVouch, ReasonVouch}, {ErrAnnouncement, ReasonAnnouncement}, {ErrBox, ReasonBox},
		{ErrSealed, ReasonSealed}, {ErrShare, ReasonShare},
	} {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return ReasonHeader
}

// Verdict says yes, or whom the holder objects to. A client whose box never came is
// objected to.
func (c *Collector) Verdict() Verdict {
	v := Verdict{Set: c.hash, Point: c.point, Objections: slices.Clone(c.objections)}
	for g, headers := range c.set.Groups {
		for i := range headers {
			if s := c.state[c.first[g]+i]; s == missing || s == busy {
				v.Objections = append(v.Objections, Objection{headers[i].Client, ReasonMissing})
			}
		}
	}
	v.sort()
	return v
}

// Close is the step that may be taken once a round: it returns the holder's
// signature on the set, and the answer that is to be released when enough others
// have signed. The caller must have asked Vows, and written down what Vows
// recorded, before it lets the signature out. ErrSet is returned unless the verdict
// is yes.
func (c *Collector) Close(signing ed25519.PrivateKey) (SetSignature, *Answer, error) {
	if v := c.Verdict(); !v.Yes() {
		return SetSignature{}, nil, fmt.Errorf("%w: %d objections stand", ErrSet, len(v.Objections))
	}
	m, _ := c.record.Member(c.point)
	if m.Key != statement.PublicKey(signing) {
		return SetSignature{}, nil, fmt.Errorf("%w: the signing key is not that of %s", ErrRecord, m.Name)
	}
	a := &Answer{Set: c.hash, Point: c.point, Sums: c.sums}
	a.sign(c.ring, signing)
	return SignSet(c.record.Hash(), c.set.Announcement.Run, c.set.Announcement.Round, c.hash, c.point, signing), a, nil
}
