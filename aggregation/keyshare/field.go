package keyshare

import "math/bits"

// multiplier multiplies by a fixed residue modulo p < 2^63 without division
// (V. Shoup's method, as in NTL).
type multiplier struct{ p, w, quotient uint64 }

func newMultiplier(w, p uint64) multiplier {
	q, _ := bits.Div64(w, 0, p) // floor(w * 2^64 / p), w < p
	return multiplier{p, w, q}
}

// times returns x*w mod p for any x, without a branch on x.
func (m multiplier) times(x uint64) uint64 {
	hi, _ := bits.Mul64(x, m.quotient)
	r := x*m.w - hi*m.p - m.p // in [-p, p)
	return r + m.p&uint64(int64(r)>>63)
}

func mulMod(a, b, p uint64) uint64 {
	hi, lo := bits.Mul64(a%p, b%p)
	_, r := bits.Div64(hi, lo, p)
	return r
}

// inverse returns 1/a modulo the prime p, for a not divisible by p (Fermat).
func inverse(a, p uint64) uint64 {
	r, b := uint64(1), a%p
	for e := p - 2; e > 0; e >>= 1 {
		if e&1 == 1 {
			r = mulMod(r, b, p)
		}
		b = mulMod(b, b, p)
	}
	return r
}

// lagrange returns the weights with which values at nodes add up to the value at
// x of the polynomial through them: prod over i != j of (x - n_i) / (n_j - n_i).
// Nodes are distinct, and so are they modulo p, which is above all of them.
func lagrange(nodes []int, x int, p uint64) []multiplier {
	weights := make([]multiplier, len(nodes))
	for j, nj := range nodes {
		num, den := uint64(1), uint64(1)
		for i, ni := range nodes {
			if i != j {
				num = mulMod(num, residue(x-ni, p), p)
				den = mulMod(den, residue(nj-ni, p), p)
			}
		}
		weights[j] = newMultiplier(mulMod(num, inverse(den, p), p), p)
	}
	return weights
}

func residue(v int, p uint64) uint64 {
	if v < 0 {
		return p - uint64(-v)%p
	}
	return uint64(v) % p
}

// evaluate writes to dst the value at x of the polynomials through values[j] at
// nodes[j], coefficient by coefficient. dst may not be one of values.
func (r Ring) evaluate(dst []uint64, nodes []int, values [][]uint64, x int) {
	for k, p := range r.Primes {
		w := lagrange(nodes, x, p)
		lo, hi := k*r.N, (k+1)*r.N
		out := dst[lo:hi]
		clear(out)
		for j := range nodes {
			m := w[j]
			for i, v := range values[j][lo:hi] {
				s := out[i] + m.times(v) - p
				out[i] = s + p&uint64(int64(s)>>63)
			}
		}
	}
}
