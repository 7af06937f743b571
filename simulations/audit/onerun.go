package audit

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/audit"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// Canaries is how many records the gate hides in one release.
const Canaries = 1200

// GateContract is that of the gate: one round with every record, epsilon at most 1 at delta 1e-5.
func GateContract() privacy.Contract {
	c := Contract()
	c.Parameters, c.MicroBatch, c.Grid = privatise.Block, 1, privacy.Grid(privatise.Block)
	c.SamplingRate, c.Rounds, c.MaxParticipations = 1, 1, 1
	c.Noise, c.Epsilon, c.Delta = 3.8, 1, 1e-5
	return c
}

// Audited is what the gate saw.
type Audited struct {
	audit.Guesses
	Certified  float64 // epsilon, upper, of the contract at its delta
	LowerBound float64 // at 95 %
	OneShot    audit.Estimate
}

// OneRun releases one round of b under c with canaries, random vectors at the clip norm each included by a fair coin, and guesses
// the coins as the strongest adversary that the contract covers can: the smallest cohort took part, and the colluders took
// their own shares off. Of the canaries, the third that looks most like members and the third that looks least are guessed. A second
// release with all canaries gives the one-shot estimate. seed makes canaries and coins; one seed is one audit.
func OneRun(b *Build, c privacy.Contract, seed uint64) (Audited, error) {
	rows, err := c.Certify()
	if err != nil {
		return Audited{}, err
	}
	out := Audited{Certified: rows[0].Upper}
	r, err := b.open(c)
	if err != nil {
		return Audited{}, err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	canaries, coins := make([][]float64, Canaries), make([]bool, Canaries)
	for i := range canaries {
		canaries[i] = make([]float64, c.Parameters)
		square := 0.0
		for j := range canaries[i] {
			v := rng.NormFloat64()
			canaries[i][j] = v
			square += v * v
		}
		for j := range canaries[i] {
			canaries[i][j] /= math.Sqrt(square)
		}
		coins[i] = rng.IntN(2) == 0
	}
	step, err := r.release(canaries, func(i int) bool { return coins[i] }, 1)
	if err != nil {
		return Audited{}, err
	}
	type score struct {
		value float64
		in    bool
	}
	scores := make([]score, Canaries)
	for i, v := range canaries {
		scores[i] = score{dot(step, v), coins[i]}
	}
	slices.SortFunc(scores, func(a, b score) int { return cmp.Compare(a.value, b.value) })
	third := Canaries / 3
	out.Guesses = audit.Guesses{Canaries: Canaries, Made: 2 * third}
	for i := range third {
		if !scores[i].in {
			out.Right++
		}
		if scores[Canaries-1-i].in {
			out.Right++
		}
	}
	if out.LowerBound, err = audit.LowerBound(out.Guesses, c.Delta, 0.95); err != nil {
		return Audited{}, err
	}
	if step, err = r.release(canaries, func(int) bool { return true }, 2); err != nil {
		return Audited{}, err
	}
	cosines := make([]float64, Canaries)
	length := math.Sqrt(dot(step, step))
	for i, v := range canaries {
		cosines[i] = dot(step, v) / length
	}
	out.OneShot, err = audit.OneShot(cosines, c.Parameters, c.Delta)
	return out, err
}

// release encodes, adds up and opens a round of the owners whose noise is charged.
func (r *run) release(canaries [][]float64, in func(int) bool, round int) ([]float64, error) {
	c := r.step.Contract
	opened := make([]int64, r.step.Derived.Fields)
	honest := c.MinCohort - c.Colluders
	for owner := range honest {
		sum, n := make([]float64, c.Parameters), 0
		for i := owner; i < len(canaries); i += honest {
			if !in(i) {
				continue
			}
			n++
			for j, v := range canaries[i] {
				sum[j] += v * c.Clip
			}
		}
		values, err := r.values(sum, n, owner, round, 1)
		if err != nil {
			return nil, fmt.Errorf("owner %d: %w", owner, err)
		}
		for i, v := range values {
			opened[i] += int64(v)
		}
	}
	step := make([]float64, c.Parameters)
	return step, r.Open(step, opened, r.step, c.MinCohort)
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
