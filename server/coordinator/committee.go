package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

// Committee is what a run under threshold encryption is set up with: the record
// that all key holders signed. Every round's announcement names its hash. A run may
// go on under another record, once clients and holders have approved it.
type Committee struct {
	Record keyshare.SignedRecord
}

// HolderTask is one thing that a key holder is asked to do. Exactly one part is set.
type HolderTask struct {
	Publish *PublishTask
	Propose *ProposeTask
	Sign    *SignTask
	Open    *OpenTask
	Close   *CloseTask
}

// PublishTask asks for the one-round keys of Count rounds from First on.
type PublishTask struct {
	Run    string
	Record statement.Digest
	First  uint64
	Count  int
}

// ProposeTask asks for an opinion of a set. Boxes yields the holder's own, in the
// order of the set's clients; a slice is valid until the next.
type ProposeTask struct {
	Set   *keyshare.Set
	Terms []byte
	Boxes iter.Seq2[[]byte, error]
}

// SignTask asks for the one signature of a round.
type SignTask struct {
	Run   string
	Round uint64
	Set   statement.Digest
}

// OpenTask shows the certificate and asks for the answer.
type OpenTask struct {
	Run        string
	Round      uint64
	Set        statement.Digest
	Signatures []keyshare.SetSignature
}

const (
	// keysAhead is how many rounds ahead keys are kept ready, so that a holder that
	// is away for a while does not stop the next rounds.
	keysAhead = 32
	// keysLow is when the next batch is asked for.
	keysLow = 8
)

// committee is the coordinator's view of the key holders; c.mu guards it.
type committee struct {
	signed   keyshare.SignedRecord
	hash     statement.Digest
	keys     map[uint64][]*keyshare.RoundKey // by ticket, then point-1
	holders  map[int]*HolderSession
	from     map[int]uint64 // by point: the first ticket that the member may have a key for
	ceremony *ceremony      // while a set is being opened
	closures closures       // of void rounds, under a privacy contract
}

func newCommittee(c *Committee) *committee {
	return &committee{signed: c.Record, hash: c.Record.Record.Hash(), keys: map[uint64][]*keyshare.RoundKey{}, holders: map[int]*HolderSession{}, from: map[int]uint64{}}
}

// ready returns the keys of all members for a ticket, or nil.
func (k *committee) ready(ticket uint64) []keyshare.RoundKey {
	row := k.keys[ticket]
	if row == nil {
		return nil
	}
	out := make([]keyshare.RoundKey, len(row))
	for i, key := range row {
		if key == nil {
			return nil
		}
		out[i] = *key
	}
	return out
}

// first is the next ticket that all members may have keys for. One whose keys were
// lost, or that has closed rounds after a restore, never makes them again.
func (k *committee) first(ticket uint64) uint64 {
	for _, from := range k.from {
		ticket = max(ticket, from)
	}
	return ticket
}

// absent names the members that a round has to wait for: those without a key for its
// ticket, and, while fewer than the threshold are connected, those that are not. nil
// says that the round may start.
func (k *committee) absent(ticket uint64) (names []string) {
	if k == nil {
		return nil
	}
	for i, m := range k.signed.Record.Members {
		row := k.keys[ticket]
		if row == nil || row[i] == nil || len(k.holders) < k.signed.Record.Threshold && k.holders[i+1] == nil {
			names = append(names, m.Name)
		}
	}
	return names
}

// forget drops the keys of rounds that are over.
func (k *committee) forget(before uint64) {
	for t := range k.keys {
		if t < before {
			delete(k.keys, t)
		}
	}
}

// HolderSession is one connected key holder. A newer session of the same member
// supersedes the older.
type HolderSession struct {
	c      *Coordinator
	point  int
	closed bool
	asked  map[string]bool // tasks that this session was given
	wanted *PublishTask    // the newest task, if it asks for keys
	closes bool            // the newest task asks to close a round
}

// ErrNoCommittee says that the run is not encrypted to key holders.
var ErrNoCommittee = errors.New("the run has no key holders")

