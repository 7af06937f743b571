package audit

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/audit"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// Sizes of the suite: 8 rounds of 8,192 fields are more than audit.MinCoordinates.
const (
	owners     = 10
	rounds     = 8
	drawn      = 400     // batches
	streams    = 3 << 17 // generators: seeds of 32 bits leave 18 equal pairs, and none with probability e^-18
	parameters = side*side*classes + classes
)

// Contract is that of the suite: distributed DP-SGD with the default noise share and grid.
func Contract() privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut,
		Clip: 0.5, Mechanism: privacy.DiscreteGaussian, Noise: 0.709, Grid: 1 << 14, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.1, Rounds: drawn, MaxParticipations: drawn,
		Epsilon: 8, Delta: 1e-5, Colluders: 1, MinCohort: 7, MaxCohort: owners, MinRecords: 100, Records: owners * Records,
		Counts: privacy.CountsPublic, Parameters: parameters, MicroBatch: microBatch,
	}
}

// SkellamContract is the same with Skellam noise, which takes a coarser grid and records rounded one by one.
func SkellamContract() privacy.Contract {
	c := Contract()
	c.Mechanism, c.Grid, c.Rounding = privacy.Skellam, 1<<12, privacy.RoundRecord
	return c
}

// run is one contract's build with its derived integers.
type run struct {
	*Build
	step Step
	hash statement.Digest
}

func (b *Build) open(c privacy.Contract) (*run, error) {
	d, err := b.Derive(c)
	if err != nil {
		return nil, err
	}
	share, err := b.Sampler(d)
	if err != nil {
		return nil, err
	}
	hash, err := c.Hash()
	if err != nil {
		return nil, err
	}
	return &run{b, Step{Contract: c, Derived: d, Rotation: privatise.NewRotation(c.Parameters, [32]byte{}), Share: share, Records: Records}, hash}, nil
}

// values encodes sum for one owner and attempt of a round.
func (r *run) values(sum []float64, batch, owner, round, attempt int) ([]int32, error) {
	s := r.step
	s.Batch = batch
	s.Rotation.Reseed(privacy.RotationSeed(r.hash, round))
	dst := make([]int32, r.step.Derived.Fields)
	return dst, r.Encode(dst, sum, s, r.Generator(r.Secret(owner), round, attempt))
}

// noise is what values adds to the integers of sum: the difference to the same encoding without noise, by
// the suite's own encoder. The dither is drawn before the noise and drops out.
func (r *run) noise(sum []float64, batch, owner, round int) ([]int64, error) {
	got, err := r.values(sum, batch, owner, round, 1)
	if err != nil {
		return nil, err
	}
	s := r.step
	s.Share = silent{}
	want := make([]int32, len(got))
	if err := encode(want, sum, s, r.Generator(r.Secret(owner), round, 1)); err != nil {
		return nil, err
	}
	out := make([]int64, len(got))
	for i, v := range got {
		out[i] = int64(v) - int64(want[i])
	}
	return out, nil
}

// silent is a sampler without noise.
type silent struct{}

func (silent) Fill32(dst []int32, _ *noise.DRBG) { clear(dst) }
func (silent) Bound() int64                      { return 0 }

// Check is one test of the suite.
type Check struct {
	Name string
	Run  func(*Build) error
}

// Suite is every check, in the order in which they are printed. Each returns nil, an audit.Failure, or an error of its own.
func Suite() []Check {
	return []Check{
		{"noise", func(b *Build) error { return checkNoise(b, Contract()) }},
		{"skellam noise", func(b *Build) error { return checkNoise(b, SkellamContract()) }},
		{"retry", checkRetry},
		{"neighbours", checkNeighbours},
		{"rounding", checkRounding},
		{"batches", checkBatches},
		{"divisor", checkDivisor},
		{"message", checkMessage},
		{"seeds", checkSeeds},
		{"clients", checkClients},
		{"clients' noise", checkClientNoise},
	}
}

