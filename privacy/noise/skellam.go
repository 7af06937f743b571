package noise

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
)

const (
	// maxSkellamTable is the log2 of the largest variance drawn from one table: 10,000
	// entries of 8 bytes are read often enough to stay in the second-level cache.
	maxSkellamTable = 20
	// MaxSkellamVariance bounds a Skellam's variance by 64 such draws.
	MaxSkellamVariance = 1 << 26
	// scanVariance is the largest variance whose table is read whole.
	scanVariance = 16
)

// Skellam draws the difference of two independent Poisson numbers of mean variance/2
// each: P(x) = exp(-variance) I_|x|(variance). Sums of independent Skellams are
// Skellam with the sum of the variances, exactly, which is how variances above 2^20 are
// made. It is immutable and safe for concurrent use.
type Skellam struct {
	table
	draws int  // summed for one result
	whole bool // the table is read whole
}

// NewSkellam prepares a sampler for a positive rational variance of at most 2^26, in at most
// a few hundredths of a second.
func NewSkellam(variance *big.Rat) (*Skellam, error) {
	if variance.Sign() <= 0 || variance.Cmp(big.NewRat(MaxSkellamVariance, 1)) > 0 {
		return nil, fmt.Errorf("Skellam of variance %s, want above 0 and at most 2^26 (use a coarser grid, or the discrete Gaussian): %w", variance.FloatString(3), ErrVariance)
	}
	s := &Skellam{draws: 1}
	for new(big.Rat).Quo(variance, big.NewRat(int64(s.draws), 1)).Cmp(big.NewRat(1<<maxSkellamTable, 1)) > 0 {
		s.draws++
	}
	one := new(big.Rat).Quo(variance, big.NewRat(int64(s.draws), 1))
	s.table = newTable(skellamWeights(one))
	s.whole = one.Cmp(big.NewRat(scanVariance, 1)) <= 0
	return s, nil
}

// skellamWeights returns P(0), 2P(1), 2P(2), ... up to a common factor, to 2^-230 of P(0), by the
// backward recurrence of the modified Bessel functions, I_{k-1} = I_{k+1} + (2k/v) I_k
// (Miller's algorithm, DLMF 10.74(iv)): all terms are positive, so nothing cancels.
func skellamWeights(v *big.Rat) []*big.Float {
	f, _ := v.Float64()
	// I_k/I_0 < 2^-330 at this k: it is at most (v/2)^k/k! and about exp(-k^2/2v) in the range of large v.
	start := 64
	for float64(start)*float64(start)/(f+float64(start)/3) < 2*330*0.6932+64 {
		start += 1 + start/64
	}
	ratio := newFloat().Quo(newFloat().SetInt64(2), newFloat().SetRat(v))
	weights := make([]*big.Float, start+1)
	weights[start] = newFloat().SetInt64(1)
	above := newFloat()
	for k := start; k > 0; k-- {
		next := newFloat().Mul(ratio, newFloat().SetInt64(int64(k)))
		next.Mul(next, weights[k])
		next.Add(next, above)
		above = weights[k]
		weights[k-1] = next
	}
	least := weights[0].MantExp(nil) - 230
	n := 1
	for ; n < len(weights) && weights[n].MantExp(nil) > least; n++ {
		weights[n].Add(weights[n], newFloat().Set(weights[n]))
	}
	return weights[:n]
}

// Bound is the largest magnitude that is ever drawn, less than 2^31.
func (s *Skellam) Bound() int64 { return int64(s.draws) * s.table.bound() }

// Fill32 overwrites dst with independent draws. It does not allocate. Equal streams and equal lengths give
// equal draws; two half fills are not one whole fill.
func (s *Skellam) Fill32(dst []int32, rng *DRBG) { fillSkellam(s, dst, rng) }

// Fill64 is Fill32 for wider integers, with the same values.
func (s *Skellam) Fill64(dst []int64, rng *DRBG) { fillSkellam(s, dst, rng) }

func fillSkellam[T int32 | int64](s *Skellam, dst []T, rng *DRBG) {
	fillTable(&s.table, dst, rng, s.whole)
	if s.draws == 1 {
		return
	}
	var part [candidates]T
	for len(dst) > 0 {
		n := min(len(dst), candidates)
		for range s.draws - 1 {
			fillTable(&s.table, part[:n], rng, s.whole)
			for i, v := range part[:n] {
				dst[i] += v
			}
		}
		dst = dst[n:]
	}
}

// fillTable draws magnitudes from t and gives each a sign.
func fillTable[T int32 | int64](t *table, dst []T, rng *DRBG, whole bool) {
	var four [4]uint64
	for len(dst) > 0 {
		n := min(len(dst), candidates)
		padded := (n + 3) &^ 3
		words := rng.next(8 * padded)
		for i := 0; i < padded; i += 4 {
			w := words[8*i : 8*i+32]
			for j := range four {
				four[j] = binary.LittleEndian.Uint64(w[8*j:]) >> 1
			}
			if whole {
				t.draw4(&four, rng)
			} else {
				t.search4(&four, rng)
			}
			for j := range min(4, n-i) {
				sign := int64(w[8*j] & 1)
				dst[i+j] = T((int64(four[j]) ^ -sign) + sign)
			}
		}
		dst = dst[n:]
	}
}

// search4 turns four uniform 63-bit numbers into magnitudes by binary search: as many steps
// for every number.
func (t *table) search4(r *[4]uint64, rng *DRBG) {
	// n is the number of entries known to be at most r. The first step looks at the
	// middle such that what is left on either side is a power of two less one.
	scan := t.scan
	step := 1 << (bits.Len(uint(len(scan))) - 1)
	r0, r1, r2, r3 := r[0], r[1], r[2], r[3]
	var n0, n1, n2, n3 int
	if rest := len(scan) - step + 1; rest > 0 {
		n0 = advance(scan, 0, step, rest, r0)
		n1 = advance(scan, 0, step, rest, r1)
		n2 = advance(scan, 0, step, rest, r2)
		n3 = advance(scan, 0, step, rest, r3)
	}
	for step >>= 1; step > 0; step >>= 1 {
		n0 = advance(scan, n0, step, step, r0)
		n1 = advance(scan, n1, step, step, r1)
		n2 = advance(scan, n2, step, step, r2)
		n3 = advance(scan, n3, step, step, r3)
	}
	r[0] = t.settle(r0, uint64(n0), rng)
	r[1] = t.settle(r1, uint64(n1), rng)
	r[2] = t.settle(r2, uint64(n2), rng)
	r[3] = t.settle(r3, uint64(n3), rng)
}

// advance adds by to n if entry n+step-1 is at most r.
func advance(scan []uint64, n, step, by int, r uint64) int {
	atMost := 1 - int((r-scan[n+step-1])>>63)
	return n + by&-atMost
}
