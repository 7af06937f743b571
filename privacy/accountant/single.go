package accountant

import "math"

// hockeyStick is delta at epsilon of one release: sum over the parts of P(l > epsilon) - e^epsilon Q(l > epsilon).
func (s step) hockeyStick(epsilon float64) Bound {
	b := exactly(s.inf)
	for _, c := range s.parts {
		a := c.pair.at(c.pair.inverse(epsilon))
		_, d, err := c.pair.cell(a, c.pair.at(math.Inf(1)), epsilon)
		b.Estimate += c.weight * math.Max(0, d)
		b.Lower += c.weight * math.Max(0, d-err)
		b.Upper += c.weight * math.Max(0, d+err)
		for _, x := range c.pair.atoms() {
			if x.loss > epsilon {
				v := c.weight * x.p * -math.Expm1(epsilon-x.loss)
				b = Bound{b.Lower + v*(1-4*ulp), b.Estimate + v, b.Upper + v*(1+4*ulp)}
			}
		}
	}
	b.Upper = math.Min(b.Upper, 1)
	return b
}

// single answers for one release, where delta has a closed form.
func (e *pldEngine) single(s step, q query) Bound {
	if q.forDelta {
		b := s.hockeyStick(q.epsilon)
		if !e.tightest {
			b.Upper = math.Max(b.Upper, onGrid(s.hockeyStick, q.epsilon))
		}
		return b
	}
	solve := func(pick func(Bound) float64) (lo, hi float64) {
		return bisect(func(eps float64) bool { return pick(s.hockeyStick(eps)) <= q.delta })
	}
	var b Bound
	b.Lower, _ = solve(func(b Bound) float64 { return b.Lower })
	_, b.Upper = solve(func(b Bound) float64 { return b.Upper })
	b.Estimate = (b.Lower + b.Upper) / 2
	if !e.tightest && !math.IsInf(b.Upper, 1) {
		_, ref := bisect(func(eps float64) bool { return onGrid(s.hockeyStick, eps) <= q.delta-referenceTail(q.delta) })
		b.Upper = math.Max(b.Upper, b.Upper+allowance(ref-b.Upper, b.Upper))
	}
	return b
}

// bisect returns neighbours about the least x >= 0 for which enough, an increasing predicate, holds; +Inf where none does.
func bisect(enough func(x float64) bool) (lo, hi float64) {
	if enough(0) {
		return 0, 0
	}
	for hi = 1e-6; !enough(hi); hi *= 2 {
		if lo = hi; hi > 1e4 {
			return lo, math.Inf(1)
		}
	}
	for range 60 {
		mid := (lo + hi) / 2
		if enough(mid) {
			hi = mid
		} else {
			lo = mid
		}
		if hi-lo <= 1e-14*hi {
			break
		}
	}
	return lo, hi
}

// maxOutcomes bounds what enumerate goes through.
const maxOutcomes = 1 << 20

// enumerate answers exactly for compositions of releases whose losses take few values, as (epsilon, delta)-DP has: their delta has
// corners that no smooth approximation follows.
func (e *pldEngine) enumerate(steps []step, q query) (Bound, bool) {
	f := law{l: []float64{0}, p: []float64{1}}
	if e.gauss > 0 {
		return Bound{}, false
	}
	logMass, total := 0.0, 0.0
	for _, s := range steps {
		total += s.n
		logMass += s.n * math.Log1p(-math.Min(s.inf, 1))
		if len(s.parts) != 1 {
			return Bound{}, false
		}
		x, ok := s.parts[0].pair.(points)
		if !ok || s.n > maxOutcomes || len(x) > 2 && s.n*s.n > maxOutcomes || float64(len(f.l))*(2*s.n+1) > 2*maxOutcomes {
			return Bound{}, false
		}
		g, ok := x.repeat(s.n)
		if !ok {
			return Bound{}, false
		}
		var next law
		for k := range g.l {
			for i := range f.l {
				next.add(f.l[i]+g.l[k], f.p[i]*g.p[k])
			}
		}
		f = next
	}
	inf := -math.Expm1(logMass)
	slack := 1e-14 * (10 + total)
	delta := func(eps float64) float64 {
		sum := inf
		for i, l := range f.l {
			if l > eps {
				sum += f.p[i] * -math.Expm1(eps-l)
			}
		}
		return sum
	}
	if q.forDelta {
		d := delta(q.epsilon)
		return Bound{d * (1 - slack), d, math.Min(1, d*(1+slack))}, true
	}
	var b Bound
	b.Lower, _ = bisect(func(x float64) bool { return delta(x)*(1-slack) <= q.delta })
	b.Estimate, _ = bisect(func(x float64) bool { return delta(x) <= q.delta })
	_, b.Upper = bisect(func(x float64) bool { return delta(x)*(1+slack) <= q.delta })
	return b, true
}

// repeat is the law of the sum of n losses, for two atoms, or for three of which two are opposite and the last is 0.
func (x points) repeat(n float64) (law, bool) {
	power := func(p, k float64) float64 { // log p^k
		if k == 0 {
			return 0
		}
		return k * math.Log(p)
	}
	var out law
	switch {
	case len(x) == 1:
		out.add(n*x[0].loss, math.Exp(power(x[0].p, n)))
	case len(x) == 2:
		for k := 0.0; k <= n; k++ {
			out.add(k*x[1].loss+(n-k)*x[0].loss, math.Exp(logBinomial(n, k)+power(x[1].p, k)+power(x[0].p, n-k)))
		}
	case len(x) == 3 && x[0].loss == -x[1].loss && x[2].loss == 0:
		sums := make([]float64, 2*int(n)+1)
		for up := 0.0; up <= n; up++ {
			for down := 0.0; up+down <= n; down++ {
				log := logBinomial(n, up) + logBinomial(n-up, down) + power(x[1].p, up) + power(x[0].p, down) + power(x[2].p, n-up-down)
				sums[int(n+up-down)] += math.Exp(log)
			}
		}
		for i, p := range sums {
			out.add((float64(i)-n)*x[1].loss, p)
		}
	default:
		return law{}, false
	}
	return out, true
}

func logBinomial(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}
