package accountant

import (
	"fmt"
	"math"
)

// The accuracy that the grid is chosen for: the pessimistic epsilon lies above the true one by about this much, whichever is more.
const (
	pldAbsolute = 1e-4
	pldRelative = 5e-5
)

// minPLDMultiplier keeps density ratios within floating point; no useful epsilon comes from less noise.
const minPLDMultiplier = 0.04

// pldEngine holds one list of steps for each direction of the neighbour relation.
type pldEngine struct {
	directions [][]step
	atoms      bool
	least      float64
	rdp        engine // nil where it does not know the event
}

// ReferenceInterval is the width of the grid that reference implementations fix for all privacy loss distributions.
const ReferenceInterval = 1e-4

func newPLD(r reduced, adj Adjacency, tightest bool) (engine, error) {
	if len(r.terms) == 0 {
		return gaussianEngine{math.Sqrt(r.gauss) * adj.sensitivity()}, nil
	}
	e := &pldEngine{}
	if !tightest {
		e.least = ReferenceInterval
	}
	asymmetric := false
	for _, add := range []bool{false, true} {
		var steps []step
		if r.gauss > 0 {
			mu := math.Sqrt(r.gauss) * adj.sensitivity()
			if mu > 1/minPLDMultiplier {
				return nil, unsupported(PLD, adj, Gaussian{1 / mu}, "beside other kinds its multiplier must be at least 0.04 in all")
			}
			steps = append(steps, step{n: 1, parts: []part{{1, sampled{gaussianLaws{mu}, 1, false}}}})
		}
		for _, t := range r.terms {
			s, sided, err := e.step(t, adj, add)
			if err != nil {
				return nil, err
			}
			asymmetric = asymmetric || sided
			steps = append(steps, s)
		}
		if add && !asymmetric {
			break
		}
		e.directions = append(e.directions, steps)
	}
	fails := false // the curve of an event says nothing of its failures
	for _, t := range r.terms {
		x, ok := t.event.(EpsilonDelta)
		fails = fails || ok && x.Delta > 0
	}
	if rdp, err := newRDP(r, adj, nil); err == nil && !fails {
		e.rdp = rdp
	}
	if e.atoms && !tightest {
		e.least = 1.0 / (1 << 14) // dyadic, for atoms at whole losses to fall on the grid
	}
	return e, nil
}

// step returns the dominating pair of one term in one direction, and whether the other direction differs.
func (e *pldEngine) step(t term, adj Adjacency, add bool) (step, bool, error) {
	n := float64(t.n)
	one := func(p pair) []part { return []part{{1, p}} }
	few := func(z float64) error {
		if z < minPLDMultiplier {
			return unsupported(PLD, adj, t.event, "the multiplier must be at least 0.04")
		}
		return nil
	}
	switch x := t.event.(type) {
	case Laplace:
		e.atoms = true
		return step{n: n, parts: one(sampled{laplaceLaws{adj.sensitivity() / x.NoiseMultiplier}, 1, false})}, false, few(x.NoiseMultiplier)
	case EpsilonDelta:
		e.atoms = true
		p := 1 / (1 + math.Exp(-x.Epsilon))
		keep := 1 - x.Delta
		return step{n: n, parts: one(points{{-x.Epsilon, keep * (1 - p)}, {x.Epsilon, keep * p}}), inf: x.Delta}, false, nil
	case PoissonSampled:
		switch y := x.Event.(type) {
		case Gaussian:
			if adj == ReplaceOne {
				return step{n: n, parts: one(replaced{x.Q, y.NoiseMultiplier})}, false, few(y.NoiseMultiplier / 3)
			}
			return step{n: n, parts: one(sampled{gaussianLaws{1 / y.NoiseMultiplier}, x.Q, add})}, true, few(y.NoiseMultiplier)
		case Laplace:
			if adj == ZeroOut {
				e.atoms = true
				return step{n: n, parts: one(sampled{laplaceLaws{1 / y.NoiseMultiplier}, x.Q, add})}, true, few(y.NoiseMultiplier)
			}
		}
		return step{}, false, unsupported(PLD, adj, x, "no dominating pair is known for a sample of "+x.Event.kind())
	case TruncatedPoisson:
		s := step{n: n, parts: truncatedParts(x, adj, add)}
		return s, adj == ZeroOut, few(x.NoiseMultiplier / 8)
	}
	return step{}, false, unsupported(PLD, adj, t.event, "no dominating pair is known")
}

