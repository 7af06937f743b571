package schedule

import (
	"fmt"
	"math"
	"slices"
)

// SolveConvex returns the least-energy allocation of exactly total tasks to clients
// with convex piecewise linear curves. Curve.Fixed counts for every client, also
// for one that does nothing: the cohort is drawn first.
//
// All segments are a multiset of marginal energies, of which an optimum takes the
// cheapest: the price is a weighted quantile, found between two slopes that bracket
// it in a sample. O(segments), a few passes. Equal marginals go to the client that
// comes first, until it has no more; order clients by identity for an answer that
// does not depend on who came when.
//
// Errors: costcurve.ErrInvalid or ErrNotConvex with the client's index for a curve
// that is not valid, ErrInfeasible.
func SolveConvex(clients []Client, total int64) (Allocation, error) {
	n := len(clients)
	least, most, err := check(clients)
	if err != nil {
		return Allocation{}, err
	}
	if err := infeasible(total, least, most); err != nil {
		return Allocation{}, err
	}
	want := total - least
	x := make([]int64, n)
	var lambda float64
	left := int64(0)
	var items []item
	if want > 0 {
		lo, hi := bracket(clients, want)
		var below int64
		for {
			below, items = collect(clients, lo, hi)
			var inside int64
			for _, it := range items {
				inside += it.units
			}
			if want <= below {
				lo, hi = math.Inf(-1), lo
			} else if want > below+inside {
				lo, hi = hi, math.Inf(1)
			} else {
				break
			}
		}
		var cheaper int64
		lambda, cheaper = quantile(items, want-below)
		left = want - below - cheaper
	}
	joules := make([]float64, chunkCount(n))
	chunks(n, func(part, lo, hi int) {
		var sum float64
		for i := lo; i < hi; i++ {
			c := &clients[i]
			v := c.Min
			var pos int64
			for _, s := range c.Curve.Segments {
				if s.Joules >= lambda || pos >= c.Max {
					break
				}
				pos += s.Tasks
				v = max(v, min(pos, c.Max))
			}
			x[i] = v
			sum += c.Curve.At(v)
		}
		joules[part] = sum
	})
	e := float64(left) * lambda
	for _, j := range joules {
		e += j
	}
	if left > 0 {
		fillTies(x, items, lambda, left)
	}
	return Allocation{x, e, lambda}, nil
}

// check validates every client and adds up the bounds.
func check(clients []Client) (least, most int64, err error) {
	if len(clients) > maxClients {
		return 0, 0, invalid("%d clients, want at most %d", len(clients), maxClients)
	}
	type tally struct {
		least, most int64
		err         error
	}
	tallies := make([]tally, chunkCount(len(clients)))
	chunks(len(clients), func(part, lo, hi int) {
		t := &tallies[part]
		for i := lo; i < hi; i++ {
			c := &clients[i]
			if err := c.Curve.Validate(); err != nil {
				t.err = fmt.Errorf("client %d: %w", i, err)
				return
			}
			u := min(c.Max, c.Curve.Max())
			if c.Min < 0 || u < c.Min {
				t.err = &InfeasibleError{Client: i, Min: c.Min, Max: u}
				return
			}
			t.least += c.Min
			t.most += u
		}
	})
	for _, t := range tallies {
		if t.err != nil {
			return 0, 0, t.err
		}
		least += t.least
		most += t.most
	}
	return least, most, nil
}

// open calls do for each segment's part in [Min, Max], in order.
func (c *Client) open(do func(joules float64, units int64)) {
	var pos int64
	for _, s := range c.Curve.Segments {
		end := pos + s.Tasks
		if a, b := max(pos, c.Min), min(end, c.Max); b > a {
			do(s.Joules, b-a)
		}
		if pos = end; pos >= c.Max {
			return
		}
	}
}

// sampled is how many clients stand for all when a price is bracketed.
const sampled = 4096

// sample returns the indices of the clients that stand for n: all of them when few,
// otherwise one from each of equal strides, at a place within it that looks random.
func sample(n int) []int {
	m := min(n, sampled)
	at := make([]int, m)
	for k := range at {
		lo, hi := k*n/m, (k+1)*n/m
		h := uint64(k+1) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
		at[k] = lo + int(h%uint64(hi-lo))
	}
	return at
}

// bracket returns slopes between which the price for want units above the smallest
// works is all but certain to lie. It is a guess that the caller checks.
func bracket(clients []Client, want int64) (lo, hi float64) {
	if len(clients) <= sampled {
		return math.Inf(-1), math.Inf(1)
	}
	at := sample(len(clients))
	items := make([]item, 0, 4*len(at))
	for k, i := range at {
		clients[i].open(func(j float64, units int64) { items = append(items, item{j, units, int32(k)}) })
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.key < b.key {
			return -1
		} else if a.key > b.key {
			return 1
		}
		return int(a.client) - int(b.client)
	})
	share := float64(len(at)) / float64(len(clients))
	goal := float64(want) * share
	// x_k at the sample's own price, for their spread.
	taken := make([]float64, len(at))
	var sum float64
	for _, it := range items {
		if sum >= goal {
			break
		}
		sum += float64(it.units)
		taken[it.client] += float64(it.units)
	}
	var dev float64
	mean := sum / float64(len(at))
	for _, v := range taken {
		dev += (v - mean) * (v - mean)
	}
	slack := 4*math.Sqrt(dev) + 1
	lo, hi = math.Inf(-1), math.Inf(1)
	sum = 0
	for _, it := range items {
		if sum += float64(it.units); sum < goal-slack {
			lo = it.key
		} else if sum >= goal+slack {
			hi = it.key
			break
		}
	}
	if lo >= hi {
		lo = math.Nextafter(hi, math.Inf(-1))
	}
	return lo, hi
}

// collect returns the units with slopes up to lo, and the items in (lo, hi] in the
// order of the clients.
func collect(clients []Client, lo, hi float64) (below int64, items []item) {
	type found struct {
		below int64
		items []item
	}
	parts := make([]found, chunkCount(len(clients)))
	chunks(len(clients), func(part, from, to int) {
		f := &parts[part]
		for i := from; i < to; i++ {
			c := &clients[i]
			var pos int64
			for _, s := range c.Curve.Segments {
				end := pos + s.Tasks
				if s.Joules > hi || pos >= c.Max {
					break
				}
				if units := min(end, c.Max) - max(pos, c.Min); units > 0 {
					if s.Joules <= lo {
						f.below += units
					} else {
						f.items = append(f.items, item{s.Joules, units, int32(i)})
					}
				}
				pos = end
			}
		}
	})
	n := 0
	for _, f := range parts {
		n += len(f.items)
	}
	items = make([]item, 0, n)
	for _, f := range parts {
		below += f.below
		items = append(items, f.items...)
	}
	return below, items
}
