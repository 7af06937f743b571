package accountant

import "math"

// ZCDPEpsilon is the epsilon at delta that (xi, rho)-zCDP implies: the least over real orders a > 1 of
// xi + rho a + log(1 - 1/a) - log(delta a)/(a - 1). Canonne, Kamath, Steinke 2020, Proposition 12. The second value is the order.
func ZCDPEpsilon(rho, xi, delta float64) (epsilon, order float64) {
	if rho == 0 && xi == 0 {
		return 0, math.Inf(1)
	}
	f := func(logm float64) float64 { // logm is log(a - 1)
		a := 1 + math.Exp(logm)
		return rdpEpsilon(a, xi+rho*a, delta)
	}
	m, v := leastOver(f)
	return math.Max(0, v), 1 + math.Exp(m)
}

// ZCDPDelta is the delta at epsilon that (xi, rho)-zCDP implies.
func ZCDPDelta(rho, xi, epsilon float64) (delta, order float64) {
	if rho == 0 && xi == 0 {
		return 0, math.Inf(1)
	}
	m, v := leastOver(func(logm float64) float64 {
		a := 1 + math.Exp(logm)
		return rdpLogDelta(a, xi+rho*a, epsilon)
	})
	return math.Min(1, math.Exp(v)), 1 + math.Exp(m)
}

// leastOver minimises f over log(a - 1) by a scan and a golden section about the best point. Any point is a valid bound, so a missed minimum costs tightness only.
func leastOver(f func(float64) float64) (at, value float64) {
	const lo, hi, n = -9.0, 20.0, 290
	step := (hi - lo) / n
	at, value = lo, math.Inf(1)
	for i := 0; i <= n; i++ {
		if v := f(lo + float64(i)*step); v < value {
			at, value = lo+float64(i)*step, v
		}
	}
	const phi = 0.6180339887498949
	a, b := at-step, at+step
	c, d := b-phi*(b-a), a+phi*(b-a)
	fc, fd := f(c), f(d)
	for range 60 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - phi*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + phi*(b-a)
			fd = f(d)
		}
	}
	for _, x := range []float64{c, d} {
		if v := f(x); v < value {
			at, value = x, v
		}
	}
	return at, value
}

type zcdpEngine struct{ rho, xi float64 }

func newZCDP(r reduced, adj Adjacency) (engine, error) {
	s := adj.sensitivity()
	z := zcdpEngine{rho: r.gauss * s * s / 2}
	for _, t := range r.terms {
		n := float64(t.n)
		switch e := t.event.(type) {
		case Concentrated:
			z.rho += n * e.Rho
			z.xi += n * e.Xi
		case EpsilonDelta:
			z.rho += n * e.Epsilon * e.Epsilon / 2 // Bun and Steinke 2016, Proposition 1.4
		case Exponential:
			z.rho += n * e.Epsilon * e.Epsilon / 8 // Rogers and Steinke 2021
		case RandomizedResponse:
			x := e.epsilon(adj)
			z.rho += n * x * x / 2
		case DiscreteGaussian:
			x := discreteMu(s*e.Sensitivity, e.Sigma, e.ShareSigma, e.Shares, e.Dims)
			z.rho += n * x * x / 2
		case Laplace:
			x := s / e.NoiseMultiplier
			z.rho += n * x * x / 2
		default:
			return nil, unsupported(ZCDP, adj, e, "it knows unsampled Gaussian, Laplace, zCDP, exponential and pure events")
		}
	}
	return z, nil
}

func (z zcdpEngine) epsilon(delta float64) (Bound, float64, error) {
	e, order := ZCDPEpsilon(z.rho, z.xi, delta)
	return Bound{0, e, e}, finite(order), nil
}

func (z zcdpEngine) delta(epsilon float64) (Bound, float64, error) {
	d, order := ZCDPDelta(z.rho, z.xi, epsilon)
	return Bound{0, d, d}, finite(order), nil
}

// finite maps the order of the trivial bound to 0, for JSON has no infinity.
func finite(order float64) float64 {
	if math.IsInf(order, 0) {
		return 0
	}
	return order
}