// truncatedParts is the mixture of "Tighter Privacy Analysis for Truncated Poisson Sampling", arXiv:2508.15089: unless the rest of the sample fills the cap the
// mechanism is the plain Poisson sample; when it does, one unit in the batch displaces another, which is at most a
// replacement at the rate at which a unit survives truncation.
func truncatedParts(x TruncatedPoisson, adj Adjacency, add bool) []part {
	plain := func(q float64) pair {
		if adj == ReplaceOne {
			return replaceOne(q, x.NoiseMultiplier)
		}
		return sampled{gaussianLaws{1 / x.NoiseMultiplier}, q, add}
	}
	full := binomialTail(x.Records-1, x.Q, x.Cap)
	if full == 0 || x.Q == 0 {
		return []part{{1, plain(x.Q)}}
	}
	q := math.Min(1, binomialTail(x.Records, x.Q, x.Cap+1)*float64(x.Cap)/full/float64(x.Records))
	parts := []part{{full, replaceOne(q, x.NoiseMultiplier/2)}}
	if full < 1 {
		parts = append(parts, part{1 - full, plain(x.Q)})
	}
	return parts
}

// replaceOne needs the closed form of q = 1 apart, for there the shared component is gone.
func replaceOne(q, z float64) pair {
	if q == 1 {
		return sampled{gaussianLaws{2 / z}, 1, false}
	}
	return replaced{q, z}
}

// binomialTail is the probability that a binomial variable of n trials at rate q is at least k.
func binomialTail(n int64, q float64, k int64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n || q == 0:
		return 0
	case q == 1:
		return 1
	}
	lg := func(x int64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	at := func(i int64) float64 {
		return math.Exp(lg(n) - lg(i) - lg(n-i) + float64(i)*math.Log(q) + float64(n-i)*math.Log1p(-q))
	}
	odds := q / (1 - q)
	sum := 0.0
	if float64(k) > float64(n)*q {
		for i, p := k, at(k); i <= n && p > 1e-20*sum; i++ {
			sum += p
			p *= odds * float64(n-i) / float64(i+1)
		}
		return sum
	}
	for i, p := k-1, at(k-1); i >= 0 && p > 1e-20*sum; i-- {
		sum += p
		p *= float64(i) / (odds * float64(n-i+1))
	}
	return math.Max(0, 1-sum)
}

func (e *pldEngine) epsilon(delta float64) (Bound, float64, error) {
	b, err := e.ask(question{atoms: e.atoms, least: e.least, delta: delta, ceiling: e.ceiling(engine.epsilon, delta)})
	return b, 0, err
}

func (e *pldEngine) delta(epsilon float64) (Bound, float64, error) {
	b, err := e.ask(question{atoms: e.atoms, least: e.least, epsilon: epsilon, forDelta: true, ceiling: e.ceiling(engine.delta, epsilon)})
	return b, 0, err
}

func (e *pldEngine) ceiling(ask func(engine, float64) (Bound, float64, error), at float64) float64 {
	if e.rdp == nil {
		return math.Inf(1)
	}
	b, _, err := ask(e.rdp, at)
	if err != nil {
		return math.Inf(1)
	}
	return b.Upper
}

// ask takes the worse of the directions.
func (e *pldEngine) ask(q question) (Bound, error) {
	var out Bound
	for _, steps := range e.directions {
		q.steps, q.settled = steps, out.Lower
		b, err := q.answer()
		if err != nil {
			return Bound{}, err
		}
		out = Bound{max(out.Lower, b.Lower), max(out.Estimate, b.Estimate), max(out.Upper, b.Upper)}
	}
	// With little noise on rare samples the grid can be worse than a Rényi bound, which is as valid.
	out.Upper = max(min(out.Upper, q.ceiling), out.Lower)
	out.Estimate = min(out.Estimate, out.Upper)
	return out, nil
}

// question asks for epsilon at delta, or for delta at epsilon, in one direction.
type question struct {
	steps          []step
	atoms          bool
	least          float64 // least width of the grid that the upper bound is read from
	ceiling        float64 // an upper bound by other means
	settled        float64 // what the other direction is known to reach; less than that is of no interest
	delta, epsilon float64
	forDelta       bool
}

