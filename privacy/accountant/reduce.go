package accountant

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// term is an event that no rule simplifies further, n times over.
type term struct {
	event Event
	n     int64
}

// reduced is an event taken apart: the unsampled Gaussians folded into one, what remains, and the prices of the
// steps by which discrete noise was certified as continuous.
type reduced struct {
	gauss      float64 // sum of 1/z^2 over the unsampled Gaussians; their composition is one Gaussian of z = 1/sqrt(gauss)
	terms      []term  // in canonical order, so that sums do not depend on the order of composition
	keep       float64 // log of the probability that no pure failure (EpsilonDelta with epsilon 0) happens
	kappa      float64 // total variation spent on the discrete-as-continuous certificate, all steps and coordinates
	shift      float64 // bound on twice the log ratio between sums of shares and one discrete Gaussian, all steps
	steps      float64 // number of compositions, for floating-point error
	nonPrivate bool
	loose      bool // some event is charged as the worst of a larger class: no lower bound is known

	assumptions []string
}

// lone strips compositions of one event, and samples of everybody.
func lone(e Event) Event {
	for {
		switch x := e.(type) {
		case SelfComposed:
			if x.Count != 1 {
				return e
			}
			e = x.Event
		case Composed:
			if len(x.Events) != 1 {
				return e
			}
			e = x.Events[0]
		case PoissonSampled:
			if x.Q != 1 {
				return e
			}
			e = x.Event
		default:
			return e
		}
	}
}

func (a Accountant) reduce(e Event) (reduced, error) {
	var flat []term
	if err := flatten(e, 1, &flat); err != nil {
		return reduced{}, err
	}
	flat, err := merge(flat)
	if err != nil {
		return reduced{}, err
	}
	r := reduced{assumptions: []string{"neighbours: " + a.Adjacency.String()}}
	for _, t := range flat {
		if err := r.add(t, a); err != nil {
			return reduced{}, err
		}
	}
	if r.terms, err = merge(r.terms); err != nil {
		return reduced{}, err
	}
	slices.Sort(r.assumptions[1:])
	r.assumptions = slices.Compact(r.assumptions)
	return r, nil
}

func flatten(e Event, n int64, out *[]term) error {
	switch x := e.(type) {
	case Composed:
		for _, y := range x.Events {
			if err := flatten(y, n, out); err != nil {
				return err
			}
		}
		return nil
	case SelfComposed:
		hi, lo := bits.Mul64(uint64(n), uint64(x.Count))
		if hi != 0 || lo > MaxCount {
			return fmt.Errorf("%s: %w: more than 2^40 repetitions, nesting multiplied out", e.kind(), ErrInvalid)
		}
		return flatten(x.Event, int64(lo), out)
	}
	*out = append(*out, term{e, n})
	return nil
}

