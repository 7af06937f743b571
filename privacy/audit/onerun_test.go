package audit

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Values computed with scipy from the formula of arXiv:2305.08846, printed to four decimals or fewer.
func TestLowerBoundGolden(t *testing.T) {
	for _, c := range []struct {
		g           Guesses
		delta, want float64
		tolerance   float64
	}{
		{Guesses{1000, 100, 95}, 0, 2.1724, 5e-5},
		{Guesses{1000, 100, 95}, 1e-5, 2.1652, 5e-5},
		{Guesses{1000, 1000, 600}, 0, 0.2975, 5e-5},
		{Guesses{5000, 200, 200}, 1e-5, 4.0555, 5e-5},
		{Guesses{1000, 500, 400}, 1e-6, 1.1986, 5e-5},
		{Guesses{100, 100, 100}, 0, 3.493, 5e-4},
		{Guesses{1000, 100, 50}, 0, 0, 0},
		{Guesses{1000, 0, 0}, 0, 0, 0},
	} {
		got, err := LowerBound(c.g, c.delta, 0.95)
		if err != nil || math.Abs(got-c.want) > c.tolerance {
			t.Errorf("%+v at delta %g: %.5f, %v, want %g", c.g, c.delta, got, err, c.want)
		}
	}
}

// All right of r: 0.05 = q^r in closed form.
func TestLowerBoundOfPerfectGuesses(t *testing.T) {
	for _, r := range []int{5, 50, 2000} {
		q := math.Pow(0.05, 1/float64(r))
		got, err := LowerBound(Guesses{r, r, r}, 0, 0.95)
		if want := math.Log(q / (1 - q)); err != nil || math.Abs(got-want) > 1e-9*want {
			t.Errorf("%d of %d: %g, %v, want %g", r, r, got, err, want)
		}
	}
}

func TestLowerBoundIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.IntRange(1, 400).Draw(t, "canaries")
		r := rapid.IntRange(1, m).Draw(t, "guesses")
		v := rapid.IntRange(1, r).Draw(t, "right")
		delta := rapid.SampledFrom([]float64{0, 1e-9, 1e-5, 1e-3, 0.5}).Draw(t, "delta")
		bound := func(g Guesses, delta, confidence float64) float64 {
			e, err := LowerBound(g, delta, confidence)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		e := bound(Guesses{m, r, v}, delta, 0.95)
		if less := bound(Guesses{m, r, v - 1}, delta, 0.95); less > e+1e-9 {
			t.Fatalf("%g with one right guess less, %g", less, e)
		}
		if more := bound(Guesses{m, r, v}, delta, 0.99); more > e+1e-9 {
			t.Fatalf("%g at more confidence, %g", more, e)
		}
		if pure := bound(Guesses{m, r, v}, 0, 0.95); pure < e-1e-9 {
			t.Fatalf("%g at delta 0, %g at %g", pure, e, delta)
		}
	})
}

func TestLowerBoundRefuses(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		g                 Guesses
		delta, confidence float64
	}{
		{Guesses{10, 11, 5}, 0, 0.95}, {Guesses{10, 5, 6}, 0, 0.95}, {Guesses{10, 5, -1}, 0, 0.95},
		{Guesses{10, 5, 5}, -1, 0.95}, {Guesses{10, 5, 5}, nan, 0.95}, {Guesses{10, 5, 5}, 1, 0.95},
		{Guesses{10, 5, 5}, 0, 0}, {Guesses{10, 5, 5}, 0, 1}, {Guesses{10, 5, 5}, 0, nan}, {Guesses{1 << 25, 5, 5}, 0, 0.95},
	} {
		if e, err := LowerBound(c.g, c.delta, c.confidence); err == nil {
			t.Errorf("%+v: %g, want an error", c, e)
		}
	}
}
