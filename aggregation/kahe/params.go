package kahe

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

const (
	// MaxValues and MaxUploads bound what a plan is asked for; vectors of 2^28 values
	// are 1 GiB of float32.
	MaxValues  = 1 << 28
	MaxUploads = 1 << 20
	// maxDrop is the most bits that are rounded off. From 6 on the rounding error
	// dwarfs the noise, and nothing more is gained.
	maxDrop = 8
)

// Spec is a full choice of parameters in plain numbers: what a contract states and
// what both sides must agree on. [New] checks it, [Plan] chooses it.
type Spec struct {
	Preset    string `json:"preset" yaml:"preset"`         // ring, by the name of a Preset
	Values    int    `json:"values" yaml:"values"`         // length d of a vector
	Fields    int    `json:"fields" yaml:"fields"`         // values in one coefficient, p
	Width     int    `json:"width" yaml:"width"`           // bits of the *sum* of one value, sign included, w
	NoiseBits int    `json:"noise_bits" yaml:"noise_bits"` // bits below the message, k
	DropBits  int    `json:"drop_bits" yaml:"drop_bits"`   // low bits of a coefficient rounded off in public, r
	Uploads   int    `json:"uploads" yaml:"uploads"`       // most uploads in a sum, n_max
}

// Params are checked parameters with the tables that they need. They are
// immutable, safe for concurrent use, and cheap to copy. The zero Params are not
// usable.
type Params struct {
	spec         Spec
	ring         *Ring
	fields       pack.Fields
	coder        pack.Coder
	coefficients int
	bound        int64
}

// New checks a specification: [ErrParams] if the ring is not a preset, if noise or
// fields do not fit it, or if a sum of Uploads does not fit its accumulator.
func New(s Spec) (Params, error) {
	r, err := ringOf(s.Preset)
	if err != nil {
		return Params{}, err
	}
	return newParams(s, r)
}

func newParams(s Spec, r *Ring) (Params, error) {
	switch {
	case s.Values < 1 || s.Values > MaxValues:
		return Params{}, fmt.Errorf("vector of %d values, want 1 to %d: %w", s.Values, MaxValues, ErrParams)
	case s.Uploads < 1 || s.Uploads > MaxUploads:
		return Params{}, fmt.Errorf("sum of up to %d uploads, want 1 to %d: %w", s.Uploads, MaxUploads, ErrParams)
	case s.DropBits < 0 || s.DropBits > maxDrop:
		return Params{}, fmt.Errorf("%d bits rounded off, want 0 to %d: %w", s.DropBits, maxDrop, ErrParams)
	case s.Fields < 1 || s.Fields > 64*pack.MaxLimbs:
		return Params{}, fmt.Errorf("%d fields in a coefficient, want 1 to %d: %w", s.Fields, 64*pack.MaxLimbs, ErrParams)
	case s.Width < pack.MinWidth || s.Width > pack.MaxWidth:
		return Params{}, fmt.Errorf("field of %d bits, want %d to %d: %w", s.Width, pack.MinWidth, pack.MaxWidth, ErrParams)
	}
	p := Params{
		spec: s, ring: r,
		fields:       pack.Fields{Count: s.Fields, Width: s.Width, Limbs: r.limbs},
		coefficients: coefficients(s.Values, s.Fields, r.n),
	}
	var err error
	if p.bound, err = noiseBound(s, p.coefficients); err != nil {
		return Params{}, err
	}
	// q has Bits bits, so floor(log2 q) is one less.
	if need := s.NoiseBits + s.Fields*s.Width; need > r.preset.Bits-1 {
		return Params{}, fmt.Errorf("%d noise bits and %d fields of %d bits take %d bits, preset %s has %d: %w",
			s.NoiseBits, s.Fields, s.Width, need, s.Preset, r.preset.Bits-1, ErrParams)
	}
	if err := p.fields.Validate(); err != nil {
		return Params{}, fmt.Errorf("%w: %w", err, ErrParams)
	}
	if p.coder, err = pack.NewCoder(r.limbs, p.largest()); err != nil {
		return Params{}, fmt.Errorf("%w: %w", err, ErrParams)
	}
	if need := p.coder.Bits() + bits.Len(uint(s.Uploads)); need > 64*r.limbs {
		return Params{}, fmt.Errorf("sum of %d uploads needs %d bits, its accumulator has %d: %w", s.Uploads, need, 64*r.limbs, ErrParams)
	}
	return p, nil
}

// coefficients is how many coefficients an upload has: those that hold values, and
// the first polynomial whole, so that the noise under even a short vector tells a
// wrong key.
func coefficients(values, fields, n int) int { return max(n, (values+fields-1)/fields) }

