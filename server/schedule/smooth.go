package schedule

import (
	"math"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Convex is a cost that is a formula: costcurve.XLogX and costcurve.DVFS are, and so
// is costcurve.Curve. Marginal(x) = C(x+1) - C(x) must not descend in x, not even by
// rounding, and Fill must agree with it.
type Convex interface {
	At(x int64) float64
	Marginal(x int64) float64
	Fill(lambda float64, lo, hi int64) int64
}

// SolveSmooth is SolveConvex for costs that are formulas: the same optimum and the
// same rule for ties. Bounds[i] belong to curves[i]; every Max is finite. What a
// curve claims about itself is not checked; Verify afterwards if it comes from
// outside.
//
// The price is found by a search over the whole fleet, guided by a sample, and
// stops when the tasks between two prices are few enough to sort out one by one:
// O(n) a pass and a handful of passes, at most 64 whatever the costs.
func SolveSmooth[C Convex](curves []C, bounds []Bounds, total int64) (Allocation, error) {
	if err := sizes(len(curves), bounds); err != nil {
		return Allocation{}, err
	}
	s, err := newSearch(curves, bounds, total)
	if err != nil {
		return Allocation{}, err
	}
	x, lambda := s.run()
	joules := make([]float64, chunkCount(len(x)))
	chunks(len(x), func(part, lo, hi int) {
		for i := lo; i < hi; i++ {
			joules[part] += curves[i].At(x[i])
		}
	})
	var e float64
	for _, j := range joules {
		e += j
	}
	return Allocation{x, e, max(lambda, 0)}, nil
}

// keyed is what the search needs: keys that ascend with the work of a client.
type keyed interface {
	Marginal(x int64) float64
	Fill(key float64, lo, hi int64) int64
}

// search finds the total tasks with the least keys, Min first. a and b are answers
// to two prices with sum(a) <= total <= sum(b).
type search[C keyed] struct {
	curves        []C
	total         int64
	a, b, spare   []int64
	sumA, sumB    int64
	keyA, keyB    float64
	last, lastSum float64 // the latest price, and the tasks it gave
	from, asked   float64 // the tasks before it, and how many more it should have given
	lively        float64 // tasks that the fleet moves when its sample says one
	sums          []int64
	at            []int // sample
}

func newSearch[C keyed](curves []C, bounds []Bounds, total int64) (*search[C], error) {
	n := len(curves)
	s := &search[C]{
		curves: curves, total: total,
		a: make([]int64, n), b: make([]int64, n), spare: make([]int64, n),
		keyA: math.Inf(-1), keyB: math.Inf(1), sums: make([]int64, chunkCount(n)),
	}
	for i, l := range bounds {
		if l.Min < 0 || l.Max < l.Min || l.Max > costcurve.MaxTasks {
			return nil, &InfeasibleError{Client: i, Min: l.Min, Max: l.Max}
		}
		s.a[i], s.b[i] = l.Min, l.Max
		s.sumA += l.Min
		s.sumB += l.Max
	}
	return s, infeasible(total, s.sumA, s.sumB)
}

// run returns the work of each client and the key of the dearest task taken above
// the smallest works, -Inf if there is none.
func (s *search[C]) run() ([]int64, float64) {
	few := int64(2*len(s.curves) + 1024)
	for step := 0; s.sumA < s.total && s.sumB-s.sumA > few && math.Nextafter(s.keyA, math.Inf(1)) < s.keyB; step++ {
		s.move(s.next(step))
	}
	switch {
	case s.total == s.sumA:
		return s.a, s.keyA // the price whose answer it is
	case s.sumB-s.sumA > few:
		// Adjacent prices: every task between costs keyB. Earlier clients first.
		left := s.total - s.sumA
		for i := range s.a {
			n := min(left, s.b[i]-s.a[i])
			s.a[i] += n
			left -= n
		}
		return s.a, s.keyB
	}
	items := s.between()
	key, cheaper := quantile(items, s.total-s.sumA)
	for _, it := range items {
		if it.key < key {
			s.a[it.client] += it.units
		}
	}
	fillTies(s.a, items, key, s.total-s.sumA-cheaper)
	return s.a, key
}

// move evaluates a price between keyA and keyB and narrows the bracket to it.
func (s *search[C]) move(key float64) {
	chunks(len(s.curves), func(part, lo, hi int) {
		var sum int64
		for i := lo; i < hi; i++ {
			x := s.a[i]
			if s.b[i] > x {
				x = s.curves[i].Fill(key, x, s.b[i])
			}
			s.spare[i] = x
			sum += x
		}
		s.sums[part] = sum
	})
	var sum int64
	for _, v := range s.sums {
		sum += v
	}
	s.last, s.lastSum = key, float64(sum)
	if sum <= s.total {
		s.a, s.spare, s.sumA, s.keyA = s.spare, s.a, sum, key
	} else {
		s.b, s.spare, s.sumB, s.keyB = s.spare, s.b, sum, key
	}
}

// between returns the tasks that a leaves and b takes, one item each.
func (s *search[C]) between() []item {
	starts := make([]int64, chunkCount(len(s.curves))+1)
	size := chunkSize(len(s.curves))
	for i := range s.a {
		starts[i/size+1] += s.b[i] - s.a[i]
	}
	for p := range len(starts) - 1 {
		starts[p+1] += starts[p]
	}
	items := make([]item, s.sumB-s.sumA)
	chunks(len(s.curves), func(part, lo, hi int) {
		at := starts[part]
		for i := lo; i < hi; i++ {
			for x := s.a[i]; x < s.b[i]; x++ {
				items[at] = item{s.curves[i].Marginal(x), 1, int32(i)}
				at++
			}
		}
	})
	return items
}

// next proposes a price strictly between keyA and keyB. The first ones come from the
// sample: its own price, then the one that moves the sample by what the fleet still
// lacks and somewhat more, so that the answer lies in between. How much more or less
// the fleet moves than its sample is learned on the way. Whatever fails to narrow,
// bisection of the floats' order takes over: 64 steps end it.
func (s *search[C]) next(step int) float64 {
	if len(s.curves) > sampled && step < 8 {
		goal, beyond := float64(s.total), 1.25
		if step == 0 {
			s.at = sample(len(s.curves))
			s.lively = 1
		} else {
			if step > 1 {
				if ratio := (s.lastSum - s.from) / s.asked; ratio > 0.1 && ratio < 10 {
					s.lively *= ratio
				}
				beyond = 1.1
			}
			s.from, s.asked = s.lastSum, beyond*(float64(s.total)-s.lastSum)
			goal = s.sampleSum(s.last)/s.share() + s.asked/s.lively
		}
		if key := s.samplePrice(goal * s.share()); key > s.keyA && key < s.keyB {
			return key
		}
	}
	return middle(s.keyA, s.keyB)
}

func (s *search[C]) share() float64 { return float64(len(s.at)) / float64(len(s.curves)) }

// sampleSum is what the sample does at a price, inside the bracket.
func (s *search[C]) sampleSum(key float64) float64 {
	var sum int64
	for _, i := range s.at {
		sum += s.curves[i].Fill(key, s.a[i], s.b[i])
	}
	return float64(sum)
}

// samplePrice returns about the price at which the sample does goal tasks.
func (s *search[C]) samplePrice(goal float64) float64 {
	lo, hi := s.keyA, s.keyB
	a, b := make([]int64, len(s.at)), make([]int64, len(s.at))
	for k, i := range s.at {
		a[k], b[k] = s.a[i], s.b[i]
	}
	for range 64 {
		mid := middle(lo, hi)
		if !(mid > lo && mid < hi) || !math.IsInf(hi-lo, 0) && hi-lo <= 1e-7*math.Abs(hi) {
			break
		}
		var sum int64
		to := b
		x := make([]int64, len(s.at))
		for k, i := range s.at {
			x[k] = s.curves[i].Fill(mid, a[k], to[k])
			sum += x[k]
		}
		if float64(sum) <= goal {
			lo, a = mid, x
		} else {
			hi, b = mid, x
		}
	}
	return hi
}

// middle halves the number of floats between lo and hi.
func middle(lo, hi float64) float64 {
	a, b := rank(lo), rank(hi)
	return unrank(a + (b-a)/2)
}

// rank orders all floats as integers; unrank inverts it.
func rank(v float64) uint64 {
	b := math.Float64bits(v)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func unrank(r uint64) float64 {
	if r>>63 == 1 {
		return math.Float64frombits(r &^ (1 << 63))
	}
	return math.Float64frombits(^r)
}
