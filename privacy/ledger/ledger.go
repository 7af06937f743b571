package ledger

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Ledger appends to a run's ledger. It is safe for concurrent use.
type Ledger struct {
	w      writer
	state  *State
	closed []closedAt
}

// Create starts a ledger in empty storage with its plan, which must be complete. private is the signing key.
func Create(storage Storage, private string, now time.Time, p *Plan) (*Ledger, error) {
	b, err := storage.Read()
	if err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("create ledger: %w: the storage holds one already", ErrOrder)
	}
	s, err := newSigner(private)
	if err != nil {
		return nil, err
	}
	l := &Ledger{state: &State{}}
	l.w = writer{storage: storage, signer: s, machine: l.state}
	if _, err := l.w.append(now, p); err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	return l, nil
}

// Open continues the ledger in storage, which is checked as by Verify with the key's public half, but for the milestones,
// which its own plan record has fixed. See State.Open for what a crash may have left.
func Open(storage Storage, private, public string) (*Ledger, error) {
	s, err := newSigner(private)
	if err != nil {
		return nil, err
	}
	v, err := newVerifier(public)
	if err != nil {
		return nil, err
	}
	if s.Name() != v.Name() || s.KeyHash() != v.KeyHash() {
		return nil, fmt.Errorf("open ledger: the public key does not belong to the private one")
	}
	b, err := storage.Read()
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{state: &State{}}
	c := checker{verifier: v, machine: l.state}
	if d := c.run(b); d != nil {
		return nil, fmt.Errorf("open ledger: %w", d)
	}
	l.w = c.writer(storage, s)
	for _, r := range c.read {
		if k, ok := r.Record.(*Closed); ok {
			l.closed = append(l.closed, closedAt{k.Round, r.Index})
		}
	}
	return l, nil
}

// Reserve sets the cost of a round aside. Call it before the cohort is drawn. It returns an *Overspend when the budget does
// not bear the round, and the head that the round's announcement names.
func (l *Ledger) Reserve(now time.Time, r Reserve) (Head, error) { return l.add(now, &r) }

// Certify charges a round. Call it after the verdicts and before the first key holder is asked for a signature; without
// key holders, before the sum is read. It returns ErrFloor for a set that must not be opened.
func (l *Ledger) Certify(now time.Time, r Certified) (Head, error) { return l.add(now, &r) }

// Commit notes what was opened. Call it after the new model is stored and before anyone sees it.
func (l *Ledger) Commit(now time.Time, r Commit) (Head, error) { return l.add(now, &r) }

// Void ends a round without a release, and charges it if it was certified.
func (l *Ledger) Void(now time.Time, r Void) (Head, error) { return l.add(now, &r) }

// Close enters the closures of a void round. They give back a reservation; a round that was certified stays charged
// here, and its participants take their own charges back with them.
func (l *Ledger) Close(now time.Time, r Closed) (Head, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	h, err := l.w.append(now, &r)
	if err == nil {
		l.closed = append(l.closed, closedAt{r.Round, h.Size - 1})
	}
	return h, err
}

// Closable returns the void rounds before a number that key holders may still close for ever, oldest first: at most most
// of the newest.
func (l *Ledger) Closable(before, most int) []int {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	var out []int
	for i := len(l.state.Rounds) - 1; i >= 0 && len(out) < most; i-- {
		if o := l.state.Rounds[i]; o.Number < before && o.Phase == Voided && o.Closed == nil {
			out = append(out, o.Number)
		}
	}
	slices.Reverse(out)
	return out
}

// Add appends a record of any other kind: Metric, before its values are shown; Release; Exclusion; Spread; Note.
func (l *Ledger) Add(now time.Time, r Record) (Head, error) { return l.add(now, r) }

func (l *Ledger) add(now time.Time, r Record) (Head, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.append(now, r)
}

// Balance returns the budget's state.
func (l *Ledger) Balance() Balance {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.state.Balance
}

// Unfinished returns a copy of the round that is reserved or certified, if there is one.
func (l *Ledger) Unfinished() (Round, bool) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if o := l.state.Open(); o != nil {
		return *o, true
	}
	return Round{}, false
}

// PlanHash identifies the plan: the leaf hash of its record.
func (l *Ledger) PlanHash() Hash {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.state.PlanHash
}

// Checkpoint returns the newest signed checkpoint and its head.
func (l *Ledger) Checkpoint() ([]byte, Head) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.newest()
}

func (w *writer) newest() ([]byte, Head) {
	h, err := w.tree.head(w.tree.size)
	if err != nil {
		panic(fmt.Sprintf("ledger: the tree lost a hash: %v", err))
	}
	return append([]byte(nil), w.checkpoint...), h
}

// Consistency proves that the newest checkpoint continues the ledger of size old. Clients check it with Pin.
func (l *Ledger) Consistency(old int64) ([]Hash, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.consistency(old)
}

func (w *writer) consistency(old int64) ([]Hash, error) {
	if old < 1 || old > w.tree.size {
		return nil, fmt.Errorf("%w: no ledger of size %d, this one has %d records", ErrProof, old, w.tree.size)
	}
	p, err := tlog.ProveTree(w.tree.size, old, &w.tree)
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	return hashes(p), nil
}

func hashes(p []tlog.Hash) []Hash {
	out := make([]Hash, len(p))
	for i, h := range p {
		out[i] = Hash(h)
	}
	return out
}

func proof(p []Hash) []tlog.Hash {
	out := make([]tlog.Hash, len(p))
	for i, h := range p {
		out[i] = tlog.Hash(h)
	}
	return out
}
