package kahe

import "math/bits"

// The negacyclic number-theoretic transform of Z_q[X]/(X^N+1). The transform of a
// polynomial is its list of values at the odd powers of psi: position i has the
// value at psi^(2*rev(i)+1), rev reversing log2(N) bits. psi is part of the
// protocol, for uniform polynomials are drawn as such lists: it is x^((q-1)/2N) for
// the least x >= 2 for which psi^N = -1.
//
// Harvey, "Faster arithmetic for number-theoretic transforms", 2014,
// arXiv:1205.2926, for the lazy butterflies.

// newModulus prepares the prime q = 1 mod 2N; the caller answers for primality.
func newModulus(q uint64, n int) *modulus {
	m := &modulus{q: q, one: companion(1, q), mask: 1<<bits.Len64(q) - 1}
	order := uint64(2 * n)
	psi := uint64(0)
	for x := uint64(2); m.pow(psi, order/2) != q-1; x++ {
		psi = m.pow(x, (q-1)/order)
	}
	back := m.pow(psi, q-2)
	m.invN = m.pow(uint64(n), q-2)
	m.roots, m.inverses = make([]uint64, 2*n), make([]uint64, 2*n)
	power, inverse := uint64(1), uint64(1)
	shift := 64 - bits.Len(uint(n-1))
	for i := range n {
		at := 2 * (bits.Reverse64(uint64(i)) >> shift)
		m.roots[at], m.roots[at+1] = power, companion(power, q)
		m.inverses[at], m.inverses[at+1] = inverse, companion(inverse, q)
		power, inverse = m.mul(power, psi), m.mul(inverse, back)
	}
	return m
}

// forward transforms a, of residues below q, in place; the result is below q.
func (m *modulus) forward(a []uint64) {
	q := m.q
	groups := 1
	for half := len(a) / 2; half >= 1; half /= 2 {
		for g := range groups {
			w, c := m.roots[2*(groups+g)], m.roots[2*(groups+g)+1]
			x := a[2*g*half : (2*g+1)*half]
			y := a[(2*g+1)*half : (2*g+2)*half][:len(x)]
			for i, u := range x {
				// Bounds grow by 2q a level, to 28q < 2^58 after 13 levels.
				v := mulLazy(y[i], w, c, q)
				x[i], y[i] = u+v, u-v+2*q
			}
		}
		groups *= 2
	}
	for i, x := range a {
		a[i] = m.reduce(x)
	}
}

// inverse undoes forward times N, in place. Residues below 2q go in; what comes out
// is congruent to the result and below 2^63. Two levels are done in one pass over
// the data, as butterflies of four; only the first of the four results grows, from
// b to 4b, and is reduced when the next pass would not fit.
func (m *modulus) inverse(a []uint64) {
	q := m.q
	n := len(a)
	bound := uint64(2) // every element is below bound*q
	t := 1
	for ; 4*t <= n; t *= 4 {
		const most = 1 << (63 - maxPrimeBits)
		shrink := 16*bound > most
		offset := bound * q
		groups := n / (4 * t)
		if t == 1 {
			m.inverseFirst(a, offset)
		} else {
			for g := range groups {
				w1, c1 := m.inverses[4*(groups+g)], m.inverses[4*(groups+g)+1]
				w2, c2 := m.inverses[4*(groups+g)+2], m.inverses[4*(groups+g)+3]
				w3, c3 := m.inverses[2*(groups+g)], m.inverses[2*(groups+g)+1]
				part := a[4*g*t : 4*(g+1)*t]
				x0, x1, x2, x3 := part[:t], part[t:2*t], part[2*t:3*t], part[3*t:4*t]
				x1, x2, x3 = x1[:len(x0)], x2[:len(x0)], x3[:len(x0)]
				for i, u0 := range x0 {
					u1, u2, u3 := x1[i], x2[i], x3[i]
					y0, y2 := u0+u1, u2+u3
					y1 := mulLazy(u0-u1+offset, w1, c1, q)
					y3 := mulLazy(u2-u3+offset, w2, c2, q)
					x0[i] = y0 + y2
					x1[i] = y1 + y3
					x2[i] = mulLazy(y0-y2+2*offset, w3, c3, q)
					x3[i] = mulLazy(y1-y3+2*q, w3, c3, q)
				}
				if shrink {
					for i, x := range x0 {
						x0[i] = mulLazy(x, 1, m.one, q)
					}
				}
			}
		}
		bound *= 4
		if shrink {
			bound = 4
		}
	}
	if t < n {
		w, c := m.inverses[2], m.inverses[3]
		x, y := a[:n/2], a[n/2:][:n/2]
		for i, u := range x {
			v := y[i]
			x[i] = u + v
			y[i] = mulLazy(u-v+bound*q, w, c, q)
		}
	}
}

// inverseFirst is the pass over neighbours.
func (m *modulus) inverseFirst(a []uint64, offset uint64) {
	q := m.q
	groups := len(a) / 4
	near, far := m.inverses[4*groups:8*groups], m.inverses[2*groups:4*groups]
	for len(a) >= 4 && len(near) >= 4 && len(far) >= 2 {
		u0, u1, u2, u3 := a[0], a[1], a[2], a[3]
		y0, y2 := u0+u1, u2+u3
		y1 := mulLazy(u0-u1+offset, near[0], near[1], q)
		y3 := mulLazy(u2-u3+offset, near[2], near[3], q)
		a[0], a[1] = y0+y2, y1+y3
		a[2] = mulLazy(y0-y2+2*offset, far[0], far[1], q)
		a[3] = mulLazy(y1-y3+2*q, far[0], far[1], q)
		a, near, far = a[4:], near[4:], far[2:]
	}
}
