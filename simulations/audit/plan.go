package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/audit"
)

// ErrUnit marks a contract whose unit the audit of a whole plan has no canaries for.
var ErrUnit = errors.New("audit: the whole plan of a contract is audited for units example and group only")

// Plan is what the audit of a whole plan saw. Its JSON form is what `server report -audit` takes.
type Plan struct {
	Build      string  `json:"build"` // version of the program, for the caller to fill in
	Seed       uint64  `json:"seed"`
	Canaries   int     `json:"canaries"`
	Rounds     int     `json:"rounds"`
	Guesses    int     `json:"guesses"`
	Right      int     `json:"right"`
	Delta      float64 `json:"delta"`
	Confidence float64 `json:"confidence"`
	LowerBound float64 `json:"lower_bound"`
	Certified  float64 `json:"certified"`
	Contract   string  `json:"contract"`

	Assumptions []string `json:"assumptions"`
}

// assumptions say what an audit of a whole plan does not look at.
func assumptions(c privacy.Contract) []string {
	return []string{
		"What ran in the deployment encodes, adds noise and opens sums as the program does that was attacked here.",
		fmt.Sprintf("Canaries are random vectors at the clip norm, each in the run by a fair coin and in a round by a coin of probability %g; records that are easier to recognise may leak more.", c.SamplingRate),
		fmt.Sprintf("The adversary sees every opened sum of the smallest cohort, %d, and knows the noise of %d of them. Key holders do not work with it.", c.MinCohort, c.Colluders),
		"Neither batches nor training are attacked: the conformance suite looks at those.",
	}
}

// Refuted reports whether the build leaked more than it certifies.
func (p Plan) Refuted() bool { return p.LowerBound > p.Certified }

// Confidence is that of every lower bound here.
const Confidence = 0.95

// WholePlan releases all rounds of c with canaries in place of records: random vectors at the clip norm, each included in the whole run by
// a fair coin, and in a round by the contract's Poisson coin. The adversary is the strongest that the contract covers: the
// smallest cohort took part and the colluders took their own shares off; it sees every opened sum, adds them up, and guesses the third of
// the canaries that look most like members and the third that look least. No model is trained, for steps are public and a
// canary's vector does not depend on them. One seed is one audit, which accuses a correct build with probability at most 5 %.
func WholePlan(ctx context.Context, b *Build, c privacy.Contract, canaries int, seed uint64, progress func(round int)) (Plan, error) {
	if c.Unit == privacy.UnitClient || c.SamplingRate <= 0 {
		return Plan{}, ErrUnit
	}
	if canaries < 30 || canaries > 1<<16 || int64(canaries)*int64(c.Parameters) > 1<<27 {
		return Plan{}, fmt.Errorf("audit: %d canaries of %d parameters, want 30 to 65,536 and at most 2^27 numbers in all", canaries, c.Parameters)
	}
	rows, err := c.Certify()
	if err != nil {
		return Plan{}, err
	}
	r, err := b.open(c)
	if err != nil {
		return Plan{}, err
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	vectors, in := make([][]float64, canaries), make([]bool, canaries)
	for i := range vectors {
		v := make([]float64, c.Parameters)
		square := 0.0
		for j := range v {
			v[j] = rng.NormFloat64()
			square += v[j] * v[j]
		}
		for j := range v {
			v[j] /= math.Sqrt(square)
		}
		vectors[i], in[i] = v, rng.IntN(2) == 0
	}
	seen := make([]float64, c.Parameters)
	for round := 1; round <= c.Rounds; round++ {
		if err := ctx.Err(); err != nil {
			return Plan{}, err
		}
		batch := make([]bool, canaries)
		for i := range batch {
			batch[i] = rng.Float64() < c.SamplingRate && in[i]
		}
		step, err := r.release(vectors, func(i int) bool { return batch[i] }, round)
		if err != nil {
			return Plan{}, fmt.Errorf("audit: round %d: %w", round, err)
		}
		for j, v := range step {
			seen[j] += v
		}
		if progress != nil {
			progress(round)
		}
	}
	type score struct {
		value float64
		in    bool
	}
	scores := make([]score, canaries)
	for i, v := range vectors {
		scores[i] = score{dot(seen, v), in[i]}
	}
	slices.SortFunc(scores, func(a, b score) int { return cmp.Compare(a.value, b.value) })
	third := canaries / 3
	out := Plan{Seed: seed, Assumptions: assumptions(c), Canaries: canaries, Rounds: c.Rounds, Guesses: 2 * third, Delta: c.Delta, Confidence: Confidence, Certified: rows[0].Upper, Contract: fmt.Sprintf("%x", r.hash[:])}
	for i := range third {
		if !scores[i].in {
			out.Right++
		}
		if scores[canaries-1-i].in {
			out.Right++
		}
	}
	out.LowerBound, err = audit.LowerBound(audit.Guesses{Canaries: canaries, Made: out.Guesses, Right: out.Right}, c.Delta, Confidence)
	return out, err
}