// AttachHolder makes the member with that name and key present. Its place is that in
// the record of the run, whatever record has been drafted since.
func (c *Coordinator) AttachHolder(name string, key statement.Key) (*HolderSession, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.committee == nil {
		return nil, ErrNoCommittee
	}
	point := c.committee.signed.Record.Point(key)
	if m, ok := c.committee.signed.Record.Member(point); !ok || m.Name != name {
		return nil, fmt.Errorf("%s is no member of the run's committee with that key: %w", name, ErrMalformed)
	}
	if old := c.committee.holders[point]; old != nil {
		old.closed = true
	}
	s := &HolderSession{c: c, point: point, asked: map[string]bool{}}
	c.committee.holders[point] = s
	c.notify()
	return s, nil
}

// Record is the committee record of the run.
func (s *HolderSession) Record() keyshare.SignedRecord { return s.c.committee.signed }

// Ring is where the keys of the run live.
func (s *HolderSession) Ring() keyshare.Ring { return s.c.carrier.(*sealed).ring }

// Run is the name of the run.
func (s *HolderSession) Run() string { return s.c.cfg.Name }

// Close makes the member absent, unless a newer session took over.
func (s *HolderSession) Close() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.closed {
		s.closed = true
		delete(s.c.committee.holders, s.point)
		s.c.notify()
	}
}

// Next waits for something to do. A task is given once a session; a holder that
// reconnects is given what it has not answered.
func (s *HolderSession) Next(ctx context.Context) (HolderTask, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if s.closed {
			return HolderTask{}, ErrSuperseded
		}
		if c.over != nil {
			return HolderTask{}, c.over
		}
		if t, name, ok := s.pending(); ok && !s.asked[name] {
			s.asked[name], s.wanted, s.closes = true, t.Publish, t.Close != nil
			return t, nil
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			return HolderTask{}, ctx.Err()
		}
	}
}

// pending is what the holder has not answered yet, and a name for it; c.mu is held.
func (s *HolderSession) pending() (HolderTask, string, bool) {
	c, k := s.c, s.c.committee
	if y := k.ceremony; y != nil {
		name := fmt.Sprintf("%d %x", y.stage, y.hash)
		switch {
		case y.stage == stagePropose && y.verdicts[s.point] == nil:
			return HolderTask{Propose: &ProposeTask{Set: y.set, Terms: c.terms, Boxes: y.boxes(y.set, s.point)}}, name, true
		case y.stage == stageSign && y.signers[s.point] && y.signatures[s.point] == nil:
			return HolderTask{Sign: &SignTask{Run: c.cfg.Name, Round: y.set.Announcement.Round, Set: y.hash}}, name, true
		case y.stage == stageOpen && y.signatures[s.point] != nil && y.answers[s.point] == nil:
			// A certificate is t signatures: a holder verifies no more than it needs.
			return HolderTask{Open: &OpenTask{Run: c.cfg.Name, Round: y.set.Announcement.Round, Set: y.hash, Signatures: y.certificate[:c.committee.signed.Record.Threshold]}}, name, true
		}
	}
	ticket := k.first(c.state.ticket())
	for t := ticket; t < ticket+keysLow; t++ {
		if row := k.keys[t]; row == nil || row[s.point-1] == nil {
			return HolderTask{Publish: &PublishTask{Run: c.cfg.Name, Record: k.hash, First: t, Count: keysAhead}}, fmt.Sprint("keys ", t), true
		}
	}
	return s.closing()
}

