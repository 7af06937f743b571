package noise

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exp(-1) and exp(-20) to 60 digits, from mpmath 1.3.0.
func TestExpNeg(t *testing.T) {
	for _, c := range []struct {
		num, den int64
		want     string
	}{
		{0, 7, "1"},
		{1, 1, "0.367879441171442321595523770161460867445811131031767834507837"},
		{20, 1, "2.06115362243855782796594038015582097637580727559910369297224e-9"},
		{1, 3, "0.71653131057378925042560409692537966745311205982147915714087"},
	} {
		want, _, err := big.ParseFloat(c.want, 10, prec, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		got := expNeg(big.NewInt(c.num), big.NewInt(c.den))
		d := newFloat().Sub(got, want)
		if d.Quo(d, want); d.Sign() != 0 && d.MantExp(nil) > -193 {
			t.Errorf("exp(-%d/%d) is %s, want %s", c.num, c.den, got.Text('g', 60), c.want)
		}
	}
	// exp(-a) exp(-b) = exp(-(a+b)) far below the digits above.
	a, b, sum := expNeg(big.NewInt(5), big.NewInt(9)), expNeg(big.NewInt(100), big.NewInt(7)), expNeg(big.NewInt(935), big.NewInt(63))
	d := a.Mul(a, b)
	d.Sub(d, sum)
	if d.Sign() != 0 && d.MantExp(nil)-sum.MantExp(nil) > -300 {
		t.Errorf("exp(-a)exp(-b) differs from exp(-a-b) by 2^%d", d.MantExp(nil)-sum.MantExp(nil))
	}
}

// exp2Neg keeps its bound, with t up to two units off as in attempt.
func TestExp2NegError(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	one := uint64(1) << 57
	points := []uint64{0, 1, 2, one - 1, one, one + 1, 13*one - 1, 20 * one}
	for i := range uint64(64) {
		points = append(points, i<<51, i<<51+1)
	}
	for range 3000 {
		points = append(points, rng.Uint64N(20*one))
	}
	ln2 := newFloat().Quo(newFloat().SetInt64(1), log2e)
	worst := 0.0
	for _, p := range points {
		for _, q := range []uint64{p, p + 2} {
			// 2^-(q/2^57) as exp of a rational close to 320 bits.
			x := newFloat().SetUint64(q)
			x.Mul(x, ln2)
			x.SetMantExp(x, -57+300)
			num, _ := x.Int(nil)
			e := expNeg(num, new(big.Int).Lsh(big.NewInt(1), 300))
			e.SetMantExp(e, 64)
			e.Sub(e, newFloat().SetUint64(exp2Neg(p)))
			d, _ := e.Float64()
			worst = max(worst, math.Abs(d))
		}
	}
	if worst > expError/2 {
		t.Errorf("error of %.0f units of 2^-64, want at most half of %d", worst, expError)
	}
	if worst < 1<<15 {
		t.Errorf("error of %.0f units: the points are too few to test the bound", worst)
	}
}

// Whenever the fast comparison decides, the exact one decides the same.
func TestFastAcceptanceIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	undecided := 0
	for _, v := range []int64{16, 17, 63, 64, 1000, 36_000_000, 1<<52 - 1, 1 << 52} {
		g := gaussian(t, v, 1)
		k := uint64(1) << g.log2k
		width := k + expError
		for i := range 400 {
			x, y := rng.Uint64N(uint64(g.table.bound())+1), rng.Uint64N(k)
			exponent := y * (y + x<<(g.log2k+1))
			if bits.Len64(exponent)+int(g.shift) > 63 {
				t.Fatalf("variance %d: exponent %d overflows", v, exponent)
			}
			p, _ := bits.Mul64(exponent<<g.shift, g.scale)
			e := exp2Neg(p) - width
			// Numbers near the limit, where an error would show.
			u := rng.Uint64()
			if i%2 == 0 {
				u = e + uint64(rng.Int64N(int64(8*width))) - 4*width
			}
			u &^= k - 1
			d, accept := bits.Sub64(u, e, 0)
			if d < width+expError {
				undecided++
				continue
			}
			for s := range byte(4) { // whatever the further bits are
				if got := g.acceptExactly(u, exponent, NewDRBG(Seed{s})); got != accept {
					t.Fatalf("variance %d, x %d, y %d, u %x: fast %d, exact %d", v, x, y, u, accept, got)
				}
			}
		}
	}
	if undecided == 0 {
		t.Error("no comparison was left undecided: the limit was not tested")
	}
}

