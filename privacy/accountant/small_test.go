package accountant

import (
	"math"
	"testing"
)

// A divergence far below the precision of 1 keeps its digits: rounded to 0, it would be a guarantee that nobody has.
func TestDivergenceOfNextToNothing(t *testing.T) {
	for eps := 1e-3; eps > 1e-150; eps /= 7 {
		for _, a := range []float64{1, 1.1, 2, 3.5, 64} {
			// All losses lie within eps of 0, and their variance is eps squared, or as much as is said.
			k := 3.0
			rr := RandomizedResponse{P: 1 / (1 + eps/k), K: int64(k)} // keeps eps/(k+eps)
			keep := eps / k / (1 + eps/k)
			for name, c := range map[string]struct{ got, variance float64 }{
				"pure":                {pureRDP(eps, a), eps * eps},
				"laplace":             {laplaceRDP(eps, a), eps * eps},
				"exponential":         {Exponential{eps}.curve(a), eps * eps / 4},
				"randomised response": {rr.curve(ZeroOut, a), keep * keep * (k - 1)},
			} {
				if name == "randomised response" && eps < 1e-9 {
					continue // 1-P has too few digits
				}
				want := a * c.variance / 2
				if off := math.Abs(c.got/want - 1); off > 3*a*eps+1e-6 {
					t.Errorf("%s, epsilon %v, order %v: %v, want about %v", name, eps, a, c.got, want)
				}
			}
		}
	}
}

// Where the formulas change hands, both are exact.
func TestDivergenceIsContinuous(t *testing.T) {
	for _, a := range []float64{1.1, 2, 3.5, 64} {
		below, above := math.Nextafter(1/a, 0), math.Nextafter(1/a, 2)
		for name, f := range map[string]func(eps, a float64) float64{"pure": pureRDP, "laplace": laplaceRDP} {
			if x, y := f(below, a), f(above, a); math.Abs(x/y-1) > 1e-12 {
				t.Errorf("%s, order %v: %v below, %v above", name, a, x, y)
			}
		}
	}
}
