package kahe

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"sync"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

// Security levels. Each has a largest modulus per ring degree, below which an
// attack is estimated at 2^128 operations or more; testdata/security.json records
// the estimates and their sources.
const (
	// Classical128 is 128 bits against classical attacks with Gaussian secrets.
	Classical128 = "classical128"
	// Conservative is 128 bits in the pessimistic quantum model (ChaLoy21) of the
	// tooling behind the 2024 guidelines for parameters, for secrets that must stay
	// closed to a quantum computer.
	Conservative = "conservative"
)

// mostBits is the largest number of bits of q by level and ring degree. A level
// does not use degrees that it does not list.
var mostBits = map[string]map[int]int{
	Classical128: {2048: 53, 4096: 105, 8192: 209},
	Conservative: {4096: 83, 8192: 161},
}

// Preset is a ring by name: a degree and explicit primes. The number of bits of q
// is that of its primes together.
type Preset struct {
	Name   string
	N      int
	Primes []uint64
	Bits   int
}

// Allowed reports whether the preset is within the table of a security level.
func (p Preset) Allowed(level string) bool {
	most, ok := mostBits[level][p.N]
	return ok && p.Bits <= most
}

// Presets lists every preset, by degree and size. Only these are accepted anywhere.
func Presets() []Preset {
	return slices.SortedFunc(maps.Values(presets()), func(a, b Preset) int {
		return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Bits, b.Bits))
	})
}

var presets = sync.OnceValue(func() map[string]Preset {
	all := map[string]Preset{}
	add := func(n, size int, primes ...uint64) {
		name := fmt.Sprintf("n%d-q%d", n, size)
		all[name] = Preset{Name: name, N: n, Primes: primes, Bits: size}
	}
	for b, p := range primes[2048] {
		add(2048, b, p[0])
	}
	for b, p := range primes[4096] {
		add(4096, 2*b, p[0], p[1])
		if next := primes[4096][b+1]; next != nil && 2*b+1 <= mostBits[Classical128][4096] {
			add(4096, 2*b+1, next[0], p[0])
		}
	}
	delete(all, "n4096-q106") // above the table
	for b, p := range primes[8192] {
		add(8192, 4*b, p...)
	}
	return all
})

// Ring is a preset with its tables; it is read only and shared.
type Ring struct {
	preset Preset
	n      int
	moduli []*modulus
	limbs  int
	q      [pack.MaxLimbs]uint64
	// Garner's constants: invert[i][j] is q_j^-1 modulo q_i, with its companion, j < i.
	invert [4][4][2]uint64
}

var rings struct {
	sync.Mutex
	byName map[string]*Ring
}

// ringOf returns the ring of a preset, made once per process.
func ringOf(name string) (*Ring, error) {
	p, ok := presets()[name]
	if !ok {
		return nil, fmt.Errorf("preset %q is not in the table: %w", name, ErrParams)
	}
	rings.Lock()
	defer rings.Unlock()
	if r := rings.byName[name]; r != nil {
		return r, nil
	}
	if rings.byName == nil {
		rings.byName = map[string]*Ring{}
	}
	r := newRing(p)
	rings.byName[name] = r
	return r, nil
}

func newRing(p Preset) *Ring {
	r := shape(p)
	for _, q := range p.Primes {
		r.moduli = append(r.moduli, newModulus(q, p.N))
	}
	for i, m := range r.moduli {
		for j := range i {
			inv := m.pow(r.moduli[j].q%m.q, m.q-2)
			r.invert[i][j] = [2]uint64{inv, companion(inv, m.q)}
		}
	}
	return r
}

// shape is a ring without its tables: enough to size things.
func shape(p Preset) *Ring {
	r := &Ring{preset: p, n: p.N, limbs: 1}
	for p.Bits > pack.MaxBits(r.limbs) {
		r.limbs *= 2
	}
	r.q[0] = 1
	for _, q := range p.Primes {
		multiplyAdd(&r.q, q, 0)
	}
	return r
}

// multiplyAdd sets x to x*by + add.
func multiplyAdd(x *[pack.MaxLimbs]uint64, by, add uint64) {
	carry := add
	for l := range x {
		hi, lo := bits.Mul64(x[l], by)
		var c uint64
		x[l], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
}

// join writes the integers below q with the given residues (one slice for each
// prime, below 2^63) to dst, limbs words each: Garner's algorithm.
func (r *Ring) join(dst []uint64, residues [][]uint64) {
	switch len(r.moduli) {
	case 1:
		m := r.moduli[0]
		for i, x := range residues[0] {
			dst[i] = m.reduce(x)
		}
	case 2:
		m0, m1 := r.moduli[0], r.moduli[1]
		inv, c := r.invert[1][0][0], r.invert[1][0][1]
		x1 := residues[1]
		dst = dst[:2*len(x1)]
		// Neighbouring sizes differ by a bit at most, so 4*q1 exceeds q0.
		offset := 4 * m1.q
		for i, x0 := range residues[0][:len(x1)] {
			t0 := m0.reduce(x0)
			t1 := once(mulLazy(x1[i]+offset-t0, inv, c, m1.q), m1.q)
			hi, lo := bits.Mul64(t1, m0.q)
			var carry uint64
			dst[2*i], carry = bits.Add64(lo, t0, 0)
			dst[2*i+1] = hi + carry
		}
	default:
		var t [4]uint64
		for i := range residues[0] {
			for a, m := range r.moduli {
				x := residues[a][i]
				for b := range a {
					x = mulLazy(x+4*m.q-t[b], r.invert[a][b][0], r.invert[a][b][1], m.q)
				}
				t[a] = m.reduce(x)
			}
			var v [pack.MaxLimbs]uint64
			for a := len(r.moduli) - 1; a >= 0; a-- {
				multiplyAdd(&v, r.moduli[a].q, t[a])
			}
			copy(dst[i*r.limbs:(i+1)*r.limbs], v[:])
		}
	}
}

// checkKey reports [ErrKey] unless key has a residue below its prime for every
// position.
func (r *Ring) checkKey(key []uint64) error {
	if want := r.n * len(r.moduli); len(key) != want {
		return fmt.Errorf("key has %d residues, want %d: %w", len(key), want, ErrKey)
	}
	for i, m := range r.moduli {
		var above uint64
		for _, x := range key[i*r.n : (i+1)*r.n] {
			above |= (m.q - 1 - x) | x
		}
		if above>>63 != 0 {
			return fmt.Errorf("key has a residue that is not below the prime %d: %w", m.q, ErrKey)
		}
	}
	return nil
}

// factors transforms a key, divides it by N (which [modulus.inverse] does not) and
// pairs each residue with its companion.
func (r *Ring) factors(key []uint64) [][]uint64 {
	out := make([][]uint64, len(r.moduli))
	buf := make([]uint64, r.n)
	for i, m := range r.moduli {
		copy(buf, key[i*r.n:(i+1)*r.n])
		m.forward(buf)
		c := companion(m.invN, m.q)
		f := make([]uint64, 2*r.n)
		for x, v := range buf {
			v = once(mulLazy(v, m.invN, c, m.q), m.q)
			f[2*x], f[2*x+1] = v, companion(v, m.q)
		}
		out[i] = f
	}
	clear(buf)
	return out
}
