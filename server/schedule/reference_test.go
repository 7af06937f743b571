package schedule

import (
	"container/heap"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// The algorithms of Pilla's two papers, derived again from their descriptions: slow
// and simple, to compare with. Costs are tables over the works lo..hi of a client.
// Each returns the least cost of exactly total tasks.

type costs struct {
	lo int64
	c  []float64 // c[y] is the cost of lo+y tasks
}

func (k costs) room() int64 { return int64(len(k.c)) - 1 }

func asCosts(tables []costcurve.Table) []costs {
	all := make([]costs, len(tables))
	for i, t := range tables {
		all[i] = costs{int64(t.Tasks[0]), t.Joules}
	}
	return all
}

// rest removes the lower limits: what is left to hand out, and what they cost.
func rest(all []costs, total int64) (left int64, base float64) {
	for _, k := range all {
		total -= k.lo
		base += k.c[0]
	}
	return total, base
}

// mc2mkp: multiple-choice minimum-cost maximal knapsack packing. Z_i(t) is the least
// cost of t tasks among the first i clients.
func mc2mkp(all []costs, total int64) float64 {
	left, _ := rest(all, total)
	z := infinite(left + 1)
	z[0] = 0
	for _, k := range all {
		next := infinite(left + 1)
		for y, c := range k.c {
			for t := int64(y); t <= left; t++ {
				next[t] = min(next[t], z[t-int64(y)]+c)
			}
		}
		z = next
	}
	return z[left]
}

type byKey struct {
	key    []float64
	client []int
}

func (h byKey) Len() int           { return len(h.client) }
func (h byKey) Less(a, b int) bool { return h.key[h.client[a]] < h.key[h.client[b]] }
func (h byKey) Swap(a, b int)      { h.client[a], h.client[b] = h.client[b], h.client[a] }
func (h *byKey) Push(v any)        { h.client = append(h.client, v.(int)) }
func (h *byKey) Pop() any {
	v := h.client[len(h.client)-1]
	h.client = h.client[:len(h.client)-1]
	return v
}

// greedy hands out one task after another to the client with the least key.
func greedy(all []costs, total int64, key func(k costs, y int64) float64) []int64 {
	left, _ := rest(all, total)
	y := make([]int64, len(all))
	h := &byKey{key: make([]float64, len(all))}
	for i, k := range all {
		if k.room() > 0 {
			h.key[i] = key(k, 0)
			h.client = append(h.client, i)
		}
	}
	heap.Init(h)
	for ; left > 0; left-- {
		i := h.client[0]
		if y[i]++; y[i] == all[i].room() {
			heap.Pop(h)
		} else {
			h.key[i] = key(all[i], y[i])
			heap.Fix(h, 0)
		}
	}
	return y
}

// marIn: increasing marginal costs.
func marIn(all []costs, total int64) float64 {
	var sum float64
	for i, y := range greedy(all, total, func(k costs, y int64) float64 { return k.c[y+1] - k.c[y] }) {
		sum += all[i].c[y]
	}
	return sum
}

// olar: least makespan for monotone times; the key is the time with one task more.
func olar(all []costs, total int64) float64 {
	var last float64
	for i, y := range greedy(all, total, func(k costs, y int64) float64 { return k.c[y+1] }) {
		last = max(last, all[i].c[y])
	}
	return last
}

// marCo: constant marginal costs. Fill the cheapest first.
func marCo(all []costs, total int64) float64 {
	left, sum := rest(all, total)
	order := make([]int, 0, len(all))
	for i, k := range all {
		if k.room() > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if d := all[a].c[1] - all[a].c[0] - (all[b].c[1] - all[b].c[0]); d < 0 {
			return -1
		} else if d > 0 {
			return 1
		}
		return 0
	})
	for _, i := range order {
		y := min(left, all[i].room())
		sum += all[i].c[y] - all[i].c[0]
		left -= y
	}
	return sum
}

// marDecUn: decreasing marginal costs without upper limits. One client does it all.
func marDecUn(all []costs, total int64) float64 {
	left, base := rest(all, total)
	best := math.Inf(1)
	for _, k := range all {
		best = min(best, base+k.c[left]-k.c[0])
	}
	return best
}

// marDec: decreasing marginal costs with upper limits. At most one client is neither
// idle nor full; which one is tried in turn, against a 0/1 knapsack of the others.
func marDec(all []costs, total int64) float64 {
	left, base := rest(all, total)
	best := math.Inf(1)
	for odd := range all {
		z := infinite(left + 1)
		z[0] = 0
		for i, k := range all {
			if u := k.room(); i != odd && u > 0 {
				for t := left; t >= u; t-- {
					z[t] = min(z[t], z[t-u]+k.c[u]-k.c[0])
				}
			}
		}
		for y := int64(0); y <= min(left, all[odd].room()); y++ {
			best = min(best, base+z[left-y]+all[odd].c[y]-all[odd].c[0])
		}
	}
	return best
}

