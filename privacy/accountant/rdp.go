package accountant

import (
	"fmt"
	"math"
	"slices"
)

// DefaultOrders returns the orders that accountants have agreed on: 1.1 to 10.9 in steps of 0.1, the integers 11 to
// 63, then 128, 256, 512 and 1024. The caller owns the slice.
func DefaultOrders() []float64 {
	var o []float64
	for i := 11; i < 110; i++ {
		o = append(o, float64(i)/10)
	}
	for i := 11; i < 64; i++ {
		o = append(o, float64(i))
	}
	return append(o, 128, 256, 512, 1024)
}

// IntegerOrders returns lo, lo+1, ..., hi.
func IntegerOrders(lo, hi int) []float64 {
	var o []float64
	for i := lo; i <= hi; i++ {
		o = append(o, float64(i))
	}
	return o
}

// maxOrder keeps the binomial sums short; no useful delta needs more.
const maxOrder = 1 << 14

// RDPEpsilon is the least epsilon at delta over the orders, with the order that gives it. rdp[i] bounds the divergence
// of orders[i]; infinite values are skipped. Canonne, Kamath, Steinke 2020, Proposition 12; where the divergence is so
// small that delta is at least the total variation distance, epsilon is 0 (Bretagnolle and Huber).
func RDPEpsilon(orders, rdp []float64, delta float64) (epsilon, order float64) {
	epsilon = math.Inf(1)
	for i, a := range orders {
		if e := rdpEpsilon(a, rdp[i], delta); e < epsilon {
			epsilon, order = e, a
		}
	}
	return math.Max(0, epsilon), order
}

// RDPDelta is the least delta at epsilon over the orders, with the order that gives it.
func RDPDelta(orders, rdp []float64, epsilon float64) (delta, order float64) {
	logDelta := math.Inf(1)
	for i, a := range orders {
		if d := rdpLogDelta(a, rdp[i], epsilon); d < logDelta {
			logDelta, order = d, a
		}
	}
	return math.Min(1, math.Exp(logDelta)), order
}

func rdpEpsilon(a, r, delta float64) float64 {
	switch {
	case r < 0 || math.IsNaN(r):
		return math.Inf(1)
	case math.IsInf(a, 1):
		return r
	case delta*delta+math.Expm1(-r) > 0:
		return 0
	case a <= 1.0001:
		return math.Inf(1)
	}
	return r + math.Log1p(-1/a) - math.Log(delta*a)/(a-1)
}

func rdpLogDelta(a, r, epsilon float64) float64 {
	if r < 0 || math.IsNaN(r) || math.IsInf(r, 1) {
		return math.Inf(1)
	}
	tv := 0.5 * math.Log(-math.Expm1(-r))
	if a <= 1.0001 || math.IsInf(a, 1) {
		return tv
	}
	return math.Min(tv, (a-1)*(r-epsilon+math.Log1p(-1/a))-math.Log(a))
}

// Curve returns the Rényi divergence of e at each of a.Orders (DefaultOrders if nil), +Inf where none is known to be
// finite. Corrections with a delta of their own (EpsilonDelta, discrete noise certified as continuous) are not part of it.
func (a Accountant) Curve(e Event) ([]float64, error) {
	a.Method = RDP
	w, err := a.work(e)
	if err != nil {
		return nil, err
	}
	r := w.engine.(*rdpEngine)
	out := slices.Clone(r.rdp)
	if w.nonPrivate {
		for i := range out {
			out[i] = math.Inf(1)
		}
	}
	return out, nil
}

type rdpEngine struct{ orders, rdp []float64 }

func newRDP(r reduced, adj Adjacency, orders []float64) (engine, error) {
	if orders == nil {
		orders = DefaultOrders()
	}
	for _, a := range orders {
		if !(a >= 1) || (a > maxOrder && !math.IsInf(a, 1)) {
			return nil, fmt.Errorf("rényi order %v: %w: must lie in [1, %d], or be infinite", a, ErrInvalid, maxOrder)
		}
	}
	e := &rdpEngine{orders: orders, rdp: make([]float64, len(orders))}
	s := adj.sensitivity()
	for i, a := range orders {
		if r.gauss > 0 {
			e.rdp[i] = a * r.gauss * s * s / 2
		}
	}
	for _, t := range r.terms {
		curve, err := eventCurve(t.event, adj, orders)
		if err != nil {
			return nil, err
		}
		for i, v := range curve {
			e.rdp[i] += float64(t.n) * v
		}
	}
	return e, nil
}

func (e *rdpEngine) epsilon(delta float64) (Bound, float64, error) {
	eps, order := RDPEpsilon(e.orders, e.rdp, delta)
	return Bound{0, eps, eps}, finite(order), nil
}

func (e *rdpEngine) delta(epsilon float64) (Bound, float64, error) {
	d, order := RDPDelta(e.orders, e.rdp, epsilon)
	return Bound{0, d, d}, finite(order), nil
}

