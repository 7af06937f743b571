package noise

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

// ErrVariance reports a variance outside what a sampler can draw.
var ErrVariance = errors.New("variance out of range")

// MaxGaussianVariance bounds a Gaussian's variance, so that every draw fits in 32 bits.
const MaxGaussianVariance = 1 << 52

// candidates is how many attempts share one call of the generator.
const candidates = 256

// Gaussian draws from the discrete Gaussian: P(x) is proportional to
// exp(-x^2/(2 variance)) on all integers. It is immutable and safe for concurrent use; what is
// drawn depends on the generator alone.
//
// A variance below 16 is drawn from one table. A larger one is k times a narrow
// draw of standard deviation sigma/k in [2, 4), k a power of two, plus a uniform y
// below k, accepted with probability exp(-y(y+2kx)/(2 sigma^2)), and given a sign; zero with
// a negative sign is refused, for it would come twice. The weight of kx+y is then
// exp(-x^2 k^2/(2 sigma^2)) exp(-(y^2+2kxy)/(2 sigma^2)) = exp(-(kx+y)^2/(2 sigma^2)).
// (Compare Ducas, Durmus, Lepoint, Lyubashevsky, CRYPTO 2013, algorithm 11, whose base has a
// fixed width.) At least 0.83 of the attempts succeed.
type Gaussian struct {
	table
	log2k uint   // 0: the table holds the magnitude itself
	shift uint   // of the exponent's numerator y(y+2kx) before it is multiplied
	scale uint64 // 2^(121-shift) log2(e)/(2 variance)
	// The exponent is y(y+2kx) * num / den.
	num, den *big.Int
}

// NewGaussian prepares a sampler for a positive rational variance of at most 2^52.
// It takes well under a millisecond. The second moment of the discrete Gaussian is not above
// its parameter, and equal to it but for 1e-16 when the parameter is 2 or more.
func NewGaussian(variance *big.Rat) (*Gaussian, error) {
	if variance.Sign() <= 0 || variance.Cmp(big.NewRat(MaxGaussianVariance, 1)) > 0 {
		return nil, fmt.Errorf("discrete Gaussian of variance %s, want above 0 and at most 2^52: %w", variance.FloatString(3), ErrVariance)
	}
	g := &Gaussian{num: new(big.Int).Set(variance.Denom()), den: new(big.Int).Lsh(variance.Num(), 1)}
	// k = 2^log2k with variance/4^log2k in [4, 16), or k = 1.
	whole := new(big.Int).Quo(variance.Num(), variance.Denom())
	if n := whole.BitLen(); n > 4 {
		g.log2k = uint(n-3) / 2
	}
	// exp(-x^2 k^2 num/den) for x = 0, 1, ..., each from the one before: the
	// ratio of neighbours falls by the factor e^2 each time.
	step := new(big.Int).Lsh(g.num, 2*g.log2k)
	ratio := expNeg(step, g.den)
	fall := newFloat().Mul(ratio, ratio)
	w := newFloat().SetInt64(1)
	weights := []*big.Float{newFloat().Set(w)}
	for w.Mul(w, ratio); w.Sign() != 0 && w.MantExp(nil) > -230; w.Mul(w, ratio) {
		v := newFloat().Set(w)
		if g.log2k == 0 {
			v.Add(v, v) // both signs; zero has one
		}
		weights = append(weights, v)
		ratio.Mul(ratio, fall)
	}
	g.table = newTable(weights)
	if g.log2k > 0 {
		g.prepareAcceptance()
	}
	return g, nil
}

// prepareAcceptance finds the fixed-point form of the exponent in base 2.
func (g *Gaussian) prepareAcceptance() {
	k := uint64(1) << g.log2k
	most := (k - 1) * (k - 1 + 2*k*uint64(g.bound()))
	g.shift = uint(bits.LeadingZeros64(most)) - 1
	f := newFloat().SetInt(g.num)
	f.Quo(f, newFloat().SetInt(g.den))
	f.Mul(f, log2e)
	f.SetMantExp(f, 121-int(g.shift))
	g.scale, _ = f.Uint64()
}

// Bound is the largest magnitude that is ever drawn, less than 2^31.
func (g *Gaussian) Bound() int64 {
	return g.table.bound()<<g.log2k + (1<<g.log2k - 1)
}

// Fill32 overwrites dst with independent draws. It does not allocate. Equal streams and equal lengths give
// equal draws; two half fills are not one whole fill.
func (g *Gaussian) Fill32(dst []int32, rng *DRBG) { fillGaussian(g, dst, rng) }

// Fill64 is Fill32 for wider integers, with the same values.
func (g *Gaussian) Fill64(dst []int64, rng *DRBG) { fillGaussian(g, dst, rng) }

func fillGaussian[T int32 | int64](g *Gaussian, dst []T, rng *DRBG) {
	if g.log2k == 0 {
		fillTable(&g.table, dst, rng, true)
		return
	}
	var out [candidates]T
	for len(dst) > 0 {
		n := attempt(g, &out, min(candidates, (len(dst)+len(dst)/4+8)&^3), rng)
		dst = dst[copy(dst, out[:n]):]
	}
}

// attempt makes tries attempts, a multiple of 4, and leaves those that succeed at the front of out.
func attempt[T int32 | int64](g *Gaussian, out *[candidates]T, tries int, rng *DRBG) int {
	var (
		four [4]uint64
		n    int
	)
	words := rng.next(16 * tries)
	mask := uint64(1)<<g.log2k - 1
	// The bits of u below 2^log2k belong to y; the uniform number is
	// anywhere in [u, u+mask].
	width := mask + 1 + expError
	for i := 0; i < tries; i += 4 {
		w := words[16*i : 16*i+64]
		for j := range four {
			four[j] = binary.LittleEndian.Uint64(w[8*j:]) >> 1
		}
		g.draw4(&four, rng)
		for j, x := range four {
			sign := uint64(w[8*j] & 1)
			second := binary.LittleEndian.Uint64(w[32+8*j:])
			y, u := second&mask, second&^mask
			exponent := y * (y + x<<(g.log2k+1))
			t, _ := bits.Mul64(exponent<<g.shift, g.scale)
			e := exp2Neg(t) - width
			d, accept := bits.Sub64(u, e, 0)
			if d < width+expError {
				accept = g.acceptExactly(u, exponent, rng)
			}
			z := x<<g.log2k + y
			_, zero := bits.Sub64(z, 1, 0)
			out[n] = T((int64(z) ^ -int64(sign)) + int64(sign))
			n += int(accept &^ (zero & sign))
		}
	}
	return n
}

// acceptExactly compares exp(-exponent*num/den) with the uniform number that
// starts with the bits of u above log2k, to 256 bits.
func (g *Gaussian) acceptExactly(u, exponent uint64, rng *DRBG) uint64 {
	const words = 4
	uniform := new(big.Int).SetUint64(u | rng.Uint64()&(1<<g.log2k-1))
	for range words - 1 {
		uniform.Lsh(uniform, 64)
		uniform.Or(uniform, new(big.Int).SetUint64(rng.Uint64()))
	}
	p := expNeg(new(big.Int).Mul(new(big.Int).SetUint64(exponent), g.num), g.den)
	limit, _ := p.SetMantExp(p, 64*words).Int(nil)
	if uniform.Cmp(limit) < 0 {
		return 1
	}
	return 0
}
