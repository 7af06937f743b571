package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// CloseTask asks a holder for its word that it signed nothing in a round and never will.
type CloseTask struct {
	Run   string
	Round uint64
}

// closures are those collected of void rounds whose number will not be used again, by
// round and point.
type closures map[uint64]map[int]keyshare.Closure

// maxClosing is how many void rounds are being closed at a time, the newest.
const maxClosing = 8

// closable says which rounds key holders are asked to close; c.mu is held. They never
// include the one at hand: a new attempt may still take up its number.
func (c *Coordinator) closable() []int {
	if c.books == nil {
		return nil
	}
	return c.books.Ledger.Closable(int(c.state.ticket()), maxClosing)
}

// closing is the next round that the holder may close and was not asked about; c.mu is
// held.
func (s *HolderSession) closing() (HolderTask, string, bool) {
	for _, n := range s.c.closable() {
		name := fmt.Sprint("close ", n)
		if _, ok := s.c.committee.closures[uint64(n)][s.point]; !ok && !s.asked[name] {
			return HolderTask{Close: &CloseTask{Run: s.c.cfg.Name, Round: uint64(n)}}, name, true
		}
	}
	return HolderTask{}, "", false
}

// Closure takes a holder's closure. What was not asked for is ignored.
func (s *HolderSession) Closure(k *keyshare.Closure) error {
	c := s.c
	if k.Point != s.point {
		return fmt.Errorf("closure of point %d from point %d: %w", k.Point, s.point, ErrMalformed)
	}
	if err := k.Verify(&c.committee.signed.Record, c.cfg.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.closes = false
	if !slices.Contains(c.closable(), int(k.Round)) {
		return nil
	}
	all := c.committee.closures
	if all == nil {
		all = closures{}
		c.committee.closures = all
	}
	if all[k.Round] == nil {
		all[k.Round] = map[int]keyshare.Closure{}
	}
	all[k.Round][s.point] = *k
	return nil
}

// enterClosures puts into the ledger what enough holders have closed. It is called between
// rounds: clients compare the ledger's head with the announced one. c.mu is held.
func (c *Coordinator) enterClosures() error {
	if c.books == nil || c.committee == nil {
		return nil
	}
	r := &c.committee.signed.Record
	need := len(r.Members) - r.Threshold + 1 + r.Corrupt
	for _, round := range slices.Sorted(maps.Keys(c.committee.closures)) {
		got := c.committee.closures[round]
		if len(got) < need || !slices.Contains(c.closable(), int(round)) {
			continue
		}
		closed := ledger.Closed{Round: int(round)}
		for _, p := range slices.Sorted(maps.Keys(got)) {
			closed.Closures = append(closed.Closures, ledger.Signed{Point: p, Signature: ledger.Sig(got[p].Signature)})
		}
		if _, err := c.books.Ledger.Close(time.Now(), closed); err != nil {
			return fmt.Errorf("enter the closures of round %d in the ledger: %w", round, err)
		}
		delete(c.committee.closures, round)
	}
	return nil
}
