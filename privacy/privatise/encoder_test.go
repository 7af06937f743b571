package privatise

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/privacy/noise"
)

// silent is a sampler without noise, to see what is beneath it.
type silent struct{}

func (silent) Fill32(dst []int32, _ *noise.DRBG) { clear(dst) }
func (silent) Bound() int64                      { return 0 }

func encoder(t testing.TB, d int, grid int64, s Sampler) *Encoder {
	t.Helper()
	e, err := NewEncoder(NewRotation(d, [32]byte{9}), grid, s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func square(v []int32) (s int64) {
	for _, x := range v {
		s += int64(x) * int64(x)
	}
	return s
}

var nasty = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, 0.5, 1e-45, -1e-40, 1e-20, 1e20, math.MaxFloat32, -math.MaxFloat32,
	float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 0.1, 3,
}

// The integer norm of whatever comes is within the bound, and the clamp holds.
func TestUpdateNeverExceedsItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]int{1, 2, 3, 64, 200, 4097}).Draw(t, "d")
		grid := rapid.SampledFrom([]int64{1, 2, 16, 1 << 10, 1 << 14, MaxGrid}).Draw(t, "grid")
		clip := rapid.SampledFrom([]float64{1e-30, 1e-10, 0.1, 1, 1e10, 1e30}).Draw(t, "clip")
		clamp := rapid.SampledFrom([]int32{1, 5, 1000, MaxClamp}).Draw(t, "clamp")
		var v []float32
		if rapid.Bool().Draw(t, "nasty") {
			v = rapid.SliceOfN(rapid.SampledFrom(nasty), d, d).Draw(t, "v")
		} else {
			// On the sphere, where rounding is likeliest to step over it.
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			v = make([]float32, d)
			for i := range v {
				v[i] = float32(rng.NormFloat64() * clip / math.Sqrt(float64(d)) * 1.5)
			}
		}
		e, err := NewEncoder(NewRotation(d, [32]byte{9}), grid, silent{})
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]int32, Padded(d))
		before := fmt.Sprint(v)
		out, err := e.Update(dst, v, clip, clamp, noise.NewDRBG(noise.Seed{1}))
		if err != nil {
			t.Fatal(err)
		}
		if before != fmt.Sprint(v) {
			t.Fatal("the update was changed")
		}
		if s := square(dst); s > NormBound(grid, len(dst)) {
			t.Fatalf("square of the norm %d, want at most %d", s, NormBound(grid, len(dst)))
		}
		finite := true
		for _, x := range v {
			finite = finite && !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0)
		}
		if out.Zeroed == finite || out.Zeroed && square(dst) != 0 {
			t.Fatalf("finite %v: %+v, square %d", finite, out, square(dst))
		}
		for _, x := range dst {
			if x > clamp || x < -clamp {
				t.Fatalf("%d is beyond the clamp %d", x, clamp)
			}
		}
	})
}

// A rounding above the bound is repeated; if none is below it, the vector is cut.
func TestRoundingIsRepeated(t *testing.T) {
	e := encoder(t, 1000, 64, silent{})
	v := make([]float32, 1000)
	for i := range v {
		v[i] = 1
	}
	dst := make([]int32, Padded(1000))
	// The median of the square of the norm: about every second rounding passes.
	e.bound = 64*64 + 1024/6
	tries := 0
	for s := range byte(40) {
		out, err := e.Update(dst, v, 1, MaxClamp, noise.NewDRBG(noise.Seed{s}))
		if err != nil {
			t.Fatal(err)
		}
		tries += out.Tries
		if square(dst) > e.bound {
			t.Fatalf("square %d above %d", square(dst), e.bound)
		}
	}
	if tries <= 45 || tries > 400 {
		t.Errorf("%d roundings of 40 vectors", tries)
	}
	e.bound = 0
	out, err := e.Update(dst, v, 1, MaxClamp, noise.NewDRBG(noise.Seed{}))
	if err != nil || out.Tries != maxTries+1 || square(dst) > 64*64 || square(dst) == 0 {
		t.Errorf("%+v, %v, square %d: want a vector rounded towards zero", out, err, square(dst))
	}
}