func TestAgainstReferences(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for name, c := range map[string]struct {
		family    func(x int, a, b float64) float64
		reference func([]costs, int64) float64
		unlimited bool
	}{
		"MarIn":    {func(x int, a, b float64) float64 { return grid(a + b*float64(x)*math.Log1p(float64(x))) }, marIn, false},
		"MarCo":    {func(x int, a, b float64) float64 { return a + grid(b)*float64(x) }, marCo, false},
		"MarDec":   {func(x int, a, b float64) float64 { return grid(a + b*math.Log1p(float64(x))) }, marDec, false},
		"MarDecUn": {func(x int, a, b float64) float64 { return grid(a + b*math.Log1p(float64(x))) }, marDecUn, true},
		"random":   {func(int, float64, float64) float64 { return grid(100 * r.Float64()) }, mc2mkp, false},
	} {
		for range 60 {
			total := int64(50 + r.IntN(100))
			tables := make([]costcurve.Table, 2+r.IntN(12))
			for i := range tables {
				a, b := grid(1+9*r.Float64()), 1+9*r.Float64()
				lo, hi := r.IntN(3), 20+r.IntN(40)
				if c.unlimited || i == 0 {
					hi = lo + int(total)
				}
				for x := lo; x <= hi; x++ {
					tables[i].Tasks, tables[i].Joules = append(tables[i].Tasks, int32(x)), append(tables[i].Joules, c.family(x, a, b))
				}
			}
			want := c.reference(asCosts(tables), total)
			if dp := mc2mkp(asCosts(tables), total); dp != want {
				t.Fatalf("%s: the references disagree: %v and %v", name, want, dp)
			}
			got, err := SolveExact(tables, total, Effort{})
			if err != nil || got.Joules != want || !got.Proven {
				t.Fatalf("%s: got %v (proven %v), %v; want %v", name, got.Joules, got.Proven, err, want)
			}
		}
	}
}

func TestPillaGeneral(t *testing.T) {
	for seed := range uint64(3) {
		tables, total := pilla(seed)
		want := mc2mkp(asCosts(tables), total)
		got, err := SolveExact(tables, total, Effort{})
		if err != nil || !got.Proven || math.Abs(got.Joules-want) > 1e-9*want {
			t.Errorf("seed %d: got %v (proven %v), %v; want %v", seed, got.Joules, got.Proven, err, want)
		}
	}
}

// linear draws times and the same as tables.
func linear(r *rand.Rand, n int, total int64) ([]Time, []Bounds, []costs) {
	times, bounds, all := make([]Time, n), make([]Bounds, n), make([]costs, n)
	for i := range times {
		times[i] = Time{grid(3 * r.Float64()), grid(r.Float64())}
		bounds[i] = Bounds{int64(r.IntN(3)), total}
		if i > 0 {
			bounds[i].Max = 3 + r.Int64N(total)
		}
		all[i].lo = bounds[i].Min
		for x := bounds[i].Min; x <= bounds[i].Max; x++ {
			all[i].c = append(all[i].c, times[i].At(x))
		}
	}
	return times, bounds, all
}

func TestMakespanEqualsOLAR(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for range 2000 {
		total := int64(40 + r.IntN(200))
		times, bounds, all := linear(r, 1+r.IntN(20), total)
		want := olar(all, total)
		x, got, err := MinMakespan(times, bounds, total)
		if err != nil || got != want {
			t.Fatalf("got %v s, %v; want %v", got, err, want)
		}
		var sum int64
		for i, v := range x {
			if sum += v; v < bounds[i].Min || v > bounds[i].Max {
				t.Fatalf("client %d does %d tasks, bounds %+v", i, v, bounds[i])
			}
		}
		if sum != total {
			t.Fatalf("%d tasks, want %d", sum, total)
		}
	}
}

// Small instances, everything tried.
func TestMakespanEqualsBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	for range instances {
		total := int64(r.IntN(14))
		times, bounds, all := linear(r, 1+r.IntN(4), 10)
		best, found := math.Inf(1), false
		var try func(i int, left int64, last float64)
		try = func(i int, left int64, last float64) {
			if i == len(all) {
				if left == 0 {
					best, found = min(best, last), true
				}
				return
			}
			for y, c := range all[i].c {
				if x := all[i].lo + int64(y); x <= left {
					try(i+1, left-x, max(last, c))
				}
			}
		}
		try(0, total, 0)
		_, got, err := MinMakespan(times, bounds, total)
		if !found {
			if !errors.Is(err, ErrInfeasible) {
				t.Fatalf("%+v, %+v, total %d: got %v, %v; want ErrInfeasible", times, bounds, total, got, err)
			}
			continue
		}
		if err != nil || got != best {
			t.Fatalf("%+v, %+v, total %d: got %v s, %v; want %v", times, bounds, total, got, err, best)
		}
	}
}

func BenchmarkMinMakespan(b *testing.B) {
	times, bounds, all := linear(rand.New(rand.NewPCG(1, 1)), 1000, 10_000)
	b.Run("n=1000,T=10000", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := MinMakespan(times, bounds, 10_000); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reference", func(b *testing.B) {
		for b.Loop() {
			olar(all, 10_000)
		}
	})
}

func BenchmarkReference(b *testing.B) {
	tables, total := pilla(1)
	all := asCosts(tables)
	b.Run("mc2mkp/pilla", func(b *testing.B) {
		for b.Loop() {
			mc2mkp(all, total)
		}
	})
}
