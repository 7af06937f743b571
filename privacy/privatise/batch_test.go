package privatise

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/sotto-fl/sotto/privacy/noise"
)

// Every record enters with probability q, independently of its neighbour. Fixed seeds; a false alarm of a fresh
// one would have probability below 1e-6.
func TestDrawBatchIsPoisson(t *testing.T) {
	const n, rounds, q = 1000, 4000, 0.1
	counts, pairs, total := make([]float64, n), 0.0, 0.0
	var sizes float64
	var batch []int32
	for round := range rounds {
		var err error
		if batch, err = DrawBatch(batch[:0], n, q, n, noise.Seed{1}, round); err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(batch) {
			t.Fatal("not ascending")
		}
		for i, r := range batch {
			counts[r]++
			if i > 0 && batch[i-1] == r-1 {
				pairs++
			}
		}
		size := float64(len(batch))
		total += size
		sizes += (size - n*q) * (size - n*q)
	}
	statistic := 0.0
	for _, c := range counts {
		statistic += (c - rounds*q) * (c - rounds*q) / (rounds * q * (1 - q))
	}
	chi := distuv.ChiSquared{K: n}
	if p := chi.Survival(statistic); p < 1e-7 || p > 1-1e-7 {
		t.Errorf("rates of the records: chi-square %.1f, p = %.2g", statistic, p)
	}
	// 5.3 standard deviations each.
	if z := (total - n*rounds*q) / math.Sqrt(n*rounds*q*(1-q)); math.Abs(z) > 5.3 {
		t.Errorf("mean size is off by %.2f standard deviations", z)
	}
	// A shuffle would have no variance here.
	if v := sizes / rounds / (n * q * (1 - q)); math.Abs(v-1) > 5.3*math.Sqrt(2.0/rounds) {
		t.Errorf("variance of the size is %.3f of binomial", v)
	}
	if z := (pairs - (n-1)*rounds*q*q) / math.Sqrt(n*rounds*q*q*(1-q*q)*1.3); math.Abs(z) > 5.3 {
		t.Errorf("neighbours together: off by %.2f standard deviations", z)
	}
}

func TestDrawBatch(t *testing.T) {
	draw := func(n int, q float64, limit int, seed byte, round int) []int32 {
		t.Helper()
		b, err := DrawBatch([]int32{-7}, n, q, limit, noise.Seed{seed}, round)
		if err != nil || b[0] != -7 {
			t.Fatal(b, err)
		}
		return b[1:]
	}
	a := draw(5000, 0.02, 5000, 1, 3)
	if !slices.Equal(a, draw(5000, 0.02, 5000, 1, 3)) {
		t.Error("a repeated attempt draws another batch")
	}
	if slices.Equal(a, draw(5000, 0.02, 5000, 1, 4)) || slices.Equal(a, draw(5000, 0.02, 5000, 2, 3)) {
		t.Error("another round or seed draws the same batch")
	}
	if got := draw(5000, 0.02, 10, 1, 3); !slices.Equal(got, a[:10]) {
		t.Errorf("a cap of 10 leaves %v", got)
	}
	if got := draw(700, 1, 700, 1, 1); len(got) != 700 || got[699] != 699 {
		t.Errorf("rate 1 drew %d of 700", len(got))
	}
	if got := draw(0, 0.5, 1, 1, 1); len(got) != 0 {
		t.Errorf("drew %v of nothing", got)
	}
	if got := draw(1000, 1e-300, 1, 1, 1); len(got) != 0 {
		t.Errorf("drew %v at rate 1e-300", got)
	}
	if got := draw(1000, math.Nextafter(1, 0), 1000, 1, 1); len(got) != 1000 {
		t.Errorf("drew %d of 1000 at a rate just below 1", len(got))
	}
	for _, c := range []struct {
		n     int
		q     float64
		limit int
	}{{-1, 0.5, 1}, {1, 0, 1}, {1, -1, 1}, {1, 1.1, 1}, {1, math.NaN(), 1}, {1, 0.5, 0}} {
		if _, err := DrawBatch(nil, c.n, c.q, c.limit, noise.Seed{}, 0); err == nil {
			t.Errorf("%+v is not refused", c)
		}
	}
}

// With norms spread evenly over [0, 10] the clip norm settles at the quantile.
func TestNextClip(t *testing.T) {
	const height, cohort = 100, 50
	clip := 0.01
	for range 300 {
		opened := int64(0)
		for i := range cohort {
			o := Outcome{Norm: float64(i) / 5}
			o.Clipped = o.Norm > clip
			opened += int64(o.ClipBit(height))
		}
		var err error
		if clip, err = NextClip(clip, opened, height, cohort, 0.7, 0.2); err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(clip-7) > 0.3 {
		t.Errorf("clip norm settles at %.2f, want 7", clip)
	}
	if b := (Outcome{Zeroed: true, Clipped: true}).ClipBit(5); b != 0 {
		t.Errorf("a vector left out says %d", b)
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(-1)} {
		if _, err := NextClip(bad, 0, 1, 1, 0.5, 0.2); err == nil {
			t.Errorf("clip norm %g is not refused", bad)
		}
		if _, err := NextClip(1, 0, 1, bad, 0.5, 0.2); err == nil {
			t.Errorf("cohort %g is not refused", bad)
		}
	}
	// Noise of any size moves it by one step at most, and never out of range.
	for _, opened := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
		if c, err := NextClip(1, opened, 1, 1, 0.5, 1); err != nil || c < math.Exp(-1) || c > math.E {
			t.Errorf("opened %d: %g, %v", opened, c, err)
		}
	}
}
