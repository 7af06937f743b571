package privacy

import (
	"fmt"
	"math"
	"math/big"

	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

const (
	// logOverflow is the log2 of the probability that any field of a round's sum is too wide. A
	// sum that is spoils the round's model, not its privacy.
	logOverflow = -40
	// clampSpread is how many standard deviations of a rotated coordinate an owner's clamp
	// leaves at least, even if all the gradients of its planned batch agree (dp-sgd), and updateSpread those of an
	// update that sits in one block.
	clampSpread  = 3.5
	updateSpread = 6
	// CapMiss bounds the probability that a Poisson batch is cut in one round at one owner.
	CapMiss = 1e-12
)

// Derived are the integers that follow from a contract. Lengths are in integer units, of
// which Grid make up the clip norm, whatever the clip norm is.
type Derived struct {
	Parameters int
	Fields     int   // length of the encoded vector: padded blocks, and the clip bit as the last field
	Grid       int64 // C/gamma
	NormBound  int64 // of the square of the integer norm of one rounded update or record; 0 when sums are rounded
	BitHeight  int32 // magnitude of the clip bit; 0 without one

	Sensitivity   float64 // L2, of the whole vector, rounding included
	Sigma         float64 // scale of the noise that is charged, at least
	Shares        int     // that add up to it
	ShareVariance uint64  // of each; Shares*ShareVariance >= Sigma^2

	Width      int   // bits, sign included, of one field of the sum
	ClampTotal int64 // of all owners together; Clamp splits it
	MaxBatch   int   // batch cap of an owner that holds all records; BatchCap is that of a smaller one

	// MissDelta is added to delta: for batches that a cap may cut, the probabilities summed over owners and
	// rounds, and for what samplers are off (noise.DistanceBound), far below 1e-30.
	MissDelta float64

	mechanism string
	perOwner  int // owners that split the clamp, or
	records   int // records, when owners' clamps are in proportion to theirs
}

// Derive validates c and computes what follows from it. A contract without privacy has nothing to derive.
func (c Contract) Derive() (Derived, error) {
	if c.None() {
		return Derived{}, fmt.Errorf("derive: %w", ErrNone)
	}
	if err := c.Validate(); err != nil {
		return Derived{}, err
	}
	return c.derive(), nil
}

func (c Contract) derive() Derived {
	padded := privatise.Padded(c.Parameters)
	d := Derived{
		Parameters: c.Parameters, Fields: padded, Grid: c.Grid, Shares: c.Shares(),
		mechanism: c.Mechanism, perOwner: c.MaxCohort, records: c.Records,
	}
	if c.dpsgd() {
		d.MaxBatch = BatchCap(c.Records, c.SamplingRate)
		d.MissDelta = float64(c.MaxCohort) * float64(c.Rounds) * CapMiss
	}
	d.MissDelta += (1 + math.Exp(c.Epsilon)) * float64(c.MaxCohort) * float64(c.Rounds) * float64(padded+1) * math.Ldexp(1, noise.DistanceBound)
	if c.Rounding == RoundRecord {
		d.NormBound = privatise.NormBound(c.Grid, padded)
		d.Sensitivity = math.Sqrt(float64(d.NormBound))
	} else {
		d.Sensitivity = privatise.SumSensitivity(c.Grid, padded, d.MaxBatch, c.MicroBatch)
	}
	if a := c.Adaptive; a.Enabled() {
		// sigma^2 = z^2 (S^2 + h^2) with h = sigma/(2 bit_noise): 1/z^2 = 1/z_update^2 + 1/(2 bit_noise)^2.
		share := c.Noise / (2 * a.BitNoise)
		d.BitHeight = int32(min(c.Noise*d.Sensitivity/math.Sqrt(1-float64(share*share))/(2*a.BitNoise), privatise.MaxClamp))
		d.Sensitivity = hypot(d.Sensitivity, float64(d.BitHeight))
		d.Fields++
	}
	d.Sigma = c.Noise * d.Sensitivity
	if c.Mechanism == DiscreteGaussian {
		// What is charged is a Gaussian of variance sigma^2 - t^2.
		d.Sigma = hypot(d.Sigma, accountant.SmoothingScale)
	}
	d.ShareVariance = uint64(math.Ceil(min(d.Sigma*d.Sigma*(1+1e-12)/float64(d.Shares), 1<<60)))
	c.deriveWidth(&d, padded)
	return d
}

// hypot is free of fused operations, so that all platforms derive the same integers.
func hypot(a, b float64) float64 { return math.Sqrt(float64(a*a) + float64(b*b)) }

// deriveWidth finds the least field width that holds the clamps and all noise, and gives what is left to the clamps.
func (c Contract) deriveWidth(d *Derived, padded int) {
	tail := d.tail(c.MaxCohort)
	least := 0.0
	if c.dpsgd() {
		least = clampSpread * c.SamplingRate * float64(c.Records) * float64(c.Grid) / math.Sqrt(float64(padded))
	} else {
		one := min(updateSpread/math.Sqrt(float64(min(padded, privatise.Block))), 1) * float64(c.Grid)
		least = float64(c.MaxCohort) * max(one, float64(d.BitHeight))
	}
	least = max(least, float64(d.perOwner))
	for d.Width = 2; d.Width < 62 && math.Ldexp(1, d.Width-1) < least+tail+1; d.Width++ {
	}
	d.ClampTotal = int64(math.Ldexp(1, d.Width-1) - 1 - tail)
}

// tail is a magnitude that all fields of a sum of n owners' noise stay within but for 2^-40.
func (d Derived) tail(n int) float64 {
	logUnion := math.Log(2*float64(d.Fields)) - logOverflow*math.Ln2
	v := float64(n) * float64(d.ShareVariance)
	t := math.Ceil(math.Sqrt(2 * v * logUnion)) // both are sub-Gaussian of their variance
	if d.mechanism == Skellam {
		// Chernoff: log P(X >= t) <= sqrt(v^2+t^2) - v - t asinh(t/v), a little heavier.
		for math.Sqrt(v*v+t*t)-v-t*math.Asinh(t/v) > -logUnion {
			t = math.Ceil(t*1.001) + 1
		}
	}
	return t
}

// Clamp is the largest magnitude of a coordinate of one owner's values before noise: an equal part for each client, or in
// proportion to an owner's public number of records (or groups). It is at least 0.
func (d Derived) Clamp(records int) int32 {
	total := big.NewInt(d.ClampTotal)
	if d.records > 0 {
		total.Mul(total, big.NewInt(int64(min(max(records, 0), d.records))))
		total.Quo(total, big.NewInt(int64(d.records)))
	} else {
		total.Quo(total, big.NewInt(int64(d.perOwner)))
	}
	return int32(min(total.Int64(), privatise.MaxClamp))
}

// Sampler draws one owner's noise share.
func (d Derived) Sampler() (privatise.Sampler, error) {
	v := new(big.Rat).SetInt(new(big.Int).SetUint64(d.ShareVariance))
	if d.mechanism == Skellam {
		return noise.NewSkellam(v)
	}
	return noise.NewGaussian(v)
}
