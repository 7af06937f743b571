package schedule

import (
	"cmp"
	"math"
	"slices"
)

// relaxation is a lower bound on what it costs to make up a number of tasks exactly.
// It forgets which client an exchange belongs to, so that each may be used again and
// again: rest(gap) is a shortest path from 0 to gap whose steps are the exchanges,
// each at the least reduced cost that any client has for it.
//
// The Lagrangian bound does not see that tasks come in lumps. Where clients work
// either not at all or to the full (concave costs, fixed charges), two that change
// places cost almost nothing, but the tasks that no such change makes up need a
// dear exchange. The shortest path knows: it is Gomory's group relaxation (1969,
// "Some polyhedra related to combinatorial problems") with the group unrolled.
type relaxation struct {
	reach int64 // rest is known for gaps in [-reach, reach]
	cost  []float64
}

// widest is the greatest exchange for which a relaxation is tried: the number of
// steps grows with its square.
const widest = 1 << 14

// relaxation returns nil when exchanges are too wide, or half of the effort does not
// suffice.
func (k *core) relaxation() *relaxation {
	n := len(k.tables)
	type span struct{ up, down int64 }
	spans := make([]span, chunkCount(n))
	chunks(n, func(part, lo, hi int) {
		for i := lo; i < hi; i++ {
			t := k.tables[i].Tasks
			b := t[k.base[i]]
			s := &spans[part]
			s.up, s.down = max(s.up, int64(t[len(t)-1]-b)), max(s.down, int64(b-t[0]))
		}
	})
	var width int64
	for _, s := range spans {
		width = max(width, s.up, s.down)
	}
	if width > widest || width == 0 {
		return nil
	}
	// Least reduced cost of each exchange.
	parts := make([][]float64, chunkCount(n))
	chunks(n, func(part, lo, hi int) {
		least := infinite(2*width + 1)
		for i := lo; i < hi; i++ {
			t := &k.tables[i]
			from, floor := int64(t.Tasks[k.base[i]]), k.floor[i]
			for j, x := range t.Tasks {
				r := t.Joules[j] - k.lambda*float64(x) - floor
				if d := int64(x) - from + width; r < least[d] {
					least[d] = max(r, 0)
				}
			}
		}
		parts[part] = least
	})
	least := infinite(2*width + 1)
	for _, p := range parts {
		for d, r := range p {
			least[d] = min(least[d], r)
		}
	}
	least[width] = math.Inf(1) // staying is no step
	// A path to a gap within reach can be ordered to stay within one width of it.
	reach := max(2*width, k.missing)
	cost := k.paths(least, width, reach+width)
	if cost == nil {
		return nil
	}
	return &relaxation{reach, cost[width : int64(len(cost))-width]}
}

// paths is Dijkstra's algorithm from 0 on [-span, span]. What costs no less than the
// incumbent stays infinite. nil when it takes more than half of the effort.
func (k *core) paths(step []float64, width, span int64) []float64 {
	type move struct {
		d int64
		r float64
	}
	var moves []move
	for d, r := range step {
		if r < k.best {
			moves = append(moves, move{int64(d) - width, r})
		}
	}
	slices.SortFunc(moves, func(a, b move) int { return cmp.Or(cmp.Compare(a.r, b.r), cmp.Compare(a.d, b.d)) })
	cost := infinite(2*span + 1)
	cost[span] = 0
	budget := k.steps + k.effort.Steps/2
	open := frontier{{0, span}}
	for len(open) > 0 {
		at := open.pop()
		if at.r > cost[at.i] {
			continue
		}
		for _, m := range moves {
			r := at.r + m.r
			if r >= k.best {
				break
			}
			k.steps++
			if to := at.i + m.d; to >= 0 && to < int64(len(cost)) && r < cost[to] {
				cost[to] = r
				open.push(place{r, to})
			}
		}
		if k.steps > budget {
			return nil
		}
	}
	return cost
}

// frontier is a binary heap of places, the cheapest first.
type frontier []place

type place struct {
	r float64
	i int64
}

func (f *frontier) push(p place) {
	h := append(*f, p)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].r <= h[i].r {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	*f = h
}

func (f *frontier) pop() place {
	h := *f
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		low := 2*i + 1
		if low >= last {
			break
		}
		if low+1 < last && h[low+1].r < h[low].r {
			low++
		}
		if h[i].r <= h[low].r {
			break
		}
		h[i], h[low] = h[low], h[i]
		i = low
	}
	*f = h
	return top
}

func infinite(n int64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.Inf(1)
	}
	return v
}

// rest returns the least that exchanges cost which make up gap tasks.
func (r *relaxation) rest(gap int64) float64 {
	if gap < -r.reach || gap > r.reach {
		return 0
	}
	return r.cost[gap+r.reach]
}

// slack returns, for each client, the least by which an allocation that uses one of
// its exchanges must exceed rest(missing): +Inf for a client without any.
func (k *core) slack(rel *relaxation) []float64 {
	slack := make([]float64, len(k.tables))
	whole := rel.rest(k.missing)
	chunks(len(k.tables), func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			t := &k.tables[i]
			b := k.base[i]
			from, floor := int64(t.Tasks[b]), k.floor[i]
			low := math.Inf(1)
			for j, x := range t.Tasks {
				r := t.Joules[j] - k.lambda*float64(x) - floor
				if s := r + rel.rest(k.missing-int64(x)+from) - whole; s < low && int32(j) != b {
					low = s
				}
			}
			slack[i] = max(low, 0)
		}
	})
	return slack
}
