package policy

import (
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// seconds is how long an order takes by the client's own figures, its upload included.
func (c *Candidate) seconds(o costcurve.Order) float64 {
	if o.Tasks == 0 { // a secret batch: as the largest does
		o.Tasks = c.most()
	}
	_, s, ok := c.Curve.Spend(o)
	if !ok {
		p := c.Curve.Points[len(c.Curve.Points)-1]
		s = float64(o.Tasks) * p.Seconds
	}
	return s + c.UploadSeconds
}

// Seconds is how long the longest of the orders takes.
func Seconds(r *Round, orders []Assignment) (longest float64) {
	for _, a := range orders {
		longest = max(longest, r.Clients[a.Client].seconds(a.Order))
	}
	return longest
}

// Together lets those whose orders take less time begin later, so that all are done when
// the last is: the least makespan stays, and nobody draws power from the end of its work to
// the end of the round. A client's start depends on the others' orders, so this is for the
// lanes without amplification.
func Together(r *Round, orders []Assignment) {
	longest := Seconds(r, orders)
	for i := range orders {
		wait := longest - r.Clients[orders[i].Client].seconds(orders[i].Order)
		orders[i].Order.StartAt += time.Duration(wait * 1e9)
	}
}
