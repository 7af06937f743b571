package accountant

import "math"

// curve bounds the Rényi divergence of the exponential mechanism: its losses lie in an interval of length Epsilon, which
// makes it (xi, Epsilon^2/8)-zCDP with the xi that gives the largest Kullback-Leibler divergence at order 1. Dong,
// Durfee, Rogers 2020, arXiv:2004.07223, section 3. No order exceeds Epsilon.
func (e Exponential) curve(a float64) float64 {
	if e.Epsilon == 0 {
		return 0
	}
	eighth := e.Epsilon * e.Epsilon / 8
	if e.Epsilon < 1e-4 { // first is less than eighth by a share of epsilon squared, and has no digits left
		return math.Min(eighth*a, e.Epsilon)
	}
	x := e.Epsilon / math.Expm1(e.Epsilon)
	first := x - 1 - math.Log(x)
	if e.Epsilon > 30 { // x is next to nothing, and its log may not be a number
		first = e.Epsilon - 1 - math.Log(e.Epsilon)
	}
	return math.Min(first-eighth+eighth*a, e.Epsilon)
}

// losses returns the distribution of the privacy loss: atoms of P over Q. Under ReplaceOne the two report different values, and the law is symmetric; under ZeroOut
// Q is uniform, or with add P is.
func (e RandomizedResponse) losses(adj Adjacency, add bool) points {
	k := float64(e.K)
	if e.K == 1 || e.P == 1 {
		return points{{0, 1}}
	}
	own, other := (1-e.P)+e.P/k, e.P/k
	if adj == ReplaceOne {
		l := math.Log1p((1 - e.P) / other)
		out := points{{-l, other}, {l, own}}
		if e.K > 2 {
			out = append(out, atom{0, (k - 2) * other})
		}
		return out
	}
	up, down := math.Log1p((k-1)*(1-e.P)), math.Log(e.P)
	if add {
		return points{{-up, 1 / k}, {-down, (k - 1) / k}}
	}
	return points{{down, (k - 1) * other}, {up, own}}
}

// curve is the Rényi divergence of order a, exactly, the larger of both directions.
func (e RandomizedResponse) curve(adj Adjacency, a float64) float64 {
	worst := 0.0
	for _, add := range []bool{false, true} {
		var f law
		v, widest := 0.0, 0.0
		for _, x := range e.losses(adj, add) {
			f.add(x.loss, x.p)
			widest = math.Max(widest, math.Abs(x.loss))
		}
		switch {
		case math.IsInf(a, 1):
			for _, l := range f.l {
				v = math.Max(v, l)
			}
		case a*widest < 1: // E_Q 1 is 1; what is subtracted of it leaves terms that cancel nothing
			for i, l := range f.l {
				if a == 1 {
					v += f.p[i] * bend(-l)
				} else {
					v += f.p[i] * (bend((a-1)*l)/(a-1) + bend(-l))
				}
			}
			if a > 1 {
				v = math.Log1p((a-1)*v) / (a - 1)
			}
		case a == 1:
			for i, l := range f.l {
				v += f.p[i] * l
			}
		default:
			// E_P e^((a-1) l) is E_Q e^(a l).
			v = f.logMGF(a-1) / (a - 1)
		}
		worst = math.Max(worst, v)
	}
	return worst
}

// epsilon is the largest loss.
func (e RandomizedResponse) epsilon(adj Adjacency) float64 { return e.curve(adj, math.Inf(1)) }
