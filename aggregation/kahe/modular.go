package kahe

import "math/bits"

// maxPrimeBits keeps 11 bits of a word free, so that transforms may add without
// reducing; see inverse.
const maxPrimeBits = 53

// modulus is one prime with what the arithmetic needs. Multiplication by a known
// factor w is Shoup's: with w' = floor(w*2^64/q), x*w - floor(x*w'/2^64)*q is
// congruent to x*w and below 2q for every 64-bit x.
type modulus struct {
	q    uint64
	one  uint64 // floor(2^64/q): the Shoup companion of 1
	mask uint64 // 2^bitlen(q) - 1
	// Powers of the root of unity in bit-reversed order, each with its companion.
	roots, inverses []uint64
	// N^-1, by which the inverse transform does not divide.
	invN uint64
}

// companion is floor(w*2^64/q) for w < q.
func companion(w, q uint64) uint64 {
	c, _ := bits.Div64(w, 0, q)
	return c
}

// mulLazy is congruent to x*w modulo q and below 2q; c is w's companion.
func mulLazy(x, w, c, q uint64) uint64 {
	h, _ := bits.Mul64(x, c)
	return x*w - h*q
}

// once reduces x < 2q to x mod q.
func once(x, q uint64) uint64 {
	x -= q
	return x + q&-(x>>63)
}

func (m *modulus) mul(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	_, r := bits.Div64(hi%m.q, lo, m.q)
	return r
}

func (m *modulus) pow(x, e uint64) uint64 {
	r := uint64(1)
	for ; e != 0; e >>= 1 {
		if e&1 != 0 {
			r = m.mul(r, x)
		}
		x = m.mul(x, x)
	}
	return r
}

// reduce is x mod q for every x.
func (m *modulus) reduce(x uint64) uint64 { return once(mulLazy(x, 1, m.one, m.q), m.q) }
