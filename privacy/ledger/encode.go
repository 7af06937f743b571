package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Stamped is a record with its place and time.
type Stamped struct {
	Index  int64
	Time   time.Time // whole seconds, UTC, by the clock of who wrote it
	Record Record
	Offset int64 // of its frame in the file
	Size   int   // of its frame, checkpoint included, in bytes
}

type envelope struct {
	Index int64           `json:"index"`
	Time  string          `json:"time"`
	Kind  string          `json:"kind"`
	Body  json.RawMessage `json:"body"`
}

// encode returns the canonical JSON of a record: fields in the order of the Go structs, no white space. It checks the
// record's own fields.
func encode(index int64, t time.Time, r Record) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode %s record: %w", r.Kind(), err)
	}
	b, err := json.Marshal(envelope{index, formatTime(t), r.Kind(), body})
	if err != nil {
		return nil, fmt.Errorf("encode %s record: %w", r.Kind(), err)
	}
	if len(b) >= maxFrame {
		return nil, fmt.Errorf("encode %s record: %w: %d bytes, want less than %d", r.Kind(), ErrInvalid, len(b), maxFrame)
	}
	return b, nil
}

// decode reads what encode wrote and nothing else: unknown kinds and fields, other spellings of the same record and fields
// out of range are refused.
func decode(b []byte) (Stamped, error) {
	var s Stamped
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	r := empty(e.Kind)
	if r == nil {
		return s, fmt.Errorf("%w: unknown kind %.40q", ErrInvalid, e.Kind)
	}
	t, err := time.Parse(timeForm, e.Time)
	if err != nil {
		return s, fmt.Errorf("%w: time %.40q", ErrInvalid, e.Time)
	}
	if err := json.Unmarshal(e.Body, r); err != nil {
		return s, fmt.Errorf("%w: %s: %w", ErrInvalid, e.Kind, err)
	}
	canonical, err := encode(e.Index, t, r)
	if err != nil {
		return s, err
	}
	if !bytes.Equal(b, canonical) {
		return s, fmt.Errorf("%w: %s: not in canonical form", ErrInvalid, e.Kind)
	}
	return Stamped{Index: e.Index, Time: t, Record: r}, nil
}

const maxText = 4096

// text checks a string that goes into a record: valid UTF-8 without control characters, bounded, at least least bytes.
func text(field, s string, least int) error {
	switch {
	case len(s) < least:
		return fmt.Errorf("%w: %s is empty", ErrInvalid, field)
	case len(s) > maxText:
		return fmt.Errorf("%w: %s has %d bytes, want at most %d", ErrInvalid, field, len(s), maxText)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, field)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: %s has control characters", ErrInvalid, field)
	}
	return nil
}

func places(round, attempt int) error {
	if round < 1 || round > 1<<30 || attempt < 1 || attempt > 1<<30 {
		return fmt.Errorf("%w: round %d, attempt %d: want them from 1", ErrInvalid, round, attempt)
	}
	return nil
}

func (c *Counts) validate() error {
	if c != nil && (c.Survived < 0 || c.Survived > c.Sampled || c.Least < 0 || c.Least > c.Survived || c.Target < 0 || max(c.Sampled, c.Target) > 1<<30) {
		return fmt.Errorf("%w: %d survived of %d sampled, target %d", ErrInvalid, c.Survived, c.Sampled, c.Target)
	}
	return nil
}

func signatures(s []Signed) error {
	for i, x := range s {
		if x.Point < 1 || x.Point > maxMembers || i > 0 && x.Point <= s[i-1].Point {
			return fmt.Errorf("%w: signatures must be sorted by distinct points from 1 to %d", ErrInvalid, maxMembers)
		}
	}
	return nil
}

func (r *Reserve) validate() error { return places(r.Round, r.Attempt) }

func (r *Certified) validate() error {
	if err := places(r.Round, r.Attempt); err != nil {
		return err
	}
	return r.Counts.validate()
}

func (r *Commit) validate() error {
	if err := places(r.Round, r.Attempt); err != nil {
		return err
	}
	if !(r.Clip >= 0) {
		return fmt.Errorf("%w: clip %v", ErrInvalid, r.Clip)
	}
	if e := r.Public; e != nil && (!(e.Accuracy >= 0 && e.Accuracy <= 1) || e.Examples < 0) {
		return fmt.Errorf("%w: accuracy %v over %d examples", ErrInvalid, e.Accuracy, e.Examples)
	}
	if err := signatures(r.Certificate); err != nil {
		return err
	}
	return r.Counts.validate()
}

func (r *Void) validate() error {
	if err := places(r.Round, r.Attempt); err != nil {
		return err
	}
	if err := text("reason", r.Reason, 1); err != nil {
		return err
	}
	return r.Counts.validate()
}

func (r *Closed) validate() error {
	if err := places(r.Round, 1); err != nil {
		return err
	}
	return signatures(r.Closures)
}

func (r *Metric) validate() error {
	if len(r.Values) > 1<<16 {
		return fmt.Errorf("%w: metric of %d values", ErrInvalid, len(r.Values))
	}
	if r.Event.IsZero() {
		return fmt.Errorf("%w: metric without an event", ErrInvalid)
	}
	return text("name", r.Name, 1)
}

func (r *Release) validate() error {
	if r.Round < 0 || r.Round > 1<<30 {
		return fmt.Errorf("%w: round %d", ErrInvalid, r.Round)
	}
	return text("name", r.Name, 1)
}

func (r *Exclusion) validate() error {
	if err := places(r.Round, 1); err != nil {
		return err
	}
	return text("reason", r.Reason, 1)
}

func (r *Spread) validate() error {
	if r.Round < 0 || len(r.Counts) > 1<<16 {
		return fmt.Errorf("%w: spread at round %d of %d bars", ErrInvalid, r.Round, len(r.Counts))
	}
	for i, c := range r.Counts {
		if c.Rounds < 0 || c.Clients < 1 || c.Clients > 1<<30 || i > 0 && c.Rounds <= r.Counts[i-1].Rounds {
			return fmt.Errorf("%w: spread: want bars with clients, by rounds", ErrInvalid)
		}
	}
	return nil
}

func (r *Note) validate() error { return text("text", r.Text, 1) }
