package aggregation

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/seed"
)

func TestValidateNamesEveryField(t *testing.T) {
	for _, c := range []Codec{{}, {Bits: 25, Range: math.NaN()}, {Bits: 1, Range: -1}, {Bits: 64, Range: math.Inf(1)}} {
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), "bits") || !strings.Contains(err.Error(), "range") {
			t.Errorf("%+v: got %v, want both fields named", c, err)
		}
	}
	if err := (Codec{Bits: 20, Range: 0.5}).Validate(); err != nil {
		t.Error(err)
	}
}

// Values on the grid are exact whatever the draws, both ends saturate, and only
// what lies beyond the range is counted.
func TestQuantizeGridAndSaturation(t *testing.T) {
	c := Codec{Bits: 4, Range: 7} // step 1
	src := []float32{0, 1, -1, 7, -7, 7.01, -7.01, math.MaxFloat32, -math.MaxFloat32, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32 * 0}
	want := []int32{0, 1, -1, 7, -7, 7, -7, 7, -7, 0, 0}
	got := make([]int32, len(src))
	for i := range 50 {
		clamped, err := c.Quantize(got, src, 1, seed.New(uint64(i), "quantize", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || clamped != 4 {
			t.Fatalf("clamped %d, want 4; values (-want +got):\n%s", clamped, diff)
		}
	}
}

func TestQuantizeRefusesBeforeWriting(t *testing.T) {
	c := Codec{Bits: 20, Range: 1}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, test := range map[string]struct {
		src    []float32
		weight float64
		want   error
	}{
		"nan":         {[]float32{1, 2, nan}, 1, ErrNotFinite},
		"inf":         {[]float32{inf, 2, 3}, 1, ErrNotFinite},
		"minus inf":   {[]float32{1, -inf, 3}, 1, ErrNotFinite},
		"nan weight":  {[]float32{1, 2, 3}, math.NaN(), ErrNotFinite},
		"inf weight":  {[]float32{1, 2, 3}, math.Inf(-1), ErrNotFinite},
		"huge weight": {[]float32{1, 2, 3}, math.MaxFloat64, ErrNotFinite},
		"length":      {[]float32{1, 2}, 1, ErrLength},
	} {
		dst := []int32{41, 42, 43}
		rng, fresh := seed.New(1, "quantize", 0, ""), seed.New(1, "quantize", 0, "")
		if _, err := c.Quantize(dst, test.src, test.weight, rng); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if diff := cmp.Diff([]int32{41, 42, 43}, dst); diff != "" {
			t.Errorf("%s: refused but wrote:\n%s", name, diff)
		}
		if rng.Uint64() != fresh.Uint64() {
			t.Errorf("%s: refused but drew", name)
		}
	}
	// In a long update the last block is as well guarded as the first.
	long := make([]float32, 5000)
	for _, i := range []int{0, 1023, 1024, 4999} {
		long[i] = inf
		if _, err := c.Quantize(make([]int32, len(long)), long, 1, seed.New(1, "quantize", 0, "")); !errors.Is(err, ErrNotFinite) {
			t.Errorf("infinity at %d: got %v", i, err)
		}
		long[i] = 0
	}
}

// The mean of n roundings of y has standard deviation sqrt(f(1-f)/n) <=
// 0.5/sqrt(n) steps; the tolerance of five of these bounds has a false-alarm
// rate under 6e-7 a value, 7e-6 for the twelve. The draws are seeded anyway.
func TestQuantizeIsUnbiased(t *testing.T) {
	c := Codec{Bits: 10, Range: 511} // step 1
	const n = 100_000
	rng := seed.New(3, "quantize", 0, "")
	for _, y := range []float32{0.5, -0.5, 0.001, -0.001, 0.999, -0.999, 3.25, -3.25, 510.7, -510.7, 0.1, -0.1} {
		src, dst := make([]float32, n), make([]int32, n)
		for i := range src {
			src[i] = y / 2
		}
		if _, err := c.Quantize(dst, src, 2, rng); err != nil {
			t.Fatal(err)
		}
		var sum, odd, even float64
		for i, v := range dst {
			if d := float64(v) - float64(y); math.Abs(d) >= 1 {
				t.Fatalf("%g rounded to %d", y, v)
			}
			sum += float64(v)
			if i%2 == 0 {
				even += float64(v)
			} else {
				odd += float64(v)
			}
		}
		bound := 5 * 0.5 / math.Sqrt(n)
		if d := sum/n - float64(y); math.Abs(d) > bound {
			t.Errorf("mean rounding of %g is off by %g, want at most %g", y, d, bound)
		}
		// Both halves of a draw serve a coordinate each.
		if d := 2 * (odd - even) / n; math.Abs(d) > 2*math.Sqrt2*bound {
			t.Errorf("odd and even coordinates of %g differ by %g", y, d)
		}
	}
}

func nastyFloat() *rapid.Generator[float32] {
	return rapid.OneOf(
		rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
			math.MaxFloat32, -math.MaxFloat32, 1, -1, 1e-20}),
		rapid.Float32Range(-2, 2),
	)
}

func TestQuantizeStaysWithinOneStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Codec{Bits: rapid.IntRange(MinBits, MaxBits).Draw(t, "bits"), Range: rapid.Float64Range(1e-6, 1e6).Draw(t, "range")}
		src := rapid.SliceOf(nastyFloat()).Draw(t, "src")
		weight := rapid.Float64Range(0, 1e3).Draw(t, "weight")
		root := rapid.Uint64().Draw(t, "seed")
		dst, again := make([]int32, len(src)), make([]int32, len(src))
		clamped, err := c.Quantize(dst, src, weight, seed.New(root, "quantize", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Quantize(again, src, weight, seed.New(root, "quantize", 0, "")); err != nil || !cmp.Equal(dst, again) {
			t.Fatal("the same stream gave another result")
		}
		beyond := 0
		for i, v := range dst {
			y := float64(src[i]) * (weight / c.Step())
			if math.Abs(y) > float64(c.Max()) {
				beyond++
				y = math.Copysign(float64(c.Max()), y)
			}
			if math.Abs(float64(v)-y) >= 1 {
				t.Fatalf("value %d is %d for %g", i, v, y)
			}
			if v > c.Max() || v < -c.Max() {
				t.Fatalf("value %d leaves the range ±%d", v, c.Max())
			}
		}
		if clamped != beyond {
			t.Fatalf("clamped %d, want %d", clamped, beyond)
		}
	})
}

func TestDequantize(t *testing.T) {
	c := Codec{Bits: 4, Range: 3.5} // step 0.5
	got := make([]float64, 3)
	if err := c.Dequantize(got, []int64{0, 6, -14}, 4); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{0, 0.75, -1.75}, got); diff != "" {
		t.Error(diff)
	}
	for _, divisor := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if err := c.Dequantize(got, []int64{1, 2, 3}, divisor); err == nil {
			t.Errorf("divisor %g was accepted", divisor)
		}
	}
	if err := c.Dequantize(got, []int64{1}, 1); !errors.Is(err, ErrLength) {
		t.Errorf("got %v, want ErrLength", err)
	}
}

func TestSumBitsHoldsTheLargestSum(t *testing.T) {
	for b := MinBits; b <= MaxBits; b++ {
		c := Codec{Bits: b, Range: 1}
		for _, n := range []int64{1, 2, 3, 10, 100, 10_000, 1 << 31} {
			largest, width := n*int64(c.Max()), c.SumBits(int(n))
			if largest >= 1<<(width-1) || width > 1+b && largest < 1<<(width-2) {
				t.Errorf("%d values of %d bits: width %d does not fit %d tightly", n, b, width, largest)
			}
		}
	}
	if got := (Codec{Bits: 24, Range: 1}).SumBits(1 << 31); got != 55 {
		t.Errorf("2^31 values of 24 bits need %d bits, want 55", got)
	}
}

func BenchmarkQuantize(b *testing.B) {
	const d = 545_098
	src, dst := benchmarkUpdate(d), make([]int32, d)
	c, rng := Codec{Bits: 20, Range: 1}, seed.New(1, "quantize", 0, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Quantize(dst, src, 1, rng); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/d, "ns/value")
}

func benchmarkUpdate(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	src := make([]float32, n)
	for i := range src {
		src[i] = float32(rng.NormFloat64() * 0.01)
	}
	return src
}
