package kahe

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

// Noise is what an opened sum says about the uploads' errors.
type Noise struct {
	Samples  int     // coefficients looked at
	Bound    int64   // largest magnitude allowed
	Largest  int64   // largest magnitude seen
	Variance float64 // mean square seen
	Expected float64 // mean square of n uploads that drew their noise
	Window   float64 // allowed relative deviation of Variance from Expected
}

// check applies rule 4: every error within the bound, their variance as expected.
func (n Noise) check() error {
	if n.Largest > n.Bound {
		return fmt.Errorf("noise of %d, want at most %d: %w", n.Largest, n.Bound, ErrWrongKey)
	}
	if math.Abs(n.Variance/n.Expected-1) > n.Window {
		return fmt.Errorf("noise has variance %.4g, want %.4g within %.2g %%: %w", n.Variance, n.Expected, 100*n.Window, ErrWrongKey)
	}
	return nil
}

// Open decrypts the sum of n uploads with the sum of their keys (residues below
// the primes, as [NewSecret] gives them) and returns the exact sum of the values.
// The sum stays as it is, and a failed attempt with one key does not spoil another.
//
// With [ErrWrongKey] the noise under the sum is out of bounds: the key is not the
// sum of these uploads' keys, or some upload was not made as it should. A wrong key
// passes with a probability below 2^-200: the noise under it is uniform on 2^k
// integers, of which the bound admits nine tenths at most in each of N or more
// coefficients. [ErrOverflow] means right noise over fields that do not add up.
// No values are returned with an error; the noise is, where it was measured.
func (s *Sum) Open(public *Public, keySum []uint64, n int) ([]int64, Noise, error) {
	p, r := s.params, s.params.ring
	if n != s.count || n < 1 {
		return nil, Noise{}, fmt.Errorf("sum holds %d uploads, asked to open %d: %w", s.count, n, ErrParams)
	}
	if public.ring != r {
		return nil, Noise{}, fmt.Errorf("public polynomials of %s, want %s: %w", public.ring.preset.Name, p.spec.Preset, ErrParams)
	}
	if err := r.checkKey(keySum); err != nil {
		return nil, Noise{}, err
	}

	key := r.factors(keySum)
	expand := public.expander()
	residues := make([][]uint64, len(r.moduli))
	for i := range residues {
		residues[i] = make([]uint64, r.n)
	}
	buf := make([]uint64, r.n*r.limbs)
	values := make([]int64, p.spec.Values)
	meter := meter{noiseBits: uint(p.spec.NoiseBits)}
	if p.spec.DropBits > 0 {
		meter.mean = int64(n / 2) // each rounding adds 1/2 on average
	}
	exact := true
	out := values
	for j, left := 0, p.coefficients; left > 0; j++ {
		part := min(r.n, left)
		left -= part
		words := s.words[j*r.n*r.limbs:]
		words = words[:part*r.limbs]
		for i, m := range r.moduli {
			expand.times(residues[i], key[i], i, j)
			m.inverse(residues[i])
			r.subtractFrom(residues[i][:part], words, i, p.spec.DropBits)
		}
		r.join(buf, residues)
		r.centre(buf[:part*r.limbs])
		meter.strip(buf[:part*r.limbs], r.limbs)
		row := out[:min(len(out), part*p.spec.Fields)]
		out = out[len(row):]
		exact = p.fields.Split(row, buf) && exact
	}
	noise := Noise{
		Samples:  p.coefficients,
		Bound:    p.bound,
		Largest:  meter.largest,
		Variance: meter.squares / float64(p.coefficients),
		Expected: float64(n) * noiseVariance(p.spec.DropBits),
		Window:   8 * math.Sqrt(2/float64(p.coefficients)),
	}
	if err := noise.check(); err != nil {
		return nil, noise, err
	}
	if !exact {
		return nil, noise, fmt.Errorf("some field of the sum needs more than %d bits: %w", p.spec.Width, ErrOverflow)
	}
	return values, noise, nil
}

