package noise

import (
	"math/big"
	"math/bits"
	"slices"
)

// DistanceBound is the base-2 logarithm of a bound on the total variation distance of one draw
// from its distribution, for every sampler of the package. An entry of a table is cut off
// below 2^-191; a table has fewer than 2^15 entries, a Skellam is a sum of at most 2^6 draws,
// and acceptance is decided to 2^-250.
const DistanceBound = -170

const (
	highBits = 63  // read for every draw; the 64th bit of the word is the sign
	lowBits  = 128 // read only when the first 63 do not decide
	prec     = 320 // of the arithmetic that makes the tables
)

// table is the cumulative distribution of a magnitude 0, 1, 2, ...: entry i is
// P(X <= i), its first 63 bits in high and the next 128 in low, cut off.
type table struct {
	high []uint64
	low  [][2]uint64
	// scan is the part of high that 63 bits can tell apart: up to the first entry
	// that is all ones.
	scan []uint64
}

// newTable normalises weights, which fall off at least geometrically in the end and are
// cut where the rest is below 2^-200 of the sum.
func newTable(weights []*big.Float) table {
	total := newFloat()
	for _, w := range slices.Backward(weights) { // small ones first
		total.Add(total, w)
	}
	var t table
	sum, scaled := newFloat(), newFloat()
	const all = 1<<highBits - 1
	for _, w := range weights {
		sum.Add(sum, w)
		scaled.SetMantExp(scaled.Quo(sum, total), highBits+lowBits)
		v, _ := scaled.Int(nil)
		if v.BitLen() > highBits+lowBits {
			break // P(X <= i) is 1 to 191 bits
		}
		l0 := new(big.Int).Rsh(v, 64)
		h := new(big.Int).Rsh(v, lowBits).Uint64()
		t.high = append(t.high, h)
		mask := new(big.Int).SetUint64(1<<64 - 1)
		t.low = append(t.low, [2]uint64{new(big.Int).And(l0, mask).Uint64(), new(big.Int).And(v, mask).Uint64()})
	}
	n, found := slices.BinarySearch(t.high, all)
	if found {
		n++
	}
	t.scan = t.high[:n]
	return t
}

// bound is the largest magnitude that can be drawn.
func (t *table) bound() int64 { return int64(len(t.high)) }

// longer repeats a comparison that 63 bits left open with 128 more.
func (t *table) longer(r uint64, rng *DRBG) uint64 {
	r1, r2 := rng.Uint64(), rng.Uint64()
	var n uint64
	for i, h := range t.high {
		_, borrow := bits.Sub64(r2, t.low[i][1], 0)
		_, borrow = bits.Sub64(r1, t.low[i][0], borrow)
		_, borrow = bits.Sub64(r, h, borrow)
		n += 1 - borrow
	}
	return n
}

// draw4 turns four uniform 63-bit numbers into magnitudes by reading all of scan.
func (t *table) draw4(r *[4]uint64, rng *DRBG) {
	r0, r1, r2, r3 := r[0], r[1], r[2], r[3]
	// A difference of 63-bit numbers has its top bit set if it is negative.
	var below0, below1, below2, below3 uint64
	for _, h := range t.scan {
		below0 += (r0 - h) >> 63
		below1 += (r1 - h) >> 63
		below2 += (r2 - h) >> 63
		below3 += (r3 - h) >> 63
	}
	n := uint64(len(t.scan))
	r[0] = t.settle(r0, n-below0, rng)
	r[1] = t.settle(r1, n-below1, rng)
	r[2] = t.settle(r2, n-below2, rng)
	r[3] = t.settle(r3, n-below3, rng)
}

// settle returns n, the number of entries whose first bits are at most r, unless one of them
// equals r. The entry read lies among those that draw4 has just read.
func (t *table) settle(r, n uint64, rng *DRBG) uint64 {
	if n > 0 && t.high[n-1] == r {
		return t.longer(r, rng)
	}
	return n
}
