package accountant

import "math"

// What is guessed here, from a few hundred points of each pair, is where and how to evaluate delta; only accuracy and speed rest on it, no bound does.

type sample struct{ loss, logp []float64 }

func (s step) sample() sample {
	var out sample
	for _, c := range s.parts {
		lo, hi := c.pair.span(1e-40)
		if !math.IsInf(lo, 0) && hi > lo {
			a := c.pair.at(lo)
			for i := range pilots {
				x := lo + (hi-lo)*(float64(i)+0.5)/pilots
				b := c.pair.at(lo + (hi-lo)*float64(i+1)/pilots)
				l := c.pair.loss(x)
				if p, _, _ := c.pair.cell(a, b, l); p > 0 {
					out.loss = append(out.loss, l)
					out.logp = append(out.logp, math.Log(c.weight*p))
				}
				a = b
			}
		}
		for _, x := range c.pair.atoms() {
			if x.p > 0 {
				out.loss = append(out.loss, x.loss)
				out.logp = append(out.logp, math.Log(c.weight*x.p))
			}
		}
	}
	return out
}

// logMGF returns log E e^(theta l) over the losses up to b and over those above.
func (s sample) logMGF(theta, b float64) (bulk, rest float64) {
	var peak, sum [2]float64
	peak[0], peak[1] = math.Inf(-1), math.Inf(-1)
	for i, l := range s.loss {
		j := 0
		if l > b {
			j = 1
		}
		peak[j] = math.Max(peak[j], theta*l+s.logp[i])
	}
	for i, l := range s.loss {
		j := 0
		if l > b {
			j = 1
		}
		sum[j] += math.Exp(theta*l + s.logp[i] - peak[j])
	}
	for j := range sum {
		peak[j] += math.Log(math.Max(sum[j], math.SmallestNonzeroFloat64))
	}
	return peak[0], peak[1]
}

// samples of all steps, with the unsampled Gaussians of mu^2 = gauss beside.
type samples struct {
	n, gauss float64
	steps    []step
	of       []sample
	largest  float64 // loss of one step, in size
}

func newSamples(steps []step, gauss float64) samples {
	m := samples{gauss: gauss, steps: steps, of: make([]sample, len(steps)), largest: 5 * math.Sqrt(gauss)}
	for i, s := range steps {
		m.of[i] = s.sample()
		for _, l := range m.of[i].loss {
			m.largest = math.Max(m.largest, math.Abs(l))
		}
		m.n += s.n
	}
	if m.largest > 0 {
		m.largest = math.Max(m.largest, 1e-9) // less is nothing, and would take tilts out of range
	}
	return m
}

// logMGF is that of the composition's sum of losses, over the outcomes in which no step's loss exceeds b or, for rest, some step's does.
func (m samples) logMGF(theta, b float64, rest bool) float64 {
	k, more := m.gauss/2*(theta*theta+theta), 0.0
	for i, s := range m.of {
		low, high := s.logMGF(theta, b)
		k += m.steps[i].n * low
		if rest {
			more += m.steps[i].n * math.Log1p(math.Exp(high-low))
		}
	}
	if rest {
		k += logExpm1(more)
	}
	return k
}

// share is a part of the composition's outcomes, by their largest single loss: none above cut, or some. Rare samples with little noise
// have losses so heavy-tailed that no one tilt resolves a small delta; without the tail one does, and the tail is small by itself.
type share struct {
	m    samples
	cut  float64
	rest bool
}

func (s share) logMGF(theta float64) float64 { return s.m.logMGF(theta, s.cut, s.rest) }

// saddle returns the theta at which Chernoff's bound e^(k - theta epsilon) on delta is least, and the log of the bound.
func (s share) saddle(epsilon float64) (theta, log float64) {
	return s.least(func(t float64) float64 { return s.logMGF(t) - t*epsilon })
}

// firstEpsilon is Chernoff's, at delta.
func (s share) firstEpsilon(delta float64) float64 {
	_, eps := s.least(func(t float64) float64 { return (s.logMGF(t) - math.Log(delta)) / t })
	return math.Max(eps, 1e-9)
}

// steepest is the largest tilt: what it does not resolve is closer than any epsilon need be.
const steepest = 1e6

// least searches the theta > 0 at which f, which first falls and then grows, is least.
func (s share) least(f func(theta float64) float64) (theta, value float64) {
	g := func(x float64) float64 {
		if v := f(math.Exp(x)); !math.IsNaN(v) {
			return v
		}
		return math.Inf(1)
	}
	// A coarse walk, for f may be flat or infinite over much of the range, then golden sections.
	lo, hi := math.Log(1e-9/s.m.largest), math.Log(math.Min(1e9/s.m.largest, steepest))
	const stride = 1.5
	at, least := lo, math.Inf(1)
	for x := lo; x < hi; x += stride {
		if v := g(x); v < least {
			at, least = x, v
		}
	}
	lo, hi = at-stride, at+stride
	const golden = 0.6180339887498949
	a, b := hi-golden*(hi-lo), lo+golden*(hi-lo)
	fa, fb := g(a), g(b)
	for range 10 {
		if fa <= fb {
			hi, b, fb = b, a, fa
			a = hi - golden*(hi-lo)
			fa = g(a)
		} else {
			lo, a, fa = a, b, fb
			b = lo + golden*(hi-lo)
			fb = g(b)
		}
	}
	return math.Exp((lo + hi) / 2), math.Min(fa, fb)
}

