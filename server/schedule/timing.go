package schedule

import (
	"fmt"
	"math"
)

// Rounds are what is to be placed on a grid of equal time slots.
type Rounds struct {
	Count  int // rounds still to run
	Length int // slots that a round takes, at least 1
	Gap    int // slots that stay free after each
}

// Start is when a round begins, and where.
type Start struct {
	Slot int
	Site int // index into the sites, 0 where there is one
}

// Site is a place where rounds can run: forecast intensity per slot in gCO2e per kWh
// (or any cost of energy, never average and marginal mixed), and joules per slot of
// a round.
type Site struct {
	Intensity []float64
	Joules    float64
}

// PlanStarts returns the cheapest feasible starts of all rounds within the forecast,
// ascending, and their cost: the sum of intensity times joules. All sites have
// forecasts of the same length; a round runs at one site. With f(t, r) the least
// cost of r rounds from slot t on,
//
//	f(t, r) = min(f(t+1, r), w_t + f(t + Length + Gap, r-1)),
//
// where w_t is the cost of a round that starts at t at its cheapest site. O(slots x
// (rounds + sites)). Ties start earlier, at the site that comes first. ErrInfeasible
// when the rounds do not fit.
func PlanStarts(sites []Site, r Rounds) ([]Start, float64, error) {
	if len(sites) == 0 || r.Count < 0 || r.Length < 1 || r.Gap < 0 {
		return nil, 0, invalid("%d sites, %+v, want a site, rounds, and a length of at least 1", len(sites), r)
	}
	slots := len(sites[0].Intensity)
	for i, s := range sites {
		if len(s.Intensity) != slots || !(s.Joules >= 0) || math.IsInf(s.Joules, 1) {
			return nil, 0, invalid("site %d: %d slots and %v J, want %d slots and finite joules", i, len(s.Intensity), s.Joules, slots)
		}
		for t, g := range s.Intensity {
			if !(g >= 0) || math.IsInf(g, 1) {
				return nil, 0, invalid("site %d, slot %d: intensity %v, want finite and not negative", i, t, g)
			}
		}
	}
	stride := r.Length + r.Gap
	most := 0
	if slots >= r.Length {
		most = (slots-r.Length)/stride + 1
	}
	if r.Count > most {
		return nil, 0, fmt.Errorf("%w: %d rounds of %d slots and gaps of %d do not fit into %d slots, %d do; plan fewer, or farther ahead", ErrInfeasible, r.Count, r.Length, r.Gap, slots, most)
	}
	if slots > 1<<20 || r.Count > 0 && slots > (1<<28)/r.Count {
		return nil, 0, invalid("%d slots and %d rounds, want a product of at most 2^28", slots, r.Count)
	}
	cost, place := windows(sites, r.Length)
	// Rows r-1 and r of f, the choice kept as one bit.
	prev, next := make([]float64, slots+stride+1), make([]float64, slots+stride+1)
	takes := make([]uint64, (r.Count*slots+63)/64)
	for k := range r.Count {
		for t := slots; t < len(next); t++ {
			next[t] = math.Inf(1)
		}
		for t := slots - 1; t >= 0; t-- {
			best := next[t+1]
			if t < len(cost) {
				if v := cost[t] + prev[t+stride]; v <= best {
					best = v
					if !math.IsInf(v, 1) {
						takes[(k*slots+t)/64] |= 1 << ((k*slots + t) % 64)
					}
				}
			}
			next[t] = best
		}
		prev, next = next, prev
	}
	starts := make([]Start, 0, r.Count)
	for t, k := 0, r.Count-1; k >= 0; {
		if takes[(k*slots+t)/64]>>((k*slots+t)%64)&1 == 0 {
			t++
			continue
		}
		starts = append(starts, Start{t, place[t]})
		t += stride
		k--
	}
	return starts, prev[0], nil
}

// windows returns for each start the cost of a round at its cheapest site, and which
// that is.
func windows(sites []Site, length int) (cost []float64, place []int) {
	n := max(0, len(sites[0].Intensity)-length+1)
	cost, place = infinite(int64(n)), make([]int, n)
	upTo := make([]float64, len(sites[0].Intensity)+1)
	for i, s := range sites {
		for t, g := range s.Intensity {
			upTo[t+1] = upTo[t] + g
		}
		for t := range cost {
			if c := (upTo[t+length] - upTo[t]) * s.Joules; c < cost[t] {
				cost[t], place[t] = c, i
			}
		}
	}
	return cost, place
}