func (q question) answer() (Bound, error) {
	m := newSamples(q.steps)
	if m.largest == 0 {
		return Bound{}, nil
	}
	var g guess
	if q.forDelta {
		g = m.forEpsilon(q.epsilon, 0)
	} else {
		// Chernoff's epsilon may lie far above the true one; a coarse answer or two brings the tilt to where it belongs.
		g = m.forDelta(q.delta)
		for range 4 {
			coarse := math.Max(tolerance(g.epsilon), math.Min(100*tolerance(g.epsilon), 0.1*g.epsilon))
			up, _, err := q.pessimistic(m, g, g.step(m.n, coarse))
			if err != nil {
				return Bound{}, err
			}
			eps := up.epsilonAt(q.delta, true)
			if math.IsInf(eps, 1) {
				break // so coarse a grid says nothing
			}
			if eps <= q.settled {
				return Bound{Upper: eps}, nil
			}
			next := m.forEpsilon(eps, q.delta)
			near := math.Abs(eps-g.epsilon) <= 0.1*g.epsilon
			g = next
			if near {
				break
			}
		}
	}
	b, err := q.bounds(m, g)
	if err != nil || q.least == 0 {
		return b, err
	}
	// Where the grid had to be finer than the reference's, the published bound is the reference's.
	if g.step(m.n, tolerance(g.epsilon)) < q.least {
		up, _, err := q.pessimistic(m, g, q.least)
		if err != nil {
			return b, err
		}
		b.Upper = math.Max(b.Upper, math.Min(q.of(up, true), q.ceiling))
	}
	return b, nil
}

// of reads the answer off a composition.
func (q question) of(t tilted, upper bool) float64 {
	if q.forDelta {
		return t.deltaAt(q.epsilon, upper)
	}
	return t.epsilonAt(q.delta, upper)
}

// bounds composes both ways on a grid as fine as the tolerance asks, finer still where that was not fine enough.
func (q question) bounds(m samples, g guess) (Bound, error) {
	h := g.step(m.n, tolerance(g.epsilon))
	for try := 0; ; try++ {
		up, used, err := q.pessimistic(m, g, h)
		if err != nil {
			return Bound{}, err
		}
		h = used
		// Merging takes half of what chords add: twice the width, a fraction of the time.
		wide := q.lowerStep(2*h, tail(g, m))
		low, ok := q.compose(step.lower, wide, tail(g, m), g)
		for range 60 {
			if ok {
				break
			}
			wide *= 2
			low, ok = q.compose(step.lower, wide, tail(g, m), g)
		}
		if !ok {
			return Bound{}, fmt.Errorf("composition of %v steps: %w: its losses need a grid of more than %d points", m.n, ErrUnsupported, maxPoints)
		}
		b := Bound{Lower: q.of(low, false), Upper: q.of(up, true)}
		if !q.forDelta && b.Upper < g.epsilon*0.8 && try < 3 {
			// The window lies too high.
			g = m.forEpsilon(b.Upper, q.delta)
			h = g.step(m.n, tolerance(g.epsilon))
			continue
		}
		if math.IsInf(b.Upper, 1) && try < 2 {
			h /= 4
			continue
		}
		b.Lower = math.Min(b.Lower, b.Upper)
		// Chords add h^2/6 to a step's variance, merging over 2h takes h^2/3 away.
		b.Estimate = b.Upper
		if b.Lower > b.Upper*0.9 || b.Upper-b.Lower < 8*pldAbsolute {
			b.Estimate -= (b.Upper - b.Lower) / 3
		}
		if q.forDelta || b.Upper-b.Lower <= 8*tolerance(b.Upper) || try >= 2 || len(up.q) > maxPoints/4 {
			return b, nil
		}
		h /= 2
	}
}

// lowerStep narrows h until a point of the grid lies between the least loss of a rarely sampled step, just below 0, and 0: without
// one the bulk of its outcomes, which leak next to nothing, could not be merged to any loss on the grid.
func (q question) lowerStep(h, tail float64) float64 {
	for _, s := range q.steps {
		for _, c := range s.parts {
			least := -c.pair.loss(math.Inf(-1))
			lo, hi := s.span(tail)
			for least > 0 && h > least/2 && hi-lo < h*(1<<17) {
				h /= 2
			}
		}
	}
	return h
}

func tolerance(epsilon float64) float64 { return math.Max(pldAbsolute, pldRelative*epsilon) }

// tail is the mass of P left beyond the grid of one step.
func tail(g guess, m samples) float64 {
	return math.Max(math.Min(1e-7*g.delta/m.n, 1e-12), 1e-280)
}

// pessimistic composes on a grid of width h, or wider where that takes too many points, and returns the width.
func (q question) pessimistic(m samples, g guess, h float64) (tilted, float64, error) {
	for range 60 {
		h = q.roundStep(h)
		if t, ok := q.compose(step.upper, h, tail(g, m), g); ok {
			return t, h, nil
		}
		h *= 2
	}
	return tilted{}, 0, fmt.Errorf("composition of %v steps: %w: its losses need a grid of more than %d points", m.n, ErrUnsupported, maxPoints)
}

