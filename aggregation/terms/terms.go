// Package terms states, once for a whole run, what every update of the run looks
// like and how small a sum of updates may be. Its hash is the contract that clients
// sign with their uploads and that key holders check before they sign a set: a
// server cannot have one client work under other terms than the rest.
package terms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

// Terms are the constants of a run's encrypted sums.
type Terms struct {
	Run           string            `json:"run"`
	Encryption    kahe.Spec         `json:"encryption"`
	Codec         aggregation.Codec `json:"codec"`         // of one client's values
	Organisations int               `json:"organisations"` // k_min: vouchers in a sum
	Cohort        int               `json:"cohort"`        // clients in a sum
	MinWork       uint64            `json:"min_work"`      // training records of every client
	MinWeight     float64           `json:"min_weight"`    // of every client
	Privacy       []byte            `json:"privacy"`       // canonical privacy contract; empty for none
}

// maxEncoded bounds an encoding in bytes.
const maxEncoded = 1 << 16

// ErrTerms marks an encoding that does not state terms.
var ErrTerms = errors.New("not valid terms")

// Validate reports every problem.
func (t Terms) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if t.Run == "" {
		bad("run: must not be empty")
	}
	if len(t.Privacy) > 0 {
		// The privacy contract says what the integers are, and how wide.
		if t.Codec != (aggregation.Codec{}) {
			bad("codec: a privacy contract has a codec of its own, want none")
		}
	} else if err := t.Codec.Validate(); err != nil {
		bad("codec: %w", err)
	} else if need := t.Codec.SumBits(t.Encryption.Uploads); need > t.Encryption.Width {
		bad("encryption: a sum of %d values of %d bits needs %d bits, its fields have %d", t.Encryption.Uploads, t.Codec.Bits, need, t.Encryption.Width)
	}
	if _, err := kahe.New(t.Encryption); err != nil {
		bad("encryption: %w", err)
	}
	if t.Organisations < 2 || t.Cohort < t.Organisations {
		bad("organisations is %d and cohort %d, want at least 2 and at least as many", t.Organisations, t.Cohort)
	}
	if t.MinWork < 1 || !(t.MinWeight > 0 && t.MinWeight <= 1) {
		bad("min_work is %d and min_weight %g, want at least 1, and above 0 to 1", t.MinWork, t.MinWeight)
	}
	return errors.Join(problems...)
}

// Encode returns the canonical bytes of valid terms.
func (t Terms) Encode() ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if len(t.Privacy) == 0 {
		t.Privacy = nil // an empty slice would be another encoding of the same
	}
	return json.Marshal(t)
}

// Decode reads what Encode wrote and nothing else; otherwise ErrTerms.
func Decode(b []byte) (Terms, error) {
	if len(b) > maxEncoded {
		return Terms{}, fmt.Errorf("%w: %d bytes, want at most %d", ErrTerms, len(b), maxEncoded)
	}
	var t Terms
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Terms{}, fmt.Errorf("%w: %w", ErrTerms, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Terms{}, fmt.Errorf("%w: bytes after their end", ErrTerms)
	}
	canonical, err := t.Encode()
	if err != nil {
		return Terms{}, fmt.Errorf("%w: %w", ErrTerms, err)
	}
	if !bytes.Equal(canonical, b) {
		return Terms{}, fmt.Errorf("%w: not in canonical form", ErrTerms)
	}
	return t, nil
}

// Limits reads encoded terms and returns what key holders hold every group to.
func Limits(encoded []byte) (keyshare.Limits, error) {
	t, err := Decode(encoded)
	if err != nil {
		return keyshare.Limits{}, err
	}
	return keyshare.Limits{
		Contract: statement.Hash(encoded), KMin: t.Organisations, MinCohort: t.Cohort,
		MinWork: t.MinWork, MinWeight: t.MinWeight,
	}, nil
}

// Ring is where the keys of the run live.
func (t Terms) Ring() (keyshare.Ring, kahe.Params, error) {
	p, err := kahe.New(t.Encryption)
	if err != nil {
		return keyshare.Ring{}, p, err
	}
	preset := p.Preset()
	return keyshare.Ring{N: preset.N, Primes: preset.Primes}, p, nil
}

// WorkHash is what an announcement says of training: everything that all clients of
// the attempt share. clip is the clip norm where it changes from round to round, else 0;
// reference the number of steps that updates of unequal work are scaled to, 0 where all do
// the same epochs.
func WorkHash(task [32]byte, epochs, lr, clip float64, reference uint64) statement.Digest {
	return statement.New("sotto/work/v3").Fixed(task[:]).Uint(math.Float64bits(epochs)).Uint(math.Float64bits(lr)).Uint(math.Float64bits(clip)).Uint(reference).Hash()
}
