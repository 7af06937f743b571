package keyshare

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// testRing is the default preset's ring: small enough for every test.
var testRing = Ring{N: 2048, Primes: []uint64{9007199254614017}}

// testInsecureRing is for tests that split thousands of keys. It protects nothing.
var testInsecureRing = Ring{N: 4, Primes: []uint64{9007199254614017, 97}}

func randomElement(r Ring, rng *mrand.Rand) []uint64 {
	v := make([]uint64, r.Len())
	for i := range v {
		p := r.Primes[i/r.N]
		switch rng.IntN(8) {
		case 0:
		case 1:
			v[i] = p - 1
		default:
			v[i] = rng.Uint64N(p)
		}
	}
	return v
}

func newRand(seed uint64) *mrand.Rand { return mrand.New(mrand.NewPCG(seed, 7)) }

func (s Share) residues(r Ring) []uint64 {
	if s.Seed == nil {
		return s.Residues
	}
	v := make([]uint64, r.Len())
	r.Expand(v, s.Seed)
	return v
}

// Any t shares give the secret back; the arithmetic is checked against math/big.
func TestSplitAndInterpolate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.IntRange(1, 9).Draw(rt, "m")
		th := rapid.IntRange(1, m).Draw(rt, "t")
		rng := newRand(rapid.Uint64().Draw(rt, "seed"))
		secret := randomElement(testInsecureRing, rng)
		shares, err := Split(testInsecureRing, th, m, secret, rand.Reader)
		if err != nil {
			rt.Fatal(err)
		}
		points := rng.Perm(m)[:th]
		var nodes []int
		var values [][]uint64
		for _, i := range points {
			nodes = append(nodes, i+1)
			values = append(values, shares[i].residues(testInsecureRing))
		}
		got := make([]uint64, testInsecureRing.Len())
		testInsecureRing.evaluate(got, nodes, values, 0)
		if !slices.Equal(got, secret) {
			rt.Fatalf("%d of %d, points %v: got %v, want %v", th, m, nodes, got, secret)
		}
		want := slowInterpolate(testInsecureRing, nodes, values)
		if !slices.Equal(got, want) {
			rt.Fatalf("math/big gives %v, got %v", want, got)
		}
	})
}

func slowInterpolate(r Ring, nodes []int, values [][]uint64) []uint64 {
	out := make([]uint64, r.Len())
	for i := range out {
		p := new(big.Int).SetUint64(r.Primes[i/r.N])
		sum := new(big.Int)
		for j, nj := range nodes {
			term := new(big.Int).SetUint64(values[j][i])
			for l, nl := range nodes {
				if l != j {
					term.Mul(term, big.NewInt(int64(-nl)))
					term.Mul(term, new(big.Int).ModInverse(big.NewInt(int64(nj-nl)), p))
				}
			}
			sum.Add(sum, term)
		}
		out[i] = sum.Mod(sum, p).Uint64()
	}
	return out
}

