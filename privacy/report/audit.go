package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/sotto-fl/sotto/privacy/audit"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// ErrAudit marks an audit that does not belong to the run of a report, or does not hold together.
var ErrAudit = errors.New("the audit does not fit the ledger")

// Audit is an attack on a build under a run's contract, as `simulations audit -out` writes it: canaries in place of
// records, and how many of their coins an adversary guessed right. It is no part of the ledger; AddAudit checks what can
// be checked of it.
type Audit struct {
	Contract    string   `json:"contract"` // hash, hexadecimal
	Build       string   `json:"build"`    // that was attacked
	Seed        uint64   `json:"seed"`
	Canaries    int      `json:"canaries"`
	Rounds      int      `json:"rounds"`
	Guesses     int      `json:"guesses"`
	Right       int      `json:"right"`
	Delta       float64  `json:"delta"`
	Confidence  float64  `json:"confidence"`
	LowerBound  float64  `json:"lower_bound"` // of epsilon, at the confidence
	Certified   float64  `json:"certified"`   // of the whole plan, against recipients of the model
	Assumptions []string `json:"assumptions"`
}

// Refuted says that the attack shows more leakage than is certified.
func (a Audit) Refuted() bool { return a.LowerBound > a.Certified }

// maxAudit bounds an audit's file, maxCanaries how long its bound takes, and maxAssumptions and maxAssumption what a page
// shows of it.
const (
	maxCanaries    = 1 << 16
	maxAudit       = 1 << 16
	maxAssumptions = 20
	maxAssumption  = 500
)

// ParseAudit reads the file of an audit. It is nobody's word until AddAudit took it.
func ParseAudit(b []byte) (Audit, error) {
	var a Audit
	if len(b) > maxAudit {
		return a, fmt.Errorf("%w: %d bytes, want at most %d", ErrAudit, len(b), maxAudit)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return Audit{}, fmt.Errorf("%w: %w: want a file of simulations audit -out", ErrAudit, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Audit{}, fmt.Errorf("%w: something follows the first value", ErrAudit)
	}
	return a, nil
}

// AddAudit takes an audit into the report if it is one of the run's contract and its bound follows from its guesses. The
// number of right guesses is the auditor's word.
func (r *Report) AddAudit(a Audit) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrAudit, fmt.Sprintf(format, args...))
	}
	hash, err := r.Contract.Hash()
	if err != nil {
		return fmt.Errorf("hash of the contract: %w", err)
	}
	if want := ledger.Hash(hash).String(); a.Contract != want {
		return bad("it is about contract %.64q, the run has %s", a.Contract, want)
	}
	if a.Delta != r.Contract.Delta || a.Rounds < 1 || a.Rounds > r.Contract.Rounds {
		return bad("%d rounds at delta %g, the contract has %d at %g", a.Rounds, a.Delta, r.Contract.Rounds, r.Contract.Delta)
	}
	if a.Canaries > maxCanaries {
		return bad("%d canaries, want at most %d", a.Canaries, maxCanaries)
	}
	if !(a.Confidence >= 0.5 && a.Confidence < 1) {
		return bad("a confidence of %g, want 0.5 to below 1", a.Confidence)
	}
	bound, err := audit.LowerBound(audit.Guesses{Canaries: a.Canaries, Made: a.Guesses, Right: a.Right}, a.Delta, a.Confidence)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAudit, err)
	}
	if !(math.Abs(bound-a.LowerBound) <= 1e-6*max(1, bound)) {
		return bad("%d right of %d guesses give a lower bound of %.6g, it says %.6g", a.Right, a.Guesses, bound, a.LowerBound)
	}
	if want := float64(r.Against[0].Planned.Upper); !(math.Abs(want-a.Certified) <= 1e-3*max(1, want)) {
		return bad("it compares with a certified epsilon of %.6g, the plan has %.6g", a.Certified, want)
	}
	if len(a.Assumptions) > maxAssumptions {
		return bad("%d assumptions, want at most %d", len(a.Assumptions), maxAssumptions)
	}
	for _, s := range append([]string{a.Build}, a.Assumptions...) {
		if len(s) > maxAssumption {
			return bad("a text of %d bytes, want at most %d", len(s), maxAssumption)
		}
	}
	r.Audits = append(r.Audits, a)
	return nil
}
