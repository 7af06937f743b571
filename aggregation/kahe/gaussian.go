package kahe

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"sync"
)

// Sigma is the width of secrets and errors. Given the sums of secrets and errors
// that an opened sum reveals, the proven reduction of hint-RLWE leaves half of it,
// 3.25, which is above the smoothing bound 3.21 for 2^-128 that the reduction asks
// for, and no less than what the tables of ring sizes assume (3.19).
const Sigma = 6.5

const (
	// tail is the largest magnitude: 13.5 sigma, beyond which a sample lies with
	// probability under 2^-130.
	tail = 88
	// block is how many samples share one residual; see gaussian.
	block = 64
)

// gaussian samples the discrete Gaussian of width Sigma on [-tail, tail] by
// comparing a uniform integer with a table of thresholds, all of them, always.
//
// 63 bits decide the magnitude. Probabilities are rounded *down* to multiples of
// 2^-63; what the rounding leaves over, some 2^-58, is one more outcome, the
// residual, in which the magnitude is drawn from the left-over probabilities with
// 127 bits of its own. So the result is exact to 2^-184 although the scan compares
// single words. One residual is drawn for each block of samples, needed or not, and
// put in by masks; that two samples of a block need it has probability 2^-105, and
// then they are equal instead of independent.
type gaussian struct {
	// below[i] is minus the count of outcomes with magnitude above i, so that adding
	// it to an outcome gives a negative number exactly when the magnitude is above i.
	below []uint64
	// residuals is the number of outcomes that mean the residual.
	residuals uint64
	// left[i] is the threshold, high and low word, for a residual above i.
	left [tail][2]uint64
}

var theGaussian = sync.OnceValue(newGaussian)

// newGaussian computes the tables with 512 fractional bits.
func newGaussian() *gaussian {
	const precision = 512
	one := new(big.Int).Lsh(big.NewInt(1), precision)

	// base = exp(-1/(2*6.5^2)) = exp(-2/169) by its series; weight(x) = base^(x^2).
	base, term := new(big.Int), new(big.Int).Set(one)
	for i := int64(1); term.Sign() != 0; i++ {
		base.Add(base, term)
		term.Mul(term, big.NewInt(-2))
		term.Quo(term, big.NewInt(169*i))
	}
	times := func(x, y *big.Int) *big.Int {
		z := new(big.Int).Mul(x, y)
		return z.Rsh(z, precision)
	}
	weights := make([]*big.Int, tail+1) // of magnitudes, so twice for x > 0
	square := times(base, base)
	weight, step, total := new(big.Int).Set(one), base, new(big.Int)
	for x := range weights {
		weights[x] = new(big.Int).Lsh(weight, 1)
		if x == 0 {
			weights[x].Set(weight)
		}
		total.Add(total, weights[x])
		weight = times(weight, step)
		step = times(step, square)
	}

	g := &gaussian{}
	counts := make([]uint64, tail+1)
	rest := make([]*big.Int, tail+1)
	left := new(big.Int)
	g.residuals = 1 << 63
	last := 0
	for x, w := range weights {
		share := new(big.Int).Lsh(w, 63)
		count, over := share.QuoRem(share, total, new(big.Int))
		counts[x], rest[x] = count.Uint64(), over
		left.Add(left, over)
		g.residuals -= counts[x]
		if counts[x] != 0 {
			last = x
		}
	}
	g.below = make([]uint64, last)
	above := g.residuals
	for x := last - 1; x >= 0; x-- {
		above += counts[x+1]
		g.below[x] = -above
	}
	sum := new(big.Int)
	for x := tail - 1; x >= 0; x-- {
		sum.Add(sum, rest[x+1])
		t := new(big.Int).Lsh(sum, 127)
		t.Quo(t, left)
		g.left[x] = [2]uint64{new(big.Int).Rsh(t, 64).Uint64(), t.Uint64()}
	}
	return g
}

// sample fills dst with independent samples. It takes 8 bytes of the generator for
// each, and 24 more for each block of 64.
func (g *gaussian) sample(dst []int32, rng *stream) {
	for len(dst) > 0 {
		n := min(block, len(dst))
		bytes := rng.next(8*block + 24)
		residual := g.residual(binary.LittleEndian.Uint64(bytes[8*block:])>>1, binary.LittleEndian.Uint64(bytes[8*block+8:]))
		var out [block]int32
		for i := 0; i < block; i += 4 {
			part := bytes[8*i : 8*i+32]
			u0, u1 := binary.LittleEndian.Uint64(part), binary.LittleEndian.Uint64(part[8:])
			u2, u3 := binary.LittleEndian.Uint64(part[16:]), binary.LittleEndian.Uint64(part[24:])
			v0, v1, v2, v3 := u0>>1, u1>>1, u2>>1, u3>>1
			var x0, x1, x2, x3 uint64
			for _, t := range g.below {
				x0 += (v0 + t) >> 63
				x1 += (v1 + t) >> 63
				x2 += (v2 + t) >> 63
				x3 += (v3 + t) >> 63
			}
			out[i] = g.finish(x0, v0, u0, residual)
			out[i+1] = g.finish(x1, v1, u1, residual)
			out[i+2] = g.finish(x2, v2, u2, residual)
			out[i+3] = g.finish(x3, v3, u3, residual)
		}
		copy(dst[:n], out[:])
		clear(out[:])
		dst = dst[n:]
	}
}

// finish puts in the residual where the outcome v says so, and the sign.
func (g *gaussian) finish(x, v, u, residual uint64) int32 {
	use := -((v - g.residuals) >> 63)
	x ^= (x ^ residual) & use
	sign := -(u & 1)
	return int32((x ^ sign) - sign)
}

func (g *gaussian) residual(high, low uint64) (x uint64) {
	for _, t := range g.left {
		_, borrow := bits.Sub64(low, t[1], 0)
		_, borrow = bits.Sub64(high, t[0], borrow)
		x += borrow
	}
	return x
}
