package policy

import (
	"math"

	"github.com/sotto-fl/sotto/server/schedule"
)

// Lean: where the server may choose who takes part (privacy none and lane A), clients
// that are cheap take part more often than dear ones, as far as the fairness of
// participation allows, and nobody is left out.
//
// A client's count of rounds falls linearly with what including it costs at the fleet's
// price, v_i = C_i(x_i) - lambda x_i: of all counts with the same sum and the same sum of
// squares these spend least. The sum of squares is the largest that keeps Jain's index
// of all enrolled clients, as it will be after this round, above keepJain times what
// a uniform draw would lead one to expect. With o_i rounds that client i was there for,
// that draw takes it m_i = o_i q times in the mean, with variance m_i (1 - q). So
// whoever is away often uses up allowance, in this draw as in that one, and what it
// used is a count that cannot move any more (Round.Away).
//
// Each round takes the clients that are furthest behind their count, with a random
// phase. A uniform draw spends its unfairness on luck; this one spends it on energy.
const (
	keepJain  = 0.985 // above what is promised, 0.95: a uniform draw may be lucky
	leastRate = 0.2   // of what a uniform draw leads one to expect
	mostRate  = 2.5
	mostBias  = 0.3 // variance over mean squared: in the first rounds luck allows anything
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
	count := counts(r, value)
	return least(n, r.Cohort, func(i int) float64 {
		return float64(r.Clients[i].History.Rounds) - count[i] - r.Rand.Float64()
	}), nil
}

// counts returns how many rounds each of r.Clients should have taken part in after this one.
func counts(r *Round, value []float64) []float64 {
	offered := func(h *History, here bool) float64 {
		if h.Offered > 0 || !here && h.Rounds == 0 { // who joined late or was away is owed nothing for it
			return min(float64(r.Index), float64(h.Offered))
		}
		return float64(r.Index)
	}
	n := len(r.Clients)
	// Of all, of those that are here, and of those that are not.
	var rounds, there, gone, goneSquared float64
	due := make([]float64, n)
	for i := range r.Clients {
		h := &r.Clients[i].History
		due[i] = offered(h, true)
		there += due[i]
		rounds += float64(h.Rounds)
	}
	away := make([]float64, len(r.Away))
	for i := range r.Away {
		h := &r.Away[i]
		away[i] = offered(h, false)
		there += away[i]
		gone += float64(h.Rounds)
		goneSquared += float64(h.Rounds) * float64(h.Rounds)
	}
	total := rounds + gone + float64(r.Cohort)
	q := total / there
	var squares, biased float64
	for _, list := range [][]float64{due, away} {
		for k := range list {
			m := list[k] * q
			squares += m*m + m*max(0, 1-q)
			biased += m * m
		}
	}
	squares = min(squares/keepJain, biased*(1+mostBias)) - goneSquared
	low, high := make([]float64, n), make([]float64, n)
	for i := range due {
		low[i], high[i] = leastRate*due[i]*q, min(mostRate*due[i]*q, due[i])
	}
	return spread(value, low, high, total-gone, squares)
}

// values returns what including each client costs at the price at which the whole
// fleet would work as hard as the cohort is to.
func (p *Price) values(r *Round) ([]float64, error) {
	clients, total, err := p.problem(r, everyone(len(r.Clients)), r.mean()*float64(len(r.Clients)))
	if err != nil {
		return nil, err
	}
	a, err := schedule.SolveConvex(clients, total)
	if err != nil {
		return nil, err
	}
	value := make([]float64, len(clients))
	for i, x := range a.Tasks {
		value[i] = clients[i].Curve.At(x) - a.Lambda*float64(x)
	}
	return value, nil
}

// spread returns numbers between low and high that fall linearly with the values in
// between, with the given sum and sum of squares, or as near to them as the limits and
// equal numbers let them be.
func spread(value, low, high []float64, sum, squares float64) []float64 {
	n := float64(len(value))
	var mean, dev float64
	for _, v := range value {
		mean += v / n
	}
	for _, v := range value {
		dev += (v - mean) * (v - mean) / n
	}
	dev = math.Sqrt(dev)
	if !(dev > 0) {
		dev = 1
	}
	number := make([]float64, len(value))
	at := func(slope float64) (squared float64) {
		a, b := 0.0, 0.0 // the number at the mean value that keeps the sum
		for i, v := range value {
			a = min(a, low[i]+slope*(v-mean)/dev)
			b = max(b, high[i]+slope*(v-mean)/dev)
		}
		for range 60 {
			shift := (a + b) / 2
			var s float64
			for i, v := range value {
				number[i] = min(max(shift-slope*(v-mean)/dev, low[i]), high[i])
				s += number[i]
			}
			if s < sum {
				a = shift
			} else {
				b = shift
			}
		}
		for _, v := range number {
			squared += v * v
		}
		return squared
	}
	unit := max(sum/n, math.SmallestNonzeroFloat64)
	a, b := 0.0, unit
	for at(b) < squares && b < 1e3*unit {
		a, b = b, 2*b
	}
	for range 30 {
		if mid := (a + b) / 2; at(mid) < squares {
			a = mid
		} else {
			b = mid
		}
	}
	at(a)
	return number
}
