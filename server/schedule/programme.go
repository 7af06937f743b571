package schedule

import (
	"cmp"
	"math"
	"slices"
)

// beam is how many states the search for any feasible allocation keeps.
const beam = 1024

// exchange is an option of a client in the core: tasks more than the base, and its
// reduced cost.
type exchange struct {
	dx     int64
	r      float64
	option int32
}

// node remembers how a state was reached.
type node struct {
	parent int32
	swap   swap
}

// programme is a sparse dynamic programme over d, the tasks made up so far: value[d]
// is the least sum of reduced costs that reaches d. It is reused between cores.
type programme struct {
	*core
	rel    *relaxation // or nil
	lo     int64       // d of value[0]
	value  []float64
	at     []int32 // node of each state
	active []int64 // d of the states that may still pay
	seen   []int64 // d of all states, to clear them
	nodes  []node
	fresh  []candidate
	opts   []exchange
}

type candidate struct {
	d      int64
	r      float64
	parent int32
	option int32
}

// run looks for exchanges that make up what is missing and together cost less than
// limit, using the clients of order, which ascends in key. It updates the incumbent.
// When it returns without aborting there is no cheaper one below limit. keep > 0
// keeps only that many states, and proves nothing.
//
// Without a relaxation a key is the least reduced cost of the client's exchanges;
// with one, how much more than rest(missing) any allocation with one of them costs.
func (p *programme) run(order []int32, key []float64, limit float64, keep int) {
	start, eps := 0.0, p.eps
	if p.rel != nil {
		start = p.rel.rest(p.missing)
	}
	cut := len(order)
	for cut > 0 && start+key[order[cut-1]] >= limit-eps {
		cut--
	}
	order = order[:cut]
	up, down, gainUp, gainDown := p.scan(order, limit)
	// Exchanges that cancel one another never pay, so an optimum has none, and those
	// that go up make up at most (up + down) up + missing + down tasks: order them
	// so that sums stay between -down and up; then no sum occurs twice.
	const far = 1 << 61
	highest := int64(min(far, float64(up+down)*float64(up))) + p.missing + down
	lowest := -int64(min(far, float64(up+down)*float64(down))) - down
	if keep > 0 {
		highest, lowest = p.missing+up, -down
	}
	p.clear()
	p.put(0, 0, -1)
	p.nodes = p.nodes[:0]
	for c, client := range order {
		best := min(limit, p.best)
		if start+key[client] >= best-eps {
			break
		}
		mine, next := 0.0, 0.0 // least cost of one exchange more, before and after this client
		if p.rel == nil {
			mine, next = key[client], math.Inf(1)
			if c+1 < len(order) {
				next = key[order[c+1]]
			}
		}
		p.options(client, best)
		p.fresh = p.fresh[:0]
		kept := p.active[:0]
		for _, d := range p.active {
			r := p.value[d-p.lo]
			if r+mine >= best-eps || p.rel != nil && r+p.rel.rest(p.missing-d) >= best-eps { // no exchange pays any more
				p.value[d-p.lo] = math.Inf(1)
				continue
			}
			kept = append(kept, d)
			parent := p.at[d-p.lo]
			if p.steps += int64(len(p.opts)) + 1; p.steps > p.effort.Steps || len(p.fresh) > p.effort.States {
				p.aborted = true
				return
			}
			for _, o := range p.opts {
				nr := r + o.r
				if nr >= best {
					break
				}
				nd := d + o.dx
				if nd == p.missing {
					best = nr
					p.best = nr
					p.incumbent(parent, swap{client, o.option})
					continue
				}
				if nr+next >= best-eps || nd > highest || nd < lowest {
					continue
				}
				gap := p.missing - nd
				if p.rel != nil && nr+p.rel.rest(gap) >= best-eps {
					continue
				}
				// What is still missing costs at least the best rate of what is left.
				if gap > 0 && nr+float64(gap)*gainUp[c+1] >= best || gap < 0 && nr-float64(gap)*gainDown[c+1] >= best {
					continue
				}
				if i := nd - p.lo; i >= 0 && i < int64(len(p.value)) && p.value[i] <= nr {
					continue
				}
				p.fresh = append(p.fresh, candidate{nd, nr, parent, o.option})
			}
		}
		p.active = kept
		if keep > 0 && len(p.fresh) > keep {
			slices.SortFunc(p.fresh, func(a, b candidate) int {
				return cmp.Or(cmp.Compare(a.r, b.r), cmp.Compare(abs(p.missing-a.d), abs(p.missing-b.d)), cmp.Compare(a.d, b.d))
			})
			p.fresh = p.fresh[:keep]
		}
		for _, f := range p.fresh {
			if f.r+next < best-eps && (p.rel == nil || f.r+p.rel.rest(p.missing-f.d) < best-eps) && p.put(f.d, f.r, int32(len(p.nodes))) {
				p.nodes = append(p.nodes, node{f.parent, swap{client, f.option}})
			}
		}
		if keep > 0 && len(p.active) > keep {
			p.prune(keep)
		}
		if len(p.nodes) > p.effort.States || len(p.value) > 4*p.effort.States {
			p.aborted = true
			return
		}
	}
}

