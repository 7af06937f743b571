package aggregation

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
)

// MinBits and MaxBits bound the width of a value: two bits are the least that
// hold {-1, 0, 1}; 24 are more than a float32 significand can use.
const (
	MinBits = 2
	MaxBits = 24
)

var (
	// ErrNotFinite reports a NaN or an infinity where a number was needed. An
	// update that has one is refused whole.
	ErrNotFinite = errors.New("value is not finite")
	// ErrLength reports a vector or an encoding of the wrong length.
	ErrLength = errors.New("wrong length")
)

// Codec is a fixed-point format: a value is a signed integer of Bits bits,
// symmetric about zero, in units of Step. Both ends of a run must use the same.
// Methods that return no error need a codec that Validate accepts.
type Codec struct {
	Bits  int     `yaml:"bits" json:"bits" doc:"width of one value, sign included; 2 to 24"`
	Range float64 `yaml:"range" json:"range" doc:"largest magnitude that is not clamped, in units of a weighted parameter"`
}

// Validate reports every field that no vector can be coded with.
func (c Codec) Validate() error {
	var errs []error
	if c.Bits < MinBits || c.Bits > MaxBits {
		errs = append(errs, fmt.Errorf("bits: got %d, want %d to %d", c.Bits, MinBits, MaxBits))
	}
	if !(c.Range > 0) || c.Range > math.MaxFloat32 || c.Range < 1e-30 {
		errs = append(errs, fmt.Errorf("range: got %g, want 1e-30 to %g", c.Range, math.MaxFloat32))
	}
	return errors.Join(errs...)
}

// Max is the largest value of the codec, 2^(Bits-1)-1; the least is -Max.
func (c Codec) Max() int32 { return int32(1)<<(c.Bits-1) - 1 }

// Step is the distance of two neighbouring values in parameter units.
func (c Codec) Step() float64 { return c.Range / float64(c.Max()) }

// SumBits is the width, sign included, that holds any sum of n values. n is
// clipped to [1, 2^31], the most that a [Sum] accepts.
func (c Codec) SumBits(n int) int {
	count := min(max(int64(n), 1), maxCount)
	return 1 + bits.Len64(uint64(count)*uint64(c.Max()))
}

// Quantize writes weight*src[i]/Step, rounded to one of the two neighbouring
// integers, to dst[i]. The choice is random and the expectation is the value
// itself, to within 2^-32 of a step (the resolution of the draw): errors of
// many clients average out instead of adding up. Values beyond Range saturate;
// clamped says how many did, and those alone are biased.
//
// dst and src have the same length and must not overlap. Equal streams give equal
// results; how much is drawn depends on the values (16 bits, rarely 48, each). An
// update or a weight that is not finite is refused with [ErrNotFinite] before
// anything is written or drawn.
func (c Codec) Quantize(dst []int32, src []float32, weight float64, rng *rand.Rand) (clamped int, err error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	if len(dst) != len(src) {
		return 0, fmt.Errorf("quantize: destination has %d values, update has %d: %w", len(dst), len(src), ErrLength)
	}
	scale := weight / c.Step()
	if math.IsNaN(scale) || math.IsInf(scale, 0) {
		return 0, fmt.Errorf("quantize: weight %g: %w", weight, ErrNotFinite)
	}
	if i := firstNotFinite(src); i >= 0 {
		return 0, fmt.Errorf("quantize: update is %g at index %d, lower the learning rate: %w", src[i], i, ErrNotFinite)
	}

	// Fixed point with 32 fractional bits: |y| <= 2^55 stays inside int64.
	scale *= 1 << 32
	limit := float64(c.Max()) * (1 << 32)
	dst = dst[:len(src)]
	var draw uint64
	for i, x := range src {
		if i&3 == 0 {
			draw = rng.Uint64()
		}
		y := float64(x) * scale
		if math.Abs(y) > limit {
			y = math.Copysign(limit, y)
			clamped++
		}
		// floor(y + u) for u uniform on [0, 1), of which the first 16 bits
		// nearly always decide; the other 16 are drawn when they do not.
		v := int64(y) + int64(draw&0xffff)<<16
		draw >>= 16
		if uint32(v) > 0xffff0000 {
			v += int64(rng.Uint32() >> 16)
		}
		dst[i] = int32(v >> 32)
	}
	return clamped, nil
}

// Dequantize writes Step*sum[i]/divisor to dst[i]: the weighted mean when divisor
// is the sum of the weights. dst and sum have the same length.
func (c Codec) Dequantize(dst []float64, sum []int64, divisor float64) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if len(dst) != len(sum) {
		return fmt.Errorf("dequantize: destination has %d values, sum has %d: %w", len(dst), len(sum), ErrLength)
	}
	factor := c.Step() / divisor
	if !(divisor > 0) || !(factor > 0) || math.IsInf(factor, 0) {
		return fmt.Errorf("dequantize: divisor is %g, want a positive finite number", divisor)
	}
	for i, v := range sum {
		dst[i] = float64(v) * factor
	}
	return nil
}

// firstNotFinite returns the index of the first NaN or infinity, or -1. An
// all-ones exponent is what the two have in common; adding one to the exponent
// field then carries into bit 31, which is collected without a branch.
func firstNotFinite(v []float32) int {
	const block = 1024
	for start := 0; start < len(v); start += block {
		part := v[start:min(start+block, len(v))]
		var carry uint32
		for _, x := range part {
			carry |= math.Float32bits(x)&0x7f800000 + 0x00800000
		}
		if carry>>31 == 0 {
			continue
		}
		for i, x := range part {
			if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
				return start + i
			}
		}
	}
	return -1
}
