package policy

import (
	"cmp"
	"math"
	"slices"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// AutoFL learns by tabular Q which clients to take and in which mode (Kim, Wu 2021,
// arXiv:2107.08147). The state of a client is its class of speed, of upload time and
// of data; actions are modes, in four steps from cheapest to fastest. The reward is
// what accuracy gained, less the energy; a round without a gain is punished. With
// probability 0.1 a client's action and rank are random. Equal shares.
//
// Departures: classes are thirds of the fleet as it is (the paper clusters with
// DBSCAN), energy is relative to the round's mean, and there is no discount, because
// the next state does not depend on the action.
type AutoFL struct {
	q        map[state]*[actions]float64
	taken    []step // of the latest plan
	accuracy float64
}

const (
	actions      = 4
	learningRate = 0.9
	exploration  = 0.1
)

type state struct{ speed, upload, data uint8 }

type step struct {
	state  state
	action int
}

// Name returns "autofl".
func (*AutoFL) Name() string { return "autofl" }

// Lanes lists privacy none.
func (*AutoFL) Lanes() ([]Lane, string) {
	return []Lane{None}, "it learns from the accuracy that each cohort brought, which is data"
}

// Plan returns the clients with the best learned values, each in its best mode.
func (p *AutoFL) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	if p.q == nil {
		p.q = make(map[state]*[actions]float64)
	}
	n := len(r.Clients)
	speed := thirds(n, func(i int) float64 { pts := r.Clients[i].Curve.Points; return pts[len(pts)-1].Seconds })
	upload := thirds(n, func(i int) float64 { return r.Clients[i].UploadSeconds })
	data := thirds(n, func(i int) float64 { return float64(r.Clients[i].Examples) })
	steps, value := make([]step, n), make([]float64, n)
	for i := range n {
		s := state{speed[i], upload[i], data[i]}
		row := p.row(s)
		a := 0
		for b := 1; b < actions; b++ {
			if row[b] > row[a] {
				a = b
			}
		}
		value[i] = row[a] + 1e-6*r.Rand.Float64() // ties at random
		if r.Rand.Float64() < exploration {
			a, value[i] = r.Rand.IntN(actions), math.Inf(1)
		}
		steps[i] = step{s, a}
	}
	who := least(n, r.Cohort, func(i int) float64 { return -value[i] })
	orders := make([]Assignment, len(who))
	p.taken = p.taken[:0]
	for k, i := range who {
		c := &r.Clients[i]
		x := c.equal(r.share())
		points := c.Curve.Points
		m := steps[i].action * (len(points) - 1) / (actions - 1)
		for m < len(points)-1 && float64(x)*points[m].Seconds > c.Curve.Window {
			m++ // an action that misses the deadline is no action
		}
		orders[k] = Assignment{Client: i, Order: costcurve.Order{Tasks: x, Mode: points[m].Name}}
		p.taken = append(p.taken, steps[i])
	}
	return orders, nil
}

func (p *AutoFL) row(s state) *[actions]float64 {
	if p.q[s] == nil {
		p.q[s] = new([actions]float64)
	}
	return p.q[s]
}

// Observe rewards what was taken. o.Reports are in the order of the plan.
func (p *AutoFL) Observe(o Outcome) {
	if len(o.Reports) != len(p.taken) || len(p.taken) == 0 {
		return
	}
	var mean float64
	for _, rep := range o.Reports {
		mean += sane(rep.Joules) / float64(len(o.Reports))
	}
	gain := 100 * (o.Accuracy - p.accuracy)
	p.accuracy = o.Accuracy
	for k, rep := range o.Reports {
		reward := 100*o.Accuracy - 100
		if gain > 0 {
			reward = gain
			if mean > 0 {
				reward -= sane(rep.Joules) / mean
			}
		}
		v := &p.row(p.taken[k].state)[p.taken[k].action]
		*v += learningRate * (reward - *v)
	}
	p.taken = p.taken[:0]
}

// thirds sorts n clients by key into the lowest, middle and highest third.
func thirds(n int, key func(i int) float64) []uint8 {
	at := everyone(n)
	slices.SortFunc(at, func(a, b int) int { return cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(a, b)) })
	class := make([]uint8, n)
	for rank, i := range at {
		class[i] = uint8(3 * rank / n)
	}
	return class
}
