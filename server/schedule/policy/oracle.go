package policy

import (
	"cmp"
	"math"
	"slices"

	"github.com/sotto-fl/sotto/server/schedule"
)

// Oracle chooses who as well as how much: the Cohort clients that do Tasks at the
// least energy, everybody's curve known and transfers included. No policy that must
// share the burden reaches it; it is what regret is measured against.
//
// For a price lambda the best cohort is that of the least C_i(x) - lambda x. The price
// at which it does Tasks is bisected; its work is then solved exactly. The choice of
// who is that of the Lagrangian relaxation, best up to its duality gap.
type Oracle struct{ blind }

// Name returns "oracle".
func (Oracle) Name() string { return "oracle" }

// Lanes lists privacy none and lane A.
func (Oracle) Lanes() ([]Lane, string) {
	return []Lane{None, LaneA}, "it chooses who takes part, by everybody's costs together"
}

// Plan returns the cheapest cohort and its work.
func (p Oracle) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	lo, hi := 0.0, 0.0
	for i := range r.Clients {
		s := r.Clients[i].Curve.Segments
		hi = max(hi, s[len(s)-1].Joules)
	}
	best := cheapest(&r, hi)
	if works(&r, best, hi) >= r.Tasks {
		for range 60 {
			mid := lo + (hi-lo)/2
			if who := cheapest(&r, mid); works(&r, who, mid) >= r.Tasks {
				hi, best = mid, who
			} else {
				lo = mid
			}
		}
	}
	return new(Price).joint(&r, best)
}

// cheapest returns the cohort with the least C - lambda x, ascending by client.
func cheapest(r *Round, lambda float64) []int {
	value := make([]float64, len(r.Clients))
	for i := range r.Clients {
		c := &r.Clients[i]
		x := c.Curve.Fill(lambda, c.Min, c.most())
		value[i] = c.Curve.At(x) - lambda*float64(x)
	}
	return least(len(r.Clients), r.Cohort, func(i int) float64 { return value[i] })
}

func works(r *Round, who []int, lambda float64) (tasks int64) {
	for _, i := range who {
		c := &r.Clients[i]
		tasks += c.Curve.Fill(lambda, c.Min, c.most())
	}
	return tasks
}

// least returns the k of n indices with the least keys, ascending; NaN counts as the
// largest, ties go to the lower index.
func least(n, k int, key func(i int) float64) []int {
	at := everyone(n)
	clean := func(i int) float64 {
		if v := key(i); !math.IsNaN(v) {
			return v
		}
		return math.Inf(1)
	}
	slices.SortFunc(at, func(a, b int) int { return cmp.Or(cmp.Compare(clean(a), clean(b)), cmp.Compare(a, b)) })
	at = at[:min(k, n)]
	slices.Sort(at)
	return at
}

// OLAR draws the cohort uniformly and splits the work so that the last client is done
// as early as possible, at full clocks (Pilla 2021).
type OLAR struct{ blind }

// Name returns "olar".
func (OLAR) Name() string { return "olar" }

// Lanes lists privacy none and lane A.
func (OLAR) Lanes() ([]Lane, string) {
	return []Lane{None, LaneA}, "the work of each client depends on the speed of the others"
}

// Plan returns the split of least makespan, cut to what the cohort can do.
func (p OLAR) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	who := cohort(&r)
	times, bounds := make([]schedule.Time, len(who)), make([]schedule.Bounds, len(who))
	var fewest, most int64
	for k, i := range who {
		c := &r.Clients[i]
		times[k] = schedule.Time{Fixed: c.UploadSeconds, PerTask: c.Curve.Points[len(c.Curve.Points)-1].Seconds}
		bounds[k] = schedule.Bounds{Min: c.Min, Max: c.most()}
		fewest += c.Min
		most += c.most()
	}
	x, _, err := schedule.MinMakespan(times, bounds, min(max(r.Tasks, fewest), most))
	if err != nil {
		return nil, err
	}
	orders := make([]Assignment, len(who))
	for k, i := range who {
		orders[k] = Assignment{Client: i, Order: fullClocks(&r.Clients[i].Curve, x[k])}
	}
	return orders, nil
}
