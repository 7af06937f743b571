package policy

import "github.com/sotto-fl/sotto/internal/costcurve"

// Random draws the cohort uniformly and gives all an equal share: FedAvg (McMahan et
// al. 2017, arXiv:1602.05629). Devices run at full clocks, or with BestMode in the one
// mode with the least joules a task that is fast enough.
type Random struct {
	blind
	BestMode bool
}

// Name returns "random-full" or "random-best".
func (p Random) Name() string {
	if p.BestMode {
		return "random-best"
	}
	return "random-full"
}

// Lanes lists all lanes.
func (Random) Lanes() ([]Lane, string) { return []Lane{None, LaneA, LaneB, Distributed}, "" }

// Plan gives each client of a uniform cohort, or in lanes without a choice each client,
// the share Tasks/Cohort, within its bounds.
func (p Random) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	return p.among(&r, cohort(&r)), nil
}

// cohort draws uniformly where the lane lets the server choose.
func cohort(r *Round) []int {
	if r.Lane == LaneB || r.Lane == Distributed {
		return everyone(len(r.Clients))
	}
	return uniform(r.Rand, len(r.Clients), r.Cohort)
}

func (p Random) among(r *Round, clients []int) []Assignment {
	orders := make([]Assignment, len(clients))
	for k, i := range clients {
		c := &r.Clients[i]
		o := fullClocks(&c.Curve, c.equal(r.share()))
		if p.BestMode {
			o = c.Curve.Alone(c.equal(r.share()))
		}
		if r.Lane == Distributed {
			o = secretBatch(c, p.BestMode)
		}
		orders[k] = Assignment{Client: i, Order: o}
	}
	return orders
}

func fullClocks(c *costcurve.Curve, x int64) costcurve.Order {
	return costcurve.Order{Tasks: x, Mode: c.Points[len(c.Points)-1].Name}
}

// secretBatch is an order that names a mode only: the batch is the client's secret, and
// never larger than Max, which is public. The mode is the cheapest that can do Max in
// time, so that it says nothing of the batch.
func secretBatch(c *Candidate, cheapest bool) costcurve.Order {
	o := fullClocks(&c.Curve, 0)
	if cheapest {
		o.Mode = c.Curve.Alone(c.most()).Mode
	}
	return o
}