// largest is the largest coefficient on the wire, (q-1 + 2^(r-1)) >> r.
func (p Params) largest() []uint64 {
	v := p.ring.q
	addWord(&v, p.half()-1) // wraps to -1 without rounding
	if p.spec.DropBits == 0 {
		return v[:p.ring.limbs]
	}
	for range p.spec.DropBits {
		for l := range v {
			v[l] >>= 1
			if l+1 < len(v) {
				v[l] |= v[l+1] << 63
			}
		}
	}
	return v[:p.ring.limbs]
}

// addWord adds a signed word.
func addWord(x *[pack.MaxLimbs]uint64, w uint64) {
	sign := uint64(int64(w) >> 63)
	var c uint64
	x[0], c = bits.Add64(x[0], w, 0)
	for l := 1; l < len(x); l++ {
		x[l], c = bits.Add64(x[l], sign, c)
	}
}

// half is what rounding adds before it cuts.
func (p Params) half() uint64 { return 1 << p.spec.DropBits >> 1 }

// noiseVariance is the variance of one upload's noise: the error's, and that of
// the rounding, uniform on 2^r neighbouring integers.
func noiseVariance(dropBits int) float64 {
	return Sigma*Sigma + (math.Ldexp(1, 2*dropBits)-1)/12
}

// noiseBound is the bound B on the noise of a sum, in magnitude, after the mean of
// the rounding is taken off. It fails unless k = NoiseBits leaves a tenth of all
// residues outside, without which the check of the noise would be empty.
//
// Derivation. Upload i contributes e_i + rho_i to a coefficient. e_i is a discrete
// Gaussian, sub-Gaussian with parameter Sigma (Canonne, Kamath and Steinke, arXiv
// 2004.00010). rho_i - 1/2 is uniform on m = 2^r integers and half-integers
// symmetric about zero; its moment generating function is
// sinh(m*t/2)/(m*sinh(t/2)), and from the product formula of sinh,
// log of it <= sum over j of (m^2-1)(t/2)^2/(pi*j)^2 = (m^2-1)*t^2/24: sub-Gaussian
// with parameter equal to its variance (m^2-1)/12. That the roundings are uniform
// and independent is the pseudorandomness of ciphertexts. So a coefficient of the
// sum is sub-Gaussian with parameter^2 n*(Sigma^2 + (m^2-1)/12), and
// P(|E| > z*parameter) <= 2*exp(-z^2/2). Over all coefficients this is 2^-40 for
// z = [pack.TailFactor], 9.05 at 2^18 of them; less is never taken. One is added
// because the mean n/2 is taken off in whole numbers.
func noiseBound(s Spec, coefficients int) (int64, error) {
	z := max(9.05, pack.TailFactor(coefficients))
	b := z * math.Sqrt(float64(s.Uploads)*noiseVariance(s.DropBits))
	if s.DropBits > 0 {
		b++
	}
	if s.NoiseBits < 1 || s.NoiseBits > 30 || (2*b+1)/math.Ldexp(1, s.NoiseBits) > 0.9 {
		return 0, fmt.Errorf("%d noise bits for noise up to %.0f: want (2B+1)/2^k at most 0.9: %w", s.NoiseBits, b, ErrParams)
	}
	return int64(b), nil
}

// Spec returns the numbers that New was given.
func (p Params) Spec() Spec { return p.spec }

// Preset is the ring.
func (p Params) Preset() Preset { return p.ring.preset }

// CiphertextSize is the number of bytes of one upload.
func (p Params) CiphertextSize() int { return p.coder.Size(p.coefficients) }

// CoefficientBits is the width of one coefficient on the wire: the bits of q less
// those rounded off.
func (p Params) CoefficientBits() int { return p.coder.Bits() }

// KeySize is the number of residues of a key: N for each prime, prime after prime.
func (p Params) KeySize() int { return p.ring.n * len(p.ring.moduli) }

// Hash names the parameters: SHA-256 over a label, the primes and every number of
// the Spec, in fixed width.
func (p Params) Hash() [32]byte {
	b := []byte("sotto/kahe/v1 params\x00")
	for _, v := range []int{p.ring.n, p.spec.Values, p.spec.Fields, p.spec.Width, p.spec.NoiseBits, p.spec.DropBits, p.spec.Uploads, len(p.ring.moduli)} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, m := range p.ring.moduli {
		b = binary.BigEndian.AppendUint64(b, m.q)
	}
	return sha256.Sum256(b)
}

func (p Params) String() string {
	return fmt.Sprintf("%s: %d values in %d x %d bits, %d noise bits, %d rounded off, up to %d uploads, %d bytes",
		p.spec.Preset, p.spec.Values, p.spec.Fields, p.spec.Width, p.spec.NoiseBits, p.spec.DropBits, p.spec.Uploads, p.CiphertextSize())
}
