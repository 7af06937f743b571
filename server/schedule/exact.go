package schedule

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Effort bounds the work of SolveExact, in steps rather than in seconds so that
// the result is a function of the instance. The zero Effort is DefaultEffort.
type Effort struct {
	Steps  int64 // transitions of the dynamic programme, all together
	States int   // of the dynamic programme, kept at a time
}

// DefaultEffort is about a second of one processor, and some hundred megabytes at the
// most.
var DefaultEffort = Effort{Steps: 200e6, States: 8 << 20}

// Exact is the result of SolveExact.
type Exact struct {
	Allocation
	Option []int32 // Tasks[i] and its energy are entry Option[i] of table i

	// Lower bounds the energy of every allocation. Proven says that none is cheaper
	// than Joules; Lower then equals Joules.
	Lower  float64
	Proven bool
	Steps  int64 // of Effort, used
}

// SolveExact allocates exactly total tasks among clients with arbitrary costs, one
// option of each table, at the least energy: a multiple-choice knapsack with an
// equality, NP-hard in general and easy on most fleets.
//
//  1. The tables' lower convex hulls solve the relaxation: a price lambda, the option
//     of each client that is best at it (the base), and the Lagrangian bound
//     g = lambda total + sum_i min_x (C_i(x) - lambda x).
//  2. Every other option has a reduced cost r >= 0. An allocation whose options have
//     reduced costs r_i costs g + sum r_i exactly. The base misses the total by some
//     tasks; what is sought is the cheapest set of exchanges that makes them up.
//  3. A sparse dynamic programme over the tasks made up takes clients in order of
//     their least r, the core, and stops as soon as no exchange left out can pay:
//     that is the proof. Where it would take long, a shortest path over the exchanges
//     sharpens the bound, and clients are ordered by how far they are from it (compare Pisinger, "A minimal algorithm for the
//     multiple-choice knapsack problem", 1995, doi:10.1016/0377-2217(95)00015-I).
//
// When effort runs out the cheapest allocation met is returned with the bound that
// holds by then, and Proven is false. Ties go to what is met first in a fixed order.
//
// Errors: costcurve.ErrInvalid with the client's index, ErrInfeasible when it is
// proven that nothing adds up, ErrUndecided when effort ended before either.
func SolveExact(tables []costcurve.Table, total int64, effort Effort) (Exact, error) {
	if effort == (Effort{}) {
		effort = DefaultEffort
	}
	return solveExact(tables, total, effort, quick)
}

func solveExact(tables []costcurve.Table, total int64, effort Effort, quick int64) (Exact, error) {
	k := &core{tables: tables, total: total, effort: effort}
	least, most, err := k.check()
	if err != nil {
		return Exact{}, err
	}
	if err := infeasible(total, least, most); err != nil {
		return Exact{}, err
	}
	k.relax(least, most)
	k.reduce()
	if k.missing != 0 {
		k.search(quick)
	}
	return k.result()
}

// core is the state of one solution.
type core struct {
	tables []costcurve.Table
	total  int64
	effort Effort

	// The relaxation.
	lambda  float64
	base    []int32 // option of each client
	missing int64   // total minus the base's tasks, never negative
	bound   float64 // g

	// Reduced costs are against floor[i] = C_i - lambda x at the base of client i.
	floor []float64
	least []float64 // of the options of client i other than the base

	// The incumbent: exchanges on top of the base, and what they add to the bound.
	best    float64
	eps     float64 // what rounding can make of a reduced cost
	swaps   []swap
	closed  float64 // every allocation that adds less than this has been seen
	steps   int64
	aborted bool
}

// swap replaces the base of a client.
type swap struct{ client, option int32 }

func (k *core) check() (least, most int64, err error) {
	if len(k.tables) > maxClients {
		return 0, 0, invalid("%d clients, want at most %d", len(k.tables), maxClients)
	}
	errs := make([]error, chunkCount(len(k.tables)))
	chunks(len(k.tables), func(part, lo, hi int) {
		for i := lo; i < hi; i++ {
			if err := k.tables[i].Validate(); err != nil {
				errs[part] = fmt.Errorf("client %d: %w", i, err)
				return
			}
		}
	})
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	for _, t := range k.tables {
		least += int64(t.Tasks[0])
		most += int64(t.Tasks[len(t.Tasks)-1])
	}
	return least, most, nil
}

// edge is one side of a lower hull, ending at option to.
type edge struct {
	slope      float64
	units      int64
	client, to int32
}

