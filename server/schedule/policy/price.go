package policy

import (
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule"
)

// Price is ours. Under privacy none and in lane A the cohort leans towards cheap
// clients as far as fairness allows (see lean), or is uniform, and its work and modes
// are the least-energy allocation of exactly Round.Tasks. In lane B each client answers
// the posted price from its own curve and past. Under distributed DP-SGD it chooses
// the mode.
//
// Carbon weighs each client's joules with the intensity where it is. Fair raises the
// price for a client by its queue: the tasks that its own past left it behind its share.
// Both minimise a weighted total, and the report says so.
type Price struct {
	Uniform bool // draw the cohort uniformly in every lane
	Carbon  bool
	Fair    float64 // share of the price that a client is offered in addition for each mean work that it is owed
	Gain    float64 // of the price's adjustment; 0: schedule.DefaultGain

	posted costcurve.Price
	want   float64
}

// Fairness is what "price-fair" is built with: a client behind by one mean work is
// offered half as much again for each task.
const Fairness = 0.5

// Poster is a policy whose clients answer a posted price in lane B.
type Poster interface {
	// Post sets the price of the next rounds, before any coin is tossed.
	Post(p costcurve.Price) error

	// Open posts the first price: that at which the enrolled clients would do tasks in a
	// round, each of them taking part with probability rate. Their figures are public.
	Open(enrolled []Candidate, rate float64, tasks int64) error
}

// Name returns "price", with "-uniform", "-carbon" and "-fair" as they apply.
func (p *Price) Name() string {
	name := "price"
	if p.Uniform {
		name += "-uniform"
	}
	if p.Carbon {
		name += "-carbon"
	}
	if p.Fair > 0 {
		name += "-fair"
	}
	return name
}

// Lanes lists all lanes.
func (*Price) Lanes() ([]Lane, string) { return []Lane{None, LaneA, LaneB, Distributed}, "" }

// Post sets the price of the next rounds, before any coin is tossed. For lane B it or
// Open must be called once.
func (p *Price) Post(price costcurve.Price) error {
	if err := price.Validate(); err != nil {
		return err
	}
	p.posted = price
	return nil
}

// Open posts schedule.FirstPrice of the enrolled clients' curves, weighted as their
// answers will be.
func (p *Price) Open(enrolled []Candidate, rate float64, tasks int64) error {
	clients := make([]schedule.Client, len(enrolled))
	for i := range enrolled {
		c := &enrolled[i]
		clients[i] = schedule.Client{Curve: p.weighted(c), Min: c.Min, Max: c.Max}
	}
	first, err := schedule.FirstPrice(clients, rate, tasks)
	if err != nil {
		return err
	}
	return p.Post(first)
}

// Posted returns the price that lane B answers, to be published with the round: mean is
// the tasks of a client in the mean, by the contract's public constants.
func (p *Price) Posted(mean float64) costcurve.Price {
	return costcurve.Price{Lambda: p.posted.Lambda, Theta: p.theta(p.posted.Lambda, mean)}
}

func (p *Price) theta(lambda, mean float64) float64 {
	return min(p.Fair*lambda/max(1, mean), costcurve.MaxJoules)
}

// Plan returns the orders. Where the total lies outside of what the cohort's bounds
// allow, it is cut to the nearest that they do.
func (p *Price) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	who := cohort(&r)
	switch r.Lane {
	case Distributed:
		return Random{BestMode: true}.among(&r, who), nil
	case LaneB:
		p.want = float64(r.Tasks)
		orders, posted := make([]Assignment, len(who)), p.Posted(r.mean())
		for k, i := range who {
			o, err := p.Answer(&r.Clients[i], posted)
			if err != nil {
				return nil, err
			}
			orders[k] = Assignment{Client: i, Order: o, Patience: patience}
		}
		return orders, nil
	}
	if !p.Uniform {
		var err error
		if who, err = p.lean(&r); err != nil {
			return nil, err
		}
	}
	return p.joint(&r, who)
}

// patience is when a client counts as lost: the others draw power while they wait. Clocks
// and networks vary by a few per cent, so a quarter more is many standard deviations.
const patience = 1.25

// Answer is what a client does at the posted price: a function of the price, the
// contract's bounds, its own curve and its own past.
func (p *Price) Answer(c *Candidate, posted costcurve.Price) (costcurve.Order, error) {
	o, err := costcurve.Respond(p.weighted(c), posted, costcurve.Limits{Min: c.Min, Max: c.Max, Queue: c.History.Queue})
	if err != nil {
		return o, err
	}
	return c.Curve.Order(o.Tasks), nil
}

// weighted is the client's curve in what the policy minimises.
func (p *Price) weighted(c *Candidate) costcurve.Curve {
	if p.Carbon {
		return c.Curve.Scale(max(c.Intensity, leastIntensity))
	}
	return c.Curve
}

// leastIntensity keeps work from being free where the grid claims to be.
const leastIntensity = 1

// joint returns the least-energy orders of a cohort.
func (p *Price) joint(r *Round, who []int) ([]Assignment, error) {
	clients, total, err := p.problem(r, who, float64(r.Tasks))
	if err != nil {
		return nil, err
	}
	a, err := schedule.SolveConvex(clients, total)
	if err != nil {
		return nil, err
	}
	orders := make([]Assignment, len(who))
	for k, i := range who {
		orders[k] = Assignment{Client: i, Order: r.Clients[i].Curve.Order(a.Tasks[k]), Patience: patience}
	}
	return orders, nil
}

// problem returns the clients with their energies weighted, and the total nearest to
// the one wanted that they can do together.
func (p *Price) problem(r *Round, who []int, want float64) (clients []schedule.Client, total int64, err error) {
	clients = make([]schedule.Client, len(who))
	var fewest, most int64
	for k, i := range who {
		c := &r.Clients[i]
		clients[k] = schedule.Client{Curve: p.weighted(c), Min: c.Min, Max: c.Max}
		fewest += c.Min
		most += c.most()
	}
	total = int64(min(max(want, float64(fewest)), float64(most)))
	if p.Fair > 0 { // in units of the price without it
		a, err := schedule.SolveConvex(clients, total)
		if err != nil {
			return nil, 0, err
		}
		theta := p.theta(a.Lambda, r.mean())
		for k, i := range who {
			clients[k].Curve = discount(clients[k].Curve, theta*float64(r.Clients[i].History.Queue))
		}
	}
	return clients, total, nil
}

// discount makes every task cheaper by what fairness adds to the price, down to free.
func discount(c costcurve.Curve, joules float64) costcurve.Curve {
	d := c
	d.Segments = make([]costcurve.Segment, len(c.Segments))
	for i, s := range c.Segments {
		d.Segments[i] = costcurve.Segment{Tasks: s.Tasks, Joules: max(0, s.Joules-joules)}
	}
	return d
}

// Observe adjusts the posted price by what was released, if anything was.
func (p *Price) Observe(o Outcome) {
	if o.Released <= 0 || p.want <= 0 {
		return
	}
	gain := p.Gain
	if gain == 0 {
		gain = schedule.DefaultGain
	}
	if next, err := schedule.NextPrice(p.posted, p.want, o.Released, gain, p.posted.Lambda/4); err == nil {
		p.posted = next
	}
}
