package schedule

import "math"

// Time is how long a client takes: nothing for no task, Fixed + x PerTask seconds for
// x tasks. Both are finite and not negative.
type Time struct{ Fixed, PerTask float64 }

// At returns the seconds for x tasks.
func (t Time) At(x int64) float64 {
	if x == 0 {
		return 0
	}
	return t.Fixed + t.PerTask*float64(x)
}

// Marginal is the key of task x+1: the time at which it is done. It makes the search
// for a price one for a deadline.
func (t Time) Marginal(x int64) float64 { return t.At(x + 1) }

// Fill returns the largest x in [lo, hi] that is done by deadline, lo if none is.
func (t Time) Fill(deadline float64, lo, hi int64) int64 {
	if lo >= hi {
		return lo
	}
	x := hi
	if t.PerTask > 0 {
		if v := (deadline - t.Fixed) / t.PerTask; v < float64(hi) {
			x = max(lo, int64(max(v, 0)))
		}
	}
	for x < hi && t.At(x+1) <= deadline {
		x++
	}
	for x > lo && t.At(x) > deadline {
		x--
	}
	return x
}

// MinMakespan allocates exactly total tasks so that the last client is done as early
// as possible, and returns when that is: the problem that OLAR solves (Pilla,
// "Optimal Task Assignment for Heterogeneous Federated Learning Devices", 2021,
// arXiv:2010.00239). Energy plays no part. Ties as in SolveConvex.
func MinMakespan(times []Time, bounds []Bounds, total int64) (tasks []int64, seconds float64, err error) {
	if err := sizes(len(times), bounds); err != nil {
		return nil, 0, err
	}
	for i, t := range times {
		if !(t.Fixed >= 0 && t.PerTask >= 0) || math.IsInf(t.Fixed+t.PerTask, 1) {
			return nil, 0, invalid("client %d: %v s and %v s a task, want finite and not negative", i, t.Fixed, t.PerTask)
		}
	}
	s, err := newSearch(times, bounds, total)
	if err != nil {
		return nil, 0, err
	}
	tasks, _ = s.run()
	for i, x := range tasks {
		seconds = max(seconds, times[i].At(x))
	}
	return tasks, seconds, nil
}
