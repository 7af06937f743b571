package kahe

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// source is a reader of repeatable bytes for keys and noise in tests.
func source(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

func mustPlan(t testing.TB, r Requirement) Params {
	t.Helper()
	p, err := Plan(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// addKeys adds b to a modulo each prime.
func addKeys(p Params, a, b []uint64) {
	for i, m := range p.ring.moduli {
		for x := i * p.ring.n; x < (i+1)*p.ring.n; x++ {
			a[x] = (a[x] + b[x]) % m.q
		}
	}
}

// tester is what testing.T and rapid.T share.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// run encrypts vectors under fresh keys and returns their sum and the sum of keys.
func run(t tester, p Params, public *Public, vectors [][]int32, src *rand.ChaCha8) (*Sum, []uint64) {
	t.Helper()
	sum := NewSum(p)
	keys := make([]uint64, p.KeySize())
	for _, v := range vectors {
		secret, err := NewSecret(p, src)
		if err != nil {
			t.Fatal(err)
		}
		body, err := p.Encrypt(nil, v, public, secret, src)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) != p.CiphertextSize() {
			t.Fatalf("upload has %d bytes, want %d", len(body), p.CiphertextSize())
		}
		if err := sum.Check(body); err != nil {
			t.Fatal(err)
		}
		if err := sum.Add(body); err != nil {
			t.Fatal(err)
		}
		addKeys(p, keys, secret)
	}
	return sum, keys
}

// "Opening the sum" gives the plain integer sum, exactly, for any parameters.
func TestOpenedSumIsThePlainSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		width := rapid.IntRange(2, 40).Draw(t, "w")
		uploads := rapid.SampledFrom([]int{n, 100, 10000}).Draw(t, "uploads")
		d := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(4000, 40000)).Draw(t, "d")
		var p Params
		if rapid.Bool().Draw(t, "planned") {
			security := rapid.SampledFrom([]string{Classical128, Conservative}).Draw(t, "security")
			var err error
			if p, err = Plan(Requirement{Values: d, Width: width, Uploads: uploads, Security: security}); err != nil {
				t.Fatal(err)
			}
		} else {
			preset := rapid.SampledFrom(Presets()).Draw(t, "preset")
			s := Spec{Preset: preset.Name, Values: d, Width: width, Uploads: uploads, DropBits: rapid.IntRange(0, maxDrop).Draw(t, "drop")}
			if !fill(&s, preset) {
				t.Skip("does not fit")
			}
			var err error
			if p, err = New(s); err != nil {
				t.Skip(err.Error())
			}
		}

		top := min(p.fields.Max()/int64(n), 1<<31-1)
		pattern := rapid.SampledFrom([]string{"max", "min", "alternating", "random"}).Draw(t, "pattern")
		src := source(rapid.Uint64().Draw(t, "seed"))
		rng := rand.New(src)
		vectors := make([][]int32, n)
		want := make([]int64, d)
		for c := range vectors {
			vectors[c] = make([]int32, d)
			for i := range d {
				v := top
				switch {
				case pattern == "min" || pattern == "alternating" && i%2 == 1:
					v = -top
				case pattern == "random":
					v = rng.Int64N(2*top+1) - top
				}
				vectors[c][i] = int32(v)
				want[i] += v
			}
		}
		var seed [32]byte
		src.Read(seed[:])
		public := NewPublic(p, seed)
		// Sums of parts merge into the sum of all.
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		sum, keys := run(t, p, public, vectors[:cut], src)
		other, more := run(t, p, public, vectors[cut:], src)
		if err := sum.Merge(other); err != nil {
			t.Fatal(err)
		}
		addKeys(p, keys, more)
		got, noise, err := sum.Open(public, keys, n)
		if err != nil {
			t.Fatalf("%v: %v, noise %+v", p, err, noise)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v: opened sum differs from the plain sum", p)
		}
	})
}

func TestWrongKeyDoesNotOpen(t *testing.T) {
	for _, d := range []int{1, 3000, 30000} {
		p := mustPlan(t, Requirement{Values: d, Width: 20, Uploads: 100, Security: Classical128})
		src := source(7)
		public := NewPublic(p, [32]byte{1})
		vectors := [][]int32{make([]int32, d), make([]int32, d), make([]int32, d)}
		sum, keys := run(t, p, public, vectors, src)
		other, _ := NewSecret(p, src)
		changed := slices.Clone(keys)
		changed[5] = (changed[5] + 1) % p.ring.moduli[0].q
		added := slices.Clone(keys)
		addKeys(p, added, other)
		for name, key := range map[string][]uint64{"another": other, "one residue off": changed, "one key too many": added, "none": make([]uint64, p.KeySize())} {
			values, _, err := sum.Open(public, key, 3)
			if !errors.Is(err, ErrWrongKey) || values != nil {
				t.Errorf("d=%d, %s: got %v, want ErrWrongKey", d, name, err)
			}
		}
		if _, _, err := sum.Open(NewPublic(p, [32]byte{2}), keys, 3); !errors.Is(err, ErrWrongKey) {
			t.Errorf("d=%d, another seed: got %v, want ErrWrongKey", d, err)
		}
		if _, _, err := sum.Open(public, keys, 3); err != nil {
			t.Errorf("d=%d: the right key after wrong ones: %v", d, err)
		}
	}
}

func randomValues(d, max int, seed uint64) []int32 {
	rng := rand.New(source(seed))
	v := make([]int32, d)
	for i := range v {
		v[i] = int32(rng.IntN(2*max+1) - max)
	}
	return v
}

// Params and Public are shared: uploads made at once open as uploads made in turn.
func TestConcurrentUploads(t *testing.T) {
	const n, d = 8, 100
	p := testInsecureParams(t, primes[4096][46], Spec{Values: d, Fields: 3, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: n})
	public := NewPublic(p, [32]byte{4})
	bodies, secrets := make([][]byte, n), make([][]uint64, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			src := source(uint64(i))
			secrets[i], _ = NewSecret(p, src)
			bodies[i], _ = p.Encrypt(nil, slices.Repeat([]int32{int32(i)}, d), public, secrets[i], src)
		})
	}
	group.Wait()
	sum, keys := NewSum(p), make([]uint64, p.KeySize())
	for i := range n {
		if err := sum.Add(bodies[i]); err != nil {
			t.Fatal(err)
		}
		addKeys(p, keys, secrets[i])
	}
	got, _, err := sum.Open(public, keys, n)
	if err != nil || !slices.Equal(got, slices.Repeat([]int64{n * (n - 1) / 2}, d)) {
		t.Errorf("got %v, %v", got, err)
	}
}
