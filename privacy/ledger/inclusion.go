package ledger

import (
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// Inclusion proves that a record is in the ledger with a checkpoint.
type Inclusion struct {
	Record     string `json:"record"` // its bytes
	Proof      []Hash `json:"proof"`
	Checkpoint string `json:"checkpoint"`
}

// Participation proves to one client, or to whom the client shows it, that a round of the ledger counts it as a participant.
// It names no other.
type Participation struct {
	Inclusion
	Member Member `json:"member"`
}

// Prove returns the proof for record index under the newest checkpoint.
func (l *Ledger) Prove(index int64) (Inclusion, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	leaf, err := l.w.leaf(index)
	if err != nil {
		return Inclusion{}, err
	}
	return Inclusion{leaf.Record, leaf.Proof, string(l.w.checkpoint)}, nil
}

// body reads one record's bytes, without the rest where the storage can.
func (w *writer) body(index int64) ([]byte, error) {
	at, n := w.records[index][0], w.records[index][1]
	if r, ok := w.storage.(io.ReaderAt); ok {
		b := make([]byte, n)
		_, err := r.ReadAt(b, int64(at))
		return b, err
	}
	b, err := w.storage.Read()
	if err == nil && len(b) < at+n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	return b[at : at+n], nil
}

// Check returns the record and the head that it is under, or ErrProof.
func (p Inclusion) Check(public string) (Stamped, Head, error) {
	origin, h, err := OpenCheckpoint([]byte(p.Checkpoint), public)
	if err != nil {
		return Stamped{}, Head{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	s, err := decode([]byte(p.Record))
	if err != nil {
		return Stamped{}, Head{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if len(p.Proof) > 64 || s.Index < 0 || s.Index >= h.Size {
		return Stamped{}, Head{}, fmt.Errorf("%w: record %d in a ledger of %d", ErrProof, s.Index, h.Size)
	}
	if err := tlog.CheckRecord(proof(p.Proof), h.Size, tlog.Hash(h.Root), s.Index, tlog.RecordHash([]byte(p.Record))); err != nil {
		return Stamped{}, Head{}, fmt.Errorf("%w: record %d of %q: %w", ErrProof, s.Index, origin, err)
	}
	return s, h, nil
}

// ProveParticipation joins a client's proof of membership with that of the round's commit or certified record.
func (l *Ledger) ProveParticipation(record int64, c *Cohort, client string) (Participation, error) {
	m, err := c.Prove(client)
	if err != nil {
		return Participation{}, err
	}
	i, err := l.Prove(record)
	return Participation{i, m}, err
}

// Check returns ErrProof unless the ledger of run counts client in the record, and the round.
func (p Participation) Check(public, run, client string) (round int, err error) {
	s, _, err := p.Inclusion.Check(public)
	if err != nil {
		return 0, err
	}
	if origin, _, _ := OpenCheckpoint([]byte(p.Checkpoint), public); origin != RunOrigin(run) {
		return 0, fmt.Errorf("%w: the ledger is %q, not of run %q", ErrProof, origin, run)
	}
	var root Hash
	switch r := s.Record.(type) {
	case *Certified:
		round, root = r.Round, r.Cohort
	case *Commit:
		round, root = r.Round, r.Cohort
	default:
		return 0, fmt.Errorf("%w: a %s record has no cohort", ErrProof, s.Record.Kind())
	}
	return round, p.Member.check(run, round, client, root)
}
