package audit

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

// Estimate is what one run tells by its canaries, which is no bound.
type Estimate struct {
	Epsilon     float64 // at the delta asked for, between the two fitted normals; at most 100
	Shift       float64 // the same if both had the scale 1/sqrt(dims), as under a linear mechanism: far less scatter
	Mean, Scale float64 // of the canaries' cosines
}

// OneShot estimates epsilon at delta from the cosines between canaries, uniform unit vectors in dims dimensions that each took
// part at the clip norm, and what was released. Cosines of canaries that took no part are normal with variance 1/dims; a normal
// is fitted to those of the canaries, and the two are told apart as well as can be. Andrew and others 2023. It wants at least 30
// canaries, and far fewer than dims so that they do not drown each other. At a small delta Epsilon follows the fitted scale far out into the
// tails: with a thousand canaries it is often half above the truth, or more.
func OneShot(cosines []float64, dims int, delta float64) (Estimate, error) {
	if len(cosines) < 30 || dims < 2 || !(delta > 0 && delta < 1) {
		return Estimate{}, fmt.Errorf("audit: %d canaries in %d dimensions at delta %g, want at least 30, at least 2, and between 0 and 1", len(cosines), dims, delta)
	}
	for i, c := range cosines {
		if !(math.Abs(c) <= 1+1e-9) {
			return Estimate{}, fmt.Errorf("audit: cosine %d is %g, want -1 to 1", i, c)
		}
	}
	mean, scale := stat.MeanStdDev(cosines, nil)
	e := Estimate{Mean: mean, Scale: scale}
	if mean > 0 {
		e.Shift = min(accountant.GaussianEpsilon(mean*math.Sqrt(float64(dims)), delta), maxEpsilon)
	}
	out := distuv.Normal{Mu: 0, Sigma: 1 / math.Sqrt(float64(dims))}
	// A hundredth of the other's scale is as good as a point, and keeps the roots apart in float64.
	in := distuv.Normal{Mu: mean, Sigma: max(scale, out.Sigma/100)}
	lo, hi := 0.0, float64(maxEpsilon)
	if max(hockeyStick(in, out, 0), hockeyStick(out, in, 0)) <= delta {
		return e, nil
	}
	for range 60 {
		if mid := (lo + hi) / 2; max(hockeyStick(in, out, mid), hockeyStick(out, in, mid)) > delta {
			lo = mid
		} else {
			hi = mid
		}
	}
	e.Epsilon = hi
	return e, nil
}

// hockeyStick is the integral of (p - e^epsilon q)_+ for two normals: the set where p is larger is bounded by
// the roots of a parabola.
func hockeyStick(p, q distuv.Normal, epsilon float64) float64 {
	// log p/q - epsilon = a x^2 + b x + c
	a := 1/(2*q.Sigma*q.Sigma) - 1/(2*p.Sigma*p.Sigma)
	b := p.Mu/(p.Sigma*p.Sigma) - q.Mu/(q.Sigma*q.Sigma)
	c := q.Mu*q.Mu/(2*q.Sigma*q.Sigma) - p.Mu*p.Mu/(2*p.Sigma*p.Sigma) + math.Log(q.Sigma/p.Sigma) - epsilon
	below := func(x float64) float64 { return p.CDF(x) - math.Exp(epsilon)*q.CDF(x) }
	above := func(x float64) float64 { return p.Survival(x) - math.Exp(epsilon)*q.Survival(x) }
	if math.Abs(p.Sigma/q.Sigma-1) < 1e-9 {
		switch {
		case b > 0:
			return max(above(-c/b), 0)
		case b < 0:
			return max(below(-c/b), 0)
		}
		return 0
	}
	d := b*b - 4*a*c
	if d <= 0 {
		return 0 // nowhere, for epsilon >= 0: p is not larger everywhere
	}
	root := -(b + math.Copysign(math.Sqrt(d), b)) / 2 // without cancellation
	x, y := root/a, c/root
	x, y = min(x, y), max(x, y)
	if a > 0 {
		return max(below(x)+above(y), 0)
	}
	return max(below(y)-below(x), 0)
}