// scan returns the greatest exchange in each direction, and for each position in
// order the least reduced cost for a task, up and down, from there on.
func (p *programme) scan(order []int32, limit float64) (up, down int64, gainUp, gainDown []float64) {
	gainUp, gainDown = make([]float64, len(order)+1), make([]float64, len(order)+1)
	gainUp[len(order)], gainDown[len(order)] = math.Inf(1), math.Inf(1)
	for c := len(order) - 1; c >= 0; c-- {
		p.options(order[c], limit)
		u, d := gainUp[c+1], gainDown[c+1]
		for _, o := range p.opts {
			if o.dx > 0 {
				up = max(up, o.dx)
				u = min(u, o.r/float64(o.dx))
			} else {
				down = max(down, -o.dx)
				d = min(d, o.r/float64(-o.dx))
			}
		}
		// A little less than the rate, so that rounding never cuts off an optimum.
		gainUp[c], gainDown[c] = u*(1-1e-12), d*(1-1e-12)
	}
	return up, down, gainUp, gainDown
}

// options lists the exchanges of a client that cost less than limit, cheapest first.
func (p *programme) options(client int32, limit float64) {
	t := &p.tables[client]
	b := p.base[client]
	from, floor := t.Tasks[b], p.floor[client]
	p.opts = p.opts[:0]
	for j, x := range t.Tasks {
		if r := t.Joules[j] - p.lambda*float64(x) - floor; r < limit && int32(j) != b {
			p.opts = append(p.opts, exchange{int64(x - from), max(r, 0), int32(j)})
		}
	}
	slices.SortFunc(p.opts, func(a, b exchange) int {
		if a.r < b.r {
			return -1
		} else if a.r > b.r {
			return 1
		}
		return int(a.option - b.option)
	})
}

// put sets a state if that makes it cheaper, and reports whether it did.
func (p *programme) put(d int64, r float64, at int32) bool {
	i := d - p.lo
	if i < 0 || i >= int64(len(p.value)) {
		p.grow(d)
		i = d - p.lo
	}
	if p.value[i] <= r {
		return false
	}
	if math.IsInf(p.value[i], 1) {
		p.seen = append(p.seen, d)
		p.active = append(p.active, d)
	}
	p.value[i], p.at[i] = r, at
	return true
}

// grow makes room for d, at least doubling.
func (p *programme) grow(d int64) {
	lo, hi := min(p.lo, d), max(p.lo+int64(len(p.value)), d+1)
	size := max(4096, 2*(hi-lo))
	mid := (lo + hi) / 2
	value, at := make([]float64, size), make([]int32, size)
	for i := range value {
		value[i] = math.Inf(1)
	}
	from := mid - size/2
	copy(value[p.lo-from:], p.value)
	copy(at[p.lo-from:], p.at)
	p.lo, p.value, p.at = from, value, at
}

func (p *programme) clear() {
	for _, d := range p.seen {
		p.value[d-p.lo] = math.Inf(1)
	}
	p.seen, p.active = p.seen[:0], p.active[:0]
}

// prune keeps the cheapest states, of equal ones those next to the goal.
func (p *programme) prune(keep int) {
	slices.SortFunc(p.active, func(a, b int64) int {
		if va, vb := p.value[a-p.lo], p.value[b-p.lo]; va < vb {
			return -1
		} else if va > vb {
			return 1
		}
		if da, db := abs(p.missing-a), abs(p.missing-b); da != db {
			return int(da - db)
		}
		return int(a - b)
	})
	for _, d := range p.active[keep:] {
		p.value[d-p.lo] = math.Inf(1)
	}
	p.active = p.active[:keep]
}

func abs(v int64) int64 { return max(v, -v) }

// incumbent records the exchanges on the way to a state, and one more.
func (p *programme) incumbent(at int32, last swap) {
	p.swaps = append(p.swaps[:0], last)
	for ; at >= 0; at = p.nodes[at].parent {
		p.swaps = append(p.swaps, p.nodes[at].swap)
	}
}

// full is the dynamic programme over every total, (MC)^2MKP of Pilla, for instances
// small enough: it needs no luck. It reports whether it ran; the incumbent is then
// optimal, or there is none.
func (k *core) full() bool {
	var least, width int64
	options := int64(0)
	for _, t := range k.tables {
		least += int64(t.Tasks[0])
		options += int64(len(t.Tasks))
	}
	width = k.total - least + 1
	if n := int64(len(k.tables)); width > (32<<20)/n || options > k.effort.Steps/width {
		return false
	}
	value, next := make([]float64, width), make([]float64, width)
	for d := range value {
		value[d] = math.Inf(1)
	}
	value[0] = 0
	choice := make([]int32, int64(len(k.tables))*width)
	for i, t := range k.tables {
		for d := range next {
			next[d] = math.Inf(1)
		}
		row := choice[int64(i)*width : int64(i+1)*width]
		for j, x := range t.Tasks {
			dx := int64(x - t.Tasks[0])
			if dx >= width {
				break
			}
			// Reduced costs, so that what is compared stays small.
			r := max(t.Joules[j]-k.lambda*float64(x)-k.floor[i], 0)
			for d := dx; d < width; d++ {
				if v := value[d-dx] + r; v < next[d] {
					next[d], row[d] = v, int32(j)
				}
			}
		}
		value, next = next, value
	}
	k.steps += options * width
	k.best = value[width-1]
	k.swaps = k.swaps[:0]
	if math.IsInf(k.best, 1) {
		return true
	}
	d := width - 1
	for i := len(k.tables) - 1; i >= 0; i-- {
		j := choice[int64(i)*width+d]
		if j != k.base[i] {
			k.swaps = append(k.swaps, swap{int32(i), j})
		}
		d -= int64(k.tables[i].Tasks[j] - k.tables[i].Tasks[0])
	}
	return true
}
