package costcurve

import (
	"fmt"
	"math"
	"time"
)

// Order is what one client is asked to do, or decides to do, in one round.
type Order struct {
	// Tasks to do. 0 where the work is not the scheduler's to choose: under
	// distributed DP-SGD it is the client's secret batch.
	Tasks int64

	// Mode to work in, "" for as it is. When SwitchTo is set, work in Mode for
	// SwitchAfter, then change to SwitchTo. The faster mode comes first, so that a
	// device that falls behind has slack left: it stays in the fast mode longer.
	Mode, SwitchTo string
	SwitchAfter    time.Duration

	// StartAt is when to begin, from the opening of the round.
	StartAt time.Duration
}

// Price is what the server posts for a round before coins are tossed.
type Price struct {
	Lambda float64 // joules offered for one task more
	Theta  float64 // joules a task added for each task of the client's Queue; 0: no fairness weights
}

// Validate refuses a price that is negative or not finite.
func (p Price) Validate() error {
	if !within(p.Lambda, 0, MaxJoules) || !within(p.Theta, 0, MaxJoules) {
		return fmt.Errorf("%w: price %v J a task, fairness %v, want 0 to %g", ErrInvalid, p.Lambda, p.Theta, float64(MaxJoules))
	}
	return nil
}

// Limits are the contract's bounds on a client's work in a round, and the client's
// own queue.
type Limits struct {
	Min, Max int64 // Max is also cut to the curve's Max()
	Queue    Queue
}

// Respond returns the client's answer to a posted price: the largest x in
// [Min, Max] whose every task after the Min-th costs at most
// Lambda + Theta*Queue. A task that costs exactly the price is done.
//
// It reads the curve, the price and the limits, and nothing else: another client's
// coming or going cannot change it. The curve must be valid. ErrInvalid when the
// price or the limits are not, ErrNoTime when the curve cannot do Min tasks.
func Respond(c Curve, p Price, l Limits) (Order, error) {
	if err := p.Validate(); err != nil {
		return Order{}, err
	}
	if err := l.Queue.Validate(); err != nil {
		return Order{}, err
	}
	if l.Min < 0 || l.Max < l.Min {
		return Order{}, fmt.Errorf("%w: work from %d to %d tasks, want 0 or more, ascending", ErrInvalid, l.Min, l.Max)
	}
	most := min(l.Max, c.Max())
	if most < l.Min {
		return Order{}, fmt.Errorf("%w: the smallest work is %d tasks, the device can do %d in time", ErrNoTime, l.Min, most)
	}
	return c.Order(c.Fill(p.Lambda+p.Theta*float64(l.Queue), l.Min, most)), nil
}

// Order returns the order for x tasks in the modes that do them at C(x), starting
// at once. x is in [0, Max()].
func (c Curve) Order(x int64) Order {
	o := Order{Tasks: x}
	slow, fast, seconds, ok := c.Mix(x)
	if !ok {
		return o
	}
	o.Mode = c.Points[fast].Name
	if slow != fast {
		o.SwitchTo = c.Points[slow].Name
		o.SwitchAfter = time.Duration(math.Round(seconds * 1e9))
		if o.SwitchAfter == 0 { // less than a nanosecond of the fast mode
			o.Mode, o.SwitchTo = o.SwitchTo, ""
		}
	}
	return o
}

// Queue is how many tasks a client is owed: it grows by a fair share each round and
// shrinks by what the client did. It depends on the client's own past alone.
type Queue float64

// Validate refuses a queue that is negative or not finite.
func (q Queue) Validate() error {
	if !within(float64(q), 0, MaxTasks) {
		return fmt.Errorf("%w: queue of %v tasks, want 0 to %d", ErrInvalid, float64(q), int64(MaxTasks))
	}
	return nil
}

// Next returns the queue after a round in which the client was due share tasks and
// did done: max(q + share - done, 0).
func (q Queue) Next(share float64, done int64) Queue {
	return Queue(min(max(float64(q)+share-float64(done), 0), MaxTasks))
}

// Spend returns the energy, Fixed included, and the seconds of work of an order that
// names modes of c.Points: also of one that is not the cheapest for its tasks. ok is
// false when it names another mode, or none. The curve must be valid.
func (c Curve) Spend(o Order) (joules, seconds float64, ok bool) {
	find := func(name string) (Point, bool) {
		for _, p := range c.Points {
			if p.Name == name {
				return p, true
			}
		}
		return Point{}, false
	}
	first, ok := find(o.Mode)
	if !ok {
		return 0, 0, false
	}
	n := float64(o.Tasks)
	if o.SwitchTo == "" {
		return c.Fixed + n*first.Joules, n * first.Seconds, true
	}
	then, ok := find(o.SwitchTo)
	if !ok {
		return 0, 0, false
	}
	done := min(n, o.SwitchAfter.Seconds()/first.Seconds)
	return c.Fixed + done*first.Joules + (n-done)*then.Joules, done*first.Seconds + (n-done)*then.Seconds, true
}

// Alone returns the order for x tasks in one mode all round: the cheapest that is
// fast enough for the window, the fastest when none is.
func (c Curve) Alone(x int64) Order {
	o := Order{Tasks: x}
	for _, p := range c.Points {
		if o.Mode = p.Name; float64(x)*p.Seconds <= c.Window {
			break
		}
	}
	return o
}