// The mean of many roundings is the value: no coordinate is off by more than a
// false alarm of 1e-5 over all of them allows.
func TestRoundingIsUnbiased(t *testing.T) {
	const n, d = 20000, 64
	e := encoder(t, d, 8, silent{})
	rng := rand.New(rand.NewPCG(4, 4))
	v, sum := make([]float32, d), make([]float64, d)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	dst := make([]int32, d)
	stream := noise.NewDRBG(noise.Seed{3})
	// Conditioning on the norm would bias towards zero a little; it hardly ever happens.
	e.bound = math.MaxInt64
	for range n {
		if _, err := e.Update(dst, v, 2, MaxClamp, stream); err != nil {
			t.Fatal(err)
		}
		for i, x := range dst {
			sum[i] += float64(x)
		}
	}
	for i, y := range e.rotated {
		// A rounding has variance f(1-f) <= 1/4; 5.3 standard deviations.
		if off := math.Abs(sum[i]/n - y); off > 5.3*0.5/math.Sqrt(n) {
			t.Errorf("field %d: mean %.4f of roundings of %.4f", i, sum[i]/n, y)
		}
	}
}

// Two sums that differ in one clipped gradient are at most the charged distance apart once encoded, for equal coins.
func TestSumSensitivity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]int{1, 3, 64, 500, 5000}).Draw(t, "d")
		grid := rapid.SampledFrom([]int64{1, 16, 1 << 14}).Draw(t, "grid")
		clip := rapid.SampledFrom([]float64{1e-10, 0.1, 7}).Draw(t, "clip")
		clamp := rapid.SampledFrom([]int32{1, 100, MaxClamp}).Draw(t, "clamp")
		records := rapid.IntRange(1, 30).Draw(t, "records")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		with, without := make([]float64, d), make([]float64, d)
		for r := range records {
			g := make([]float64, d)
			for i := range g {
				g[i] = rng.NormFloat64()
				if r%2 == 1 && i > 0 { // one coordinate has it all
					g[i] = 0
				}
			}
			f := clip / norm(g)
			for i := range g {
				with[i] += g[i] * f
				if r != records/2 {
					without[i] += g[i] * f
				}
			}
		}
		e, err := NewEncoder(NewRotation(d, [32]byte{byte(d)}), grid, silent{})
		if err != nil {
			t.Fatal(err)
		}
		a, b := make([]int32, Padded(d)), make([]int32, Padded(d))
		left, right := noise.NewDRBG(noise.Seed{1}), noise.NewDRBG(noise.Seed{1})
		if err := errors.Join(e.Sum(a, with, clip, clamp, left), e.Sum(b, without, clip, clamp, right)); err != nil {
			t.Fatal(err)
		}
		var distance float64
		for i := range a {
			if a[i] > clamp || a[i] < -clamp {
				t.Fatalf("%d is beyond the clamp %d", a[i], clamp)
			}
			x := float64(a[i] - b[i])
			distance += x * x
		}
		if distance = math.Sqrt(distance); distance > SumSensitivity(grid, len(a), records, 1) {
			t.Fatalf("distance %.4f, charged %.4f", distance, SumSensitivity(grid, len(a), records, 1))
		}
		if left.Uint64() != right.Uint64() {
			t.Fatal("how much is drawn depends on the data")
		}
	})
}

// Summed roundings of records have the norm bound each, and Finish clamps.
func TestRecords(t *testing.T) {
	const d, grid = 700, 128
	e := encoder(t, d, grid, silent{})
	fields := Padded(d)
	sum, scratch, last := make([]int64, fields), make([]int32, fields), make([]int64, fields)
	stream, rng := noise.NewDRBG(noise.Seed{1}), rand.New(rand.NewPCG(1, 8))
	for r := range 20 {
		g := make([]float32, d)
		for i := range g {
			g[i] = float32(rng.NormFloat64())
		}
		if r == 5 {
			g[3] = float32(math.NaN())
		}
		out, err := e.Record(sum, scratch, g, 0.5, stream)
		if err != nil {
			t.Fatal(err)
		}
		change := int64(0)
		for i, v := range sum {
			change += (v - last[i]) * (v - last[i])
		}
		copy(last, sum)
		if change > NormBound(grid, fields) || out.Zeroed != (r == 5) || out.Zeroed && change != 0 {
			t.Fatalf("record %d moved the sum by a square of %d, %+v", r, change, out)
		}
	}
	dst := make([]int32, fields)
	if err := e.Finish(dst, sum, 9, stream); err != nil {
		t.Fatal(err)
	}
	cut := 0
	for i, v := range dst {
		if v > 9 || v < -9 || int64(v) != sum[i] && v != 9 && v != -9 {
			t.Fatalf("field %d: %d from %d", i, v, sum[i])
		}
		if int64(v) != sum[i] {
			cut++
		}
	}
	if cut == 0 {
		t.Error("nothing was clamped: the test does not test it")
	}
}