// roundStep makes h a dyadic number, so that losses on the grid are exact; a pure power of two where atoms should fall on it.
func (q question) roundStep(h float64) float64 {
	if h == q.least {
		return h
	}
	f, e := math.Frexp(h)
	if q.atoms {
		return math.Ldexp(0.5, e)
	}
	return math.Ldexp(math.Floor(16*f), e-4)
}

type discretiser func(s step, h, tail float64) pmf

func (q question) compose(d discretiser, h, tail float64, g guess) (tilted, bool) {
	f := make([]pmf, len(q.steps))
	n := make([]float64, len(q.steps))
	for i, s := range q.steps {
		first, last := s.grid(h, tail)
		if last-first > maxPoints {
			return tilted{}, false
		}
		f[i], n[i] = d(s, h, tail), s.n
	}
	return compose(f, n, h, g)
}

// deltaAt returns a bound on delta at epsilon: the sum of p (1 - e^(epsilon - loss)) over the losses above epsilon.
func (t tilted) deltaAt(epsilon float64, upper bool) float64 {
	k := int(math.Floor(epsilon/t.h)) + 1 - t.first
	if k < 0 {
		k = 0
	}
	sum := 0.0
	for i := len(t.q) - 1; i >= k; i-- {
		l := float64(t.first+i) * t.h
		sum += t.q[i] * math.Exp(-t.theta*(l-t.ref)) * -math.Expm1(epsilon-l)
	}
	err := t.error(epsilon)
	if upper {
		return math.Min(1, ((sum+err)*math.Exp(t.logScale)+math.Exp(math.Min(t.right, 0)))*(1+t.slack)+t.inf)
	}
	return math.Max(0, (sum-err-t.outside*math.Exp(-t.theta*(epsilon-t.ref))/(1+t.theta))*math.Exp(t.logScale)*(1-t.slack)+t.inf*(1-t.slack))
}

// error bounds what rounding in the transform can do to the weighted sum above epsilon.
func (t tilted) error(epsilon float64) float64 {
	weights := math.Min(float64(len(t.q)), 1/(t.h*t.theta*(1+t.theta))+1)
	return t.pointErr * weights * math.Exp(-t.theta*(epsilon-t.ref))
}

// epsilonAt returns the least epsilon >= 0 whose upper bound on delta is at most delta, or (upper false) the largest whose lower bound is at least delta.
func (t tilted) epsilonAt(delta float64, upper bool) float64 {
	scale := math.Exp(-t.logScale)
	var target float64 // what the weighted sum may be
	if upper {
		target = (delta-t.inf)/(1+t.slack) - math.Exp(math.Min(t.right, 0))
		if target <= 0 {
			return math.Inf(1)
		}
	} else {
		target = math.Max(0, delta-t.inf*(1-t.slack)) / (1 - t.slack)
	}
	target *= scale
	allowance := t.error(t.ref) // what is added to (upper) or taken from the sum at epsilon = ref
	if !upper {
		allowance = -allowance - t.outside/(1+t.theta)
	}
	edge := func(l, untilt float64) float64 {
		if l == 0 {
			untilt = math.Exp(t.theta * t.ref)
		}
		return allowance * untilt
	}
	untilt, discount := 1.0, 1.0 // e^(-theta (loss - ref)) and e^(ref - loss)
	up, back := math.Exp(t.theta*t.h), math.Exp(t.h)
	s1, s2 := 0.0, 0.0 // sums of the weights above, and of the weights times e^(ref - loss)
	for i := len(t.q) - 1; i >= 0; i-- {
		l := float64(t.first+i) * t.h
		if k := len(t.q) - 1 - i; k%64 == 0 {
			untilt, discount = math.Exp(-t.theta*(l-t.ref)), math.Exp(t.ref-l)
		}
		at, grow := l, 1/discount
		if l < 0 {
			at, grow = 0, math.Exp(-t.ref)
		}
		if s1-grow*s2+edge(at, untilt) > target {
			// The answer lies between here and the next loss, where the sum is linear in e^epsilon.
			eps := t.ref + math.Log(math.Max((s1+edge(at, untilt)-target)/s2, math.SmallestNonzeroFloat64))
			return math.Min(math.Max(eps, at), math.Max(l+t.h, 0))
		}
		if l <= 0 {
			return 0
		}
		w := math.Max(0, t.q[i]) * untilt
		s1 += w
		s2 += w * discount
		untilt *= up
		discount *= back
	}
	if upper {
		return math.Max(0, float64(t.first)*t.h)
	}
	return 0
}
