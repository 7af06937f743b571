package accountant

import (
	"errors"
	"fmt"
	"math"
)

// Errors that callers branch on.
var (
	// ErrUnsupported marks an event that an accountant has no proof for. The text names both.
	ErrUnsupported = errors.New("unsupported by this accountant")
	// ErrInvalid marks parameters outside their domain: a bad event, delta, epsilon or order.
	ErrInvalid = errors.New("invalid")
	// ErrBudget marks an event that a filter refuses because it would overspend.
	ErrBudget = errors.New("privacy budget exhausted")
)

// Bound is an interval that holds the true value. Lower <= Estimate <= Upper; Upper may be +Inf.
type Bound struct {
	Lower    float64 `json:"lower"`
	Estimate float64 `json:"estimate"`
	Upper    float64 `json:"upper"`
}

func exactly(v float64) Bound { return Bound{v, v, v} }

// Result is a Bound with what it rests on.
type Result struct {
	Bound
	// Method says how the bound was reached, in a few words.
	Method string `json:"method"`
	// Order is the Rényi order that gave Upper; 0 for methods without orders.
	Order float64 `json:"order,omitempty"`
	// Assumptions are what must hold outside this package for Upper to be a guarantee.
	Assumptions []string `json:"assumptions,omitempty"`
}

// Method names an accountant.
type Method string

// The accountants.
const (
	RDP   Method = "rdp"
	ZCDP  Method = "zcdp"
	GDP   Method = "gdp"
	Exact Method = "exact"
	PLD   Method = "pld"
)

// versions count the ways in which each method has computed its bounds. A number rises when a bound changes by more than 1e-6 relative, up
// or down, for any event: who pinned the number before then computes with the program of that time, or is told why the two differ.
var versions = map[Method]int{RDP: 1, ZCDP: 1, GDP: 1, Exact: 1, PLD: 1}

// Version is the way in which this program computes the bounds of m, from 1; 0 for no method.
func Version(m Method) int { return versions[m] }

// ParseMethod returns the method of that name.
func ParseMethod(name string) (Method, error) {
	switch m := Method(name); m {
	case RDP, ZCDP, GDP, Exact, PLD:
		return m, nil
	}
	return "", fmt.Errorf("accountant %q: %w: choose one of rdp, zcdp, gdp, exact, pld", name, ErrInvalid)
}

// Adjacency says which data sets are neighbours.
type Adjacency int

const (
	// ZeroOut neighbours differ by one unit whose contribution becomes zero. Add-or-remove gives the same numbers.
	ZeroOut Adjacency = iota
	// ReplaceOne neighbours differ by one unit exchanged for another, which doubles the sensitivity of a clipped sum.
	ReplaceOne
)

func (a Adjacency) String() string {
	if a == ReplaceOne {
		return "replace-one"
	}
	return "zero-out"
}

// ParseAdjacency returns the adjacency of that name.
func ParseAdjacency(name string) (Adjacency, error) {
	for _, a := range []Adjacency{ZeroOut, ReplaceOne} {
		if name == a.String() {
			return a, nil
		}
	}
	return 0, fmt.Errorf("adjacency %q: %w: choose zero-out or replace-one", name, ErrInvalid)
}

// Accountant answers for one method. The zero value of Adjacency is ZeroOut, that of Orders is DefaultOrders.
type Accountant struct {
	Method    Method
	Adjacency Adjacency
	// Orders are the Rényi orders to try, each > 1; used by RDP alone. They are read, never changed.
	Orders []float64
	// Tightest makes PLD answer with its tightest upper bound. By default it adds what ReferenceInterval would have added, within
	// limits, so that numbers agree with reference implementations; lower and estimate are unaffected.
	Tightest bool

	sampled bool // within a sample
}