// merge sorts terms by their canonical bytes and adds up equal ones.
func merge(terms []term) ([]term, error) {
	type keyed struct {
		term
		key string
	}
	ks := make([]keyed, len(terms))
	for i, t := range terms {
		b, err := Encode(t.event)
		if err != nil {
			return nil, err
		}
		ks[i] = keyed{t, string(b)}
	}
	slices.SortFunc(ks, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	out := terms[:0:0]
	for i, k := range ks {
		if i > 0 && k.key == ks[i-1].key {
			last := &out[len(out)-1]
			if last.n += k.n; last.n > MaxCount {
				return nil, fmt.Errorf("%s: %w: more than 2^40 repetitions", k.event.kind(), ErrInvalid)
			}
			continue
		}
		out = append(out, k.term)
	}
	return out, nil
}

func (r *reduced) add(t term, a Accountant) error {
	n := float64(t.n)
	r.steps += n
	switch e := t.event.(type) {
	case NoOp:
	case NonPrivate:
		r.nonPrivate = true
	case Gaussian:
		r.gauss += n / (e.NoiseMultiplier * e.NoiseMultiplier)
	case Tree:
		// A record touches at most one node on each level of the tree.
		r.gauss += n * float64(bits.Len64(uint64(e.Steps))) / (e.NoiseMultiplier * e.NoiseMultiplier)
		r.assume("a unit takes part at most once in each tree")
	case Matrix:
		if int64(len(e.Coefficients)) > e.Separation {
			return unsupported(a.Method, a.Adjacency, e, fmt.Sprintf("%d bands over a separation of %d: columns that one unit touches would overlap", len(e.Coefficients), e.Separation))
		}
		s := MatrixSensitivity(e.Coefficients, e.Steps, e.Separation, e.Participations) / e.NoiseMultiplier
		r.gauss += n * s * s
		r.assume("a unit takes part in no more steps, and no closer ones, than the matrix mechanism allows")
	case DiscreteGaussian:
		if !a.sampled && (a.Method == RDP || a.Method == ZCDP) {
			// Without a sample there is no need to go by way of the continuous one.
			r.assume("integer vectors meet their norm bound exactly; noise comes from an exact sampler")
			if e.Shares > 1 {
				r.assume("at least the charged number of shares of discrete Gaussian noise is in every sum")
			}
			r.terms = append(r.terms, t)
			return nil
		}
		z, err := r.certify(e, n)
		if err != nil {
			return err
		}
		r.gauss += n / (z * z)
	case EpsilonDelta:
		if e.Epsilon == 0 {
			r.keep += n * math.Log1p(-e.Delta)
			return nil
		}
		if e.Delta > 0 && a.Method != PLD {
			// An (epsilon, delta)-DP mechanism is a function of one that fails with probability delta and is else
			// epsilon-DP. Kairouz, Oh, Viswanath 2015.
			r.keep += n * math.Log1p(-e.Delta)
			t.event = EpsilonDelta{e.Epsilon, 0}
		}
		r.terms = append(r.terms, t)
	case PoissonSampled:
		return r.addSampled(e, t.n, a)
	case FixedSize:
		a.sampled = true
		in, err := a.reduce(e.Event)
		if err != nil {
			return err
		}
		if len(in.terms) > 0 || in.keep != 0 || in.nonPrivate {
			return unsupported(a.Method, a.Adjacency, e, "only Gaussian noise has a fixed-size bound here")
		}
		r.corrections(in, n)
		if in.gauss > 0 {
			r.terms = append(r.terms, term{FixedSize{e.Records, e.Batch, Gaussian{1 / math.Sqrt(in.gauss)}}, t.n})
			r.assume("every batch is a uniform sample of its size, drawn independently and kept secret")
		}
	case Exponential:
		r.loose = true
		r.terms = append(r.terms, t)
	case TruncatedPoisson:
		r.assume("coins of the Poisson samples are independent and secret")
		r.assume("the number of records is public; a truncated batch is a uniform subset of its sample")
		r.terms = append(r.terms, t)
	default:
		r.terms = append(r.terms, t)
	}
	return nil
}

func (r *reduced) addSampled(e PoissonSampled, n int64, a Accountant) error {
	if e.Q == 0 {
		return nil
	}
	var flat []term
	if err := flatten(e.Event, n, &flat); err != nil {
		return err
	}
	if e.Q == 1 {
		flat, err := merge(flat)
		if err != nil {
			return err
		}
		for _, t := range flat {
			if err := r.add(t, a); err != nil {
				return err
			}
		}
		return nil
	}
	if x, ok := approximate(lone(e.Event)); ok {
		if a.Adjacency == ReplaceOne {
			return unsupported(a.Method, a.Adjacency, e, "the unit's absence, which its coin makes possible, is no neighbour")
		}
		_, whole := lone(e.Event).(EpsilonDelta)
		r.loose = r.loose || !whole
		// Amplification by sampling; Balle, Barthe, Gaboardi 2018, Theorem 8.
		r.assume("coins of the Poisson samples are independent and secret")
		return r.add(term{EpsilonDelta{math.Log1p(e.Q * math.Expm1(x.Epsilon)), e.Q * x.Delta}, n}, a)
	}
	a.sampled = true
	in, err := a.reduce(e.Event)
	if err != nil {
		return err
	}
	r.nonPrivate = r.nonPrivate || in.nonPrivate
	r.corrections(in, float64(n))
	r.keep += float64(n) * in.keep
	r.loose = r.loose || in.loose
	r.assume("coins of the Poisson samples are independent and secret")
	switch {
	case len(in.terms) == 0 && in.gauss == 0:
		return nil
	case len(in.terms) == 0:
		r.terms = append(r.terms, term{PoissonSampled{e.Q, Gaussian{1 / math.Sqrt(in.gauss)}}, n})
		return nil
	case len(in.terms) == 1 && in.terms[0].n == 1 && in.gauss == 0:
		r.terms = append(r.terms, term{PoissonSampled{e.Q, in.terms[0].event}, n})
		return nil
	}
	return unsupported(a.Method, a.Adjacency, e, "one coin over several kinds of noise")
}

// approximate is an event of which no more is used, when it is sampled, than that it is (epsilon, delta)-DP.
func approximate(e Event) (EpsilonDelta, bool) {
	switch x := e.(type) {
	case EpsilonDelta:
		return x, true
	case Exponential:
		return EpsilonDelta{x.Epsilon, 0}, true
	case RandomizedResponse:
		return EpsilonDelta{x.epsilon(ZeroOut), 0}, true
	}
	return EpsilonDelta{}, false
}

func (r *reduced) corrections(in reduced, n float64) {
	r.kappa += n * in.kappa
	r.shift += n * in.shift
	for _, s := range in.assumptions[1:] {
		r.assume(s)
	}
}

func (r *reduced) assume(s string) { r.assumptions = append(r.assumptions, s) }

// epsilon turns core, which answers for the continuous event, into an answer for the event itself (docs/privacy.md,
// proofs 1 and 2).
func (r *reduced) epsilon(delta float64, core func(float64) (Bound, error)) (Bound, error) {
	fail := -math.Expm1(r.keep)
	if delta <= fail {
		return Bound{0, math.Inf(1), math.Inf(1)}, nil
	}
	d := delta
	if fail > 0 {
		d = (delta - fail) / (1 - fail)
	}
	b, err := core(d)
	if err != nil || (r.kappa == 0 && r.shift == 0) {
		return b, err
	}
	price := func(eps float64) float64 { return (1 + math.Exp(eps)) * r.kappa }
	shift := r.shift
	over, under := d, d+math.Min(price(b.Upper+1), 1)
	if p := price(b.Upper + r.shift + 0.01); p <= 1e-3*d {
		over = math.Nextafter(d-p, 0)
	} else {
		// The same coupling as a ratio of densities, whose price does not grow with epsilon.
		shift += ratioShift(r.kappa)
	}
	up, err := core(over * math.Exp(-shift/2))
	if err != nil {
		return b, err
	}
	low, err := core(math.Min(under*math.Exp(shift/2), 1-1e-16))
	if err != nil {
		return b, err
	}
	b = Bound{math.Max(0, math.Min(low.Lower-shift, b.Lower)), b.Estimate, up.Upper + shift}
	b.Estimate = min(max(b.Estimate, b.Lower), b.Upper)
	return b, nil
}

func (r *reduced) delta(epsilon float64, core func(float64) (Bound, error)) (Bound, error) {
	fail := -math.Expm1(r.keep)
	b, err := core(epsilon)
	if err != nil {
		return b, err
	}
	if r.kappa > 0 || r.shift > 0 {
		p := (1 + math.Exp(epsilon)) * r.kappa
		shift := r.shift
		if p > 1e-3*b.Upper {
			shift += ratioShift(r.kappa)
			p = 0
		}
		up, err := core(math.Max(0, epsilon-shift))
		if err != nil {
			return b, err
		}
		b.Upper = math.Min(1, up.Upper*math.Exp(shift/2)+p+math.Max(0, math.Expm1(shift-epsilon)))
		b.Lower = math.Max(0, b.Lower*math.Exp(-shift/2)-(1+math.Exp(epsilon))*(r.kappa+math.Expm1(shift)))
		b.Estimate = min(max(b.Estimate, b.Lower), b.Upper)
	}
	if fail > 0 {
		b = Bound{fail + (1-fail)*b.Lower, fail + (1-fail)*b.Estimate, fail + (1-fail)*b.Upper}
	}
	return b, nil
}
