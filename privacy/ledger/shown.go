package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Shown is what a server shows a client of its ledger before the client trains: the newest checkpoint, that it continues
// the one seen before, that the round is reserved in it, and on request the plan.
type Shown struct {
	Key         string // the ledger's public key
	Checkpoint  string
	Consistency []Hash   // from the size that was seen; empty the first time
	Reservation Leaf     // the newest record that sets a round aside
	Plan        Leaf     // the first record; empty if it was not asked for
	Closed      []string // records that closed rounds since what was seen; their signatures are the key holders'
}

// Leaf is a record with the proof that it is in the ledger under Shown.Checkpoint.
type Leaf struct {
	Record string
	Proof  []Hash
}

// Inclusion joins a leaf with the checkpoint it was shown under.
func (s Shown) Inclusion(l Leaf) Inclusion { return Inclusion{l.Record, l.Proof, s.Checkpoint} }

// Show proves under one checkpoint what a client wants to see who last saw seen records, 0 for none: the reservation at
// index record, and the plan if plan says so. key is the ledger's public key, passed on.
func (l *Ledger) Show(key string, seen, record int64, plan bool) (Shown, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	checkpoint, head := l.w.newest()
	out := Shown{Key: key, Checkpoint: string(checkpoint)}
	var err error
	// A client that saw more than there is gets no proof, and knows what that means.
	if seen > 0 && seen < head.Size {
		if out.Consistency, err = l.w.consistency(seen); err != nil {
			return Shown{}, err
		}
	}
	if out.Reservation, err = l.w.leaf(record); err != nil {
		return Shown{}, err
	}
	for _, c := range l.closed {
		if c.index >= seen && len(out.Closed) < maxClosed {
			b, err := l.w.body(c.index)
			if err != nil {
				return Shown{}, err
			}
			out.Closed = append(out.Closed, string(b))
		}
	}
	if plan {
		if out.Plan, err = l.w.leaf(0); err != nil {
			return Shown{}, err
		}
	}
	return out, nil
}

// maxClosed is how many closures a client is shown at once. It misses others only if it was away that long, and then
// keeps its charge.
const maxClosed = 16

// closedAt is where a round was closed.
type closedAt struct {
	round int
	index int64
}

func (w *writer) leaf(index int64) (Leaf, error) {
	if index < 0 || index >= w.tree.size {
		return Leaf{}, fmt.Errorf("%w: no record %d, the ledger has %d", ErrProof, index, w.tree.size)
	}
	p, err := tlog.ProveRecord(w.tree.size, index, &w.tree)
	if err != nil {
		return Leaf{}, fmt.Errorf("prove record %d: %w", index, err)
	}
	b, err := w.body(index)
	if err != nil {
		return Leaf{}, fmt.Errorf("prove record %d: %w", index, err)
	}
	return Leaf{string(b), hashes(p)}, nil
}

// ParseClosed reads the bytes of a record that closes a round. Its signatures are for Data.Closed to check.
func ParseClosed(record string) (*Closed, error) {
	s, err := decode([]byte(record))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	c, ok := s.Record.(*Closed)
	if !ok {
		return nil, fmt.Errorf("%w: a %s record, want one that closes a round", ErrProof, s.Record.Kind())
	}
	return c, nil
}