// Ten owners' sums, added and decoded, are the gradient, to within the rounding of ten owners.
func TestSumRoundTrip(t *testing.T) {
	const d, owners, grid, clip, divisor = 5000, 10, 1 << 14, 0.1, 1024.0
	rotation := NewRotation(d, [32]byte{5})
	rng := rand.New(rand.NewPCG(7, 7))
	want, opened := make([]float64, d), make([]int64, rotation.Fields())
	for o := range owners {
		e, err := NewEncoder(rotation, grid, silent{})
		if err != nil {
			t.Fatal(err)
		}
		sum := make([]float64, d)
		for i := range sum {
			sum[i] = rng.NormFloat64() * 0.01
			want[i] += sum[i] / divisor
		}
		dst := make([]int32, rotation.Fields())
		if err := e.Sum(dst, sum, clip, MaxClamp, noise.NewDRBG(noise.Seed{byte(o)})); err != nil {
			t.Fatal(err)
		}
		for i, v := range dst {
			opened[i] += int64(v)
		}
	}
	dec, err := NewDecoder(rotation, grid)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, d)
	if err := dec.Decode(got, opened, clip, divisor); err != nil {
		t.Fatal(err)
	}
	// A field errs by less than sqrt(owners)/2 units in standard deviation; so does a coordinate.
	limit := 6 * math.Sqrt(owners) / 2 * clip / grid / divisor
	for i := range got {
		if math.Abs(got[i]-want[i]) > limit {
			t.Fatalf("coordinate %d is %g, want %g", i, got[i], want[i])
		}
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if dec.Decode(got, opened, clip, bad) == nil || dec.Decode(got, opened, bad, divisor) == nil {
			t.Errorf("%g passes as a divisor or clip norm", bad)
		}
	}
}

func TestEncoderRefuses(t *testing.T) {
	e := encoder(t, 10, 16, silent{})
	rng := noise.NewDRBG(noise.Seed{})
	dst, v, sum := make([]int32, 16), make([]float32, 10), make([]float64, 10)
	for name, f := range map[string]func() error{
		"short destination": func() error { return e.Sum(dst[:15], sum, 1, 1, rng) },
		"long update":       func() error { _, err := e.Update(dst, make([]float32, 11), 1, 1, rng); return err },
		"short sum":         func() error { return e.Finish(dst, make([]int64, 15), 1, rng) },
		"short scratch":     func() error { _, err := e.Record(make([]int64, 16), dst[:4], v, 1, rng); return err },
	} {
		if err := f(); !errors.Is(err, ErrLength) {
			t.Errorf("%s: got %v, want ErrLength", name, err)
		}
	}
	for name, f := range map[string]func() error{
		"clip zero":     func() error { return e.Sum(dst, sum, 0, 1, rng) },
		"clip NaN":      func() error { return e.Sum(dst, sum, math.NaN(), 1, rng) },
		"clamp zero":    func() error { return e.Sum(dst, sum, 1, 0, rng) },
		"clamp huge":    func() error { return e.Sum(dst, sum, 1, MaxClamp+1, rng) },
		"grid zero":     func() error { _, err := NewEncoder(NewRotation(1, [32]byte{}), 0, silent{}); return err },
		"decoder grid":  func() error { _, err := NewDecoder(NewRotation(1, [32]byte{}), MaxGrid+1); return err },
		"noise too big": func() error { _, err := NewEncoder(NewRotation(1, [32]byte{}), 1, loud{}); return err },
	} {
		if f() == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		sum[3] = x
		if err := e.Sum(dst, sum, 1, 1, rng); !errors.Is(err, ErrNotFinite) {
			t.Errorf("sum with %g: got %v, want ErrNotFinite", x, err)
		}
	}
}

type loud struct{ silent }

func (loud) Bound() int64 { return math.MaxInt32 }