// checkNoise measures the noise of all owners in a few rounds, of real sums: its variance, owner by owner, against the share that
// the contract itself derives, and that no two vectors go together.
func checkNoise(b *Build, c privacy.Contract) error {
	r, err := b.open(c)
	if err != nil {
		return err
	}
	planned, err := c.Derive()
	if err != nil {
		return err
	}
	sum := make([]float64, c.Parameters)
	var all [][]int64
	var failed []error
	for owner := range owners {
		var one []int64
		for round := 1; round <= rounds; round++ {
			batch, err := b.Coins(Records, c.SamplingRate, b.Secret(owner), round)
			if err != nil {
				return err
			}
			if c.Rounding == privacy.RoundRecord {
				batch = batch[:min(len(batch), 1)]
			}
			if err := b.Clipped(batch, c.Clip, sum); err != nil {
				return err
			}
			v, err := r.noise(sum, len(batch), owner, round)
			if err != nil {
				return err
			}
			one = append(one, v...)
			all = append(all, v)
		}
		failed = append(failed, audit.Variance(fmt.Sprintf("noise of owner %d", owner), one, float64(planned.ShareVariance)))
	}
	failed = append(failed, audit.Independent(fmt.Sprintf("noise of %d owners in %d rounds", owners, rounds), all))
	return errors.Join(failed...)
}

// checkRetry repeats a round and wants the same bytes: with others, averaging retries would take the noise off.
func checkRetry(b *Build) error {
	r, err := b.open(Contract())
	if err != nil {
		return err
	}
	sum := make([]float64, parameters)
	first, err := r.values(sum, 0, 0, 3, 1)
	if err != nil {
		return err
	}
	again, err := r.values(sum, 0, 0, 3, 2)
	if err != nil {
		return err
	}
	if d := audit.Norm(first, again); d != 0 {
		return &audit.Failure{Check: "repeated attempt: distance to the first", Got: d}
	}
	return nil
}

