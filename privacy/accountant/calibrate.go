package accountant

import (
	"fmt"
	"math"
)

// Calibrate returns a noise multiplier z for which the upper bound on epsilon of build(z) at delta is at most target, within
// a relative tolerance of the least such z, and the result at that z. build must be pure, and its events more private as z grows.
//
// It is ErrUnsupported where the accountant does not know the event, ErrInvalid where no multiplier in [1e-3, 1e6] will do or
// where even 1e-3 is private enough.
func (a Accountant) Calibrate(build func(z float64) Event, target, delta, tolerance float64) (float64, Result, error) {
	return a.calibrate(build, target, delta, tolerance, 1)
}

// calibrate searches from start on.
func (a Accountant) calibrate(build func(z float64) Event, target, delta, tolerance, start float64) (float64, Result, error) {
	if !(target > 0) || math.IsInf(target, 1) || !(tolerance > 0) {
		return 0, Result{}, fmt.Errorf("calibrate to epsilon %v within %v: %w: both must be positive and finite", target, tolerance, ErrInvalid)
	}
	const least, most = 1e-3, 1e6
	var best Result
	hi := math.NaN()
	excess := func(z float64) (float64, error) {
		r, err := a.Epsilon(build(z), delta)
		if err != nil {
			return 0, err
		}
		f := math.Log(math.Max(r.Upper, 1e-300) / target)
		if r.Upper <= target && !(z > hi) {
			hi, best = z, r
		}
		return f, nil
	}
	lo, flo := start, 0.0
	f, err := excess(lo)
	if err != nil {
		return 0, Result{}, err
	}
	fhi := f
	if f > 0 {
		for z := lo; fhi > 0; {
			lo, flo = z, fhi
			if z *= 2; z > most {
				return 0, Result{}, fmt.Errorf("calibrate to epsilon %v at delta %v: %w: out of reach for any noise multiplier up to 1e6; raise epsilon or delta", target, delta, ErrInvalid)
			}
			if fhi, err = excess(z); err != nil {
				return 0, Result{}, err
			}
		}
	} else {
		for z := lo; f <= 0; {
			fhi = f
			if z /= 2; z < least {
				return 0, Result{}, fmt.Errorf("calibrate to epsilon %v at delta %v: %w: any noise multiplier above 1e-3 will do", target, delta, ErrInvalid)
			}
			// Some accountants know nothing of so little noise; what they do not know is not enough.
			if f, err = excess(z); err != nil {
				f = math.Inf(1)
			}
			lo, flo = z, f
		}
	}
	// False position on the logs (Illinois), falling back to bisection; hi stays on the private side.
	side := 0
	for range 100 {
		if hi/lo-1 <= tolerance {
			break
		}
		z := math.Sqrt(lo * hi)
		if !math.IsInf(flo, 1) && !math.IsInf(fhi, -1) && side >= 0 {
			w := flo / (flo - fhi)
			// A little to the private side, so that hi moves too.
			x := math.Exp((1-w)*math.Log(lo)+w*math.Log(hi)) * (1 + tolerance/4)
			if x > lo && x < hi {
				z = x
			}
		}
		before := hi / lo
		f, err := excess(z)
		if err != nil {
			f = math.Inf(1)
		}
		if f > 0 {
			lo, flo = z, f
		} else {
			hi, fhi = z, f
		}
		side = 0
		if math.Log(hi/lo) > 0.5*math.Log(before) {
			side = -1 // too slow: bisect next
		}
	}
	return hi, best, nil
}
