package kahe

import (
	"fmt"
	"io"
	"math/bits"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

// NewSecret draws the key of one upload: the residues of a discrete Gaussian
// polynomial, N for each prime, in coefficient form, prime after prime. rand is read
// for 32 bytes and must be a source fit for keys. The caller owns the key, and
// wipes it once it is shared and used.
func NewSecret(p Params, rand io.Reader) ([]uint64, error) {
	rng, err := newGenerator(rand)
	if err != nil {
		return nil, err
	}
	defer rng.wipe()
	r := p.ring
	small := make([]int32, r.n)
	defer clear(small)
	theGaussian().sample(small, rng)
	key := make([]uint64, p.KeySize())
	for i, m := range r.moduli {
		part := key[i*r.n:]
		for x, v := range small {
			part[x] = uint64(int64(v)) + m.q&uint64(int64(v)>>63)
		}
	}
	return key, nil
}

// Encrypt appends the encryption of values under secret to dst: exactly
// CiphertextSize bytes, the wire form of an upload. values has the Params' length,
// each within half of a field ([pack.ErrRange] otherwise); secret is fresh from
// [NewSecret], for this vector and no other. rand is read for 32 bytes, for the
// errors. Some bytes of dst's capacity behind the result may be overwritten.
//
// One call uses one core and allocates some polynomials beside the result; it may
// run concurrently with others.
func (p Params) Encrypt(dst []byte, values []int32, public *Public, secret []uint64, rand io.Reader) ([]byte, error) {
	if len(values) != p.spec.Values {
		return dst, fmt.Errorf("vector has %d values, want %d: %w", len(values), p.spec.Values, pack.ErrLength)
	}
	if public.ring != p.ring {
		return dst, fmt.Errorf("public polynomials of %s, want %s: %w", public.ring.preset.Name, p.spec.Preset, ErrParams)
	}
	if err := p.ring.checkKey(secret); err != nil {
		return dst, err
	}
	rng, err := newGenerator(rand)
	if err != nil {
		return dst, err
	}
	defer rng.wipe()
	return p.encrypt(dst, values, public, secret, func(e []int32) { theGaussian().sample(e, rng) })
}

// encrypt is Encrypt with the errors from outside, for golden vectors.
func (p Params) encrypt(dst []byte, values []int32, public *Public, secret []uint64, noise func([]int32)) ([]byte, error) {
	r := p.ring
	key := r.factors(secret)
	expand := public.expander()
	residues := make([][]uint64, len(r.moduli))
	for i := range residues {
		residues[i] = make([]uint64, r.n)
	}
	message, sum := make([]uint64, r.n*r.limbs), make([]uint64, r.n*r.limbs)
	errors := make([]int32, r.n)
	defer func() {
		for i := range key {
			clear(key[i])
			clear(residues[i])
		}
		clear(message)
		clear(sum)
		clear(errors)
	}()

	start := len(dst)
	if need := start + p.CiphertextSize() + 8*pack.MaxLimbs; cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	for j, left := 0, p.coefficients; left > 0; j++ {
		n := min(r.n, left)
		left -= n
		part := values[:min(len(values), n*p.spec.Fields)]
		values = values[len(part):]
		if err := p.fields.Join(message, part); err != nil {
			return dst[:start], err
		}
		noise(errors)
		for i, m := range r.moduli {
			expand.times(residues[i], key[i], i, j)
			m.inverse(residues[i])
		}
		r.join(sum, residues)
		p.finish(sum, message, errors)
		dst = p.coder.Append(dst, sum[:n*r.limbs])
	}
	return dst, nil
}

// finish adds errors and message to the coefficients c below q, reduces, and
// rounds the lowest bits off.
func (p Params) finish(c, message []uint64, errors []int32) {
	r := p.ring
	k, drop, half := uint(p.spec.NoiseBits)&63, uint(p.spec.DropBits)&63, p.half()
	switch r.limbs {
	case 1:
		q := r.q[0]
		message, errors = message[:len(c)], errors[:len(c)]
		for i, x := range c {
			// Message and error together stay within q/2 in magnitude.
			x += message[i]<<k + uint64(int64(errors[i]))
			x += q & uint64(int64(x)>>63)
			c[i] = (once(x, q) + half) >> drop
		}
	case 2:
		q0, q1 := r.q[0], r.q[1]
		message = message[:len(c)]
		for i, e := range errors[:len(c)/2] {
			m0, m1 := message[2*i], message[2*i+1]
			m0, m1 = m0<<k, m1<<k|m0>>(64-k&63)
			x0, carry := bits.Add64(c[2*i], m0, 0)
			x1, _ := bits.Add64(c[2*i+1], m1, carry)
			x0, carry = bits.Add64(x0, uint64(int64(e)), 0)
			x1, _ = bits.Add64(x1, uint64(int64(e)>>63), carry)
			mask := uint64(int64(x1) >> 63)
			x0, carry = bits.Add64(x0, q0&mask, 0)
			x1, _ = bits.Add64(x1, q1&mask, carry)
			x0, carry = bits.Sub64(x0, q0, 0)
			x1, _ = bits.Sub64(x1, q1, carry)
			mask = uint64(int64(x1) >> 63)
			x0, carry = bits.Add64(x0, q0&mask, 0)
			x1, _ = bits.Add64(x1, q1&mask, carry)
			x0, carry = bits.Add64(x0, half, 0)
			x1 += carry
			c[2*i] = x0>>drop | x1<<1<<(63-drop)
			c[2*i+1] = x1 >> drop
		}
	default:
		for i, e := range errors {
			var x, m [pack.MaxLimbs]uint64
			copy(x[:], c[i*r.limbs:(i+1)*r.limbs])
			copy(m[:], message[i*r.limbs:(i+1)*r.limbs])
			for l := len(m) - 1; l > 0; l-- {
				m[l] = m[l]<<k | m[l-1]>>(64-k&63)
			}
			m[0] <<= k
			addMasked(&x, &m, ^uint64(0))
			addWord(&x, uint64(int64(e)))
			addMasked(&x, &r.q, uint64(int64(x[3])>>63))
			subtract(&x, &r.q)
			addMasked(&x, &r.q, uint64(int64(x[3])>>63))
			addWord(&x, half)
			shiftDown(&x, drop)
			copy(c[i*r.limbs:(i+1)*r.limbs], x[:])
		}
	}
}

func addMasked(x, y *[pack.MaxLimbs]uint64, mask uint64) {
	var c uint64
	for l := range x {
		x[l], c = bits.Add64(x[l], y[l]&mask, c)
	}
}

func subtract(x, y *[pack.MaxLimbs]uint64) {
	var b uint64
	for l := range x {
		x[l], b = bits.Sub64(x[l], y[l], b)
	}
}

// shiftDown is an arithmetic shift by 0 to 63 bits.
func shiftDown(x *[pack.MaxLimbs]uint64, by uint) {
	for l := range len(x) - 1 {
		x[l] = x[l]>>by | x[l+1]<<1<<(63-by)
	}
	x[len(x)-1] = uint64(int64(x[len(x)-1]) >> by)
}