func share(t testing.TB, variance int64) Sampler {
	t.Helper()
	g, err := noise.NewGaussian(big.NewRat(variance, 1))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Without allocation, and the same integers for the same stream.
func TestSteadyState(t *testing.T) {
	const d = 10000
	e := encoder(t, d, 1<<14, share(t, 1<<24))
	dst, v, sum := make([]int32, Padded(d)), make([]float32, d), make([]float64, d)
	stream := noise.NewDRBG(noise.Seed{1})
	if n := testing.AllocsPerRun(5, func() {
		if _, err := e.Update(dst, v, 1, 1000, stream); err != nil {
			t.Fatal(err)
		}
		if err := e.Sum(dst, sum, 1, 1000, stream); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
	again := make([]int32, len(dst))
	if err := errors.Join(e.Sum(dst, sum, 1, 1000, noise.NewDRBG(noise.Seed{2})), e.Sum(again, sum, 1, 1000, noise.NewDRBG(noise.Seed{2}))); err != nil {
		t.Fatal(err)
	}
	differ := false
	for i := range dst {
		if dst[i] != again[i] {
			t.Fatal("a repeated attempt differs")
		}
		differ = differ || dst[i] != 0
	}
	if !differ {
		t.Error("no noise in a sum of zeros")
	}
}

// clip + rotate + round + noise of one client's update, on one core.
func BenchmarkPrivatise(b *testing.B) {
	for _, d := range []int{26010, 545098} {
		v := make([]float32, d)
		rng := rand.New(rand.NewPCG(1, 2))
		sum := make([]float64, d)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
			sum[i] = rng.NormFloat64() * 1e-3
		}
		e := encoder(b, d, 1<<17, share(b, 36_000_000))
		dst := make([]int32, Padded(d))
		stream := noise.NewDRBG(noise.Seed{1})
		b.Run(fmt.Sprintf("d=%d", d), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Update(dst, v, 1, MaxClamp, stream); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("sum/d=%d", d), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Sum(dst, sum, 1, MaxClamp, stream); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRotate(b *testing.B) {
	const d = 545098
	r := NewRotation(d, [32]byte{})
	v, dst := make([]float32, d), make([]float64, Padded(d))
	for b.Loop() {
		forward(r, dst, v, 1)
	}
}

// Every field of a sum of zeros has noise of its own: block by block the variance is right, and blocks are
// not alike. 5.3 standard deviations each.
func TestEveryFieldHasNoise(t *testing.T) {
	const blocks, variance = 6, 1 << 20
	d := blocks * Block
	e := encoder(t, d, 1<<14, share(t, variance))
	dst, sum := make([]int32, d), make([]int64, d)
	var stream *noise.DRBG
	for name, f := range map[string]func() error{
		"sum":    func() error { return e.Sum(dst, make([]float64, d), 1, 1000, stream) },
		"update": func() error { _, err := e.Update(dst, make([]float32, d), 1, 1000, stream); return err },
		"finish": func() error { return e.Finish(dst, sum, 1000, stream) },
		"bits": func() error {
			for i := range dst {
				dst[i] = e.Bit(Outcome{Zeroed: true}, 1, stream)
			}
			return nil
		},
	} {
		stream = noise.NewDRBG(noise.Seed{4})
		if err := f(); err != nil {
			t.Fatal(err)
		}
		for b := range blocks {
			this, other := dst[b*Block:(b+1)*Block], dst[(b+1)%blocks*Block:]
			var square, product float64
			for i, v := range this {
				square += float64(v) * float64(v) / variance
				product += float64(v) * float64(other[i]) / variance
			}
			if z := (square/Block - 1) * math.Sqrt(Block/2); math.Abs(z) > 5.3 {
				t.Errorf("%s, block %d: variance is off by %.1f standard deviations", name, b, z)
			}
			if z := product / math.Sqrt(Block); math.Abs(z) > 5.3 {
				t.Errorf("%s, block %d: correlation with the next is %.1f standard deviations", name, b, z)
			}
		}
	}
	// The bit itself is beneath the noise.
	quiet := encoder(t, 4, 16, silent{})
	if a, b := quiet.Bit(Outcome{}, 7, stream), quiet.Bit(Outcome{Clipped: true}, 7, stream); a != 7 || b != -7 {
		t.Errorf("bits %d and %d, want 7 and -7", a, b)
	}
}
