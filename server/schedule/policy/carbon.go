package policy

import (
	"math"
	"slices"
)

// EcoLearn takes clients of high utility and low carbon, a third more of them in the
// first rounds, and later as many more as the cohort is cleaner than the fleet, so that
// stragglers can be left behind (Mehboob et al. 2023, arXiv:2310.17972). Equal shares,
// full clocks.
//
// Departures: by its abstract. Utility here is the declared number of examples alone,
// and not the losses, which leaves it free to run in lane A.
type EcoLearn struct {
	blind
	Early int // rounds with a third more clients; 0: 10
}

// Name returns "ecolearn".
func (EcoLearn) Name() string { return "ecolearn" }

// Lanes lists privacy none and lane A.
func (EcoLearn) Lanes() ([]Lane, string) {
	return []Lane{None, LaneA}, "it takes the cleanest of all clients, so one client decides about another"
}

// Plan returns the clients with the least grams for an example, from a random half of
// the fleet so that more than the cleanest take part.
func (p EcoLearn) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	early := p.Early
	if early == 0 {
		early = 10
	}
	pool := uniform(r.Rand, len(r.Clients), max(multiple(4.0/3, 0, r.Cohort), (len(r.Clients)+1)/2))
	grams := make([]float64, len(pool))
	var fleet float64
	for j, i := range pool {
		c := &r.Clients[i]
		grams[j] = c.grams(r.share()) / float64(max(1, c.Examples))
		fleet += c.Intensity / float64(len(pool))
	}
	choose := func(k int) (who []int, intensity float64) {
		for _, j := range least(len(pool), k, func(j int) float64 { return grams[j] }) {
			who = append(who, pool[j])
		}
		for _, i := range who {
			intensity += r.Clients[i].Intensity / float64(len(who))
		}
		return who, intensity
	}
	_, intensity := choose(r.Cohort)
	surplus := 1.0 / 3
	if r.Index > early {
		surplus = 0
		if fleet > 0 {
			surplus = min(max(0, 1-intensity/fleet), 1) / 3
		}
	}
	who, _ := choose(multiple(1+surplus, 0, r.Cohort))
	return Random{}.among(&r, who), nil
}

// grams is what an equal share at full clocks emits.
func (c *Candidate) grams(share int64) float64 {
	x := c.equal(share)
	p := c.Curve.Points[len(c.Curve.Points)-1]
	return (c.Curve.Fixed + float64(x)*p.Joules) * c.Intensity / 3.6e6
}

// CAFE maximises utility under a carbon budget by drift plus penalty: a queue holds
// what was emitted beyond the budget, and clients are taken while utility outweighs
// queue times grams (Bian et al. 2024, e-Energy, arXiv:2311.03615). Equal shares, full
// clocks.
//
// Departure: utility is the last loss times examples; the paper's coresets of
// gradients are not available here.
type CAFE struct {
	Budget float64 // grams a round; 0: half of what a uniform cohort emits, fixed in the first round
	V      float64 // weight of utility; 0: 1

	queue, budget float64
}

// Name returns "cafe".
func (*CAFE) Name() string { return "cafe" }

// Lanes lists privacy none.
func (*CAFE) Lanes() ([]Lane, string) {
	return []Lane{None}, "it values clients by their losses, which are data"
}

// Plan returns the Cohort clients with the greatest weighted gain, fewer when the rest
// would lose, never fewer than a quarter of it.
func (p *CAFE) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	var all float64
	utility := make([]float64, len(r.Clients))
	for i := range r.Clients {
		c := &r.Clients[i]
		all += c.grams(r.share())
		utility[i] = math.Inf(1) // unseen: try
		if c.History.Rounds > 0 {
			utility[i] = c.utility()
		}
	}
	mean := all / float64(max(1, len(r.Clients)))
	if p.budget = p.Budget; p.budget == 0 {
		p.budget = mean * float64(r.Cohort) / 2
		p.Budget = p.budget
	}
	v := p.V
	if v == 0 {
		v = 1
	}
	// Utilities relative to their median, so that V has no unit.
	known := slices.DeleteFunc(slices.Clone(utility), func(u float64) bool { return math.IsInf(u, 1) })
	typical := 1.0
	if slices.Sort(known); len(known) > 0 && known[len(known)/2] > 0 {
		typical = known[len(known)/2]
	}
	gain := make([]float64, len(utility))
	for i, u := range utility {
		if math.IsInf(u, 1) {
			u = 2 * typical
		}
		gain[i] = v*u/typical - p.queue/max(p.budget, math.SmallestNonzeroFloat64)*r.Clients[i].grams(r.share())/max(mean, math.SmallestNonzeroFloat64) + 1e-9*r.Rand.Float64()
	}
	who := least(len(gain), r.Cohort, func(i int) float64 { return -gain[i] })
	few := (r.Cohort + 3) / 4
	for len(who) > few {
		worst := 0
		for n := range who {
			if gain[who[n]] < gain[who[worst]] {
				worst = n
			}
		}
		if gain[who[worst]] >= 0 {
			break
		}
		who = slices.Delete(who, worst, worst+1)
	}
	return Random{}.among(&r, who), nil
}

// Observe moves the queue by the grams that were emitted.
func (p *CAFE) Observe(o Outcome) {
	var grams float64
	for _, rep := range o.Reports {
		grams += rep.Joules * rep.Candidate.Intensity / 3.6e6
	}
	p.queue = max(0, p.queue+grams-p.budget)
}
