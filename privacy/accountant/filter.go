package accountant

import (
	"encoding/json"
	"fmt"
	"math"
)

// Filter stops a run, whose events may be chosen in view of everything released before, ahead of the event that would
// exceed the budget of one client. It is a value: Spend returns the next state and changes nothing, so that state can be
// journalled before the release. The zero Filter permits nothing.
//
// Three measures are known to be valid under full adaptivity: the Rényi divergence of one order fixed in advance
// (Feldman and Zrnic 2021, arXiv:2008.11193), rho of zCDP (Whitehouse, Ramdas, Rogers, Wu 2023, arXiv:2203.05481), and the sum of mu^2
// of Gaussian DP (Smith and Thakurta 2022, arXiv:2210.17520). Composed trade-off curves in general are not.
type Filter struct {
	Method Method `json:"method"` // RDP, ZCDP or GDP
	// Epsilon is what the budget stands for.
	Epsilon float64 `json:"epsilon"`
	// Order is the Rényi order; used by RDP alone.
	Order float64 `json:"order,omitempty"`
	// Budget and Spent are in the measure that adds up: divergence of that order, rho, or mu^2.
	Budget float64 `json:"budget"`
	Spent  float64 `json:"spent"`
	// Delta is the failure probability set aside for events that carry one of their own, and Failed what they took of it.
	Delta  float64 `json:"delta,omitempty"`
	Failed float64 `json:"failed,omitempty"`
}

// slackDelta is the part of a filter's delta that is set aside for the events' own.
const slackDelta = 1e-3

// NewFilter returns a filter that keeps a client within (epsilon, delta)-DP. order is the Rényi order for RDP and 0 for the others; a
// good one is the Order of the planned run's Result.
func NewFilter(m Method, epsilon, delta, order float64) (Filter, error) {
	if !(epsilon > 0) || math.IsInf(epsilon, 1) || !(delta > 0 && delta < 1) {
		return Filter{}, fmt.Errorf("filter for epsilon %v, delta %v: %w: need epsilon > 0 and delta in (0, 1)", epsilon, delta, ErrInvalid)
	}
	if (m == RDP) != (order != 0) {
		return Filter{}, fmt.Errorf("filter %s of order %v: %w: rdp needs an order, the others have none", m, order, ErrInvalid)
	}
	f := Filter{Method: m, Epsilon: epsilon, Order: order, Delta: slackDelta * delta}
	main := (1 - slackDelta) * delta
	switch m {
	case RDP:
		if !(order > 1 && order <= maxOrder) {
			return Filter{}, fmt.Errorf("filter of order %v: %w: must lie in (1, %d]", order, ErrInvalid, maxOrder)
		}
		f.Budget = epsilon - math.Log1p(-1/order) + math.Log(main*order)/(order-1)
	case ZCDP:
		lo, hi := 0.0, 1.0
		for e, _ := ZCDPEpsilon(hi, 0, main); e < epsilon; e, _ = ZCDPEpsilon(hi, 0, main) {
			hi *= 2
		}
		for range 100 {
			mid := (lo + hi) / 2
			if e, _ := ZCDPEpsilon(mid, 0, main); e <= epsilon {
				lo = mid
			} else {
				hi = mid
			}
		}
		f.Budget = lo
	case GDP:
		mu, err := GaussianMu(epsilon, main)
		if err != nil {
			return Filter{}, err
		}
		f.Budget = mu * mu
	default:
		return Filter{}, fmt.Errorf("filter of accountant %q: %w: rdp, zcdp and gdp have filters valid for adaptive runs", m, ErrUnsupported)
	}
	if !(f.Budget > 0) {
		return Filter{}, fmt.Errorf("filter for epsilon %v, delta %v, order %v: %w: no budget is left; choose a higher order", epsilon, delta, order, ErrInvalid)
	}
	return f, nil
}

