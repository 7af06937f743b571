package costcurve

import "fmt"

// Plausible compares a declared curve with that of its device class: over the tasks
// that both can do, every marginal energy must lie within [1/ratio, ratio] of the
// class's, and so must Fixed. ratio is at least 1; 5 is a sane one. Both curves are
// valid. ErrImplausible says where a curve leaves the band.
//
// What a client declares steers who works, so a lie can shift work to or from it.
// The band bounds how far, and Clamp gives the curve to use in its place.
func Plausible(declared, class Curve, ratio float64) error {
	if !outside(declared.Fixed, class.Fixed, ratio) {
		var x int64
		for x < min(declared.Max(), class.Max()) {
			d, c := declared.Marginal(x), class.Marginal(x)
			if outside(d, c, ratio) {
				return fmt.Errorf("%w: task %d declared at %.3g J, the class says %.3g J and allows a factor of %g", ErrImplausible, x+1, d, c, ratio)
			}
			x = min(declared.end(x), class.end(x))
		}
		return nil
	}
	return fmt.Errorf("%w: %.3g J declared for taking part, the class says %.3g J and allows a factor of %g", ErrImplausible, declared.Fixed, class.Fixed, ratio)
}

// Clamp returns the declared curve with every marginal energy and Fixed moved to
// the nearest value inside the class's band, cut to the tasks that the class can
// do. It stays convex: the bounds ascend as the curve does. It names no modes.
func Clamp(declared, class Curve, ratio float64) Curve {
	clamp := func(d, c float64) float64 { return min(max(d, c/ratio), min(c*ratio, MaxJoules)) }
	bounded := Curve{Fixed: clamp(declared.Fixed, class.Fixed), Window: declared.Window}
	most := min(declared.Max(), class.Max())
	for x := int64(0); x < most; {
		next := min(declared.end(x), class.end(x))
		j := clamp(declared.Marginal(x), class.Marginal(x))
		if n := len(bounded.Segments); n > 0 && bounded.Segments[n-1].Joules == j {
			bounded.Segments[n-1].Tasks += next - x
		} else {
			bounded.Segments = append(bounded.Segments, Segment{next - x, j})
		}
		x = next
	}
	return bounded
}

func outside(declared, class, ratio float64) bool {
	return declared < class/ratio || declared > class*ratio
}

// end returns where the segment that holds task x+1 ends; x < Max().
func (c Curve) end(x int64) int64 {
	var n int64
	for _, s := range c.Segments {
		if n += s.Tasks; n > x {
			break
		}
	}
	return n
}