// rounding is about the error of a transform whose input sums to 1.
const rounding = 2e-14

// split divides the outcomes where the whole would lose too much precision at the answer (epsilon, delta).
func (m samples) split(epsilon, delta float64) []share {
	whole := share{m, math.Inf(1), false}
	// A transform's error, times the number of steps, in units of delta.
	lost := math.Log(rounding*(m.n+100)) - math.Log(delta)
	_, worst := whole.saddle(epsilon)
	if worst+lost <= math.Log(3e-5) {
		return []share{whole}
	}
	best := []share{whole}
	for f := 2.0; f > 0.002; f *= 0.7 {
		bulk, rest := share{m, f * epsilon, false}, share{m, f * epsilon, true}
		_, x := bulk.saddle(epsilon)
		_, y := rest.saddle(epsilon)
		if v := math.Max(x, y); v < worst-1 {
			worst, best = v, []share{bulk, rest}
		}
	}
	return best
}

// tilts are those of the shares, for step i.
func (m samples) tilts(shares []share, i int, epsilon, delta float64) tilts {
	var t tilts
	t.cut = shares[0].cut
	for j, s := range shares {
		theta, log := s.saddle(epsilon)
		low, _ := m.of[i].logMGF(theta, s.cut)
		t.theta[j] = theta
		t.log[j] = math.Min(0, log-math.Log(delta)) - low
		if s.rest {
			// Each outcome has one such loss or a few.
			t.log[j] -= s.logMGF(theta) - (share{m, s.cut, false}).logMGF(theta)
		}
	}
	return t
}

// aliasShare is how much the trapezoid rule may add, beside delta.
const aliasShare = 1e-8

// plane chooses the line of integration, and the Gaussian blur that adds about tolerance to epsilon. Any line will do: a theta above the
// saddle point needs a narrower window below epsilon, but makes delta the small difference of larger terms. slope is that of -log delta, as far as it is known.
func (s share) plane(epsilon, delta, slope, tolerance float64) plane {
	saddle, _ := s.saddle(epsilon)
	blur := 2 * tolerance / (1 + math.Max(saddle, slope))
	// A loss this much below the answer's own scale is nothing beside it.
	blur = math.Max(blur, tolerance*tolerance/16)
	s.m.gauss += blur
	saddle, _ = s.saddle(epsilon)
	best, least := plane{}, math.Inf(1)
	for i, f := range []float64{1, 0.7, 0.5, 1.4, 2, 3, 1 / saddle, 2 / saddle, 1 / (saddle * epsilon), 4 / (saddle * epsilon)} {
		theta := f * saddle
		lost := s.logMGF(theta) - theta*epsilon - math.Log(delta)
		if (i > 0 || theta*epsilon < 1e-3) && !(lost <= math.Log(1e-6*(1+theta)/(rounding*(s.m.n+100)))) {
			continue
		}
		p := plane{theta: theta, ref: epsilon, cut: s.cut, rest: s.rest, blur: blur}
		var width float64
		if width, p.sides = s.window(theta, epsilon, delta); width < least {
			p.dt = 2 * math.Pi / width
			best, least = p, width
		}
	}
	if best.dt == 0 { // the saddle point itself lies too close to 0
		width, sides := s.window(saddle, epsilon, delta)
		best = plane{theta: saddle, ref: epsilon, cut: s.cut, rest: s.rest, blur: blur, dt: 2 * math.Pi / width, sides: sides}
	}
	// The Gaussian factor falls below e^-37 at the last term.
	if n := math.Sqrt(74/s.m.gauss) / best.dt; n < maxTerms {
		best.n = int(n) + 2
	} else {
		best.n = maxTerms
		end := maxTerms * best.dt
		best.blur += 74/(end*end) - s.m.gauss
	}
	return best
}

// maxTerms bounds a transform; more blur then makes do with them. It takes about a tenth of a second and 30 MB.
const maxTerms = 1 << 17

// window returns a width W for which the trapezoid rule adds little on either side. From above, epsilon + W and beyond, by Chernoff's
// bound at a stronger tilt; from below by it at a weaker one, down to all of the share's mass.
func (s share) window(theta, epsilon, delta float64) (width float64, sides [2]float64) {
	want := math.Log(aliasShare * delta)
	need := func(by float64) float64 { // the W that makes e^(k(theta+by) - (theta+by) epsilon - |by| W) small
		return (s.logMGF(math.Max(theta+by, 0)) - (theta+by)*epsilon - want) / math.Abs(by)
	}
	up, upNeed := theta, math.Inf(1)
	by := theta * math.Exp(-6)
	for range 30 {
		v := need(by)
		if v < upNeed {
			up, upNeed = by, v
		} else if upNeed < math.Inf(1) {
			break // convex: past the least
		}
		by *= 1.6
	}
	down, downNeed := -theta, need(-theta)
	by = theta / 1.3
	for range 14 {
		if v := need(-by); v < downNeed {
			down, downNeed = -by, v
		}
		by /= 1.5
	}
	return math.Max(math.Max(upNeed, downNeed), 1/(1+theta)), [2]float64{up, down}
}
