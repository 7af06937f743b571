package schedule

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Verify checks that an allocation is optimal, from the problem and the claimed
// price alone; it shares no code with the solver. By the Karush-Kuhn-Tucker
// conditions of a separable convex problem it is optimal if and only if some price
// separates the tasks taken from those left:
//
//	C_i(x_i) - C_i(x_i - 1) <= Lambda  where x_i > Min_i,
//	C_i(x_i + 1) - C_i(x_i) >= Lambda  where x_i < Max_i.
//
// Bounds, total, convexity of each curve and the claimed energy are checked too.
// ErrNotOptimal names the first client at which a condition fails.
func Verify(clients []Client, total int64, a Allocation) error {
	if len(a.Tasks) != len(clients) {
		return fmt.Errorf("%w: work of %d clients, want %d", ErrNotOptimal, len(a.Tasks), len(clients))
	}
	for i := range clients {
		if err := clients[i].Curve.Validate(); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	return verify(total, a, func(i int) (Convex, Bounds) {
		c := &clients[i]
		return c.Curve, Bounds{c.Min, min(c.Max, c.Curve.Max())}
	})
}

// VerifySmooth is Verify for costs that are formulas. Their convexity is taken on
// trust beyond the two tasks at the edge.
func VerifySmooth[C Convex](curves []C, bounds []Bounds, total int64, a Allocation) error {
	if len(a.Tasks) != len(curves) || len(bounds) != len(curves) {
		return fmt.Errorf("%w: %d curves, %d bounds, work of %d clients, want as many", ErrNotOptimal, len(curves), len(bounds), len(a.Tasks))
	}
	return verify(total, a, func(i int) (Convex, Bounds) { return curves[i], bounds[i] })
}

func verify(total int64, a Allocation, client func(i int) (Convex, Bounds)) error {
	if math.IsNaN(a.Lambda) {
		return fmt.Errorf("%w: price is not a number", ErrNotOptimal)
	}
	left := total
	var joules float64
	for i, x := range a.Tasks {
		c, b := client(i)
		if x < b.Min || x > b.Max {
			return fmt.Errorf("%w: client %d does %d tasks, its bounds are %d to %d", ErrNotOptimal, i, x, b.Min, b.Max)
		}
		if x > b.Min {
			if m := c.Marginal(x - 1); !(m <= a.Lambda) {
				return fmt.Errorf("%w: client %d does a task at %v J, above the price of %v", ErrNotOptimal, i, m, a.Lambda)
			}
		}
		if x < b.Max {
			if m := c.Marginal(x); !(m >= a.Lambda) {
				return fmt.Errorf("%w: client %d leaves a task at %v J, below the price of %v", ErrNotOptimal, i, m, a.Lambda)
			}
		}
		left -= x
		joules += c.At(x)
	}
	if left != 0 {
		return fmt.Errorf("%w: the work adds up to %d tasks, want %d", ErrNotOptimal, total-left, total)
	}
	if !(math.Abs(joules-a.Joules) <= 1e-9*math.Abs(joules)) {
		return fmt.Errorf("%w: the work costs %v J, the allocation says %v", ErrNotOptimal, joules, a.Joules)
	}
	return nil
}

var _ Convex = costcurve.Curve{}
