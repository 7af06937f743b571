package policy

import (
	"math"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule"
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

// Delay is when a round of so many seconds should begin, from the beginning of the
// forecast on: at the start within patience that emits least. forecast[i] is the
// intensity from i slots on, or any cost of energy; it is cut to what is needed. The first
// of equal starts is taken, 0 if the forecast does not reach beyond the round.
func Delay(forecast []float64, slot time.Duration, seconds float64, patience time.Duration) (time.Duration, error) {
	if slot <= 0 || len(forecast) == 0 {
		return 0, nil
	}
	length := max(1, int(math.Ceil(seconds/slot.Seconds())))
	slots := min(len(forecast), int(patience/slot)+length)
	if slots < length {
		return 0, nil
	}
	starts, _, err := schedule.PlanStarts([]schedule.Site{{Intensity: forecast[:slots], Joules: 1}}, schedule.Rounds{Count: 1, Length: length})
	if err != nil {
		return 0, err
	}
	return time.Duration(starts[0].Slot) * slot, nil
}