// relax finds the price and the base from the lower hulls. Sides with slopes below
// the price are taken; of those equal to it, in the order of clients, the ones that
// still fit.
func (k *core) relax(least, most int64) {
	n := len(k.tables)
	k.base = make([]int32, n)
	k.missing = k.total - least
	if k.missing == 0 {
		return
	}
	parts := make([][]edge, chunkCount(n))
	chunks(n, func(part, lo, hi int) {
		var stack []int32
		edges := make([]edge, 0, 8*(hi-lo))
		for i := lo; i < hi; i++ {
			stack = lowerHull(k.tables[i], stack[:0])
			t := &k.tables[i]
			slope := math.Inf(-1)
			for v := 1; v < len(stack); v++ {
				p, q := stack[v-1], stack[v]
				dx := t.Tasks[q] - t.Tasks[p]
				slope = max(slope, (t.Joules[q]-t.Joules[p])/float64(dx)) // not even rounding may descend
				edges = append(edges, edge{slope, int64(dx), int32(i), q})
			}
		}
		parts[part] = edges
	})
	lo, hi := k.slopeBracket(parts)
	var items []item
	for {
		var below, inside int64
		items = items[:0]
		for _, edges := range parts {
			for _, e := range edges {
				if e.slope <= lo {
					below += e.units
				} else if e.slope <= hi {
					items = append(items, item{e.slope, e.units, e.client})
					inside += e.units
				}
			}
		}
		if k.missing <= below {
			lo, hi = math.Inf(-1), lo
		} else if k.missing > below+inside {
			lo, hi = hi, math.Inf(1)
		} else {
			k.lambda, _ = quantile(items, k.missing-below)
			break
		}
	}
	for _, edges := range parts {
		for _, e := range edges {
			if e.slope < k.lambda {
				k.base[e.client] = e.to
				k.missing -= e.units
			}
		}
	}
	full := int32(-1) // the client whose side did not fit: later ones of it must not either
	for _, edges := range parts {
		for _, e := range edges {
			if e.slope == k.lambda && e.client != full {
				if e.units <= k.missing {
					k.base[e.client] = e.to
					k.missing -= e.units
				} else {
					full = e.client
				}
			}
		}
	}
}

// slopeBracket guesses slopes around the price from every 16th edge or so.
func (k *core) slopeBracket(parts [][]edge) (lo, hi float64) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n < 1<<14 {
		return math.Inf(-1), math.Inf(1)
	}
	var items []item
	var all, some int64
	at := 0
	for _, edges := range parts {
		for j := range edges {
			all += edges[j].units
			if at++; at%16 == 0 {
				items = append(items, item{edges[j].slope, edges[j].units, 0})
				some += edges[j].units
			}
		}
	}
	goal := float64(k.missing) * float64(some) / float64(all)
	slack := float64(some) * 8 / math.Sqrt(float64(len(items)))
	lo, hi = math.Inf(-1), math.Inf(1)
	if w := int64(goal - slack); w >= 1 {
		lo, _ = quantile(items, w)
	}
	if w := int64(goal + slack); w >= 1 && w <= some {
		hi, _ = quantile(items, w)
	}
	if !(lo < hi) {
		return math.Inf(-1), math.Inf(1)
	}
	return lo, hi
}

// reduce computes the bound, each client's least reduced cost, and the best single
// exchange that makes up what is missing, as the first incumbent.
func (k *core) reduce() {
	n := len(k.tables)
	k.floor, k.least = make([]float64, n), make([]float64, n)
	type tally struct {
		bound, best, most float64
		swap              swap
	}
	tallies := make([]tally, chunkCount(n))
	lambda := k.lambda
	chunks(n, func(part, lo, hi int) {
		t := tally{best: math.Inf(1)}
		for i := lo; i < hi; i++ {
			tasks, joules := k.tables[i].Tasks, k.tables[i].Joules
			b := k.base[i]
			floor := joules[b] - lambda*float64(tasks[b])
			need := int64(tasks[b]) + k.missing
			low := math.Inf(1)
			for j, x := range tasks {
				r := joules[j] - lambda*float64(x) - floor
				if r < low && int32(j) != b {
					low = r
				}
				if int64(x) == need && r < t.best {
					t.best, t.swap = max(r, 0), swap{int32(i), int32(j)}
				}
			}
			k.floor[i], k.least[i] = floor, max(low, 0)
			t.bound += floor
			t.most = max(t.most, joules[b], math.Abs(lambda)*float64(tasks[len(tasks)-1]))
		}
		tallies[part] = t
	})
	k.bound = lambda * float64(k.total)
	k.best = math.Inf(1)
	for _, t := range tallies {
		k.bound += t.bound
		k.eps = max(k.eps, t.most*0x1p-46)
		if t.best < k.best {
			k.best, k.swaps = t.best, []swap{t.swap}
		}
	}
	if k.missing == 0 {
		k.best, k.swaps = 0, nil
	}
}

