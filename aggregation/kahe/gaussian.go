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
	// block is how many samples share a queue of residuals; see gaussian.
	block = 1024
	// thresholds is how many magnitudes above zero have a probability of 2^-31 or more.
	thresholds = 40
)

// gaussian samples the discrete Gaussian of width Sigma on [-tail, tail] by
// comparing a uniform integer with a table of thresholds, all of them, always.
//
// 31 bits decide the magnitude, so that one word carries two samples. Probabilities
// are rounded *down* to multiples of 2^-31; what the rounding leaves over, some
// 2^-27, is one more outcome, the residual, for which the magnitude is drawn from the
// left-over probabilities with 127 bits of its own. So the result is exact to 2^-150
// although the scan compares half words, and the tail reaches 13.5 sigma although the
// table ends at 6. Eight residuals are drawn for each block of samples, needed or
// not, and handed out by masks; that a block of 1024 needs a ninth has probability
// below 2^-160, and it is zero then.
type gaussian struct {
	// reach[i] has, in both halves, 2^31 less the count of outcomes with magnitude
	// above i: added to an outcome it reaches bit 31 exactly when the magnitude is at
	// most i.
	reach [thresholds]uint64
	// limits[i] is that count less one: an outcome above it has a magnitude of at most i.
	limits [thresholds]int32
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
	g.residuals = 1 << 31
	for x, w := range weights {
		share := new(big.Int).Lsh(w, 31)
		count, over := share.QuoRem(share, total, new(big.Int))
		counts[x], rest[x] = count.Uint64(), over
		left.Add(left, over)
		g.residuals -= counts[x]
	}
	above := g.residuals
	for x := thresholds - 1; x >= 0; x-- {
		above += counts[x+1]
		g.reach[x] = (1<<31 - above) * (1<<32 + 1)
		g.limits[x] = int32(above) - 1
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

// sample fills dst with independent samples. For each block, the last one counted
// as full, it takes 8 residuals of 16 bytes and then 4 bytes for each sample.
func (g *gaussian) sample(dst []int32, rng *stream) {
	var least [block / 2]uint64
	defer clear(least[:])
	for len(dst) > 0 {
		bytes := rng.next(8*16 + 4*block)
		var queue uint64
		for range 8 {
			queue = queue<<8 | g.residual(binary.LittleEndian.Uint64(bytes)>>1, binary.LittleEndian.Uint64(bytes[8:]))
			bytes = bytes[16:]
		}
		if vectorScan {
			scanVector(&least, &bytes[:4*block][0], &g.limits)
		} else {
			g.scan(&least, bytes)
		}
		n := min(block, len(dst))
		for i := 0; i < n; i += 2 {
			u := binary.LittleEndian.Uint64(bytes[4*i:])
			reached := least[i/2&(block/2-1)]
			dst[i] = g.finish(u&(1<<32-1), reached&0xff, &queue)
			if i+1 < n {
				dst[i+1] = g.finish(u>>32, reached>>32, &queue)
			}
		}
		dst = dst[n:]
	}
}

// finish makes a sample of 32 bits and the thresholds that they reach: it puts in the
// next residual where the outcome says so, and the sign.
func (g *gaussian) finish(u, reached uint64, queue *uint64) int32 {
	x := thresholds - reached
	use := -((u&(1<<31-1) - g.residuals) >> 63)
	x ^= (x ^ *queue&0xff) & use
	*queue >>= use & 8
	sign := -(u >> 31)
	return int32((x ^ sign) - sign)
}

// scan counts, in each half of a word, the thresholds that its outcome reaches. It is
// on its own, and goes by pairs of words, so that everything stays in registers.
//
//go:noinline
func (g *gaussian) scan(out *[block / 2]uint64, bytes []byte) {
	const low, both = 1<<31 - 1, 1<<32 + 1
	for i := 0; i < len(out)-1 && len(bytes) >= 16; i += 2 {
		v0 := binary.LittleEndian.Uint64(bytes) & (low * both)
		v1 := binary.LittleEndian.Uint64(bytes[8:]) & (low * both)
		bytes = bytes[16:]
		var x0, x1 uint64
		for j := 0; j < thresholds; j += 4 {
			t := g.reach[j]
			x0 += (v0 + t) >> 31 & both
			x1 += (v1 + t) >> 31 & both
			t = g.reach[j+1]
			x0 += (v0 + t) >> 31 & both
			x1 += (v1 + t) >> 31 & both
			t = g.reach[j+2]
			x0 += (v0 + t) >> 31 & both
			x1 += (v1 + t) >> 31 & both
			t = g.reach[j+3]
			x0 += (v0 + t) >> 31 & both
			x1 += (v1 + t) >> 31 & both
		}
		out[i], out[i+1] = x0, x1
	}
}

// residual draws from the left-over probabilities by 127 bits.
func (g *gaussian) residual(high, low uint64) (x uint64) {
	for _, t := range &g.left {
		_, borrow := bits.Sub64(low, t[1], 0)
		_, borrow = bits.Sub64(high, t[0], borrow)
		x += borrow
	}
	return x
}
