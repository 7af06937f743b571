package coordinator

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// A round that one holder signed and three did not is charged and void. The three close
// it for ever, which the ledger keeps; the charge stays.
func TestVoidRoundsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p, _ := newPrivateWorld(t)
		w.cfg.Rounds.Count = 1 // of the two that the contract bears: the void one counts
		for _, m := range w.members[1:] {
			m.odd = func(s *HolderSession, task HolderTask) bool {
				if task.Sign == nil || task.Sign.Round > 1 {
					return false
				}
				if err := s.Decline("power failure"); err != nil {
					t.Error(err)
				}
				return true
			}
		}
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		if s := c.Snapshot(); s.Spent != 1 {
			t.Fatalf("%d numbers are spent, want 1: %v", s.Spent, outline(s))
		}
		v, err := ledger.Verify(p.b, w.books.Key)
		if err != nil {
			t.Fatal(err)
		}
		first := v.Rounds[0]
		if first.Closed == nil || len(first.Closed.Closures) != 3 || first.Closed.Closures[0].Point != 2 {
			t.Errorf("round 1: closures %+v, want those of holders 2 to 4", first.Closed)
		}
		if !first.Charged || v.Balance.Rounds != w.cfg.Rounds.Count+1 {
			t.Errorf("round 1 charged %v, %d rounds in all, want the void one to stay charged", first.Charged, v.Balance.Rounds)
		}
	})
}

func TestClosureRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newPrivateWorld(t)
		c := w.coordinator()
		s := w.members[0].attach(c)
		good := keyshare.SignClosure(w.record.Record.Hash(), w.cfg.Name, 1, 1, w.members[0].key)
		if err := s.Closure(&good); err != nil {
			t.Errorf("a closure that nobody asked for: %v, want it ignored", err)
		}
		if len(c.committee.closures) != 0 {
			t.Error("it is kept")
		}
		other := keyshare.SignClosure(w.record.Record.Hash(), w.cfg.Name, 1, 2, w.members[1].key)
		if err := s.Closure(&other); !errors.Is(err, ErrMalformed) {
			t.Errorf("another holder's: %v", err)
		}
		good.Signature[0] ^= 1
		if err := s.Closure(&good); !errors.Is(err, ErrMalformed) {
			t.Errorf("a forged one: %v", err)
		}
	})
}
