package keyholder

import (
	"fmt"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
)

// ClosureWanted asks for the holder's word that a round is closed for ever.
type ClosureWanted struct {
	Run   string
	Round uint64
}

func (ClosureWanted) task() {}

// Forswear closes a round for ever and signs that. It returns ErrSpent where the holder
// cannot honestly say so: it signed in the round, or the round is one of those that were
// closed because this journal may be an old copy. When it returns a closure, the journal
// knows.
func (h *Holder) Forswear(w ClosureWanted) (keyshare.Closure, error) {
	none := keyshare.Closure{}
	refuse := func(why string) (keyshare.Closure, error) {
		return none, fmt.Errorf("%w: round %d of run %.80q %s", keyshare.ErrSpent, w.Round, w.Run, why)
	}
	head := Head(w)
	switch {
	case w.Run == "" || len(w.Run) > maxRun || w.Round < 1 || w.Round > h.memory.published[w.Run]:
		return refuse("is none that this holder ever had keys for")
	case h.memory.signedIn(head):
		return refuse("was signed by this holder, which cannot close it")
	case h.memory.forsworn[head]:
		return keyshare.SignClosure(h.hash, w.Run, w.Round, h.point, h.cfg.Signing), nil
	case w.Round <= h.memory.unsure[w.Run]:
		return refuse("was closed because the journal may be an old copy, so that nobody knows whether it was signed")
	}
	if err := h.write(entry{kind: kindForsworn, run: w.Run, round: w.Round}); err != nil {
		return none, err
	}
	if h.pending != nil && h.pending.head == head {
		h.pending = nil
	}
	if err := h.erase(w.Run, w.Round); err != nil {
		return none, fmt.Errorf("erase the round's key: %w", err)
	}
	return keyshare.SignClosure(h.hash, w.Run, w.Round, h.point, h.cfg.Signing), nil
}