func eventCurve(e Event, adj Adjacency, orders []float64) ([]float64, error) {
	out := make([]float64, len(orders))
	pointwise := func(f func(a float64) float64) ([]float64, error) {
		for i, a := range orders {
			out[i] = f(a)
		}
		return out, nil
	}
	if x, ok := e.(FixedSize); ok {
		if adj != ReplaceOne {
			return nil, unsupported(RDP, adj, e, "its bound holds for replace-one neighbours only")
		}
		return fixedSizeCurve(float64(x.Batch)/float64(x.Records), x.Event.(Gaussian).NoiseMultiplier, orders), nil
	}
	switch x := e.(type) {
	case Concentrated:
		return pointwise(func(a float64) float64 {
			if x.Rho == 0 {
				return x.Xi
			}
			return x.Xi + x.Rho*a
		})
	case EpsilonDelta:
		return pointwise(func(a float64) float64 { return pureRDP(x.Epsilon, a) })
	case Exponential:
		return pointwise(x.curve)
	case RandomizedResponse:
		return pointwise(func(a float64) float64 { return x.curve(adj, a) })
	case DiscreteGaussian:
		s := adj.sensitivity() * x.Sensitivity
		return pointwise(func(a float64) float64 { return discreteRDP(a, s, x.Sigma, x.ShareSigma, x.Shares, x.Dims) })
	case Laplace:
		return pointwise(func(a float64) float64 { return laplaceRDP(adj.sensitivity()/x.NoiseMultiplier, a) })
	}
	if adj == ReplaceOne {
		return nil, unsupported(RDP, adj, e, "its bound holds for zero-out neighbours only")
	}
	switch x := e.(type) {
	case Skellam:
		return interpolate(orders, func(a int) float64 { return float64(a-1) * SkellamRDP(x, a) }), nil
	case PoissonSampled:
		switch y := x.Event.(type) {
		case Gaussian:
			return sampledGaussianCurve(x.Q, y.NoiseMultiplier, orders), nil
		case Skellam:
			return interpolate(orders, binomial(x.Q, orders, func(i float64) float64 { return (i - 1) * SkellamRDP(y, int(i)) })), nil
		case Laplace:
			return interpolate(orders, binomial(x.Q, orders, func(i float64) float64 { return (i - 1) * laplaceRDP(1/y.NoiseMultiplier, i) })), nil
		}
		return nil, unsupported(RDP, adj, e, "sampling is proven for Gaussian, Skellam and Laplace noise (and pure events); this is "+x.Event.kind())
	}
	return nil, unsupported(RDP, adj, e, "no Rényi bound is known to this package")
}

// interpolate returns g(a)/(a-1), where g is log E[(P/Q)^a] or a bound on it at integers, linear in between: g is convex
// and g(1) = 0. Orders beyond the integers that g knows are +Inf.
func interpolate(orders []float64, g func(a int) float64) []float64 {
	out := make([]float64, len(orders))
	for i, a := range orders {
		if math.IsInf(a, 1) || a == 1 {
			out[i] = math.Inf(1)
			continue
		}
		lo := math.Floor(a)
		v := 0.0
		if lo > 1 {
			v = g(int(lo))
		}
		if t := a - lo; t > 0 {
			v = (1-t)*v + t*g(int(lo)+1)
		}
		out[i] = v / (a - 1)
	}
	return out
}

// SkellamRDP bounds the Rényi divergence of integer order a > 1 of a Skellam sum. Agarwal, Kairouz, Liu 2021, arXiv:2110.04995.
func SkellamRDP(e Skellam, a int) float64 {
	alpha, v := float64(a), e.Variance
	return alpha*e.L2*e.L2/(2*v) + math.Min(((2*alpha-1)*e.L2*e.L2+6*e.L1)/(4*v*v), 3*e.L1/(2*v))
}

// laplaceRDP is exact; Mironov 2017, Proposition 6. eps is sensitivity over scale.
func laplaceRDP(eps, a float64) float64 {
	switch {
	case math.IsInf(a, 1):
		return eps
	case a == 1:
		return bend(-eps)
	case a*eps < 1: // below, two terms near eps leave the square of eps
		return math.Log1p((a*bend((a-1)*eps)+(a-1)*bend(-a*eps))/(2*a-1)) / (a - 1)
	}
	return eps + math.Log1p((a-1)*math.Expm1(eps*(1-2*a))/(2*a-1))/(a-1)
}

// pureRDP is the divergence of randomised response, which dominates every eps-DP mechanism: the log of the quotient of
// cosh((a-1/2) eps) and cosh(eps/2), over a-1.
func pureRDP(eps, a float64) float64 {
	switch {
	case math.IsInf(a, 1) || eps > 500:
		return eps
	case a == 1:
		return eps * math.Tanh(eps/2)
	case a*eps < 1:
		return math.Log1p(2*math.Sinh(a*eps/2)*math.Sinh((a-1)*eps/2)/math.Cosh(eps/2)) / (a - 1)
	}
	return math.Min(eps, (a*eps+math.Log1p(math.Exp((1-2*a)*eps))-eps-math.Log1p(math.Exp(-eps)))/(a-1))
}

// bend is e^x - 1 - x, to all digits however small x is. It is never negative, so that sums of it cancel nothing.
func bend(x float64) float64 {
	if math.Abs(x) > 0.1 {
		return math.Expm1(x) - x
	}
	sum, term := 0.0, x*x/2
	for k := 3.0; math.Abs(term) > 1e-18*sum; k++ {
		sum += term
		term *= x / k
	}
	return sum
}
