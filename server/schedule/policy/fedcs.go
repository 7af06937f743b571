package policy

import (
	"math"
)

// FedCS asks a random pool of clients for their speed and takes as many as can update
// and upload in time, the least additional time first (Nishio, Yonetani 2019,
// arXiv:1804.08333, algorithm 3). Uploads share one link and follow one another; work
// runs beside them. Shares are equal, at full clocks.
//
// Departure: at most Cohort clients, so that rounds of all policies compare.
type FedCS struct {
	blind
	Pool float64 // clients asked, as a multiple of the cohort; 0: 3
}

// Name returns "fedcs".
func (FedCS) Name() string { return "fedcs" }

// Lanes lists privacy none and lane A.
func (FedCS) Lanes() ([]Lane, string) {
	return []Lane{None, LaneA}, "it takes the fastest of those it asks, so one client decides about another"
}

// Plan returns the greedy cohort. The deadline is the window of each curve.
func (p FedCS) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	pool := uniform(r.Rand, len(r.Clients), multiple(p.Pool, 3, r.Cohort))
	chosen := make([]bool, len(r.Clients))
	var elapsed float64
	for range r.Cohort {
		best, end := -1, math.Inf(1)
		for _, i := range pool {
			c := &r.Clients[i]
			if chosen[i] {
				continue
			}
			work := float64(c.equal(r.share())) * c.Curve.Points[len(c.Curve.Points)-1].Seconds
			// Window ends where the client's own upload must begin.
			if t := max(elapsed, work); t <= c.Curve.Window && t+c.UploadSeconds < end {
				best, end = i, t+c.UploadSeconds
			}
		}
		if best < 0 {
			break
		}
		chosen[best], elapsed = true, end
	}
	var who []int
	for i, in := range chosen {
		if in {
			who = append(who, i)
		}
	}
	return Random{}.among(&r, who), nil
}

// multiple returns factor (or usual, when it is 0) times n, rounded up.
func multiple(factor, usual float64, n int) int {
	if factor == 0 {
		factor = usual
	}
	return int(math.Ceil(factor * float64(n)))
}