// t-1 shares fit every secret: for any other secret there is a polynomial with the
// same t-1 values. With seeds this is all that a test can say about secrecy.
func TestFewerThanThresholdFitEverySecret(t *testing.T) {
	rng := newRand(1)
	secret, other := randomElement(testInsecureRing, rng), randomElement(testInsecureRing, rng)
	shares, err := Split(testInsecureRing, 3, 4, secret, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// Points 3 and 4 carry the residues that depend on the secret.
	nodes := []int{0, 3, 4}
	values := [][]uint64{other, shares[2].Residues, shares[3].Residues}
	back := make([]uint64, testInsecureRing.Len())
	testInsecureRing.evaluate(back, []int{3, 4, 5}, [][]uint64{
		values[1], values[2], at(nodes, values, 5),
	}, 0)
	if !slices.Equal(back, other) {
		t.Errorf("shares 3 and 4 of 3-of-4 do not fit another secret")
	}
}

func at(nodes []int, values [][]uint64, x int) []uint64 {
	v := make([]uint64, testInsecureRing.Len())
	testInsecureRing.evaluate(v, nodes, values, x)
	return v
}

// Sums of shares are shares of the sum: what holders rely on.
func TestSharesAdd(t *testing.T) {
	rng := newRand(2)
	const th, m, n = 3, 5, 20
	want := make([]uint64, testInsecureRing.Len())
	sums := make([][]uint64, m)
	for i := range sums {
		sums[i] = make([]uint64, testInsecureRing.Len())
	}
	for range n {
		secret := randomElement(testInsecureRing, rng)
		testInsecureRing.add(want, secret)
		shares, err := Split(testInsecureRing, th, m, secret, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range shares {
			testInsecureRing.add(sums[i], s.residues(testInsecureRing))
		}
	}
	if got := at([]int{5, 2, 4}, [][]uint64{sums[4], sums[1], sums[3]}, 0); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSplitRefuses(t *testing.T) {
	good := make([]uint64, testInsecureRing.Len())
	for _, c := range []struct {
		t, m   int
		secret []uint64
	}{
		{0, 3, good}, {4, 3, good}, {2, MaxMembers + 1, good}, {2, 3, good[:3]},
		{2, 3, []uint64{0, 0, 0, 9007199254614017, 0, 0, 0, 0}}, {2, 3, []uint64{0, 0, 0, 0, 0, 0, 0, 97}},
	} {
		if _, err := Split(testInsecureRing, c.t, c.m, c.secret, rand.Reader); err == nil {
			t.Errorf("split %d of %d of %v: want an error", c.t, c.m, c.secret)
		}
	}
}

// The expansion is part of the protocol: client and holder must agree on it.
func TestExpandGolden(t *testing.T) {
	var seed [SeedSize]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	for _, want := range goldenExpand {
		v := make([]uint64, want.ring.Len())
		want.ring.Expand(v, &seed)
		h := sha256.New()
		for _, x := range v {
			h.Write(binary.BigEndian.AppendUint64(nil, x))
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want.sha256 || !slices.Equal(v[:4], want.first) {
			t.Errorf("N=%d: got %v .., %s; want %v .., %s", want.ring.N, v[:4], got, want.first, want.sha256)
		}
	}
}

func TestExpandIsUniform(t *testing.T) {
	r := Ring{N: 1 << 15, Primes: []uint64{97}}
	v := make([]uint64, r.Len())
	r.Expand(v, &[SeedSize]byte{1})
	var count [97]float64
	for _, x := range v {
		count[x]++
	}
	chi, want := 0.0, float64(r.N)/97
	for _, c := range count {
		chi += (c - want) * (c - want) / want
	}
	// 96 degrees of freedom: above 180 with probability below 1e-6. The seed is
	// fixed, so this either always passes or never.
	if chi > 180 {
		t.Errorf("chi-square %g for 96 degrees of freedom", chi)
	}
}

func TestPack(t *testing.T) {
	rings := []Ring{testInsecureRing, testRing, {N: 8, Primes: []uint64{2305843009213693951}}, {N: 2, Primes: []uint64{97, 2305843009213693951, 1099511627689, 97 + 4}}}
	for _, r := range rings {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) {
			v := randomElement(r, newRand(rapid.Uint64().Draw(rt, "seed")))
			b := r.pack(nil, v)
			if len(b) != r.PackedSize() {
				rt.Fatalf("packed to %d bytes, want %d", len(b), r.PackedSize())
			}
			if want := slowPack(r, v); !slices.Equal(b, want) {
				rt.Fatalf("got %x, want %x", b, want)
			}
			got := make([]uint64, r.Len())
			if err := r.unpack(got, b); err != nil || !slices.Equal(got, v) {
				rt.Fatalf("unpacked %v, %v; want %v", got, err, v)
			}
		})
	}
}

func slowPack(r Ring, v []uint64) []byte {
	n, at := new(big.Int), uint(0)
	for i, x := range v {
		n.Or(n, new(big.Int).Lsh(new(big.Int).SetUint64(x), at))
		at += uint(new(big.Int).SetUint64(r.Primes[i/r.N]).BitLen())
	}
	b := n.FillBytes(make([]byte, r.PackedSize()))
	slices.Reverse(b)
	return b
}

func FuzzUnpack(f *testing.F) {
	f.Add(testInsecureRing.pack(nil, make([]uint64, 8)))
	f.Add(testInsecureRing.pack(nil, []uint64{1, 2, 3, 9007199254614016, 96, 0, 1, 96}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := make([]uint64, testInsecureRing.Len())
		if testInsecureRing.unpack(v, b) != nil {
			return
		}
		if err := testInsecureRing.checkResidues(v); err != nil {
			t.Fatal(err)
		}
		if got := testInsecureRing.pack(nil, v); !slices.Equal(got, b) {
			t.Fatalf("%x unpacks to %v, which packs to %x", b, v, got)
		}
	})
}

func TestRingValidate(t *testing.T) {
	for name, r := range map[string]Ring{
		"degree 0":       {0, []uint64{97}},
		"degree 3":       {3, []uint64{97}},
		"huge degree":    {1 << 16, []uint64{97}},
		"no prime":       {4, nil},
		"composite":      {4, []uint64{99}},
		"small prime":    {4, []uint64{13}},
		"too large":      {4, []uint64{18446744073709551557}},
		"twice":          {4, []uint64{97, 97}},
		"too many":       {4, []uint64{97, 101, 103, 107, 109, 113, 127, 131, 137}},
		"prime 0":        {4, []uint64{0}},
		"one bit beyond": {4, []uint64{4611686018427387847}}, // the largest prime below 2^62
	} {
		if r.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := testRing.Validate(); err != nil {
		t.Error(err)
	}
}

// All m sums and the shares of c < t corrupt holders fit every choice of keys with
// the same sum: move a difference from one client's key to another's, keep both
// clients' corrupt shares, and no sum changes.
func TestSumsSayNoMoreThanTheirSecret(t *testing.T) {
	const th, m = 3, 4
	r := testInsecureRing
	rng := newRand(5)
	add := func(a, b []uint64) []uint64 {
		out := slices.Clone(a)
		r.add(out, b)
		return out
	}
	negative := func(a []uint64) []uint64 {
		out := slices.Clone(a)
		for i, x := range out {
			p := r.Primes[i/r.N]
			out[i] = (p - x) % p
		}
		return out
	}
	a, b, difference := randomElement(r, rng), randomElement(r, rng), randomElement(r, rng)
	var shares [2][]Share
	for i, s := range [][]uint64{a, b} {
		var err error
		if shares[i], err = Split(r, th, m, s, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for _, corrupt := range []int{1, 3, 4} {
		// The polynomials that are the difference at 0, nothing at the corrupt
		// point, and anything at one more point.
		zero := make([]uint64, r.Len())
		nodes := []int{0, corrupt, corrupt%m + 1}
		values := [][]uint64{difference, zero, randomElement(r, rng)}
		var first, second [][]uint64
		for point := 1; point <= m; point++ {
			d := at(nodes, values, point)
			x, y := shares[0][point-1].residues(r), shares[1][point-1].residues(r)
			x2, y2 := add(x, d), add(y, negative(d))
			if point == corrupt && (!slices.Equal(x, x2) || !slices.Equal(y, y2)) {
				t.Error("a corrupt share changed")
			}
			if !slices.Equal(add(x, y), add(x2, y2)) {
				t.Errorf("the sum of point %d changed", point)
			}
			first, second = append(first, x2), append(second, y2)
		}
		if !slices.Equal(at([]int{2, 3, 4}, first[1:], 0), add(a, difference)) || !slices.Equal(at([]int{1, 2, 4}, [][]uint64{second[0], second[1], second[3]}, 0), add(b, negative(difference))) {
			t.Error("the other keys are not shared by the changed shares")
		}
	}
}
