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
// Carbon weighs each client's joules with the intensity where it is. That, like
// Theta, minimises a weighted total, and the report says so.
type Price struct {
	Uniform bool // draw the cohort uniformly in every lane
	Carbon  bool
	Theta   float64 // joules a task of fairness for each task that a client is owed
	Gain    float64 // of the price's adjustment; 0: schedule.DefaultGain

	posted costcurve.Price
	want   float64
}

// Name returns "price", "price-uniform", "price-carbon" or "price-uniform-carbon".
func (p *Price) Name() string {
	name := "price"
	if p.Uniform {
		name += "-uniform"
	}
	if p.Carbon {
		name += "-carbon"
	}
	return name
}

// Lanes lists all lanes.
func (*Price) Lanes() ([]Lane, string) { return []Lane{None, LaneA, LaneB, Distributed}, "" }

// Post sets the price of the next rounds, before any coin is tossed. For lane B it must
// be called once, with schedule.FirstPrice of the enrolled clients' public figures.
func (p *Price) Post(price costcurve.Price) error {
	if err := price.Validate(); err != nil {
		return err
	}
	p.posted = price
	return nil
}

// Posted returns the price that lane B answers, to be published with the round.
func (p *Price) Posted() costcurve.Price {
	return costcurve.Price{Lambda: p.posted.Lambda, Theta: p.Theta}
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
		orders := make([]Assignment, len(who))
		for k, i := range who {
			o, err := p.Answer(&r.Clients[i])
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
func (p *Price) Answer(c *Candidate) (costcurve.Order, error) {
	curve := c.Curve
	if p.Carbon {
		curve = curve.Scale(max(c.Intensity, leastIntensity))
	}
	o, err := costcurve.Respond(curve, p.Posted(), costcurve.Limits{Min: c.Min, Max: c.Max, Queue: c.History.Queue})
	if err != nil {
		return o, err
	}
	return c.Curve.Order(o.Tasks), nil
}

// leastIntensity keeps work from being free where the grid claims to be.
const leastIntensity = 1

// joint returns the least-energy orders of a cohort.
func (p *Price) joint(r *Round, who []int) ([]Assignment, error) {
	clients, fewest, most := p.problem(r, who)
	a, err := schedule.SolveConvex(clients, min(max(r.Tasks, fewest), most))
	if err != nil {
		return nil, err
	}
	orders := make([]Assignment, len(who))
	for k, i := range who {
		orders[k] = Assignment{Client: i, Order: r.Clients[i].Curve.Order(a.Tasks[k]), Patience: patience}
	}
	return orders, nil
}

// problem returns the clients with their energies weighted, and the least and the most
// that they can do together.
func (p *Price) problem(r *Round, who []int) (clients []schedule.Client, fewest, most int64) {
	clients = make([]schedule.Client, len(who))
	for k, i := range who {
		c := &r.Clients[i]
		curve := c.Curve
		if p.Carbon {
			curve = curve.Scale(max(c.Intensity, leastIntensity))
		}
		if p.Theta > 0 {
			curve = discount(curve, p.Theta*float64(c.History.Queue))
		}
		clients[k] = schedule.Client{Curve: curve, Min: c.Min, Max: c.Max}
		fewest += c.Min
		most += c.most()
	}
	return clients, fewest, most
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
