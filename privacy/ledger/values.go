package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

// Hash is a SHA-256, in text lower-case hexadecimal.
type Hash [32]byte

// IsZero says that there is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *Hash) UnmarshalText(b []byte) error { return unhex(h[:], b) }

// Key is an Ed25519 public key of a key holder, in text hexadecimal.
type Key [32]byte

// MarshalText writes hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (k *Key) UnmarshalText(b []byte) error { return unhex(k[:], b) }

// Sig is an Ed25519 signature, in text hexadecimal.
type Sig [64]byte

// MarshalText writes hexadecimal digits.
func (s Sig) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads 128 hexadecimal digits.
func (s *Sig) UnmarshalText(b []byte) error { return unhex(s[:], b) }

func unhex(dst, b []byte) error {
	if len(b) != 2*len(dst) {
		return fmt.Errorf("%d hexadecimal digits, want %d", len(b), 2*len(dst))
	}
	_, err := hex.Decode(dst, b)
	return err
}

// Event is a privacy event as a field of a record, in the accountant's canonical JSON.
type Event struct{ accountant.Event }

// IsZero says that there is no event.
func (e Event) IsZero() bool { return e.Event == nil }

// MarshalJSON writes the canonical form.
func (e Event) MarshalJSON() ([]byte, error) { return accountant.Encode(e.Event) }

// UnmarshalJSON reads the canonical form, white space aside: reports are indented.
func (e *Event) UnmarshalJSON(b []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		return err
	}
	x, err := accountant.Decode(compact.Bytes())
	e.Event = x
	return err
}

// Epsilon is a privacy loss. Infinity, the loss of a run without privacy, is "unbounded" in text.
type Epsilon float64

const unbounded = `"unbounded"`

// MarshalJSON writes a number or "unbounded".
func (e Epsilon) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(e), 1) {
		return []byte(unbounded), nil
	}
	return json.Marshal(float64(e))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Epsilon) UnmarshalJSON(b []byte) error {
	if string(b) == unbounded {
		*e = Epsilon(math.Inf(1))
		return nil
	}
	return json.Unmarshal(b, (*float64)(e))
}

// near says whether a stated epsilon is the recomputed one, but for the last digits, in which processors differ: some
// fuse a product and a sum into one rounding.
func near(stated, recomputed Epsilon) bool {
	a, b := float64(stated), float64(recomputed)
	if math.IsInf(a, 0) || math.IsInf(b, 0) {
		return a == b
	}
	return math.Abs(a-b) <= Tolerance*math.Max(1, math.Abs(b))
}

// Tolerance is how far, relative to the greater of 1 and the value, a stated epsilon may lie from the recomputed one.
const Tolerance = 1e-6

const timeForm = "2006-01-02T15:04:05Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeForm) }