// cost returns what e takes of the budget and of the failure probability.
func (f Filter) cost(e Event) (cost, failed float64, err error) {
	a := Accountant{Method: f.Method}
	if f.Method == RDP {
		a.Orders = []float64{f.Order}
	}
	w, err := a.work(e)
	if err != nil {
		return 0, 0, err
	}
	if w.nonPrivate {
		return math.Inf(1), 1, nil
	}
	switch x := w.engine.(type) {
	case *rdpEngine:
		cost = x.rdp[0]
	case zcdpEngine:
		if x.xi != 0 {
			return 0, 0, unsupported(ZCDP, ZeroOut, e, "the filter adds up rho, and xi is not 0")
		}
		cost = x.rho
	case gaussianEngine:
		cost = x.mu * x.mu
	default:
		return 0, 0, fmt.Errorf("filter %q: %w: rdp, zcdp and gdp have filters", f.Method, ErrUnsupported)
	}
	// Discrete noise is within this total variation of what is charged; each side of the comparison pays for it once.
	failed = -math.Expm1(w.keep) + (1+math.Exp(f.Epsilon))*(w.kappa+math.Expm1(w.shift/2))
	return cost, failed, nil
}

// Try reports whether e may be released: nil, or ErrBudget, or why the event cannot be accounted.
func (f Filter) Try(e Event) error {
	_, err := f.Spend(e)
	return err
}

// Spend returns the state after the release of e. On error the state is f.
func (f Filter) Spend(e Event) (Filter, error) {
	if err := f.check(); err != nil {
		return f, err
	}
	cost, failed, err := f.cost(e)
	if err != nil {
		return f, err
	}
	next := f
	next.Spent = math.Nextafter(f.Spent+cost, math.Inf(1))
	next.Failed += failed
	switch {
	case cost == 0 && failed == 0:
		return f, nil
	case !(next.Spent <= f.Budget):
		return f, fmt.Errorf("%s: %w: it costs %.6g of the %.6g left (%s)", e.kind(), ErrBudget, cost, f.Remaining(), f.unit())
	case !(next.Failed <= f.Delta):
		return f, fmt.Errorf("%s: %w: its own delta %.3g exceeds the %.3g left for such", e.kind(), ErrBudget, failed, f.Delta-f.Failed)
	}
	return next, nil
}

// Remaining is the budget not yet spent, in the filter's own measure.
func (f Filter) Remaining() float64 { return math.Max(0, f.Budget-f.Spent) }

func (f Filter) unit() string {
	switch f.Method {
	case RDP:
		return fmt.Sprintf("divergence of order %v", f.Order)
	case ZCDP:
		return "rho"
	}
	return "mu squared"
}

func (f Filter) check() error {
	ok := f.Method == ZCDP || f.Method == GDP || f.Method == RDP && f.Order > 1 && f.Order <= maxOrder
	for _, v := range []float64{f.Epsilon, f.Budget, f.Spent, f.Delta, f.Failed} {
		ok = ok && v >= 0 && !math.IsInf(v, 1)
	}
	if !ok || f.Spent > f.Budget || f.Failed > f.Delta {
		return fmt.Errorf("filter state %+v: %w", f, ErrInvalid)
	}
	return nil
}

// DecodeFilter reads the JSON of a Filter, refusing states that no sequence of Spend reaches.
func DecodeFilter(b []byte) (Filter, error) {
	var f Filter
	if len(b) > 4096 {
		return f, fmt.Errorf("decode filter: %w: %d bytes, at most 4096", ErrInvalid, len(b))
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return Filter{}, fmt.Errorf("decode filter: %w: %w", ErrInvalid, err)
	}
	if err := f.check(); err != nil {
		return Filter{}, fmt.Errorf("decode filter: %w", err)
	}
	if c, err := json.Marshal(f); err != nil || string(c) != string(b) {
		return Filter{}, fmt.Errorf("decode filter: %w: not in canonical form", ErrInvalid)
	}
	return f, nil
}
