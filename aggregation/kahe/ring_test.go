package kahe

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// testInsecureParams are parameters of a ring far too small, for tests of formats.
func testInsecureParams(t testing.TB, primes []uint64, s Spec) Params {
	t.Helper()
	return insecureParams(t, 64, primes, s)
}

func insecureParams(t testing.TB, n int, primes []uint64, s Spec) Params {
	t.Helper()
	bits := 0
	for _, q := range primes {
		bits += new(big.Int).SetUint64(q).BitLen()
	}
	s.Preset = "testInsecure"
	r := newRing(Preset{Name: s.Preset, N: n, Primes: primes, Bits: bits})
	p, err := newParams(s, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Position i of a transform is the value at psi^(2*rev(i)+1).
func TestForwardIsEvaluation(t *testing.T) {
	for _, name := range []string{"n2048-q53", "n2048-q36", "n4096-q93", "n8192-q208"} {
		r, err := ringOf(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range r.moduli {
			rng := rand.New(source(3))
			a := make([]uint64, r.n)
			for i := range a {
				a[i] = rng.Uint64N(m.q)
			}
			got := slices.Clone(a)
			m.forward(got)
			logN := new(big.Int).SetInt64(int64(r.n)).BitLen() - 1
			// psi stands at the position that reverses to 1.
			psi := m.roots[r.n]
			if m.pow(psi, uint64(r.n)) != m.q-1 {
				t.Fatalf("%s: psi^N is not -1", name)
			}
			for _, i := range []int{0, 1, 2, r.n / 2, r.n/2 + 1, r.n - 1, 777} {
				rev := 0
				for b := range logN {
					rev |= i >> b & 1 << (logN - 1 - b)
				}
				at := m.pow(psi, uint64(2*rev+1))
				want := uint64(0)
				for j := r.n - 1; j >= 0; j-- {
					want = (m.mul(want, at) + a[j]) % m.q
				}
				if got[i] != want {
					t.Errorf("%s: prime %d, position %d: got %d, want %d", name, m.q, i, got[i], want)
				}
			}
		}
	}
}

// The root is the least x's power, as the protocol pins it.
func TestRootIsPinned(t *testing.T) {
	r, err := ringOf("n2048-q53")
	if err != nil {
		t.Fatal(err)
	}
	m := r.moduli[0]
	for x := uint64(2); ; x++ {
		psi := m.pow(x, (m.q-1)/4096)
		if m.pow(psi, 2048) == m.q-1 {
			if m.roots[2048] != psi {
				t.Errorf("psi is %d, want %d", m.roots[2048], psi)
			}
			return
		}
	}
}

// inverse after forward multiplies by N, in every preset's ring, also for the largest
// inputs that it takes.
func TestInverseUndoesForward(t *testing.T) {
	rng := rand.New(source(5))
	for _, preset := range Presets() {
		if preset.Bits%7 != 0 && preset.Bits < 2*maxPrimeBits-1 && preset.Bits != 53 {
			continue // every seventh, and the largest
		}
		r, err := ringOf(preset.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range r.moduli {
			for _, pattern := range []string{"largest", "random", "alternating"} {
				a := make([]uint64, r.n)
				for i := range a {
					switch {
					case pattern == "largest" || pattern == "alternating" && i%2 == 0:
						a[i] = 2*m.q - 1
					case pattern == "random":
						a[i] = rng.Uint64N(2 * m.q)
					}
				}
				got := slices.Clone(a)
				m.inverse(got)
				for i, x := range got {
					if x >= 1<<63 {
						t.Fatalf("%s: result of %d", preset.Name, x)
					}
					got[i] = m.mul(m.reduce(x), m.invN)
				}
				m.forward(got)
				for i, x := range got {
					if want := a[i] % m.q; x != want {
						t.Fatalf("%s, %s: position %d: got %d, want %d", preset.Name, pattern, i, x, want)
					}
				}
			}
		}
	}
}

// Garner's algorithm against big integers.
func TestJoinResidues(t *testing.T) {
	rng := rand.New(source(6))
	for _, name := range []string{"n2048-q53", "n4096-q105", "n4096-q72", "n4096-q83", "n8192-q132", "n8192-q208"} {
		r, err := ringOf(name)
		if err != nil {
			t.Fatal(err)
		}
		q := big.NewInt(1)
		for _, m := range r.moduli {
			q.Mul(q, new(big.Int).SetUint64(m.q))
		}
		residues := make([][]uint64, len(r.moduli))
		want := make([]*big.Int, 50)
		for x := range want {
			v := new(big.Int)
			switch x {
			case 0:
			case 1:
				v.Sub(q, big.NewInt(1))
			default:
				for range 4 {
					v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(rng.Uint64()))
				}
				v.Mod(v, q)
			}
			want[x] = v
			for i, m := range r.moduli {
				residue := new(big.Int).Mod(v, new(big.Int).SetUint64(m.q)).Uint64()
				residues[i] = append(residues[i], residue+m.q*rng.Uint64N(500)) // lazy
			}
		}
		got := make([]uint64, len(want)*r.limbs)
		r.join(got, residues)
		for x, w := range want {
			v := new(big.Int)
			for l := r.limbs - 1; l >= 0; l-- {
				v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(got[x*r.limbs+l]))
			}
			if v.Cmp(w) != 0 {
				t.Fatalf("%s: got %v, want %v", name, v, w)
			}
		}
	}
}