// quick is how many steps the plain core may take before the group relaxation,
// which costs some milliseconds, takes over.
const quick = 2e6

// search proves the incumbent or replaces it, until effort ends.
func (k *core) search(quick int64) {
	if k.offGrid() {
		return
	}
	p := &programme{core: k}
	effort := k.effort
	allow := func(steps int64) { k.effort.Steps, k.aborted = min(effort.Steps, k.steps+steps), false }
	if math.IsInf(k.best, 1) { // any incumbent at all
		allow(10 * quick)
		p.run(k.rank(k.least), k.least, math.Inf(1), beam)
	}
	if allow(quick); k.best <= k.eps {
		return
	}
	if k.widen(p, k.least); !k.aborted {
		return
	}
	allow(effort.Steps)
	if p.rel = k.relaxation(); p.rel != nil {
		if k.closed = max(k.closed, p.rel.rest(k.missing)); k.closed >= k.best-k.eps || math.IsInf(k.closed, 1) {
			return
		}
		k.widen(p, k.slack(p.rel))
	} else {
		k.widen(p, k.least)
	}
	if k.aborted && k.full() {
		k.aborted = false
	}
}

// offGrid reports that all options of all clients lie on multiples of some number of
// tasks, apart from a start, and the total does not.
func (k *core) offGrid() bool {
	var grid int64
	for _, t := range k.tables {
		for _, x := range t.Tasks {
			a, b := grid, int64(x-t.Tasks[0])
			for b != 0 {
				a, b = b, a%b
			}
			if grid = a; grid == 1 {
				return false
			}
		}
	}
	return grid > 0 && k.missing%grid != 0
}

// widen runs the programme on ever larger cores: the clients with the least keys.
// No allocation that adds less than start + key of a client to the bound uses it.
func (k *core) widen(p *programme, key []float64) {
	start := 0.0
	if p.rel != nil {
		start = p.rel.rest(k.missing)
	}
	order := k.rank(key)
	for size := 64; ; size *= 4 {
		limit := math.Inf(1)
		if size < len(order) { // and at least what costs nothing
			limit = max(start+key[order[size]], math.SmallestNonzeroFloat64)
		}
		if limit > k.closed {
			p.run(order, key, min(limit, k.best), 0)
			if k.aborted {
				return
			}
			k.closed = min(limit, k.best)
		}
		if k.best-k.eps <= limit {
			return
		}
	}
}

// rank returns the clients that may be part of an improvement, by ascending key. Where
// keys are equal, neighbours are scattered: the base treats them alike, and a core
// needs exchanges in both directions.
func (k *core) rank(key []float64) []int32 {
	order := make([]int32, 0, 1024)
	for i, r := range key {
		if r < k.best {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(uint32(a)*0x9e3779b1, uint32(b)*0x9e3779b1))
	})
	return order
}

// result assembles the allocation from the base and the incumbent's exchanges.
func (k *core) result() (Exact, error) {
	if math.IsInf(k.best, 1) {
		if k.aborted {
			return Exact{}, fmt.Errorf("%w: %d tasks among %d clients after %d steps; raise the effort, or offer options in between", ErrUndecided, k.total, len(k.tables), k.steps)
		}
		return Exact{}, &InfeasibleError{Total: k.total, Least: k.total, Most: k.total, Client: -1}
	}
	for _, s := range k.swaps {
		k.base[s.client] = s.option
	}
	e := Exact{Option: k.base, Proven: !k.aborted, Steps: k.steps}
	e.Lambda = k.lambda
	e.Tasks = make([]int64, len(k.tables))
	joules := make([]float64, chunkCount(len(k.tables)))
	chunks(len(k.tables), func(part, lo, hi int) {
		for i := lo; i < hi; i++ {
			t := &k.tables[i]
			e.Tasks[i] = int64(t.Tasks[k.base[i]])
			joules[part] += t.Joules[k.base[i]]
		}
	})
	for _, j := range joules {
		e.Joules += j
	}
	e.Lower = e.Joules
	if !e.Proven {
		e.Lower = min(e.Joules, k.bound+k.closed)
	}
	return e, nil
}