// The exact comparison accepts with the right probability where the first bits
// leave it open.
func TestExactAcceptanceReadsFurtherBits(t *testing.T) {
	g := gaussian(t, 1<<52, 1)
	k := uint64(1) << g.log2k
	exponent := (k - 1) * (k - 1 + 4*k)
	p := expNeg(new(big.Int).Mul(new(big.Int).SetUint64(exponent), g.num), g.den)
	limit, _ := p.SetMantExp(p, 64).Uint64()
	u := limit &^ (k - 1)
	want := float64(limit-u) / float64(k)
	rng, n, accepted := NewDRBG(Seed{9}), 4000, 0.0
	for range n {
		accepted += float64(g.acceptExactly(u, exponent, rng))
	}
	// 5.4 standard deviations: a false alarm of 7e-8.
	if sd := math.Sqrt(want * (1 - want) / float64(n)); math.Abs(accepted/float64(n)-want) > 5.4*sd {
		t.Errorf("accepted %.4f, want %.4f", accepted/float64(n), want)
	}
	if want < 0.01 || want > 0.99 {
		t.Errorf("probability %.4f tests nothing", want)
	}
}

// A draw that 63 bits leave open is settled by the next 128 as one
// comparison of 191 bits would.
func TestLongerComparison(t *testing.T) {
	for _, tab := range []*table{&gaussian(t, 15, 1).table, &gaussian(t, 36_000_000, 1).table, &skellam(t, 1<<12, 1).table} {
		if !slices.IsSorted(tab.high) {
			t.Fatal("the table is not sorted")
		}
		full := make([]*big.Int, len(tab.high))
		for i := range full {
			full[i] = join(tab.high[i], tab.low[i][0], tab.low[i][1])
		}
		for i, h := range tab.scan {
			for s := range byte(3) {
				seed := Seed{s, byte(i), byte(i >> 8)}
				check := NewDRBG(seed)
				u := join(h, check.Uint64(), check.Uint64())
				want := uint64(0)
				for _, f := range full {
					if f.Cmp(u) <= 0 {
						want++
					}
				}
				four := [4]uint64{0, h, 1, h - 1}
				tab.draw4(&four, NewDRBG(seed))
				if four[1] != want {
					t.Fatalf("entry %d: got %d, want %d", i, four[1], want)
				}
				if i > 0 && tab.scan[i-1] < h-1 && four[3] != uint64(i) {
					t.Fatalf("below entry %d: got %d", i, four[3])
				}
			}
		}
	}
}

func join(words ...uint64) *big.Int {
	v := new(big.Int)
	for _, w := range words {
		v.Or(v.Lsh(v, 64), new(big.Int).SetUint64(w))
	}
	return v
}

func TestSearchIsScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, v := range []int64{1, 2, 3, 5, 17, 100, 1000, 1 << 16} {
		s := skellam(t, v, 1)
		for range 2000 {
			var a [4]uint64
			for i := range a {
				a[i] = rng.Uint64() >> (1 + rng.UintN(63))
				if rng.UintN(2) == 0 {
					a[i] = 1<<63 - 1 - a[i]
				}
				if rng.UintN(4) == 0 {
					a[i] = s.scan[rng.IntN(len(s.scan))] ^ 1
				}
			}
			b := a
			s.draw4(&a, NewDRBG(Seed{}))
			s.search4(&b, NewDRBG(Seed{}))
			if a != b {
				t.Fatalf("variance %d: scan gives %v, search %v", v, a, b)
			}
		}
	}
}

func TestFill(t *testing.T) {
	for name, s := range map[string]sampler{
		"narrow": gaussian(t, 2, 1), "wide": gaussian(t, 1<<40, 1),
		"scanned": skellam(t, 3, 1), "searched": skellam(t, 300, 1), "summed": skellam(t, 3<<20, 1),
	} {
		for _, n := range []int{0, 1, 3, 4, 255, 256, 257, 1001} {
			a, b := make([]int32, n+1), make([]int64, n+1)
			a[n], b[n] = 77, 77
			s.Fill32(a[:n], NewDRBG(Seed{7}))
			s.Fill64(b[:n], NewDRBG(Seed{7}))
			for i := range a {
				if int64(a[i]) != b[i] {
					t.Fatalf("%s, %d draws: number %d is %d in 32 bits, %d in 64", name, n, i, a[i], b[i])
				}
				if i < n && (b[i] > s.Bound() || b[i] < -s.Bound()) {
					t.Fatalf("%s: %d is beyond the bound %d", name, b[i], s.Bound())
				}
			}
			if a[n] != 77 {
				t.Fatalf("%s: wrote past %d", name, n)
			}
		}
		if s.Bound() > math.MaxInt32 {
			t.Errorf("%s: bound %d does not fit in 32 bits", name, s.Bound())
		}
		dst, rng := make([]int32, 1000), NewDRBG(Seed{1})
		if n := testing.AllocsPerRun(10, func() { s.Fill32(dst, rng) }); n != 0 {
			t.Errorf("%s: %g allocations a fill", name, n)
		}
	}
}

