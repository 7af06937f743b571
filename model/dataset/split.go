package dataset

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Split divides the set into one part for each fraction, at random but with
// the classes in the same proportions everywhere (stratified). Fractions are
// at least 0 and sum to 1. Every image is in exactly one part, in the order of
// the set; pixels are shared. With two parts each class is within one image of
// its share; a part may be empty when the set is small. With groups, a group is
// never torn apart, so that no patient is both trained on and tested on; the
// proportions are then as close as whole groups allow.
//
// The result is a function of the set, the fractions and the stream of rng.
//
// Images are shuffled, sorted by class (a group by its most frequent one), and
// each goes to the part that is furthest behind its share so far.
func (s *Set) Split(fractions []float64, rng *rand.Rand) ([]*Set, error) {
	sum := 0.0
	for i, f := range fractions {
		if !(f >= 0 && f <= 1) {
			return nil, fmt.Errorf("split fraction %d is %v, want 0 to 1", i+1, f)
		}
		sum += f
	}
	if math.Abs(sum-1) > 1e-9 {
		return nil, fmt.Errorf("split fractions %v sum to %v, want 1", fractions, sum)
	}
	units := s.units()
	rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.class, b.class) })

	parts := make([][]int, len(fractions))
	seen := 0
	for _, u := range units {
		seen += len(u.images)
		best, most := 0, math.Inf(-1)
		for j, f := range fractions {
			// The conversion keeps the compiler from fusing the two
			// operations, which would break ties by machine.
			if behind := float64(f*float64(seen)) - float64(len(parts[j])); behind > most && f > 0 {
				best, most = j, behind
			}
		}
		parts[best] = append(parts[best], u.images...)
	}
	sets := make([]*Set, len(parts))
	for j, p := range parts {
		slices.Sort(p)
		sets[j] = s.Subset(p)
	}
	return sets, nil
}

// unit is what Split moves as one: an image, or the images of a group.
type unit struct {
	class  int
	images []int
}

// units lists them in an order that depends on the set alone.
func (s *Set) units() []unit {
	if s.groups == nil {
		all := make([]int, s.Len())
		units := make([]unit, s.Len())
		for i := range units {
			all[i] = i
			units[i] = unit{class: s.Label(i), images: all[i : i+1 : i+1]}
		}
		return units
	}
	at := map[int32]int{}
	var units []unit
	for i, g := range s.groups {
		k, ok := at[g]
		if !ok {
			k = len(units)
			at[g] = k
			units = append(units, unit{})
		}
		units[k].images = append(units[k].images, i)
	}
	count := make([]int, len(s.classes))
	for k := range units {
		clear(count)
		for _, i := range units[k].images {
			count[s.labels[i]]++
		}
		units[k].class = slices.Index(count, slices.Max(count))
	}
	return units
}
