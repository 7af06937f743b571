package costcurve

import (
	"fmt"
	"math"
	"sort"
)

// Segment is a run of tasks with one marginal energy: Tasks of them, at Joules
// each.
type Segment struct {
	Tasks  int64
	Joules float64
}

// Point is a mode on the lower hull of a device's modes: none slower is cheaper,
// and no blend of two others is both.
type Point struct {
	Name    string
	Seconds float64 // a task
	Joules  float64 // a task, inside the curve's boundary
}

// Curve is C(x) for whole tasks x in [0, Max()]: Fixed, plus the marginal energies
// of the first x tasks. It is convex when Segments ascend in Joules, which
// Validate checks.
//
// Fixed is paid by taking part, also at x = 0. Where a client may be left out and
// then pays nothing, costs jump at zero: use a Table.
//
// Points, slowest and cheapest first, and Window, the seconds for work, tell how x
// tasks are done at C(x); Mix reads them. A curve without Points names no mode.
type Curve struct {
	Fixed    float64
	Window   float64
	Segments []Segment
	Points   []Point
}

// Max is the largest number of tasks that the device can do.
func (c Curve) Max() int64 {
	var n int64
	for _, s := range c.Segments {
		n += s.Tasks
	}
	return n
}

// At returns C(x) in joules. x is cut to [0, Max()].
func (c Curve) At(x int64) float64 {
	e := c.Fixed
	for _, s := range c.Segments {
		if x <= 0 {
			break
		}
		e += float64(min(x, s.Tasks)) * s.Joules
		x -= s.Tasks
	}
	return e
}

// Marginal returns the energy of task x+1 after x tasks, +Inf at Max() and beyond.
// x is at least 0.
func (c Curve) Marginal(x int64) float64 {
	for _, s := range c.Segments {
		if x < s.Tasks {
			return s.Joules
		}
		x -= s.Tasks
	}
	return math.Inf(1)
}

// Fill returns the largest x in [lo, hi] such that every task after the lo-th up to
// the x-th costs at most lambda; lo if the first one costs more. lo is at least 0.
// On a convex curve that is the least-energy answer to the price lambda, the
// largest one where several are.
func (c Curve) Fill(lambda float64, lo, hi int64) int64 {
	var x int64
	for _, s := range c.Segments {
		next := x + s.Tasks
		if next > lo && s.Joules > lambda {
			break
		}
		x = next
		if x >= hi {
			break
		}
	}
	return max(lo, min(x, hi))
}

// Validate checks a curve that another machine declared: finite, non-negative and
// bounded figures, at least one task, ErrNotConvex unless marginals ascend, and
// Points that ascend in cost as they descend in time.
func (c Curve) Validate() error {
	if !within(c.Fixed, 0, MaxJoules) {
		return fmt.Errorf("%w: fixed energy %v J, want 0 to %g", ErrInvalid, c.Fixed, float64(MaxJoules))
	}
	if !within(c.Window, 0, MaxSeconds) {
		return fmt.Errorf("%w: window %v s, want 0 to %g", ErrInvalid, c.Window, float64(MaxSeconds))
	}
	if len(c.Segments) == 0 || len(c.Segments) > MaxSegments {
		return fmt.Errorf("%w: %d segments, want 1 to %d", ErrInvalid, len(c.Segments), MaxSegments)
	}
	var tasks int64
	var last float64
	for i, s := range c.Segments {
		if s.Tasks < 1 || s.Tasks > MaxTasks-tasks {
			return fmt.Errorf("%w: segment %d: %d tasks, want at least 1 and at most %d in all", ErrInvalid, i, s.Tasks, int64(MaxTasks))
		}
		if !within(s.Joules, 0, MaxJoules) {
			return fmt.Errorf("%w: segment %d: %v J a task, want 0 to %g", ErrInvalid, i, s.Joules, float64(MaxJoules))
		}
		if s.Joules < last {
			return fmt.Errorf("%w: segment %d costs %v J a task, the one before it %v", ErrNotConvex, i, s.Joules, last)
		}
		last = s.Joules
		tasks += s.Tasks
	}
	if len(c.Points) > MaxModes {
		return fmt.Errorf("%w: %d modes, want at most %d", ErrInvalid, len(c.Points), MaxModes)
	}
	for i, p := range c.Points {
		switch {
		case p.Name == "" || len(p.Name) > MaxName:
			return fmt.Errorf("%w: mode %d: name of %d bytes, want 1 to %d", ErrInvalid, i, len(p.Name), MaxName)
		case !(p.Seconds > 0 && p.Seconds <= MaxSeconds), !within(p.Joules, 0, MaxJoules):
			return fmt.Errorf("%w: mode %q: %v s and %v J a task", ErrInvalid, p.Name, p.Seconds, p.Joules)
		case i > 0 && (p.Seconds >= c.Points[i-1].Seconds || p.Joules <= c.Points[i-1].Joules):
			return fmt.Errorf("%w: mode %q is not faster and dearer than %q before it", ErrInvalid, p.Name, c.Points[i-1].Name)
		}
	}
	return nil
}

// Scale returns the curve with every energy multiplied by factor, which is finite
// and positive: joules become grams of CO2e, or are weighted. Points are shared.
func (c Curve) Scale(factor float64) Curve {
	s := Curve{Fixed: c.Fixed * factor, Window: c.Window, Segments: make([]Segment, len(c.Segments)), Points: c.Points}
	for i, seg := range c.Segments {
		s.Segments[i] = Segment{seg.Tasks, seg.Joules * factor}
	}
	return s
}

// Mix says how x tasks are done at C(x): slow and fast are indices into Points,
// and fastSeconds is how long to work in the fast mode. slow == fast when one mode
// does it all. ok is false without Points or when x does not fit the window.
func (c Curve) Mix(x int64) (slow, fast int, fastSeconds float64, ok bool) {
	if len(c.Points) == 0 || x < 0 {
		return 0, 0, 0, false
	}
	n := float64(x)
	// The slowest point that is fast enough alone.
	i := sort.Search(len(c.Points), func(i int) bool { return n*c.Points[i].Seconds <= c.Window })
	if i == len(c.Points) {
		if n*c.Points[i-1].Seconds > c.Window*(1+1e-12) {
			return 0, 0, 0, false
		}
		i--
	}
	if i == 0 || x == 0 {
		return i, i, n * c.Points[i].Seconds, true
	}
	a, b := c.Points[i-1], c.Points[i]
	tasks := (a.Seconds*n - c.Window) / (a.Seconds - b.Seconds) // in the fast mode, in [0, n]
	if tasks >= n {
		return i, i, n * b.Seconds, true
	}
	return i - 1, i, max(0, tasks) * b.Seconds, true
}
