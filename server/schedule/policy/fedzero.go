package policy

import (
	"cmp"
	"math"
	"slices"
)

// FedZero takes clients only where surplus renewable energy pays for them, the greatest
// utility first, and bars those who took part often until the others have caught up
// (Wiesner et al. 2024, arXiv:2305.15092). Full clocks; work from the smallest to
// Max, as the energy of the client's zone allows.
//
// Departures: instead of a mixed-integer programme the zones' energy is handed out
// greedily, by utility for a joule, smallest works first; with fewer than half of the
// cohort affordable, or surplus unknown, the rest runs on the grid, drawn uniformly,
// because rounds of all policies have to compare.
type FedZero struct{ blind }

// Name returns "fedzero".
func (FedZero) Name() string { return "fedzero" }

// Lanes lists privacy none.
func (FedZero) Lanes() ([]Lane, string) {
	return []Lane{None}, "it ranks clients by their losses, which are data"
}

// Plan returns the cohort and its work.
func (p FedZero) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	var mean float64
	for i := range r.Clients {
		mean += float64(r.Clients[i].History.Rounds) / float64(len(r.Clients))
	}
	// Who is ahead of the others is re-admitted with probability 1/lead.
	barred := make([]bool, len(r.Clients))
	for i := range r.Clients {
		lead := float64(r.Clients[i].History.Rounds) - mean
		barred[i] = r.Rand.Float64() >= 1/max(1, lead)
	}
	value, need := make([]float64, len(r.Clients)), make([]float64, len(r.Clients))
	for i := range r.Clients {
		c := &r.Clients[i]
		need[i] = c.Curve.Fixed + float64(c.Min)*c.fullJoules()
		utility := float64(c.Examples)
		if c.History.Rounds > 0 {
			utility = c.utility()
		}
		value[i] = utility / max(need[i], math.SmallestNonzeroFloat64)
	}
	order := everyone(len(r.Clients))
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(value[b], value[a]), cmp.Compare(a, b)) })
	excess := slices.Clone(r.Excess)
	tasks := make([]int64, len(r.Clients))
	chosen := make([]bool, len(r.Clients))
	var who []int
	for _, i := range order {
		z := r.Clients[i].Zone
		if len(who) == r.Cohort {
			break
		}
		if !barred[i] && z >= 0 && z < len(excess) && need[i] <= excess[z] {
			excess[z] -= need[i]
			tasks[i], chosen[i] = r.Clients[i].Min, true
			who = append(who, i)
		}
	}
	for _, i := range who { // what is left, in the same order
		c := &r.Clients[i]
		more := c.equal(r.share()) - tasks[i]
		if e := c.fullJoules(); e > 0 {
			more = min(more, int64(excess[c.Zone]/e))
			excess[c.Zone] -= float64(max(more, 0)) * e
		}
		tasks[i] += max(more, 0)
	}
	if 2*len(who) < r.Cohort {
		for _, i := range r.Rand.Perm(len(r.Clients)) {
			if len(who) == min(r.Cohort, len(r.Clients)) {
				break
			}
			if !chosen[i] {
				tasks[i] = r.Clients[i].equal(r.share())
				who = append(who, i)
			}
		}
	}
	slices.Sort(who)
	orders := make([]Assignment, len(who))
	for k, i := range who {
		orders[k] = Assignment{Client: i, Order: fullClocks(&r.Clients[i].Curve, tasks[i])}
	}
	return orders, nil
}

func (c *Candidate) fullJoules() float64 { return c.Curve.Points[len(c.Curve.Points)-1].Joules }