// checkNeighbours takes one record out of a batch, one after the other, with all coins and noise the same.
func checkNeighbours(b *Build) error {
	c := Contract()
	r, err := b.open(c)
	if err != nil {
		return err
	}
	planned, err := c.Derive()
	if err != nil {
		return err
	}
	with, without := make([]float64, parameters), make([]float64, parameters)
	// Bright records alone, dim ones alone, and one bright among the dim.
	for _, batch := range [][]int32{{9}, {0, 1, 2, 3}, {0, 1, 2, 3, 9, 10, 11}, {9, 19, 29, 30, 31}} {
		if err := b.Clipped(batch, c.Clip, with); err != nil {
			return err
		}
		for i, record := range batch {
			rest := slices.Delete(slices.Clone(batch), i, i+1)
			if err := b.Clipped(rest, c.Clip, without); err != nil {
				return err
			}
			x, err := r.values(with, len(batch), 0, 1, 1)
			if err != nil {
				return err
			}
			y, err := r.values(without, len(rest), 0, 1, 1)
			if err != nil {
				return err
			}
			if err := audit.Distance(fmt.Sprintf("record %d of %d", record, len(batch)), x, y, planned.Sensitivity); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRounding looks for the worst pair of sums at distance C under a known dither: a base where all fields are about to
// be rounded up, found by bisection, and a neighbour a little more than whole units away from it. Rounding then adds nearly
// sqrt(fields) units, which the derived sensitivity has to cover. The contract has one block of fields
// and no padding, so that every rotated vector is some sum.
func checkRounding(b *Build) error {
	c := Contract()
	c.Parameters, c.Grid = privatise.Block, privacy.Grid(privatise.Block)
	r, err := b.open(c)
	if err != nil {
		return err
	}
	n := c.Parameters
	unit := c.Clip / float64(r.step.Derived.Grid)
	sum, fields, scratch := make([]float64, n), make([]float64, n), make([]float64, n)
	at := func() ([]int32, error) {
		copy(scratch, fields)
		r.step.Rotation.Reseed(privacy.RotationSeed(r.hash, 1))
		if err := r.step.Rotation.Inverse(sum, scratch, unit); err != nil {
			return nil, err
		}
		return r.values(sum, 1, 0, 1, 1)
	}
	zero, err := at()
	if err != nil {
		return err
	}
	low, high := make([]float64, n), make([]float64, n)
	for i := range high {
		high[i] = 1
	}
	for range 30 {
		for i := range fields {
			fields[i] = (low[i] + high[i]) / 2
		}
		v, err := at()
		if err != nil {
			return err
		}
		for i := range v {
			if v[i] == zero[i] {
				low[i] = fields[i]
			} else {
				high[i] = fields[i]
			}
		}
	}
	const hair = 1.0 / (1 << 28) // from below the edge to above it
	for i := range low {
		low[i] -= hair / 4
	}
	copy(fields, low)
	base, err := at()
	if err != nil {
		return err
	}
	// The neighbour is within C: whole units and a hair in each field.
	grid := float64(r.step.Derived.Grid)
	whole := math.Floor(grid / math.Sqrt(float64(n)))
	left := grid*grid - float64(n)*(whole+hair)*(whole+hair)
	for i := range fields {
		w := whole
		if left < 0 {
			w--
			left += (whole+hair)*(whole+hair) - (w+hair)*(w+hair)
		}
		fields[i] = low[i] + w + hair
	}
	next, err := at()
	if err != nil {
		return err
	}
	return audit.Distance("sums at the clip norm", base, next, r.step.Derived.Sensitivity)
}

func checkBatches(b *Build) error {
	c := Contract()
	var batches [][]int32
	for round := 1; round <= drawn; round++ {
		v, err := b.Coins(Records, c.SamplingRate, b.Secret(0), round)
		if err != nil {
			return err
		}
		batches = append(batches, slices.Clone(v))
	}
	return audit.Batches("batches", batches, Records, c.SamplingRate)
}

// checkDivisor opens one sum under every cohort that may have made it.
func checkDivisor(b *Build) error {
	c := Contract()
	r, err := b.open(c)
	if err != nil {
		return err
	}
	opened := make([]int64, r.step.Derived.Fields)
	opened[0] = 1 << 20
	got := make([]float64, parameters)
	decoder, err := privatise.NewDecoder(r.step.Rotation, c.Grid)
	if err != nil {
		return err
	}
	want := make([]float64, parameters)
	if err := decoder.Decode(want, opened, c.Clip, c.SamplingRate*float64(c.Records)); err != nil {
		return err
	}
	for n := c.MinCohort; n <= c.MaxCohort; n++ {
		if err := b.Open(got, opened, r.step, n); err != nil {
			return err
		}
		for i, v := range got {
			if v != want[i] {
				return &audit.Failure{Check: fmt.Sprintf("parameter %d of the step of %d owners over the publicly divided one", i, n), Got: v / want[i], Low: 1, Top: 1}
			}
		}
	}
	return nil
}

// checkMessage wants nothing beside the accounted vector to change with a record.
func checkMessage(b *Build) error {
	r, err := b.open(Contract())
	if err != nil {
		return err
	}
	var clear [][]float64
	for _, batch := range [][]int32{{0, 1, 9}, {0, 1}, {}} {
		sum := make([]float64, parameters)
		if err := b.Clipped(batch, r.step.Contract.Clip, sum); err != nil {
			return err
		}
		v, err := r.values(sum, len(batch), 0, 1, 1)
		if err != nil {
			return err
		}
		m := b.Send(v, sum, batch)
		if len(m.Values) != r.step.Derived.Fields {
			return &audit.Failure{Check: "fields of the accounted vector", Got: float64(len(m.Values)), Low: float64(r.step.Derived.Fields), Top: float64(r.step.Derived.Fields)}
		}
		clear = append(clear, m.Clear)
	}
	for _, v := range clear[1:] {
		if !slices.Equal(v, clear[0]) {
			return &audit.Failure{Check: "values beside the vector that change with a record", Got: float64(max(len(v), len(clear[0])))}
		}
	}
	return nil
}

// checkSeeds looks for two generators that start alike, among many owners and among many rounds.
func checkSeeds(b *Build) error {
	starts := make([][16]byte, streams)
	for i := range starts {
		b.Generator(b.Secret(i), 1, 1).Fill(starts[i][:])
	}
	if err := audit.Distinct("owners", starts); err != nil {
		return err
	}
	secret := b.Secret(0)
	for i := range starts {
		b.Generator(secret, i+1, 1).Fill(starts[i][:])
	}
	return audit.Distinct("rounds", starts)
}
