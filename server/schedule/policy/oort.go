package policy

import (
	"math"
	"slices"
)

// Oort ranks clients by statistical utility, |B| sqrt(mean loss^2) plus a term for long
// absence, damped by (T/t)^2 where a client is slower than the pacer's T, explores
// unseen clients with a probability that falls from 0.9 to 0.2, and exploits the rest
// at random among those near the top (Lai et al. 2021, arXiv:2010.06081). Equal
// shares, full clocks.
//
// EAFL mixes that utility with the battery that would remain (Arouj, Abdelmoniem 2022,
// arXiv:2208.04505): 1/4 utility, 3/4 battery.
//
// Departures: the pacer works in quantiles of observed times; exploration prefers
// nobody.
type Oort struct {
	Battery bool // EAFL

	quantile float64 // of observed times that the pacer prefers
	gained   []float64
}

// Name returns "oort" or "eafl".
func (p *Oort) Name() string {
	if p.Battery {
		return "eafl"
	}
	return "oort"
}

// Lanes lists privacy none.
func (*Oort) Lanes() ([]Lane, string) {
	return []Lane{None}, "it ranks clients by their losses, which are data"
}

// Plan returns the cohort of the greatest utility, part of it explored.
func (p *Oort) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	var seen, unseen []int
	var times []float64
	for i := range r.Clients {
		if h := r.Clients[i].History; h.Rounds > 0 {
			seen = append(seen, i)
			times = append(times, sane(h.Seconds))
		} else {
			unseen = append(unseen, i)
		}
	}
	k := min(r.Cohort, len(r.Clients))
	explore := min(int(math.Round(float64(k)*max(0.2, 0.9*math.Pow(0.98, float64(r.Index-1))))), len(unseen))
	exploit := min(k-explore, len(seen))
	explore = min(k-exploit, len(unseen))

	r.Rand.Shuffle(len(unseen), func(a, b int) { unseen[a], unseen[b] = unseen[b], unseen[a] })
	who := slices.Clone(unseen[:explore])
	if exploit > 0 {
		who = append(who, p.top(&r, seen, times, exploit)...)
	}
	slices.Sort(who)
	return Random{}.among(&r, who), nil
}

// top draws k of the clients whose utility is at least 95 percent of the k-th best,
// with probability proportional to it.
func (p *Oort) top(r *Round, seen []int, times []float64, k int) []int {
	if p.quantile == 0 {
		p.quantile = 0.5
	}
	slices.Sort(times)
	preferred := times[min(len(times)-1, int(p.quantile*float64(len(times))))]
	utility := make([]float64, len(seen))
	for j, i := range seen {
		utility[j] = r.Clients[i].utility()
	}
	ceiling := slices.Sorted(slices.Values(utility))[int(0.95*float64(len(utility)-1))]
	for j, i := range seen {
		c := &r.Clients[i]
		u := min(utility[j], ceiling)
		u += math.Sqrt(0.1*math.Log(float64(r.Index))/float64(max(1, c.History.Last))) * ceiling
		if t := sane(c.History.Seconds); t > preferred && t > 0 {
			u *= (preferred / t) * (preferred / t)
		}
		utility[j] = u
	}
	if p.Battery {
		most := max(slices.Max(utility), math.SmallestNonzeroFloat64)
		for j, i := range seen {
			c := &r.Clients[i]
			left := c.Battery
			if c.BatteryJoules > 0 {
				left -= sane(c.History.Joules) / c.BatteryJoules
			}
			utility[j] = 0.25*utility[j]/most + 0.75*max(0, left)
		}
	}
	edge := slices.Sorted(slices.Values(utility))[len(utility)-k]
	var pool []int // positions in seen
	var weight []float64
	for j, u := range utility {
		if u >= 0.95*edge {
			pool, weight = append(pool, j), append(weight, u)
		}
	}
	who := make([]int, 0, k)
	for range k {
		var sum float64
		for _, w := range weight {
			sum += w
		}
		at, left := 0, r.Rand.Float64()*sum
		for at < len(weight)-1 && left >= weight[at] {
			left -= weight[at]
			at++
		}
		who = append(who, seen[pool[at]])
		pool, weight = slices.Delete(pool, at, at+1), slices.Delete(weight, at, at+1)
	}
	return who
}

// Observe relaxes the pacer when rounds gain less than before.
func (p *Oort) Observe(o Outcome) {
	var gain float64
	for _, rep := range o.Reports {
		gain += rep.Candidate.utility()
	}
	p.gained = append(p.gained, gain)
	const window = 20
	if n := len(p.gained); n >= 2*window && n%window == 0 {
		var before, after float64
		for i := range window {
			before += p.gained[n-2*window+i]
			after += p.gained[n-window+i]
		}
		if after < before {
			p.quantile = min(0.95, max(p.quantile, 0.5)+0.05)
		}
	}
}
