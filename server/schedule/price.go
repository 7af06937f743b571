package schedule

import (
	"math"
	"slices"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// A posted price is published before coins are tossed. Each client answers it with
// costcurve.Respond from its own curve and history, so the coming or going of one
// client changes nobody else's order: the sensitivity of the sum stays that of one
// clipped update, which a jointly chosen allocation does not keep. By Everett's
// theorem the answers are nevertheless the least-energy allocation of the total
// that they realise; what is given up is only that the total is random.
//
// What the first price is computed from is treated as public metadata: enrolled
// curves (or, better, those of their device classes), never the cohort.

// FirstPrice returns the price at which the clients would do about expected/rate
// tasks if all of them took part: expected tasks a round when each takes part with
// probability rate in (0, 1]. clients are as for SolveConvex. A total outside of
// what the bounds allow is cut to it, for a price always exists.
func FirstPrice(clients []Client, rate float64, expected int64) (costcurve.Price, error) {
	if !(rate > 0 && rate <= 1) || expected < 0 {
		return costcurve.Price{}, invalid("rate %v and %d tasks, want a rate in (0, 1] and 0 tasks or more", rate, expected)
	}
	least, most, err := check(clients)
	if err != nil {
		return costcurve.Price{}, err
	}
	total := min(max(int64(min(float64(expected)/rate, 1<<62)), least), most)
	a, err := SolveConvex(clients, total)
	return costcurve.Price{Lambda: a.Lambda}, err
}

// DefaultGain is how far NextPrice goes towards the price that would have been right
// had work been proportional to it.
const DefaultGain = 0.5

// NextPrice moves the price after a round that was meant to do want tasks and is
// known to have done got: lambda (want/got)^gain, by at most a factor of 4 either
// way. got must come from what is released anyway (a planned mean, a noised count),
// or the price is a channel. A price of zero restarts at floor, joules a task.
func NextPrice(p costcurve.Price, want, got, gain, floor float64) (costcurve.Price, error) {
	if err := p.Validate(); err != nil {
		return costcurve.Price{}, err
	}
	if !(want > 0 && got >= 0 && gain >= 0 && floor >= 0) || math.IsInf(want+got+gain+floor, 1) {
		return costcurve.Price{}, invalid("wanted %v tasks, got %v, gain %v, floor %v, want finite, not negative, and some tasks", want, got, gain, floor)
	}
	factor := 4.0
	if got > 0 {
		factor = min(max(math.Pow(want/got, gain), 0.25), 4)
	}
	p.Lambda = min(max(p.Lambda*factor, floor), costcurve.MaxJoules)
	return p, nil
}

// Fairness is how evenly something was shared among clients.
type Fairness struct {
	Jain float64 // (sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has all
	Gini float64 // 0 when all are equal
}

// Measure returns the fairness of shares, which are finite and not negative and are
// sorted ascending in place. Nothing at all is shared evenly.
func Measure(shares []float64) Fairness {
	slices.Sort(shares)
	var sum, squares, ranked float64
	for i, v := range shares {
		sum += v
		squares += v * v
		ranked += float64(i+1) * v
	}
	n := float64(len(shares))
	if sum == 0 {
		return Fairness{Jain: 1}
	}
	return Fairness{sum * sum / (n * squares), 2*ranked/(n*sum) - (n+1)/n}
}
