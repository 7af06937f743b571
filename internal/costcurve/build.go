package costcurve

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Curve returns the device's C(x) under the terms, modes and work chosen together.
//
// With n_m tasks in mode m it is the parametric linear programme
//
//	C(x) = Fixed + min sum_m e_m n_m   s.t.  sum_m n_m = x,  sum_m tau_m n_m <= Window
//
// over real n_m >= 0: modes may change within a task. Only modes on the lower left
// hull of (tau, e) take part: the cheapest until its time is up, then blends of
// neighbours. C is evaluated exactly at whole x; a task in which the slope changes
// is a segment of its own.
//
// The result is valid and convex. ErrNoTime and ErrNoBattery say that not even one
// task can be done.
func (d Device) Curve(t Terms) (Curve, error) {
	if err := d.Validate(); err != nil {
		return Curve{}, err
	}
	if err := t.Validate(); err != nil {
		return Curve{}, err
	}
	fixed, window, err := d.round(t)
	if err != nil {
		return Curve{}, err
	}
	c := Curve{Fixed: fixed, Window: window, Points: d.hull(t.Boundary)}
	most := math.Floor(window / c.Points[len(c.Points)-1].Seconds)
	limit := int64(MaxTasks)
	if t.MaxTasks > 0 {
		limit = t.MaxTasks
	}
	if most < float64(limit) {
		limit = int64(most)
	}
	if limit < 1 {
		return Curve{}, fmt.Errorf("%w: one task takes %.3g s at the fastest, %.3g s are left; lengthen the deadline", ErrNoTime, c.Points[len(c.Points)-1].Seconds, window)
	}
	c.segments(limit)
	if left, ok := d.allowance(t); ok {
		x, err := c.within(left)
		if err != nil {
			return Curve{}, err
		}
		c.cut(x)
	}
	return c, c.Validate()
}

// hull returns the lower left hull of the modes, slowest first. Of modes equal in
// time and energy the first in name order stays, so that the result does not
// depend on the order of d.Modes.
func (d Device) hull(b Boundary) []Point {
	points := make([]Point, len(d.Modes))
	for i, m := range d.Modes {
		points[i] = Point{m.Name, m.SecondsPerTask, d.taskJoules(m, b)}
	}
	slices.SortFunc(points, func(p, q Point) int {
		return cmp.Or(cmp.Compare(p.Seconds, q.Seconds), cmp.Compare(p.Joules, q.Joules), cmp.Compare(p.Name, q.Name))
	})
	kept := points[:0] // fastest first, while it is built
	for _, p := range points {
		if n := len(kept); n > 0 && p.Joules >= kept[n-1].Joules {
			continue // slower and no cheaper
		}
		for len(kept) >= 2 {
			a, b := kept[len(kept)-2], kept[len(kept)-1]
			// b goes when it lies on or above the line from a to p.
			if (b.Joules-a.Joules)*(p.Seconds-a.Seconds) < (p.Joules-a.Joules)*(b.Seconds-a.Seconds) {
				break
			}
			kept = kept[:len(kept)-1]
		}
		kept = append(kept, p)
	}
	kept = slices.Clone(kept)
	slices.Reverse(kept)
	return kept
}

// work is C(x) - Fixed for real x that fits the window.
func (c Curve) work(x float64) float64 {
	for i, p := range c.Points {
		if x*p.Seconds > c.Window && i < len(c.Points)-1 {
			continue
		}
		if i == 0 {
			return x * p.Joules
		}
		a := c.Points[i-1]
		fast := min(x, max(0, (a.Seconds*x-c.Window)/(a.Seconds-p.Seconds)))
		return fast*p.Joules + (x-fast)*a.Joules
	}
	return 0
}

// segments fills c.Segments up to limit tasks. Rounding cannot make them descend:
// a slope is never below the one before it.
func (c *Curve) segments(limit int64) {
	var x int64
	last := 0.0
	add := func(tasks int64, joules float64) {
		joules = max(joules, last)
		last = joules
		if n := len(c.Segments); n > 0 && c.Segments[n-1].Joules == joules {
			c.Segments[n-1].Tasks += tasks
		} else {
			c.Segments = append(c.Segments, Segment{tasks, joules})
		}
		x += tasks
	}
	for i, p := range c.Points {
		slope := p.Joules
		if i > 0 {
			a := c.Points[i-1]
			slope = (a.Seconds*p.Joules - p.Seconds*a.Joules) / (a.Seconds - p.Seconds)
		}
		end := limit
		if b := math.Floor(c.Window / p.Seconds); b < float64(limit) {
			end = int64(b)
		}
		if end > x {
			add(end-x, slope)
		}
		if x < limit && i < len(c.Points)-1 {
			// The task in which the slope changes, unless it changes between tasks.
			if bend := c.Window / p.Seconds; bend > float64(x) && bend < float64(x+1) {
				add(1, c.work(float64(x+1))-c.work(float64(x)))
			}
		}
	}
}

// within returns the largest x whose C(x) is at most joules.
func (c Curve) within(joules float64) (int64, error) {
	left := joules - c.Fixed
	var x int64
	for _, s := range c.Segments {
		if s.Joules*float64(s.Tasks) > left {
			x += int64(left / s.Joules)
			left = -1
			break
		}
		left -= s.Joules * float64(s.Tasks)
		x += s.Tasks
	}
	if x < 1 || joules < c.Fixed {
		return 0, fmt.Errorf("%w: %.3g J are left above the reserve and one task costs %.3g J with transfers; charge the device, or lower the reserve", ErrNoBattery, joules, c.At(1))
	}
	return x, nil
}

// cut shortens the curve to at most x tasks, x >= 1.
func (c *Curve) cut(x int64) {
	for i := range c.Segments {
		if x <= c.Segments[i].Tasks {
			c.Segments[i].Tasks = x
			c.Segments = c.Segments[:i+1]
			return
		}
		x -= c.Segments[i].Tasks
	}
}
