package policy

import (
	"fmt"
)

// Permitted checks a plan against what its round's lane allows, whoever made it: clients
// ascending and of the round, bounds kept, every client with an order where the lane
// leaves no choice of who, and under distributed DP-SGD nothing but a mode and a start.
// ErrLane says which order goes beyond it.
func Permitted(r Round, plan []Assignment) error {
	bad := func(a Assignment, format string, args ...any) error {
		return fmt.Errorf("%w: lane %s, client %d: "+format, append([]any{ErrLane, r.Lane, a.Client}, args...)...)
	}
	last := -1
	for _, a := range plan {
		if a.Client <= last || a.Client >= len(r.Clients) {
			return bad(a, "after client %d of %d, want each once, ascending", last, len(r.Clients))
		}
		last = a.Client
		if err := a.Order.Validate(); err != nil {
			return bad(a, "%v", err)
		}
		c := &r.Clients[a.Client]
		if r.Lane == Distributed {
			if o := a.Order; o.Tasks != 0 || o.SwitchTo != "" || o.SwitchAfter != 0 {
				return bad(a, "an order of %d tasks, %q then %q: the work is a secret batch, only a mode and a start can be ordered", o.Tasks, o.Mode, o.SwitchTo)
			}
		} else if a.Order.Tasks < c.Min || a.Order.Tasks > c.most() {
			return bad(a, "%d tasks, its bounds are %d to %d", a.Order.Tasks, c.Min, c.most())
		}
	}
	if (r.Lane == LaneB || r.Lane == Distributed) && len(plan) != len(r.Clients) {
		return fmt.Errorf("%w: lane %s: orders for %d of %d clients, where coins alone decide who takes part", ErrLane, r.Lane, len(plan), len(r.Clients))
	}
	return nil
}
