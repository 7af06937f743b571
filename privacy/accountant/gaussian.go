package accountant

import (
	"fmt"
	"math"
)

// mills returns Mills' ratio: the upper tail of the standard normal at x over its density there.
func mills(x float64) float64 {
	if x < 5 {
		return math.Sqrt(math.Pi/2) * math.Erfc(x/math.Sqrt2) * math.Exp(x*x/2)
	}
	// Laplace's continued fraction, evaluated from its tail: 80 terms leave less than 1e-16 for x >= 5.
	f := x
	for k := 80.0; k >= 1; k-- {
		f = x + k/f
	}
	return 1 / f
}

const logSqrt2Pi = 0.91893853320467274178

// LogGaussianDelta is the log of the least delta of a Gaussian of multiplier 1/mu at epsilon >= 0:
// Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu). Balle and Wang 2018, Theorem 8. It is -Inf for mu = 0.
func LogGaussianDelta(mu, epsilon float64) float64 {
	if mu == 0 {
		return math.Inf(-1)
	}
	// e^epsilon phi(b) = phi(a) for the two arguments a and b = a - mu, so both terms are a density times Mills' ratios.
	a := mu/2 - epsilon/mu
	b := -mu/2 - epsilon/mu
	logDensity := -a*a/2 - logSqrt2Pi
	if a > 0 {
		return math.Log(0.5*math.Erfc(-a/math.Sqrt2) - math.Exp(logDensity)*mills(-b))
	}
	diff := mills(-a) - mills(-b)
	if mu < 1e-3 {
		// The difference of nearly equal ratios; the derivative of m is x m - 1.
		x := (-a - b) / 2
		diff = (1 - x*mills(x)) * mu
	}
	return logDensity + math.Log(diff)
}

// GaussianEpsilon is the least epsilon >= 0 of a Gaussian of multiplier 1/mu at delta.
func GaussianEpsilon(mu, delta float64) float64 {
	target := math.Log(delta)
	if LogGaussianDelta(mu, 0) <= target {
		return 0
	}
	lo, hi := 0.0, mu*mu/2+mu*math.Sqrt(-2*target)
	eps := hi
	for range 200 {
		f := LogGaussianDelta(mu, eps) - target
		if f > 0 {
			lo = eps
		} else {
			hi = eps
		}
		// Newton's step on log delta, whose derivative is -e^(log of the second term - log delta).
		a := mu/2 - eps/mu
		slope := -math.Exp(-a*a/2 - logSqrt2Pi + math.Log(mills(mu/2+eps/mu)) - f - target)
		next := eps - f/slope
		if !(next > lo && next < hi) {
			next = (lo + hi) / 2
		}
		if math.Abs(next-eps) <= 1e-15*eps {
			return next
		}
		eps = next
	}
	return eps
}

// GaussianMu is the largest mu, 1 over the multiplier, of a Gaussian that is (epsilon, delta)-DP: the total that a GDP filter may spend.
func GaussianMu(epsilon, delta float64) (float64, error) {
	if !(epsilon >= 0) || math.IsInf(epsilon, 1) || !(delta > 0 && delta < 1) {
		return 0, fmt.Errorf("epsilon %v, delta %v: %w: need epsilon >= 0 and delta in (0, 1)", epsilon, delta, ErrInvalid)
	}
	target := math.Log(delta)
	lo, hi := 1e-12, 1.0
	for LogGaussianDelta(hi, epsilon) < target {
		lo, hi = hi, 2*hi
	}
	for LogGaussianDelta(lo, epsilon) > target {
		lo /= 2
	}
	for range 200 {
		mid := (lo + hi) / 2
		if mid <= lo || mid >= hi {
			break
		}
		if LogGaussianDelta(mid, epsilon) > target {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo, nil
}

// gaussianEngine answers for one Gaussian, to which unsampled Gaussian events compose.
type gaussianEngine struct{ mu float64 }

func newGaussianEngine(r reduced, m Method, adj Adjacency) (engine, error) {
	if len(r.terms) > 0 {
		return nil, unsupported(m, adj, r.terms[0].event, "it composes unsampled Gaussian events alone")
	}
	return gaussianEngine{math.Sqrt(r.gauss) * adj.sensitivity()}, nil
}

// sensitivity is that of a clipped sum, in clips.
func (a Adjacency) sensitivity() float64 {
	if a == ReplaceOne {
		return 2
	}
	return 1
}

func (g gaussianEngine) epsilon(delta float64) (Bound, float64, error) {
	if g.mu == 0 {
		return Bound{}, 0, nil
	}
	return exactly(GaussianEpsilon(g.mu, delta)), 0, nil
}

func (g gaussianEngine) delta(epsilon float64) (Bound, float64, error) {
	return exactly(math.Exp(LogGaussianDelta(g.mu, epsilon))), 0, nil
}
