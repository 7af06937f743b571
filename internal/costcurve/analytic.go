package costcurve

import "math"

// XLogX is C(x) = A + B x ln(1+x), A and B not negative: the convex family of
// Pilla, "Scheduling Algorithms for Federated Learning with Minimal Energy
// Consumption", 2023, doi:10.1109/TPDS.2023.3240833.
type XLogX struct{ A, B float64 }

// At returns C(x), x >= 0.
func (c XLogX) At(x int64) float64 { return c.A + c.B*float64(x)*math.Log1p(float64(x)) }

// Marginal returns C(x+1) - C(x), written so that nothing cancels.
func (c XLogX) Marginal(x int64) float64 {
	n := float64(x)
	return c.B * (math.Log(n+2) + n*math.Log1p(1/(n+1)))
}

// Fill returns the largest x in [lo, hi] with Marginal(x-1) <= lambda, lo if none.
// The price is inverted in closed form to within a task or so, then checked with
// Marginal itself.
func (c XLogX) Fill(lambda float64, lo, hi int64) int64 {
	if lo >= hi {
		return lo
	}
	// Marginal(n) is near B (1 + ln(n + 3/2) - 1/(n + 3/2)), so n is near y - 1/2.
	y := math.Exp(lambda/c.B - 1)
	if !(y < float64(hi)+2) { // also +Inf and NaN (B = 0)
		if c.Marginal(hi-1) <= lambda {
			return hi
		}
		y = float64(hi)
	}
	x := max(lo, min(hi, int64(y-0.5)+1))
	for x < hi && c.Marginal(x) <= lambda {
		x++
	}
	for x > lo && c.Marginal(x-1) > lambda {
		x--
	}
	return x
}

// DVFS is the least energy of x tasks of Cycles cycles each on a processor of
// continuous frequency f, power Static + Kappa f^3 watts, within Window seconds.
// At the frequency (Static/(2 Kappa))^(1/3) a cycle is cheapest; static power makes
// slower ones dearer. Beyond the work that fits at that frequency the clock must
// rise: C(x) = Kappa (Cycles x)^3 / Window^2 + Static Window. All are positive;
// Static may be 0.
type DVFS struct{ Static, Kappa, Cycles, Window float64 }

func (c DVFS) cheapest() float64 { return math.Cbrt(c.Static / (2 * c.Kappa)) }

// At returns C(x), x >= 0.
func (c DVFS) At(x int64) float64 {
	n := float64(x) * c.Cycles
	if f := c.cheapest(); n <= f*c.Window {
		if n == 0 {
			return 0
		}
		return n * (c.Kappa*f*f + c.Static/f)
	}
	return c.Kappa*n*n*n/(c.Window*c.Window) + c.Static*c.Window
}

// Marginal returns C(x+1) - C(x).
func (c DVFS) Marginal(x int64) float64 {
	f := c.cheapest()
	n := float64(x)
	if c.Cycles*n > f*c.Window { // the difference of cubes, without cancelling
		return c.Kappa * c.Cycles * c.Cycles * c.Cycles * (3*n*n + 3*n + 1) / (c.Window * c.Window)
	}
	if c.Cycles*(n+1) <= f*c.Window {
		return c.Cycles * (c.Kappa*f*f + c.Static/f)
	}
	return c.At(x+1) - c.At(x)
}

// Fill returns the largest x in [lo, hi] with Marginal(x-1) <= lambda, lo if none.
func (c DVFS) Fill(lambda float64, lo, hi int64) int64 {
	if lo >= hi {
		return lo
	}
	// Beyond the bend the derivative at the middle of the task is near the price.
	y := c.Window/c.Cycles*math.Sqrt(max(0, lambda)/(3*c.Kappa*c.Cycles)) + 0.5
	if bend := c.cheapest() * c.Window / c.Cycles; y < bend {
		y = 0
		if bend >= 1 && c.Marginal(0) <= lambda {
			y = bend
		}
	}
	x := hi
	if y < float64(hi) {
		x = max(lo, int64(y))
	}
	for x < hi && c.Marginal(x) <= lambda {
		x++
	}
	for x > lo && c.Marginal(x-1) > lambda {
		x--
	}
	return x
}
