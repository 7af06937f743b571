package accountant

import (
	"math"
)

// accuracy is how far above the true epsilon each approximation on the way may lift the tightest upper bound, about.
const accuracy = 2e-5

// hopeless is an epsilon so large that only a Rényi bound is given for it.
const hopeless = 2000

// minPLDMultiplier keeps density ratios within floating point; no useful epsilon comes from less noise.
const minPLDMultiplier = 0.04

// pldEngine holds one list of steps for each direction of the neighbour relation.
type pldEngine struct {
	directions [][]step
	gauss      float64 // mu^2 of the unsampled Gaussians beside
	tightest   bool
	loose      bool
	rdp        engine  // nil where it does not know the event
	pure       float64 // epsilon at delta 0 by basic composition; 0 unless all terms are pure
	transforms transforms
}

func newPLD(r reduced, adj Adjacency, tightest bool) (engine, error) {
	if len(r.terms) == 0 {
		return closedForm{gaussianEngine{math.Sqrt(r.gauss) * adj.sensitivity()}, tightest}, nil
	}
	e := &pldEngine{tightest: tightest, loose: r.loose, gauss: r.gauss * adj.sensitivity() * adj.sensitivity(), pure: pureEpsilon(r, adj)}
	if mu := math.Sqrt(e.gauss); mu > 1/minPLDMultiplier {
		return nil, unsupported(PLD, adj, Gaussian{1 / mu}, "beside other kinds its multiplier must be at least 0.04 in all")
	}
	asymmetric := false
	for _, add := range []bool{false, true} {
		var steps []step
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
	return e, nil
}

// pureEpsilon adds up the epsilons of terms none of which can fail; 0 where one can.
func pureEpsilon(r reduced, adj Adjacency) float64 {
	if r.gauss > 0 {
		return 0
	}
	sum := 0.0
	for _, t := range r.terms {
		switch x := t.event.(type) {
		case Laplace:
			sum += float64(t.n) * adj.sensitivity() / x.NoiseMultiplier
		case EpsilonDelta:
			if x.Delta > 0 {
				return 0
			}
			sum += float64(t.n) * x.Epsilon
		case Exponential:
			sum += float64(t.n) * x.Epsilon
		case PoissonSampled:
			y, ok := x.Event.(Laplace)
			if !ok || adj != ZeroOut {
				return 0
			}
			sum += float64(t.n) * mixLoss(x.Q, 1/y.NoiseMultiplier)
		case RandomizedResponse:
			sum += float64(t.n) * x.epsilon(adj)
		default:
			return 0
		}
	}
	return sum * (1 + 1e-12)
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
		return step{n: n, parts: one(sampled{laplaceLaws{adj.sensitivity() / x.NoiseMultiplier}, 1, false})}, false, few(x.NoiseMultiplier)
	case EpsilonDelta:
		return step{n: n, parts: one(pure(x.Epsilon, 1-x.Delta)), inf: x.Delta}, false, nil
	case Exponential:
		// The worst of the pure events: no one pair of narrower losses dominates a composition.
		return step{n: n, parts: one(pure(x.Epsilon, 1))}, false, nil
	case RandomizedResponse:
		return step{n: n, parts: one(x.losses(adj, add))}, adj == ZeroOut, nil
	case PoissonSampled:
		switch y := x.Event.(type) {
		case Gaussian:
			if adj == ReplaceOne {
				return step{n: n, parts: one(replaced{x.Q, y.NoiseMultiplier})}, false, few(y.NoiseMultiplier / 3)
			}
			return step{n: n, parts: one(sampled{gaussianLaws{1 / y.NoiseMultiplier}, x.Q, add})}, true, few(y.NoiseMultiplier)
		case Laplace:
			if adj == ZeroOut {
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

// pure is binary randomised response, the worst epsilon-DP event, of mass keep in all.
func pure(epsilon, keep float64) points {
	p := 1 / (1 + math.Exp(-epsilon))
	return points{{-epsilon, keep * (1 - p)}, {epsilon, keep * p}}
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

// query asks for epsilon at delta, or for delta at epsilon.
type query struct {
	delta, epsilon float64
	forDelta       bool
}

func (e *pldEngine) epsilon(delta float64) (Bound, float64, error) {
	return e.ask(query{delta: delta}, engine.epsilon, delta)
}

func (e *pldEngine) delta(epsilon float64) (Bound, float64, error) {
	return e.ask(query{epsilon: epsilon, forDelta: true}, engine.delta, epsilon)
}

// ask takes the worse of the directions.
func (e *pldEngine) ask(q query, rdp func(engine, float64) (Bound, float64, error), at float64) (Bound, float64, error) {
	e.transforms = transforms{}
	var out Bound
	for _, steps := range e.directions {
		b, err := e.answer(steps, q, out.Lower)
		if err != nil {
			return Bound{}, 0, err
		}
		out = Bound{max(out.Lower, b.Lower), max(out.Estimate, b.Estimate), max(out.Upper, b.Upper)}
	}
	if e.loose {
		out.Lower = 0
	}
	if e.rdp != nil {
		// A Rényi bound is as valid.
		if b, _, err := rdp(e.rdp, at); err == nil {
			out.Upper = max(min(out.Upper, b.Upper), out.Lower)
			out.Estimate = min(out.Estimate, out.Upper)
		}
	}
	switch {
	case e.pure == 0:
	case !q.forDelta && e.pure < out.Upper:
		out = Bound{out.Lower, min(out.Estimate, e.pure), max(e.pure, out.Lower)}
	case q.forDelta && q.epsilon >= e.pure:
		out = Bound{}
	}
	return out, 0, nil
}

// answer is for one direction. What is settled need not be improved on: a direction that reaches less is of no interest.
func (e *pldEngine) answer(steps []step, q query, settled float64) (Bound, error) {
	if len(steps) == 1 && steps[0].n == 1 && e.gauss == 0 {
		return e.single(steps[0], q), nil
	}
	if b, ok := e.enumerate(steps, q); ok {
		return b, nil
	}
	m := newSamples(steps, e.gauss)
	if m.largest == 0 {
		return Bound{}, nil
	}
	at := target{epsilon: q.epsilon, pilots: pilots}
	if q.forDelta {
		_, log := share{m, math.Inf(1), false}.saddle(q.epsilon)
		at.delta = math.Exp(math.Min(log, 0))
	} else {
		// Chernoff's epsilon may lie far above the true one; a coarse answer or two brings the tilt to where it belongs.
		at.delta = q.delta
		at.epsilon = share{m, math.Inf(1), false}.firstEpsilon(q.delta)
		if at.epsilon > 2*hopeless {
			return Bound{Estimate: math.Inf(1), Upper: math.Inf(1)}, nil
		}
		for range 6 {
			at.shares = m.split(at.epsilon, at.delta)
			at.accuracy = math.Max(4*accuracy, 0.01*at.epsilon)
			if len(at.shares) > 1 {
				at.pilots = 8 * pilots
			}
			up, _, _ := e.curves(m, at, false)
			eps := up.solve(q.delta, at.epsilon, up.upper, true)
			if eps < accuracy {
				return Bound{Upper: eps, Estimate: eps / 2}, nil
			}
			if eps > hopeless {
				return Bound{Estimate: math.Inf(1), Upper: math.Inf(1)}, nil
			}
			if eps <= settled {
				return Bound{Upper: eps}, nil
			}
			if by := math.Max(1e-3*eps, accuracy); eps > 0 {
				at.slope = math.Max(0, math.Log(up.upper(eps)/math.Max(up.upper(eps+by), 1e-300))/by)
			}
			near := math.Abs(eps-at.epsilon) <= 0.05*at.epsilon
			if at.epsilon = eps; near {
				break
			}
		}
	}
	at.shares = m.split(at.epsilon, at.delta)
	at.accuracy = accuracy
	at.pilots = pilots
	if len(at.shares) > 1 {
		at.accuracy *= 4
		at.pilots = 16 * pilots
	}
	for refined, moved := 0, 0; ; {
		b := e.bounds(m, at, q)
		if q.forDelta || b.Upper-b.Lower <= math.Max(20*accuracy, 1e-4*b.Upper) || refined == 2 {
			return e.publish(b), nil
		}
		// Losses that nearly repeat have narrow windows, below which aliasing hides the truth: look again from a little below.
		if moved == 0 || math.Abs(b.Upper-at.epsilon) > 0.02*at.epsilon && moved < 3 {
			moved++
			at.epsilon = 0.99 * b.Upper
			at.shares = m.split(at.epsilon, at.delta)
			continue
		}
		refined++
		at.pilots *= 4
		at.accuracy /= 8
	}
}

// bounds answers with the accuracy that is wanted.
func (e *pldEngine) bounds(m samples, at target, q query) draft {
	up, low, ref := e.curves(m, at, true)
	var b draft
	if q.forDelta {
		b.Bound = Bound{Lower: low.lower(q.epsilon), Upper: up.upper(q.epsilon)}
		b.published = math.Min(ref.upper(q.epsilon), up.upper(math.Max(0, q.epsilon-usualAllowance)))
	} else {
		b.Bound = Bound{Lower: low.solve(q.delta, at.epsilon, low.lower, false), Upper: up.solve(q.delta, at.epsilon, up.upper, true)}
		if !e.tightest {
			b.published = b.Upper + allowance(ref.solve(q.delta-referenceTail(q.delta), b.Upper, ref.upper, true)-b.Upper, b.Upper)
		}
	}
	b.Lower = math.Min(b.Lower, b.Upper)
	b.Estimate = (b.Lower + b.Upper) / 2
	return b
}

// draft is a bound, and what is published in place of its upper end.
type draft struct {
	Bound
	published float64
}

func (e *pldEngine) publish(d draft) Bound {
	if !e.tightest {
		d.Upper = math.Max(d.Upper, d.published)
	}
	return d.Bound
}

// target is about where the answer lies, and how closely it is wanted.
type target struct {
	epsilon, delta, accuracy float64
	slope                    float64 // of -log delta in epsilon, 0 where unknown
	shares                   []share
	pilots                   int
}

// curves composes the upper discretisation and, where all are wanted, the lower one, and the upper one with the variance that
// ReferenceInterval would have added.
func (e *pldEngine) curves(m samples, at target, all bool) (up, low, ref curves) {
	n := make([]float64, len(m.steps))
	above, below := make([]law, len(m.steps)), make([]law, len(m.steps))
	wider, logMass, fails := e.gauss, 0.0, 0.0
	for i, s := range m.steps {
		n[i] = s.n
		tilts := m.tilts(at.shares, i, at.epsilon, at.delta)
		cut := s.cells(tilts, math.Max(math.Min(1e-7*at.delta/m.n, 1e-12), 1e-280), at.accuracy, at.pilots)
		above[i] = s.upper(cut)
		logMass += s.n * math.Log1p(-math.Min(above[i].inf, 1))
		if !all {
			continue
		}
		below[i] = s.lower(cut)
		fails += s.n * math.Log1p(-math.Min(below[i].inf, 1))
		if !e.tightest {
			wider += s.n * above[i].gridError(tilts.theta[0], ReferenceInterval)
		}
	}
	up.inf, low.inf = -math.Expm1(logMass), -math.Expm1(fails)
	ref.inf = up.inf
	for _, s := range at.shares {
		p := s.plane(at.epsilon, at.delta, at.slope, at.accuracy)
		c := compose(e.transforms, above, n, e.gauss+p.blur, p)
		up.of = append(up.of, c)
		if all {
			low.of = append(low.of, compose(e.transforms, below, n, e.gauss+p.blur, p))
			if !e.tightest {
				ref.of = append(ref.of, c.with(wider+p.blur))
			}
		}
	}
	return up, low, ref
}