// The draws of a seed are part of every simulation's published figures, and a repeated attempt must
// repeat them on any platform.
func TestPinned(t *testing.T) {
	seed := Seed{1}.Derive("noise", 3)
	for _, c := range []struct {
		name string
		sampler
		want []int32
	}{
		{"gaussian 2", gaussian(t, 2, 1), []int32{-1, 2, 2, 0, 2}},
		{"gaussian 36e6", gaussian(t, 36_000_000, 1), []int32{8349, -2544, -1357, 2571, 3815}},
		{"skellam 65536", skellam(t, 1<<16, 1), []int32{-256, 393, 386, -87, 361}},
	} {
		got := make([]int32, len(c.want))
		c.Fill32(got, NewDRBG(seed))
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, d)
		}
	}
	other := Seed{1}.Derive("noise", 4)
	if other == seed || (Seed{1}).Derive("coins", 3) == seed || (Seed{2}).Derive("noise", 3) == seed {
		t.Error("another round, purpose or seed derives the same")
	}
}

func TestRefusals(t *testing.T) {
	for _, v := range []*big.Rat{new(big.Rat), big.NewRat(-1, 2), new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), 53))} {
		if _, err := NewGaussian(v); !errors.Is(err, ErrVariance) {
			t.Errorf("gaussian of variance %s: got %v, want ErrVariance", v, err)
		}
		if _, err := NewSkellam(v); !errors.Is(err, ErrVariance) {
			t.Errorf("skellam of variance %s: got %v, want ErrVariance", v, err)
		}
	}
	// Far below one unit nearly nothing is drawn, and nothing breaks.
	tiny := gaussian(t, 1, 1<<40)
	for _, x := range fill(tiny, 1, 1000) {
		if x != 0 {
			t.Errorf("variance 2^-40 drew %d", x)
		}
	}
}

// script is a stream of chosen words.
type script []uint64

func (s *script) XORKeyStream(dst, _ []byte) {
	for i := range dst {
		if i%8 == 0 && len(*s) > 0 {
			binary.LittleEndian.PutUint64(dst[i:], (*s)[0])
			*s = (*s)[1:]
		}
	}
}

// An attempt whose first bits leave the acceptance open is decided by further bits, and the bits
// that chose y are not among those that decide.
func TestAttemptAtTheLimit(t *testing.T) {
	for _, v := range []int64{20, 36_000_000, 1 << 52} {
		g := gaussian(t, v, 1)
		k := uint64(1) << g.log2k
		for _, y := range []uint64{1, k - 1} {
			const x = 1
			exponent := y * (y + x<<(g.log2k+1))
			p := expNeg(new(big.Int).Mul(new(big.Int).SetUint64(exponent), g.num), g.den)
			limit, _ := p.SetMantExp(p, 64).Uint64()
			for _, c := range []struct {
				name string
				u    uint64 // the uniform number, its lowest bits drawn later
				want int
			}{
				{"just below", limit - 1, 1}, {"just above", limit + 1, 0},
				{"below the margin", limit - 4*(k+expError), 1}, {"above the margin", limit + 4*(k+expError), 0},
			} {
				first := g.scan[x-1] + 1 // the least 63 bits that give x
				words := script{}
				for range 4 {
					words = append(words, first<<1)
				}
				for range 4 {
					words = append(words, c.u&^(k-1)|y)
				}
				for range 4 * 4 {
					words = append(words, c.u&(k-1))
				}
				var out [candidates]int32
				n := attempt(g, &out, 4, &DRBG{stream: &words})
				if n != 4*c.want {
					t.Errorf("variance %d, y %d, %s: %d of 4 attempts accepted, want %d", v, y, c.name, n, 4*c.want)
				}
				for _, z := range out[:n] {
					if want := int32(x*k + y); z != want {
						t.Errorf("variance %d: drew %d, want %d", v, z, want)
					}
				}
			}
		}
	}
}
