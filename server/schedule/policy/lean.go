package policy

import (
	"math"

	"github.com/sotto-fl/sotto/server/schedule"
)

// Lean: where the server may choose who takes part (privacy none and lane A), clients
// that are cheap take part more often than dear ones, as far as the fairness of
// participation allows, and nobody is left out.
//
// Client i gets a rate pi_i, linear in what including it costs at the fleet's price,
// v_i = C_i(x_i) - lambda x_i: of all rates with the same sum and the same sum of
// squares these spend least. Their spread is the largest for which Jain's index of
// participation stays above keepJain times that of a uniform draw,
//
//	E Jain(uniform, t rounds) = 1 / (1 + (1-q)/(t q)),   q = Cohort/N.
//
// Each round takes the clients that are furthest behind their rate, with a random
// phase. A uniform draw spends its unfairness on luck; this one spends it on energy.
const (
	keepJain  = 0.975 // a little above what is promised, 0.95, for counts are whole
	leastRate = 0.2   // of the uniform rate
	mostRate  = 2.5
	mostBias  = 0.3 // of the spread: in the first rounds the formula allows anything
)

// lean returns the cohort, ascending.
func (p *Price) lean(r *Round) ([]int, error) {
	n := len(r.Clients)
	if r.Cohort >= n {
		return everyone(n), nil
	}
	value, err := p.values(r)
	if err != nil {
		return nil, err
	}
	q, t := float64(r.Cohort)/float64(n), float64(r.Index)
	spread := min((1+(1-q)/(t*q))/keepJain-1, mostBias) // of the rates: variance over mean squared
	rates := rates(value, q, spread)
	behind := make([]float64, n)
	for i := range behind {
		h := &r.Clients[i].History
		due := t
		if h.Offered > 0 { // who joined late or was away is owed nothing for it
			due = min(t, float64(h.Offered))
		}
		behind[i] = due*rates[i] - float64(h.Rounds) + r.Rand.Float64()
	}
	return least(n, r.Cohort, func(i int) float64 { return -behind[i] }), nil
}

// values returns what including each client costs at the price at which the whole
// fleet would work as hard as the cohort is to.
func (p *Price) values(r *Round) ([]float64, error) {
	clients, fewest, most := p.problem(r, everyone(len(r.Clients)))
	total := float64(r.Tasks) * float64(len(clients)) / float64(r.Cohort)
	a, err := schedule.SolveConvex(clients, int64(min(max(total, float64(fewest)), float64(most))))
	if err != nil {
		return nil, err
	}
	value := make([]float64, len(clients))
	for i, x := range a.Tasks {
		value[i] = clients[i].Curve.At(x) - a.Lambda*float64(x)
	}
	return value, nil
}

// rates returns numbers between leastRate and mostRate times q (and at most 1), with
// mean q, that fall linearly with the values in between, and whose variance is spread
// times q squared or as near as the limits let it be.
func rates(value []float64, q, spread float64) []float64 {
	n := float64(len(value))
	var mean, dev float64
	for _, v := range value {
		mean += v / n
	}
	for _, v := range value {
		dev += (v - mean) * (v - mean) / n
	}
	pi := make([]float64, len(value))
	low, high := leastRate*q, min(mostRate*q, 1)
	if !(dev > 0) || !(high > q) {
		for i := range pi {
			pi[i] = q
		}
		return pi
	}
	dev = math.Sqrt(dev)
	variance := func(slope float64) (sum float64) {
		a, b := -math.Abs(slope)*1e3-2, math.Abs(slope)*1e3+2
		for range 60 { // the shift that keeps the mean
			shift := (a + b) / 2
			var m float64
			for i, v := range value {
				pi[i] = min(max(q*(1+shift-slope*(v-mean)/dev), low), high)
				m += pi[i] / n
			}
			if m < q {
				a = shift
			} else {
				b = shift
			}
		}
		for _, v := range pi {
			sum += (v/q - 1) * (v/q - 1) / n
		}
		return sum
	}
	a, b := 0.0, 1.0
	for variance(b) < spread && b < 1e3 {
		a, b = b, 2*b
	}
	for range 30 {
		if mid := (a + b) / 2; variance(mid) < spread {
			a = mid
		} else {
			b = mid
		}
	}
	variance(a)
	return pi
}
