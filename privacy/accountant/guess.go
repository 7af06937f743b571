package accountant

import "math"

// guess is where the answer will be found, from a few hundred points of each pair; only accuracy and speed rest on it, no bound does.
type guess struct {
	theta, epsilon, delta float64
	saddle                float64 // the tilt before it was weakened; the width of the grid goes by it
	logAlias              float64 // log of the tilted mass that may lie outside the window on each side
	up, down              float64 // arguments of Chernoff's bound that make the window narrow
	absLoss               float64 // tilted mean of |loss|, summed over the steps
}

// step returns the width of the grid that keeps the excess of the pessimistic epsilon near the tolerance. Moving mass to the
// ends of its cell adds E[(l - l_i)(l_{i+1} - l)] (1 + theta)/2 a step, at most h^2/4 and at most h |l|: docs/privacy.md, section Accounting.
func (g guess) step(total, tolerance float64) float64 {
	h := math.Max(
		math.Sqrt(10*tolerance/((1+g.saddle)*total)),
		2*tolerance/((1+g.saddle)*g.absLoss))
	// A few steps do not average over their grid: delta itself is interpolated, and a finer grid costs little.
	return h * math.Min(1, math.Sqrt(total)/16)
}

type sample struct{ loss, p []float64 }

func (s step) sample() sample {
	const nodes = 240
	var out sample
	for _, c := range s.parts {
		lo, hi := c.pair.span(1e-25)
		if !math.IsInf(lo, 0) && hi > lo {
			a := c.pair.at(lo)
			for i := range nodes {
				x := lo + (hi-lo)*(float64(i)+0.5)/nodes
				b := c.pair.at(lo + (hi-lo)*float64(i+1)/nodes)
				l := c.pair.loss(x)
				if p, _, _ := c.pair.cell(a, b, l); p > 0 {
					out.loss = append(out.loss, l)
					out.p = append(out.p, c.weight*p)
				}
				a = b
			}
		}
		for _, x := range c.pair.atoms() {
			out.loss = append(out.loss, x.loss)
			out.p = append(out.p, c.weight*x.p)
		}
	}
	return out
}

// tilt returns log E[e^(theta l)] and its derivative, and the tilted mean of |l|.
func (s sample) tilt(theta float64) (k, mean, abs float64) {
	peak := math.Inf(-1)
	for i, l := range s.loss {
		peak = math.Max(peak, theta*l+math.Log(s.p[i]))
	}
	sum := 0.0
	for i, l := range s.loss {
		w := s.p[i] * math.Exp(theta*l-peak)
		sum += w
		mean += w * l
		abs += w * math.Abs(l)
	}
	return peak + math.Log(sum), mean / sum, abs / sum
}

// samples of all steps, for tilting them together.
type samples struct {
	n, fail float64
	steps   []step
	of      []sample
	largest float64
}

func newSamples(steps []step) samples {
	m := samples{steps: steps, of: make([]sample, len(steps))}
	for i, s := range steps {
		m.of[i] = s.sample()
		for _, l := range m.of[i].loss {
			m.largest = math.Max(m.largest, math.Abs(l))
		}
		m.n += s.n
		m.fail += s.n * math.Log1p(-math.Min(s.inf, 1-1e-16))
	}
	return m
}

func (m samples) tilt(theta float64) (k, mean, abs float64) {
	for i, s := range m.of {
		a, b, c := s.tilt(theta)
		k += m.steps[i].n * a
		mean += m.steps[i].n * b
		abs += m.steps[i].n * c
	}
	return k, mean, abs
}

// chernoff returns the edge beyond which a composition tilted by theta has at most mass e^logAlias, above for s > 0 and
// below for s < 0, given the log moments k(theta) and k(theta+s).
func chernoff(k, ks, s, logAlias float64) float64 { return (ks - k - logAlias) / s }

// edge searches the s for which chernoff is tightest, by sign.
func (m samples) edge(theta, k, logAlias, sign float64) (at, s float64) {
	f := func(x float64) float64 {
		s := sign * math.Exp(x)
		ks, _, _ := m.tilt(theta + s)
		return sign * chernoff(k, ks, s, logAlias)
	}
	best, at := math.Inf(1), 0.0
	lo := math.Log(0.1 / m.largest / math.Sqrt(m.n))
	for x := lo; x < lo+16; x++ {
		v := f(x)
		if v >= best {
			break // convex in s: past the least
		}
		best, at = v, x
	}
	for _, x := range []float64{at - 0.5, at + 0.5} {
		if v := f(x); v < best {
			best, at = v, x
		}
	}
	return sign * best, sign * math.Exp(at)
}

// largestTilt returns the largest theta at which beyond is not yet true, to a few digits.
func (m samples) largestTilt(beyond func(k, mean, theta float64) bool) float64 {
	lo, hi := math.Log(1e-9/m.largest), math.Log(300/m.largest)
	for range 30 {
		mid := (lo + hi) / 2
		if k, mean, _ := m.tilt(math.Exp(mid)); beyond(k, mean, math.Exp(mid)) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return math.Exp(lo)
}

// forDelta guesses by Chernoff's bound e^(k - theta epsilon), stationary where k' = epsilon: at delta, k - theta k' = log delta.
func (m samples) forDelta(delta float64) guess {
	left := delta
	if rest := delta + math.Expm1(m.fail); rest > 0 {
		left = rest
	}
	theta := m.largestTilt(func(k, mean, theta float64) bool { return k-theta*mean < math.Log(left) })
	k, _, _ := m.tilt(theta)
	return m.narrow(guess{theta: theta, epsilon: math.Max(0, (k-math.Log(left))/theta), delta: delta})
}

// forEpsilon tilts so that epsilon is the mean loss, which is where delta at epsilon is decided. delta 0 stands for Chernoff's.
func (m samples) forEpsilon(epsilon, delta float64) guess {
	g := guess{epsilon: epsilon, delta: delta}
	g.theta = m.largestTilt(func(_, mean, _ float64) bool { return mean > epsilon })
	if delta == 0 {
		k, _, _ := m.tilt(g.theta)
		g.delta = math.Min(1, math.Exp(k-g.theta*epsilon))
	}
	return m.narrow(g)
}

// narrow lowers theta where a weaker tilt needs a narrower window and still resolves delta. With heavy tails a strong tilt
// would lift outcomes that are far too rare to matter and spread the window over them.
func (m samples) narrow(g guess) guess {
	_, _, g.absLoss = m.tilt(g.theta)
	g.saddle = g.theta
	best, narrowest := math.Inf(1), g.theta
	for _, f := range []float64{1, 0.7, 0.5, 0.3, 0.1} {
		theta := f * g.theta
		k, _, _ := m.tilt(theta)
		gain := k - theta*g.epsilon - math.Log(g.delta) // how far what is transformed exceeds what is sought
		if f < 1 && gain > math.Log(2e-5/(7e-14*m.n)) {
			continue
		}
		logAlias := math.Min(math.Log(1e-7)-gain, math.Log(1e-4))
		hi, up := m.edge(theta, k, logAlias, 1)
		lo, down := m.edge(theta, k, logAlias, -1)
		if hi-lo < best {
			best, narrowest = hi-lo, theta
			g.logAlias, g.up, g.down = logAlias, up, down
		}
	}
	g.theta = narrowest
	return g
}
