package coordinator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"

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
	spools Spools
}

func (s *sealed) bodySize() int { return s.frame.Size() }

func (s *sealed) newSum(a *attempt) (sum, error) {
	spool, err := s.spools.Create(a.announcement.Round, a.attempt)
	if err != nil {
		return nil, fmt.Errorf("open the spool of round %d: %w", a.round, err)
	}
	return s.sumOf(a, spool), nil
}

func (s *sealed) sumOf(a *attempt, spool Spool) *sealedSum {
	ss := &sealedSum{
		sealed: s, attempt: a, spool: spool, announcement: a.announcement, hash: a.announcement.Hash(),
		checker: kahe.NewSum(s.params), public: kahe.NewPublic(s.params, a.announcement.Seed()),
		uploads: map[string]upload{},
	}
	ss.sum = ss.checker
	return ss
}

// reopen makes the sum of an attempt again out of its spool. What is not, bit for bit,
// the upload that was accepted gives errLost.
func (s *sealed) reopen(a *attempt, p *Pending) (*sealedSum, error) {
	spool, err := s.spools.Open(a.announcement.Round, a.attempt)
	if err != nil {
		return nil, fmt.Errorf("open the spool of round %d: %w", a.round, err)
	}
	ss := s.sumOf(a, spool)
	body := make([]byte, s.bodySize())
	for i, want := range p.Uploads {
		err := func() error {
			if err := ss.read(i, body); err != nil {
				return err
			}
			u, err := s.frame.Parse(body)
			if err != nil {
				return err
			}
			h := u.Header.Hash()
			if u.Header.Client != want.Client || hex.EncodeToString(h[:]) != want.Header || statement.Hash(u.Ciphertext) != u.Header.Ciphertext {
				return fmt.Errorf("it is not the one that was accepted")
			}
			if err := u.Header.CheckBoxes(&s.c.committee.signed.Record, s.ring, u.Boxes); err != nil {
				return err
			}
			if err := ss.sum.Add(u.Ciphertext); err != nil {
				return err
			}
			ss.uploads[want.Client] = upload{*u.Header, i}
			return nil
		}()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: upload of %s: %w", errLost, want.Client, err), spool.Close())
		}
	}
	return ss, nil
}

// sealedSum is the sum of one attempt. What it holds in memory of an upload is its
// header; boxes and vectors are in the spool.
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
	place  int // in the spool
}

// check looks at layout, signature, hashes and residues. What is inside the boxes
// is for the key holders to see.
func (s *sealedSum) check(client string, order keyshare.Order, body []byte, hashes *terms.Hashes) (checked, error) {
	bad := func(err error) (checked, error) {
		return checked{}, fmt.Errorf("report of %s: %w: %w", client, ErrMalformed, err)
	}
	u, err := s.frame.Parse(body)
	if err != nil {
		return bad(err)
	}
	r := &s.c.committee.signed.Record
	// A client signs for the work that it did, which may be less than was asked: records
	// that it could not read, or keeps for validation. Holders look at what it signed.
	signed := u.Header.Order
	signed.Work = max(signed.Work, order.Work)
	if u.Header.Client != client || signed != order {
		return bad(fmt.Errorf("its header names client %q with the order %+v, want %+v", u.Header.Client, u.Header.Order, order))
	}
	if err := u.Header.Verify(r, s.hash, s.c.now(), s.c.known); err != nil {
		return bad(err)
	}
	if hashes == nil {
		h, err := s.frame.Hash(body)
		if err != nil {
			return bad(err)
		}
		hashes = &h
	}
	if err := u.Header.CheckBoxHashes(hashes.Boxes); err != nil {
		return bad(err)
	}
	if hashes.Ciphertext != u.Header.Ciphertext {
		return bad(fmt.Errorf("its vector is not the one that its header names"))
	}
	if err := s.checker.Check(u.Ciphertext); err != nil {
		return bad(err)
	}
	return checked{client: client, digest: u.Header.Hash(), body: body, upload: &u}, nil
}

// add takes a checked upload: the report goes to the spool, its vector into the sum.
func (s *sealedSum) add(c checked) error {
	place := len(s.uploads)
	if _, err := s.spool.WriteAt(c.body, int64(place)*int64(s.bodySize())); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.sum.Add(c.upload.Ciphertext); err != nil {
		return err
	}
	s.uploads[c.client] = upload{*c.upload.Header, place}
	return nil
}

// read reads the upload at a place of the spool, in full.
func (s *sealedSum) read(place int, body []byte) error {
	_, err := io.ReadFull(io.NewSectionReader(s.spool, int64(place)*int64(s.bodySize()), int64(s.bodySize())), body)
	return err
}

// open has the key holders open the sum over set, or over the part of it that they
// accept.
func (s *sealedSum) open(ctx context.Context, set []string) (opened, error) {
	return s.c.openSet(ctx, s, set)
}

func (s *sealedSum) close(ended bool) error {
	if ended {
		return s.spool.Remove()
	}
	return s.spool.Close()
}

// ceremony proposes groups of clients, each sorted, in order of their first.
func (s *sealedSum) ceremony(groups [][]string) (*ceremony, error) {
	y := &ceremony{
		ring: s.ring, boxes: s.boxes,
		verdicts: map[int]*keyshare.Verdict{}, signers: map[int]bool{},
		signatures: map[int]*keyshare.SetSignature{}, answers: map[int]*keyshare.Answer{},
		declined: map[int]string{},
	}
	headers := make([][]keyshare.Header, len(groups))
	for i, g := range groups {
		sum, err := s.sumUp(g)
		if err != nil {
			return nil, err
		}
		y.sums = append(y.sums, sum)
		for _, name := range g {
			headers[i] = append(headers[i], s.uploads[name].header)
		}
	}
	y.set = keyshare.NewSet(s.announcement, headers...)
	y.hash = y.set.Hash()
	return y, nil
}

// sumUp is the sum over some clients. One that is not over all is made again from the
// spool.
func (s *sealedSum) sumUp(clients []string) (*kahe.Sum, error) {
	if len(clients) == s.sum.Count() {
		return s.sum, nil
	}
	sum, body := kahe.NewSum(s.params), make([]byte, s.bodySize())
	for _, name := range clients {
		if err := s.read(s.uploads[name].place, body); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		if err := sum.Add(s.frame.Vector(body)); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// boxes reads the boxes for a point out of the spool, in the order of the set's
// clients. Several holders may read at once.
func (s *sealedSum) boxes(set *keyshare.Set, point int) iter.Seq2[[]byte, error] {
	from, size := s.frame.Box(point)
	var places []int
	for _, g := range set.Groups {
		for i := range g {
			places = append(places, s.uploads[g[i].Client].place)
		}
	}
	return func(yield func([]byte, error) bool) {
		box := make([]byte, size)
		for _, place := range places {
			_, err := io.ReadFull(io.NewSectionReader(s.spool, int64(place)*int64(s.bodySize())+int64(from), int64(size)), box)
			if !yield(box, err) || err != nil {
				return
			}
		}
	}
}
