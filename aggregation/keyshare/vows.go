package keyshare

import (
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Vows remembers which set a holder signed in which round, so that it never signs
// a second. A signature also closes all earlier rounds of its run: rounds are opened
// in order or not at all. The zero value has signed nothing. It is not safe for
// concurrent use.
//
// Vows is memory only. Its owner writes every promise down, durably, before the
// signature that it allows leaves the holder.
type Vows struct {
	signed map[roundID]statement.Digest
	floor  map[string]uint64
}

type roundID struct {
	run   string
	round uint64
}

// Check says whether the holder may sign that set: nil if it has signed nothing in
// the round, or the same set; ErrSecondSet if another; ErrSpent if the round is not
// later than one that is closed.
func (v *Vows) Check(run string, round uint64, set statement.Digest) error {
	if old, ok := v.signed[roundID{run, round}]; ok {
		if old != set {
			return fmt.Errorf("%w: round %d of run %q, signed %x, asked for %x", ErrSecondSet, round, run, old[:8], set[:8])
		}
		return nil
	}
	if floor, ok := v.floor[run]; ok && round <= floor {
		return fmt.Errorf("%w: round %d of run %q, want one after %d", ErrSpent, round, run, floor)
	}
	return nil
}

// Promise records that the holder signs set, after Check.
func (v *Vows) Promise(run string, round uint64, set statement.Digest) error {
	if err := v.Check(run, round, set); err != nil {
		return err
	}
	if v.signed == nil {
		v.signed = map[roundID]statement.Digest{}
	}
	v.signed[roundID{run, round}] = set
	v.Raise(run, round)
	return nil
}

// Signed returns the set signed in a round.
func (v *Vows) Signed(run string, round uint64) (statement.Digest, bool) {
	d, ok := v.signed[roundID{run, round}]
	return d, ok
}

// Floor returns the newest round of a run that is closed, or 0.
func (v *Vows) Floor(run string) uint64 { return v.floor[run] }

// Raise closes every round of a run up to and including round. It never lowers.
func (v *Vows) Raise(run string, round uint64) {
	if v.floor == nil {
		v.floor = map[string]uint64{}
	}
	v.floor[run] = max(v.floor[run], round)
}