// Publish takes signed one-round keys of this holder.
func (s *HolderSession) Publish(keys []keyshare.RoundKey) error {
	c := s.c
	c.mu.Lock()
	k, ticket, wanted := c.committee, c.committee.first(c.state.ticket()), s.wanted
	c.mu.Unlock()
	if len(keys) > 4*keysAhead {
		return fmt.Errorf("%d round keys at once, want at most %d: %w", len(keys), 4*keysAhead, ErrMalformed)
	}
	for i := range keys {
		if keys[i].Point != s.point || keys[i].Round >= ticket+8*keysAhead {
			return fmt.Errorf("round key of point %d for round %d: %w", keys[i].Point, keys[i].Round, ErrMalformed)
		}
		if err := keys[i].Verify(&k.signed.Record, k.hash, c.cfg.Name, keys[i].Round); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range keys {
		row := k.keys[keys[i].Round]
		if row == nil {
			row = make([]*keyshare.RoundKey, len(k.signed.Record.Members))
			k.keys[keys[i].Round] = row
		}
		// The first key stays: clients may have sealed to it.
		if row[s.point-1] == nil {
			row[s.point-1] = &keys[i]
		}
	}
	if wanted != nil && len(keys) > 0 {
		if row := k.keys[wanted.First]; row == nil || row[s.point-1] == nil {
			k.from[s.point] = keys[0].Round // those before are gone
		}
	}
	c.notify()
	return nil
}

// Verdict, Signature and Answer take the holder's part in the ceremony. What is not
// for the set at hand is ignored: it is late.
func (s *HolderSession) Verdict(v *keyshare.Verdict) error {
	return s.take(func(y *ceremony) error {
		if v.Point != s.point {
			return fmt.Errorf("verdict of point %d from point %d: %w", v.Point, s.point, ErrMalformed)
		}
		if y.stage != stagePropose || v.Set != y.hash || y.verdicts[s.point] != nil {
			return nil
		}
		for _, o := range v.Objections {
			// Leaving nobody out would propose the same set for ever.
			in := func(group []keyshare.Header) bool {
				_, ok := slices.BinarySearchFunc(group, o.Client, func(h keyshare.Header, name string) int { return cmp.Compare(h.Client, name) })
				return ok
			}
			if !slices.ContainsFunc(y.set.Groups, in) {
				y.declined[s.point] = "objects to a client that is not in the set"
				return fmt.Errorf("point %d objects to %.80q, which is not in the set: %w", s.point, o.Client, ErrMalformed)
			}
		}
		y.verdicts[s.point] = v
		return nil
	})
}

// Signature: see Verdict.
func (s *HolderSession) Signature(g *keyshare.SetSignature) error {
	return s.take(func(y *ceremony) error {
		if y.stage != stageSign || g.Set != y.hash || g.Point != s.point {
			return nil
		}
		if err := g.Verify(&s.c.committee.signed.Record, s.c.cfg.Name, y.set.Announcement.Round, y.hash); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		y.signatures[s.point] = g
		return nil
	})
}

// Answer: see Verdict.
func (s *HolderSession) Answer(a *keyshare.Answer) error {
	return s.take(func(y *ceremony) error {
		if y.stage != stageOpen || a.Point != s.point || a.Set != y.hash {
			return nil
		}
		if err := a.Verify(&s.c.committee.signed.Record, y.ring, y.hash, len(y.set.Groups)); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		y.answers[s.point] = a
		return nil
	})
}

// Decline says that the holder will not do what it was asked. It is not waited for.
// One that has none of the keys wanted is asked for later ones.
func (s *HolderSession) Decline(reason string) error {
	s.c.mu.Lock()
	if s.closes { // it signed in that round, or does not know
		s.closes = false
		s.c.mu.Unlock()
		return nil
	}
	if w := s.wanted; w != nil && !s.closed {
		s.wanted = nil
		s.c.committee.from[s.point] = w.First + uint64(w.Count)
		s.c.notify()
		s.c.mu.Unlock()
		return nil
	}
	s.c.mu.Unlock()
	return s.take(func(y *ceremony) error {
		if y.declined[s.point] == "" {
			y.declined[s.point] = reason + " "
		}
		return nil
	})
}

// Head is the newest round, in the holders' count, in which holders may have signed;
// a holder whose journal is older closes the rounds up to it. 0 is none.
func (s *HolderSession) Head() uint64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.state.ticket() - 1
}

func (s *HolderSession) take(f func(*ceremony) error) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return ErrSuperseded
	}
	if c.committee.ceremony == nil {
		return nil
	}
	defer c.notify()
	return f(c.committee.ceremony)
}
