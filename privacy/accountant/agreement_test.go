package accountant

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Whatever was released, no accountant's upper bound lies below another's lower one.
func TestAccountantsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t)
		if q := rapid.Float64Range(0, 1.5).Draw(t, "q"); q < 1 && q > 0 {
			e = PoissonSampled{q, e}
		}
		e = SelfComposed{e, int64(logUniform(t, "count", 1, 200))}
		delta := logUniform(t, "delta", 1e-12, 1e-3)
		adj := Adjacency(rapid.IntRange(0, 1).Draw(t, "adjacency"))
		low, high := 0.0, math.Inf(1)
		var by, than Method
		for _, m := range []Method{RDP, ZCDP, GDP, Exact, PLD} {
			r, err := Accountant{Method: m, Adjacency: adj}.Epsilon(e, delta)
			if errors.Is(err, ErrUnsupported) {
				continue
			}
			if err != nil || !(0 <= r.Lower && r.Lower <= r.Estimate && r.Estimate <= r.Upper) {
				t.Fatalf("%s of %+v: %+v, %v", m, e, r.Bound, err)
			}
			if r.Lower > low {
				low, by = r.Lower, m
			}
			if r.Upper < high {
				high, than = r.Upper, m
			}
		}
		// What a discrete Gaussian costs more by way of the continuous one is real to those who go that way.
		slack := 1e-9
		if hasDiscrete(e) {
			slack = 0.5
		}
		if low > high*(1+slack)+1e-9 {
			t.Errorf("%+v, %s, delta %v: at least %v by %s, at most %v by %s", e, adj, delta, low, by, high, than)
		}
	})
}

func anyEvent(t *rapid.T) Event {
	z := func() float64 { return logUniform(t, "z", 0.7, 50) }
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		return Gaussian{z()}
	case 1:
		return Laplace{z()}
	case 2:
		return Exponential{logUniform(t, "epsilon", 1e-3, 5)}
	case 3:
		return RandomizedResponse{logUniform(t, "p", 0.01, 1), int64(rapid.IntRange(1, 40).Draw(t, "k"))}
	case 4:
		return EpsilonDelta{logUniform(t, "epsilon", 1e-3, 5), 1e-16}
	case 5:
		return Matrix{z(), []float64{1, 0.5, 0.25}, int64(rapid.IntRange(1, 100).Draw(t, "steps")), 7, int64(rapid.IntRange(1, 20).Draw(t, "participations"))}
	case 6:
		return Tree{z(), int64(rapid.IntRange(1, 1000).Draw(t, "steps"))}
	case 7:
		sigma := logUniform(t, "sigma", 4, 100)
		return DiscreteGaussian{Sigma: sigma, Sensitivity: math.Ceil(sigma / z()), Dims: 16, Shares: 1, ShareSigma: sigma}
	}
	return Concentrated{Rho: logUniform(t, "rho", 1e-4, 1)}
}

func hasDiscrete(e Event) bool {
	switch x := e.(type) {
	case SelfComposed:
		return hasDiscrete(x.Event)
	case PoissonSampled:
		return hasDiscrete(x.Event)
	case DiscreteGaussian:
		return true
	}
	return false
}
