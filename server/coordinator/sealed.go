package coordinator

import (
	"context"
	"fmt"
	"slices"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
)

// sealed is encryption: threshold. The server adds ciphertexts; only the key
// holders, t of them together, can open a sum.
type sealed struct {
	c      *Coordinator
	params kahe.Params
	ring   keyshare.Ring
	frame  terms.Frame
	spool  func() (Spool, error)
}

// Spool keeps the encrypted vectors of one attempt outside memory, for the case
// that the key holders object to a client and the sum has to be made again without
// it.
type Spool interface {
	Put(client string, vector []byte) error
	Get(client string) ([]byte, error)
	Close() error
}

func (s *sealed) bodySize() int { return s.frame.Size() }

func (s *sealed) newSum(a *attempt) (sum, error) {
	spool, err := s.spool()
	if err != nil {
		return nil, fmt.Errorf("open the spool of round %d: %w", a.round, err)
	}
	ss := &sealedSum{
		sealed: s, attempt: a, spool: spool, announcement: a.announcement, hash: a.announcement.Hash(),
		checker: kahe.NewSum(s.params), public: kahe.NewPublic(s.params, a.announcement.Seed()),
		uploads: map[string]upload{},
	}
	ss.sum = ss.checker
	return ss, nil
}

// sealedSum is the sum of one attempt.
type sealedSum struct {
	*sealed
	attempt      *attempt
	spool        Spool
	announcement keyshare.Announcement
	hash         statement.Digest
	public       *kahe.Public
	checker      *kahe.Sum // only its parameters are used, by concurrent checks
	sum          *kahe.Sum
	uploads      map[string]upload
}

// upload is what is kept in memory of an accepted report.
type upload struct {
	header keyshare.Header
	boxes  [][]byte
}

// check looks at layout, signature, hashes and residues. What is inside the boxes
// is for the key holders to see.
func (s *sealedSum) check(client string, weight float64, body []byte) (checked, error) {
	bad := func(err error) (checked, error) {
		return checked{}, fmt.Errorf("report of %s: %w: %w", client, ErrMalformed, err)
	}
	u, err := s.frame.Parse(body)
	if err != nil {
		return bad(err)
	}
	r := &s.c.committee.signed.Record
	if u.Header.Client != client || u.Header.Order.Weight != weight {
		return bad(fmt.Errorf("its header names client %q with weight %g, want weight %g", u.Header.Client, u.Header.Order.Weight, weight))
	}
	if err := u.Header.Verify(r, s.hash, s.c.now(), s.c.known); err != nil {
		return bad(err)
	}
	if err := u.Header.CheckBoxes(r, s.ring, u.Boxes); err != nil {
		return bad(err)
	}
	if got := statement.Hash(u.Ciphertext); got != u.Header.Ciphertext {
		return bad(fmt.Errorf("its vector is not the one that its header names"))
	}
	if err := s.checker.Check(u.Ciphertext); err != nil {
		return bad(err)
	}
	return checked{client: client, digest: u.Header.Hash(), upload: &u}, nil
}

// add takes a checked upload: boxes are copied, the vector goes to the spool and
// into the sum.
func (s *sealedSum) add(c checked) error {
	if err := s.spool.Put(c.client, c.upload.Ciphertext); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.sum.Add(c.upload.Ciphertext); err != nil {
		return err
	}
	kept := upload{header: *c.upload.Header}
	for _, b := range c.upload.Boxes {
		kept.boxes = append(kept.boxes, slices.Clone(b))
	}
	s.uploads[c.client] = kept
	return nil
}

// open has the key holders open the sum over set, or over the part of it that they
// accept.
func (s *sealedSum) open(ctx context.Context, set []string) ([]int64, []string, error) {
	values, kept, err := s.c.openSet(ctx, s, set)
	return values, kept, err
}

func (s *sealedSum) close() error { return s.spool.Close() }

// ceremony proposes one group. A set that is not all of the sum is summed again
// from the spool.
func (s *sealedSum) ceremony(set []string) (*ceremony, error) {
	if len(set) != s.sum.Count() {
		again := kahe.NewSum(s.params)
		for _, name := range set {
			v, err := s.spool.Get(name)
			if err != nil {
				return nil, fmt.Errorf("spool: %w", err)
			}
			if err := again.Add(v); err != nil {
				return nil, err
			}
		}
		s.sum = again
	}
	headers := make([]keyshare.Header, len(set))
	for i, name := range set {
		headers[i] = s.uploads[name].header
	}
	y := &ceremony{
		ring: s.ring, set: keyshare.NewSet(s.announcement, headers),
		verdicts: map[int]*keyshare.Verdict{}, signers: map[int]bool{},
		signatures: map[int]*keyshare.SetSignature{}, answers: map[int]*keyshare.Answer{},
		declined: map[int]string{},
	}
	y.hash = y.set.Hash()
	for p := range s.c.committee.signed.Record.Members {
		boxes := make([][]byte, 0, len(set))
		for _, h := range y.set.Groups[0] {
			boxes = append(boxes, s.uploads[h.Client].boxes[p])
		}
		y.boxes = append(y.boxes, boxes)
	}
	return y, nil
}
