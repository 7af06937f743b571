package costcurve

import (
	"fmt"
	"math"
)

// Table is an arbitrary cost: Tasks[j] tasks cost Joules[j]. Tasks ascend strictly.
// Nothing else is assumed: costs may jump, fall, or be undefined between entries.
// A client that may be left out has an entry (0, 0).
type Table struct {
	Tasks  []int32
	Joules []float64
}

// Validate checks a table that another machine declared.
func (t Table) Validate() error {
	if len(t.Tasks) != len(t.Joules) {
		return fmt.Errorf("%w: %d task counts and %d energies, want as many", ErrInvalid, len(t.Tasks), len(t.Joules))
	}
	if len(t.Tasks) == 0 || len(t.Tasks) > MaxOptions {
		return fmt.Errorf("%w: %d options, want 1 to %d", ErrInvalid, len(t.Tasks), MaxOptions)
	}
	last := int32(-1)
	for j, x := range t.Tasks {
		if x <= last {
			return fmt.Errorf("%w: option %d: %d tasks after %d, want ascending from 0", ErrInvalid, j, x, last)
		}
		if !within(t.Joules[j], 0, MaxJoules) {
			return fmt.Errorf("%w: option %d: %v J, want 0 to %g", ErrInvalid, j, t.Joules[j], float64(MaxJoules))
		}
		last = x
	}
	return nil
}

// Table samples the curve at every x in [lo, hi], and at 0 for nothing when absent
// says that the client may be left out. hi is cut to Max().
func (c Curve) Table(lo, hi int32, absent bool) Table {
	var t Table
	if absent && lo > 0 {
		t.Tasks, t.Joules = append(t.Tasks, 0), append(t.Joules, 0)
	}
	for x := max(lo, 0); int64(x) <= min(int64(hi), c.Max()) && x >= 0; x++ {
		e := c.At(int64(x))
		if x == 0 && absent {
			e = 0
		}
		t.Tasks, t.Joules = append(t.Tasks, x), append(t.Joules, e)
		if x == math.MaxInt32 {
			break
		}
	}
	return t
}

// Table is the device's cost when the mode must stay the same all round: for each
// x in [lo, hi] the cheapest mode that is fast enough. Costs jump where a faster
// mode takes over. Entries end where even the fastest mode is too slow or the
// battery is out; ErrNoTime or ErrNoBattery if that leaves none.
func (d Device) Table(t Terms, lo, hi int32) (Table, error) {
	if err := d.Validate(); err != nil {
		return Table{}, err
	}
	if err := t.Validate(); err != nil {
		return Table{}, err
	}
	if lo < 0 || hi < lo || hi-lo >= MaxOptions {
		return Table{}, fmt.Errorf("%w: tasks from %d to %d, want ascending and at most %d of them", ErrInvalid, lo, hi, MaxOptions)
	}
	fixed, window, err := d.round(t)
	if err != nil {
		return Table{}, err
	}
	left, limited := d.allowance(t)
	var table Table
	refused := ErrNoTime
	for x := int64(lo); x <= int64(hi) && (t.MaxTasks == 0 || x <= t.MaxTasks); x++ {
		best := math.Inf(1)
		for _, m := range d.Modes {
			if float64(x)*m.SecondsPerTask <= window {
				best = min(best, fixed+float64(x)*d.taskJoules(m, t.Boundary))
			}
		}
		if math.IsInf(best, 1) {
			break
		}
		if limited && best > left {
			refused = ErrNoBattery
			continue
		}
		table.Tasks, table.Joules = append(table.Tasks, int32(x)), append(table.Joules, best)
	}
	if len(table.Tasks) == 0 {
		return Table{}, fmt.Errorf("%w: from %d tasks on; ask for fewer", refused, lo)
	}
	return table, table.Validate()
}
