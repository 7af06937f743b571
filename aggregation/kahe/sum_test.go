package kahe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

func digest(s *Sum) [32]byte {
	b, _ := s.MarshalBinary()
	return sha256.Sum256(b)
}

// An upload broken at any byte leaves the sum as it was.
func TestRefusedUploadChangesNothing(t *testing.T) {
	for _, primes := range [][]uint64{primes[2048][53], primes[4096][46], primes[8192][44]} {
		p := testInsecureParams(t, primes, Spec{Values: 100, Fields: 1, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
		src := source(1)
		public := NewPublic(p, [32]byte{9})
		sum, _ := run(t, p, public, [][]int32{randomValues(100, 99, 1)}, src)
		secret, _ := NewSecret(p, src)
		body, err := p.Encrypt(nil, randomValues(100, 99, 2), public, secret, src)
		if err != nil {
			t.Fatal(err)
		}
		before := digest(sum)
		largest := p.largest()
		step := p.CoefficientBits()
		for i := range p.coefficients {
			// The largest coefficient is the first that is refused when one is added.
			bad := slices.Clone(body)
			setBits(bad, i*step, step, largest, 0)
			if err := sum.Check(bad); err != nil {
				t.Fatalf("largest coefficient at %d: %v", i, err)
			}
			setBits(bad, i*step, step, largest, 1)
			if err := sum.Check(bad); !errors.Is(err, pack.ErrMalformed) {
				t.Fatalf("coefficient above the largest at %d: check gives %v", i, err)
			}
			if err := sum.Add(bad); !errors.Is(err, pack.ErrMalformed) || digest(sum) != before {
				t.Fatalf("coefficient above the largest at %d: got %v, sum changed: %v", i, err, digest(sum) != before)
			}
		}
		for n := range len(body) {
			if n%37 == 0 || n > len(body)-9 {
				if err := sum.Add(body[:n]); !errors.Is(err, pack.ErrLength) || digest(sum) != before {
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
		}
		if err := sum.Add(append(slices.Clone(body), 0)); !errors.Is(err, pack.ErrLength) || digest(sum) != before {
			t.Fatalf("a byte too many: %v", err)
		}
		if err := sum.Add(body); err != nil || sum.Count() != 2 || digest(sum) == before {
			t.Fatalf("the upload itself: %v, count %d", err, sum.Count())
		}
	}
}

// setBits writes value+add at a bit position.
func setBits(b []byte, pos, width int, value []uint64, add uint64) {
	var v [pack.MaxLimbs]uint64
	copy(v[:], value)
	addWord(&v, add)
	for i := range width {
		bit := byte(v[i/64]>>(i%64)) & 1
		at := pos + i
		b[at/8] = b[at/8]&^(1<<(at%8)) | bit<<(at%8)
	}
}

func TestPaddingIsChecked(t *testing.T) {
	p := testInsecureParams(t, primes[2048][53], Spec{Values: 65, Fields: 1, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
	if p.coefficients*p.CoefficientBits()%8 == 0 {
		t.Fatal("no padding to test")
	}
	src := source(1)
	sum, _ := run(t, p, NewPublic(p, [32]byte{}), nil, src)
	secret, _ := NewSecret(p, src)
	body, err := p.Encrypt(nil, make([]int32, 65), NewPublic(p, [32]byte{}), secret, src)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)-1] |= 0x80
	if err := sum.Add(body); !errors.Is(err, pack.ErrMalformed) || sum.Count() != 0 {
		t.Errorf("padding of one: %v", err)
	}
}

func TestSumIsFull(t *testing.T) {
	p := testInsecureParams(t, primes[2048][53], Spec{Values: 10, Fields: 1, Width: 20, NoiseBits: 12, Uploads: 2})
	src := source(1)
	public := NewPublic(p, [32]byte{})
	two, _ := run(t, p, public, zeroVectors(2, 10), src)
	one, _ := run(t, p, public, zeroVectors(1, 10), src)
	body := make([]byte, p.CiphertextSize())
	before := digest(two)
	if err := two.Add(body); !errors.Is(err, ErrFull) || digest(two) != before {
		t.Errorf("third upload: %v", err)
	}
	if err := two.Merge(one); !errors.Is(err, ErrFull) || digest(two) != before {
		t.Errorf("merge: %v", err)
	}
	other := testInsecureParams(t, primes[2048][53], Spec{Values: 10, Fields: 1, Width: 21, NoiseBits: 12, Uploads: 2})
	if err := one.Merge(NewSum(other)); !errors.Is(err, ErrParams) {
		t.Errorf("merge of other parameters: %v", err)
	}
}

func zeroVectors(n, d int) [][]int32 {
	v := make([][]int32, n)
	for i := range v {
		v[i] = make([]int32, d)
	}
	return v
}

// A stored sum comes back whole; anything else is refused and changes nothing.
func TestStoredSum(t *testing.T) {
	for _, primes := range [][]uint64{primes[2048][53], primes[4096][46], primes[8192][44]} {
		p := testInsecureParams(t, primes, Spec{Values: 100, Fields: 1, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
		src := source(2)
		public := NewPublic(p, [32]byte{})
		vectors := [][]int32{randomValues(100, 99, 1), randomValues(100, 99, 2)}
		sum, keys := run(t, p, public, vectors, src)
		stored, err := sum.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		back := NewSum(p)
		if err := back.UnmarshalBinary(stored); err != nil {
			t.Fatal(err)
		}
		want, _, err := sum.Open(public, keys, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := back.Open(public, keys, 2)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("stored sum opens to another vector: %v", err)
		}
		again, _ := back.MarshalBinary()
		if !bytes.Equal(again, stored) {
			t.Error("storing twice gives other bytes")
		}
		empty, _ := NewSum(p).MarshalBinary()
		if err := NewSum(p).UnmarshalBinary(empty); err != nil {
			t.Errorf("empty sum: %v", err)
		}

		before := digest(back)
		for name, bad := range map[string][]byte{
			"nothing":         nil,
			"cut":             stored[:len(stored)-1],
			"longer":          append(slices.Clone(stored), 0),
			"other label":     flip(stored, 0),
			"other params":    flip(stored, len(storeLabel)+3),
			"count too large": flip(stored, storeHeader-8),
			"count of one":    flip(flip(stored, storeHeader-1), storeHeader-1, 3),
			"large word":      flip(stored, len(stored)-1),
		} {
			if err := back.UnmarshalBinary(bad); !errors.Is(err, ErrMalformed) || digest(back) != before {
				t.Errorf("%s: got %v, want ErrMalformed and no change", name, err)
			}
		}
	}
}

func flip(b []byte, at int, mask ...byte) []byte {
	b = slices.Clone(b)
	m := byte(0x80)
	if len(mask) > 0 {
		m = mask[0] | 0x80
	}
	b[at] ^= m
	return b
}

// "Two checks on opening": a client that draws no noise and one with too much are
// seen.
func TestOpeningChecksTheNoise(t *testing.T) {
	const n, d = 3, 3000
	for _, drop := range []int{0, 6} {
		p, err := New(Spec{Preset: "n2048-q53", Values: d, Fields: 2, Width: 20, NoiseBits: 12, DropBits: drop, Uploads: n})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name  string
			noise func(e []int32) // of one of the clients
			want  error
		}{
			{"honest", nil, nil},
			// Six bits rounded off cover what is missing: 3.7 % of the variance.
			{"no noise", func(e []int32) { clear(e) }, map[int]error{0: ErrWrongKey}[drop]},
			{"four times the width", func(e []int32) {
				for i := range e {
					e[i] *= 4
				}
			}, ErrWrongKey},
			{"one error above the bound", func(e []int32) { e[77] = int32(p.bound) + 500 }, ErrWrongKey},
			{"one error of -B", func(e []int32) { e[77] = -int32(p.bound) - 500 }, ErrWrongKey},
		} {
			src := source(4)
			rng := rand.New(src)
			public := NewPublic(p, [32]byte{})
			sum := NewSum(p)
			keys := make([]uint64, p.KeySize())
			for i := range n {
				secret, _ := NewSecret(p, src)
				gen, _ := newGenerator(src)
				body, err := p.encrypt(nil, randomValues(d, 1000, rng.Uint64()), public, secret, func(e []int32) {
					theGaussian().sample(e, gen)
					if i == 0 && c.noise != nil {
						c.noise(e)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := sum.Add(body); err != nil {
					t.Fatal(err)
				}
				addKeys(p, keys, secret)
			}
			values, noise, err := sum.Open(public, keys, n)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (values == nil) != (c.want != nil) {
				t.Errorf("%d bits rounded off, %s: got %v, want %v; noise %+v", drop, c.name, err, c.want, noise)
			}
			if noise.Samples == 0 || noise.Expected == 0 {
				t.Errorf("noise is not reported: %+v", noise)
			}
		}
	}
}

// The bound is used, not just stated: over many uploads the largest noise is within
// it and not far below.
func TestNoiseIsAsPredicted(t *testing.T) {
	const n = 60
	p, err := New(Spec{Preset: "n2048-q53", Values: 6000, Fields: 2, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: n})
	if err != nil {
		t.Fatal(err)
	}
	src := source(8)
	public := NewPublic(p, [32]byte{})
	sum, keys := run(t, p, public, zeroVectors(n, 6000), src)
	_, noise, err := sum.Open(public, keys, n)
	if err != nil {
		t.Fatal(err)
	}
	if noise.Largest < noise.Bound/4 || noise.Bound != p.bound {
		t.Errorf("largest noise %d under a bound of %d", noise.Largest, noise.Bound)
	}
}

func TestOverflowOfTheTopFieldIsSeen(t *testing.T) {
	p, err := New(Spec{Preset: "n2048-q53", Values: 2, Fields: 2, Width: 10, NoiseBits: 11, Uploads: 100})
	if err != nil {
		t.Fatal(err)
	}
	public := NewPublic(p, [32]byte{})
	sum, keys := run(t, p, public, [][]int32{{511, 511}, {0, 0}}, source(3))
	if got, _, err := sum.Open(public, keys, 2); err != nil || !slices.Equal(got, []int64{511, 511}) {
		t.Errorf("sum at the bound: %v, %v", got, err)
	}
	sum, keys = run(t, p, public, [][]int32{{0, 511}, {0, 1}}, source(3))
	if got, _, err := sum.Open(public, keys, 2); !errors.Is(err, ErrOverflow) || got != nil {
		t.Errorf("sum above the bound: %v, %v, want ErrOverflow", got, err)
	}
}

func TestEncryptRefuses(t *testing.T) {
	p := testInsecureParams(t, primes[2048][53], Spec{Values: 10, Fields: 2, Width: 20, NoiseBits: 12, Uploads: 2})
	other := testInsecureParams(t, primes[2048][52], Spec{Values: 10, Fields: 1, Width: 20, NoiseBits: 12, Uploads: 2})
	src := source(1)
	public := NewPublic(p, [32]byte{})
	secret, _ := NewSecret(p, src)
	large := slices.Clone(secret)
	large[3] = p.ring.moduli[0].q
	huge := slices.Clone(secret)
	huge[3] = 1<<64 - 1
	over := make([]int32, 10)
	over[9] = 1 << 19
	for _, c := range []struct {
		name   string
		values []int32
		public *Public
		secret []uint64
		rand   io.Reader
		want   error
	}{
		{"short vector", make([]int32, 9), public, secret, src, pack.ErrLength},
		{"long vector", make([]int32, 11), public, secret, src, pack.ErrLength},
		{"value outside the field", over, public, secret, src, pack.ErrRange},
		{"other ring", make([]int32, 10), NewPublic(other, [32]byte{}), secret, src, ErrParams},
		{"short key", make([]int32, 10), public, secret[1:], src, ErrKey},
		{"residue of q", make([]int32, 10), public, large, src, ErrKey},
		{"residue of 2^64-1", make([]int32, 10), public, huge, src, ErrKey},
		{"no randomness", make([]int32, 10), public, secret, strings.NewReader("short"), io.ErrUnexpectedEOF},
	} {
		prefix := []byte("kept")
		got, err := p.Encrypt(prefix, c.values, c.public, c.secret, c.rand)
		if !errors.Is(err, c.want) || string(got) != "kept" {
			t.Errorf("%s: got %q, %v, want %v", c.name, got, err, c.want)
		}
	}
	if _, err := NewSecret(p, strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("secret without randomness: %v", err)
	}
	sum := NewSum(p)
	if _, _, err := sum.Open(public, secret, 0); !errors.Is(err, ErrParams) {
		t.Errorf("opening nothing: %v", err)
	}
	if err := sum.Add(make([]byte, p.CiphertextSize())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sum.Open(public, secret, 2); !errors.Is(err, ErrParams) {
		t.Errorf("opening as another number: %v", err)
	}
	if _, _, err := sum.Open(public, large, 1); !errors.Is(err, ErrKey) {
		t.Errorf("opening with a residue of q: %v", err)
	}
	if _, _, err := sum.Open(NewPublic(other, [32]byte{}), secret, 1); !errors.Is(err, ErrParams) {
		t.Errorf("opening with another ring: %v", err)
	}
}

// Secrets and errors differ from call to call, also for equal vectors.
func TestUploadsOfEqualVectorsDiffer(t *testing.T) {
	p := testInsecureParams(t, primes[2048][53], Spec{Values: 10, Fields: 2, Width: 20, NoiseBits: 12, Uploads: 2})
	src := source(1)
	public := NewPublic(p, [32]byte{})
	a, _ := NewSecret(p, src)
	b, _ := NewSecret(p, src)
	if slices.Equal(a, b) {
		t.Fatal("two secrets are equal")
	}
	x, _ := p.Encrypt(nil, make([]int32, 10), public, a, src)
	y, _ := p.Encrypt(nil, make([]int32, 10), public, a, src)
	if bytes.Equal(x, y) {
		t.Error("two encryptions under one key have the same errors")
	}
}

// The polynomials do not depend on who asks, in which order, or how often.
func TestPublicPolynomials(t *testing.T) {
	// A prime far below a power of two makes the sampler skip words.
	p := testInsecureParams(t, []uint64{128*3*5*7 + 1}, Spec{Values: 1, Fields: 1, Width: 2, NoiseBits: 10, Uploads: 1})
	q := p.ring.moduli[0].q
	public := NewPublic(p, [32]byte{1, 2, 3})
	e := public.expander()
	key := make([]uint64, 2*p.ring.n)
	for i := range p.ring.n {
		key[2*i], key[2*i+1] = 1, companion(1, q)
	}
	skipped := false
	for _, j := range []int{5, 0, 1, 5, 1 << 20} {
		got, want := make([]uint64, p.ring.n), make([]uint64, 0, p.ring.n)
		e.times(got, key, 0, j)
		ctr := public.expander().stream(0, j)
		for len(want) < p.ring.n {
			var word [8]byte
			ctr.XORKeyStream(word[:], word[:])
			v := binary.LittleEndian.Uint64(word[:]) & p.ring.moduli[0].mask
			if v < q {
				want = append(want, v)
			} else {
				skipped = true
			}
		}
		for i := range got {
			if got[i]%q != want[i] {
				t.Fatalf("a_%d, position %d: got %d, want %d", j, i, got[i], want[i])
			}
		}
	}
	if !skipped {
		t.Error("no word was skipped, the slow path is not tested")
	}
}

func FuzzUpload(f *testing.F) {
	p := testInsecureParams(f, primes[4096][46], Spec{Values: 64, Fields: 2, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 3})
	src := source(1)
	public := NewPublic(p, [32]byte{})
	secret, _ := NewSecret(p, src)
	body, err := p.Encrypt(nil, make([]int32, 64), public, secret, src)
	if err != nil {
		f.Fatal(err)
	}
	above, largest := slices.Clone(body), slices.Clone(body)
	setBits(above, 0, p.CoefficientBits(), p.largest(), 1)
	setBits(largest, 0, p.CoefficientBits(), p.largest(), 0)
	ones := bytes.Repeat([]byte{0xff}, len(body))
	twice := slices.Concat(body, body)
	for _, b := range [][]byte{body, nil, body[:len(body)-1], body[:len(body)/2], append(slices.Clone(body), 0), twice, above, largest, ones, flip(body, 0), flip(body, len(body)-1)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := NewSum(p)
		check := sum.Check(b)
		if err := sum.Add(b); (err == nil) != (check == nil) {
			t.Fatalf("check gives %v, add gives %v", check, err)
		} else if err != nil {
			if sum.Count() != 0 || slices.Max(sum.words) != 0 {
				t.Fatal("a refused upload changed the sum")
			}
			return
		}
		// What is accepted is the encoding of what was read.
		if got := p.coder.Append(nil, sum.words); !bytes.Equal(got, b) {
			t.Fatal("a vector has two encodings")
		}
		sum.Open(public, secret, 1)
	})
}

func FuzzStoredSum(f *testing.F) {
	p := testInsecureParams(f, primes[2048][53], Spec{Values: 64, Fields: 1, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 3})
	sum := NewSum(p)
	empty, _ := sum.MarshalBinary()
	if err := sum.Add(make([]byte, p.CiphertextSize())); err != nil {
		f.Fatal(err)
	}
	one, _ := sum.MarshalBinary()
	for _, b := range [][]byte{empty, one, nil, one[:len(one)-1], append(slices.Clone(one), 0), flip(one, 3), flip(one, storeHeader-1), flip(one, len(one)-1)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewSum(p)
		if err := s.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrMalformed) || digest(s) != digest(NewSum(p)) {
				t.Fatalf("refused with %v, or changed", err)
			}
			return
		}
		if got, _ := s.MarshalBinary(); !bytes.Equal(got, b) {
			t.Fatal("a sum has two forms")
		}
	})
}