// subtractFrom sets x, residues modulo prime i, to words*2^drop - x.
func (r *Ring) subtractFrom(x, words []uint64, i, drop int) {
	m := r.moduli[i]
	q := m.q
	var factor [pack.MaxLimbs][2]uint64
	f := m.pow(2, uint64(drop))
	for l := range r.limbs {
		factor[l] = [2]uint64{f, companion(f, q)}
		f = m.mul(f, m.pow(2, 64))
	}
	switch r.limbs {
	case 1:
		for a, v := range x {
			x[a] = mulLazy(words[a], factor[0][0], factor[0][1], q) + 2*q - mulLazy(v, 1, m.one, q)
		}
	case 2:
		words = words[:2*len(x)]
		for a, v := range x {
			lo := mulLazy(words[2*a], factor[0][0], factor[0][1], q)
			hi := mulLazy(words[2*a+1], factor[1][0], factor[1][1], q)
			x[a] = lo + hi + 2*q - mulLazy(v, 1, m.one, q)
		}
	default:
		for a, v := range x {
			sum := 2*q - mulLazy(v, 1, m.one, q)
			for l := range r.limbs {
				sum += mulLazy(words[a*r.limbs+l], factor[l][0], factor[l][1], q)
			}
			x[a] = sum
		}
	}
}

// centre turns integers below q into signed ones within q/2.
func (r *Ring) centre(c []uint64) {
	switch r.limbs {
	case 1:
		q, half := r.q[0], r.q[0]>>1
		for i, x := range c {
			c[i] = x - q&uint64(int64(half-x)>>63)
		}
	case 2:
		q0, q1 := r.q[0], r.q[1]
		h0, h1 := q0>>1|q1<<63, q1>>1
		for i := 0; i+1 < len(c); i += 2 {
			_, b := bits.Sub64(h0, c[i], 0)
			_, b = bits.Sub64(h1, c[i+1], b)
			above := -b
			c[i], b = bits.Sub64(c[i], q0&above, 0)
			c[i+1], _ = bits.Sub64(c[i+1], q1&above, b)
		}
	default:
		half := r.q
		shiftDown(&half, 1)
		for ; len(c) > 0; c = c[r.limbs:] {
			var b uint64
			for l := range r.limbs {
				_, b = bits.Sub64(half[l], c[l], b)
			}
			above := -b
			b = 0
			for l := range r.limbs {
				c[l], b = bits.Sub64(c[l], r.q[l]&above, b)
			}
		}
	}
}

// meter takes the noise off coefficients and measures it.
type meter struct {
	noiseBits uint
	mean      int64
	largest   int64
	squares   float64
}

// strip replaces the signed coefficients X by (X - E)/2^k, E being X modulo 2^k,
// centred at the mean.
func (m *meter) strip(c []uint64, limbs int) {
	k := m.noiseBits & 63
	up := 64 - k&63
	mean := uint64(m.mean)
	var squares uint64 // at most 2^13 coefficients of less than 2^60
	largest := m.largest
	for i := 0; i+limbs <= len(c); i += limbs {
		e := int64((c[i]-mean)<<up) >> up
		size := max(e, -e)
		largest = max(largest, size)
		if k <= 24 {
			squares += uint64(e * e)
		} else {
			m.squares += float64(e) * float64(e)
		}
		off := e + m.mean
		var b uint64
		c[i], b = bits.Sub64(c[i], uint64(off), 0)
		sign := uint64(off >> 63)
		switch limbs {
		case 1:
			c[i] = uint64(int64(c[i]) >> k)
		case 2:
			hi, _ := bits.Sub64(c[i+1], sign, b)
			c[i] = c[i]>>k | hi<<up
			c[i+1] = uint64(int64(hi) >> k)
		default:
			for l := 1; l < limbs; l++ {
				c[i+l], b = bits.Sub64(c[i+l], sign, b)
			}
			for l := range limbs - 1 {
				c[i+l] = c[i+l]>>k | c[i+l+1]<<up
			}
			c[i+limbs-1] = uint64(int64(c[i+limbs-1]) >> k)
		}
	}
	m.largest = largest
	m.squares += float64(squares)
}
