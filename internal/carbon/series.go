package carbon

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrInvalid: a series, or a file of series, cannot be used.
var ErrInvalid = errors.New("invalid carbon intensity")

// Average is what the electricity of a grid carries in the mean.
type Average struct{}

// Marginal is what one kilowatt-hour more would carry.
type Marginal struct{}

// Signal is one of the two.
type Signal interface {
	Average | Marginal
	name() string
}

func (Average) name() string  { return "average" }
func (Marginal) name() string { return "marginal" }

// Series is intensity in equal steps: each value holds from its time until the next.
// The zero Series is empty. Safe for concurrent use.
type Series[S Signal] struct {
	start  time.Time
	step   time.Duration
	values []float64
}

// Limits of what is taken from a file.
const (
	maxRows      = 1 << 20
	maxSteps     = 1 << 21
	maxIntensity = 1e5
	leastStep    = time.Minute
	longestHold  = 24 * time.Hour // a value older than this is no value
)

// New returns the series of the values, which are kept, from start on.
func New[S Signal](start time.Time, step time.Duration, values []float64) (Series[S], error) {
	if step < leastStep || len(values) == 0 || len(values) > maxSteps || len(values) > int(math.MaxInt64/int64(step)) {
		return Series[S]{}, fmt.Errorf("%w: %d values in steps of %v, want 1 to %d in steps of a minute or more", ErrInvalid, len(values), step, maxSteps)
	}
	for i, v := range values {
		if !(v >= 0 && v <= maxIntensity) {
			return Series[S]{}, fmt.Errorf("%w: value %d is %v g/kWh, want 0 to %g", ErrInvalid, i, v, maxIntensity)
		}
	}
	return Series[S]{start, step, values}, nil
}

// Start returns the time of the first value.
func (s Series[S]) Start() time.Time { return s.start }

// Len returns how long the series is.
func (s Series[S]) Len() time.Duration { return time.Duration(len(s.values)) * s.step }

// Mean returns the mean intensity between two times, and false where the series does
// not cover them. Equal times ask for that moment.
func (s Series[S]) Mean(from, to time.Time) (float64, bool) {
	a, b := from.Sub(s.start), to.Sub(s.start)
	if a < 0 || b < a || a >= s.Len() || b > s.Len() {
		return 0, false
	}
	k := int(a / s.step)
	if a == b {
		return s.values[k], true
	}
	var sum float64
	for t := a; t < b; k++ {
		end := min(b, time.Duration(k+1)*s.step)
		sum += s.values[k] * float64(end-t)
		t = end
	}
	return sum / float64(b-a), true
}

// Window returns the means of n steps of the given length from a time on, and false
// where the series does not cover them all.
func (s Series[S]) Window(from time.Time, step time.Duration, n int) ([]float64, bool) {
	if n < 0 || n > maxSteps || step <= 0 {
		return nil, false
	}
	means := make([]float64, n)
	for k := range means {
		var ok bool
		if means[k], ok = s.Mean(from.Add(time.Duration(k)*step), from.Add(time.Duration(k+1)*step)); !ok {
			return nil, false
		}
	}
	return means, true
}
