package keyshare

import (
	"fmt"
	"slices"
)

// PointSum is a holder's sum of shares for one group.
type PointSum struct {
	Point int
	Sum   []uint64
}

// Opening is how a sum of keys was found.
type Opening struct {
	Key  []uint64 // the sum of the keys
	Used []int    // points whose sums gave it, sorted
	Odd  []int    // points whose sums do not lie on the same polynomials, sorted
}

// maxSubsets bounds how many choices of answers are tried: all of them up to 11
// members, and more than any honest majority needs beyond.
const maxSubsets = 500

// Reconstruct finds the sum of the keys of one group from the sums of at least t
// holders. accept opens the group's ciphertext with a candidate and says whether
// the noise is within bounds; it must not keep the slice.
//
// If all sums lie on polynomials of degree t-1 there is one candidate. Otherwise the
// choices of t sums are tried, those first that most other sums agree with, and the
// first that accept takes is returned, with the sums that disagree in Odd. Odd names
// points, not culprits: a sum is odd when its holder lies, and also when a client
// dealt that holder a share that is off its polynomial.
//
// It returns ErrAnswer for fewer than t sums, a point outside 1..m or given twice,
// or a sum that is not in the ring, and ErrInconsistent when accept takes nothing.
func Reconstruct(r *Record, ring Ring, sums []PointSum, accept func(key []uint64) bool) (*Opening, error) {
	t := r.Threshold
	if len(sums) < t {
		return nil, fmt.Errorf("%w: sums of %d holders, want at least %d", ErrAnswer, len(sums), t)
	}
	seen := map[int]bool{}
	for _, s := range sums {
		if s.Point < 1 || s.Point > len(r.Members) || seen[s.Point] {
			return nil, fmt.Errorf("%w: point %d is given twice or is none of 1 to %d", ErrAnswer, s.Point, len(r.Members))
		}
		if err := ring.checkResidues(s.Sum); err != nil {
			return nil, fmt.Errorf("%w: point %d: %w", ErrAnswer, s.Point, err)
		}
		seen[s.Point] = true
	}
	sums = slices.Clone(sums)
	slices.SortFunc(sums, func(a, b PointSum) int { return a.Point - b.Point })

	type choice struct {
		index []int
		odd   []int
	}
	var choices []choice
	subsets(len(sums), t, func(index []int) bool {
		odd := oddOnes(ring, sums, index)
		choices = append(choices, choice{slices.Clone(index), odd})
		return len(odd) > 0 // with none, every choice gives the same key
	})
	if last := choices[len(choices)-1]; len(last.odd) == 0 {
		choices = []choice{last}
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return len(a.odd) - len(b.odd) })
	key := make([]uint64, ring.Len())
	for _, c := range choices[:min(len(choices), maxSubsets)] {
		nodes, values := pick(sums, c.index)
		ring.evaluate(key, nodes, values, 0)
		if accept(key) {
			return &Opening{Key: key, Used: nodes, Odd: c.odd}, nil
		}
	}
	return nil, fmt.Errorf("%w: %d sums, %d choices of %d tried", ErrInconsistent, len(sums), min(len(choices), maxSubsets), t)
}

func pick(sums []PointSum, index []int) (nodes []int, values [][]uint64) {
	for _, i := range index {
		nodes = append(nodes, sums[i].Point)
		values = append(values, sums[i].Sum)
	}
	return nodes, values
}

// oddOnes returns the points whose sums differ from what the chosen ones predict:
// the dual-code check, one word for each sum beyond the threshold.
func oddOnes(ring Ring, sums []PointSum, index []int) (odd []int) {
	nodes, values := pick(sums, index)
	for i, s := range sums {
		if !slices.Contains(index, i) && !ring.predicts(nodes, values, s) {
			odd = append(odd, s.Point)
		}
	}
	return odd
}

// predicts says whether the polynomials through values at nodes pass through s. It
// stops at the first coefficient that differs.
func (r Ring) predicts(nodes []int, values [][]uint64, s PointSum) bool {
	for k, p := range r.Primes {
		w := lagrange(nodes, s.Point, p)
		for i := k * r.N; i < (k+1)*r.N; i++ {
			var sum uint64
			for j := range nodes {
				if sum += w[j].times(values[j][i]); sum >= p {
					sum -= p
				}
			}
			if sum != s.Sum[i] {
				return false
			}
		}
	}
	return true
}