// Epsilon returns the epsilon of e at delta, which must be in (0, 1).
func (a Accountant) Epsilon(e Event, delta float64) (Result, error) {
	if !(delta > 0 && delta < 1) {
		return Result{}, fmt.Errorf("delta %v: %w: must lie in (0, 1)", delta, ErrInvalid)
	}
	w, err := a.work(e)
	if err != nil {
		return Result{}, err
	}
	if w.nonPrivate {
		return w.result(exactly(math.Inf(1)), 0), nil
	}
	var order float64
	b, err := w.epsilon(delta, func(d float64) (Bound, error) {
		b, o, err := w.engine.epsilon(d)
		order = o
		return b, err
	})
	return w.result(b, order), err
}

// Delta returns the delta of e at epsilon, which must be finite and >= 0.
func (a Accountant) Delta(e Event, epsilon float64) (Result, error) {
	if !(epsilon >= 0) || math.IsInf(epsilon, 1) {
		return Result{}, fmt.Errorf("epsilon %v: %w: must be finite and at least 0", epsilon, ErrInvalid)
	}
	w, err := a.work(e)
	if err != nil {
		return Result{}, err
	}
	if w.nonPrivate {
		return w.result(exactly(1), 0), nil
	}
	var order float64
	b, err := w.delta(epsilon, func(x float64) (Bound, error) {
		b, o, err := w.engine.delta(x)
		order = o
		return b, err
	})
	return w.result(b, order), err
}

// engine is one accountant's core, applied to an event whose corrections have been split off.
type engine interface {
	epsilon(delta float64) (Bound, float64, error)
	delta(epsilon float64) (Bound, float64, error)
}

// work is an event prepared for one method.
type work struct {
	reduced
	engine engine
	method string
}

func (w work) result(b Bound, order float64) Result {
	if w.loose {
		b.Lower = 0
	}
	return Result{Bound: b, Method: w.method, Order: order, Assumptions: w.assumptions}
}

func (a Accountant) work(e Event) (work, error) {
	if a.Adjacency != ZeroOut && a.Adjacency != ReplaceOne {
		return work{}, fmt.Errorf("adjacency %d: %w", a.Adjacency, ErrInvalid)
	}
	if e == nil {
		return work{}, fmt.Errorf("event is nil: %w", ErrInvalid)
	}
	if err := e.validate(); err != nil {
		return work{}, err
	}
	if a.Method == Exact {
		if g, ok := lone(e).(DiscreteGaussian); ok && g.Dims == 1 && g.Shares == 1 && a.Adjacency == ZeroOut && g.Sensitivity == math.Trunc(g.Sensitivity) {
			w := work{engine: newDiscreteExact(g.Sigma, g.Sensitivity), method: "discrete Gaussian summed over the integers"}
			w.assumptions = []string{"neighbours: " + a.Adjacency.String(), "noise is the discrete Gaussian itself, in one coordinate"}
			return w, nil
		}
	}
	r, err := a.reduce(e)
	if err != nil {
		return work{}, err
	}
	w := work{reduced: r}
	switch a.Method {
	case RDP:
		w.method = "rényi dp, conversion of Canonne, Kamath, Steinke 2020"
		w.engine, err = newRDP(r, a.Adjacency, a.Orders)
	case ZCDP:
		w.method = "zero-concentrated dp, conversion of Canonne, Kamath, Steinke 2020 over real orders"
		w.engine, err = newZCDP(r, a.Adjacency)
	case GDP:
		w.method = "gaussian dp, dual form of Dong, Roth, Su 2022"
		w.engine, err = newGaussianEngine(r, GDP, a.Adjacency)
	case Exact:
		w.method = "analytic gaussian of Balle and Wang 2018"
		w.engine, err = newGaussianEngine(r, Exact, a.Adjacency)
	case PLD:
		w.method = "privacy loss distribution, connected dots, Fourier inversion off the grid"
		w.engine, err = newPLD(r, a.Adjacency, a.Tightest)
	default:
		_, err = ParseMethod(string(a.Method))
	}
	return w, err
}

func unsupported(m Method, adj Adjacency, e Event, why string) error {
	return fmt.Errorf("%s under %s neighbours with accountant %s: %w: %s", e.kind(), adj, m, ErrUnsupported, why)
}
