package policy

import (
	"math"
	"slices"
)

// Oort ranks clients by statistical utility, |B| sqrt(mean loss^2) clipped at its 95th
// percentile, plus sqrt(0.1 ln t / last) for long absence, damped by (T/t)^2 where a
// client is slower than the pacer's T. A share of the cohort that falls from 0.9 to 0.2
// goes to clients never seen, drawn by size and damped likewise; the rest is drawn by
// utility among those within 95 % of the cut-off. T relaxes when 20 rounds gained less
// than the 20 before (Lai et al. 2021, arXiv:2010.06081, algorithm 1, and the authors'
// program). Equal shares, full clocks.
//
// EAFL mixes that utility with the battery that would remain, 1/4 and 3/4 (Arouj,
// Abdelmoniem 2022, arXiv:2208.04505; by its abstract and its reward).
//
// Departures: as in the authors' program, T is a percentile of the clients' times, here
// beginning at the median; nobody is asked in excess of the cohort, and nobody is barred.
// EAFL's utility is relative to the greatest, so that its weights have a meaning.
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
	times := make([]float64, len(r.Clients))
	for i := range r.Clients {
		c := &r.Clients[i]
		if c.History.Rounds > 0 {
			seen = append(seen, i)
			times[i] = sane(c.History.Seconds)
		} else { // what it declares
			unseen = append(unseen, i)
			times[i] = float64(c.equal(r.share()))*c.Curve.Points[len(c.Curve.Points)-1].Seconds + c.UploadSeconds
		}
	}
	slow := p.pace(times)
	k := min(r.Cohort, len(r.Clients))
	explore := min(int(math.Round(float64(k)*max(0.2, 0.9*math.Pow(0.98, float64(r.Index-1))))), len(unseen))
	exploit := min(k-explore, len(seen))
	explore = min(k-exploit, len(unseen))

	who := p.explore(&r, unseen, slow, explore)
	if exploit > 0 {
		who = append(who, p.top(&r, seen, slow, exploit)...)
	}
	slices.Sort(who)
	return Random{}.among(&r, who), nil
}

// pace returns what each client's utility is multiplied by for its time.
func (p *Oort) pace(times []float64) []float64 {
	if p.quantile == 0 {
		p.quantile = 0.5
	}
	damped := make([]float64, len(times))
	if len(times) == 0 {
		return damped
	}
	preferred := slices.Sorted(slices.Values(times))[min(len(times)-1, int(p.quantile*float64(len(times))))]
	for i, t := range times {
		if damped[i] = 1; t > preferred && t > 0 {
			damped[i] = (preferred / t) * (preferred / t)
		}
	}
	return damped
}

// explore draws k clients never seen by size and speed, among the five times as many that
// have most of both.
func (p *Oort) explore(r *Round, unseen []int, slow []float64, k int) []int {
	const window = 5
	weight := make([]float64, len(unseen))
	for j, i := range unseen {
		weight[j] = float64(max(0, r.Clients[i].Examples)) * slow[i]
	}
	pool := least(len(unseen), window*k, func(j int) float64 { return -weight[j] })
	picked := make([]float64, len(pool))
	for n, j := range pool {
		pool[n], picked[n] = unseen[j], weight[j]
	}
	return draw(r, pool, picked, k)
}

// top draws k of the clients whose utility is at least 95 percent of the k-th best,
// with probability proportional to it.
func (p *Oort) top(r *Round, seen []int, slow []float64, k int) []int {
	utility := make([]float64, len(seen))
	for j, i := range seen {
		utility[j] = r.Clients[i].utility()
	}
	ceiling := slices.Sorted(slices.Values(utility))[int(0.95*float64(len(utility)-1))]
	for j, i := range seen {
		c := &r.Clients[i]
		u := min(utility[j], ceiling)
		u += math.Sqrt(0.1*math.Log(float64(r.Index))/float64(max(1, c.History.Last))) * ceiling
		utility[j] = u * slow[i]
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
	var pool []int
	var weight []float64
	for j, u := range utility {
		if u >= 0.95*edge {
			pool, weight = append(pool, seen[j]), append(weight, u)
		}
	}
	return draw(r, pool, weight, k)
}

// draw takes k of the pool without replacement, with probability proportional to the
// weights. It uses both up.
func draw(r *Round, pool []int, weight []float64, k int) []int {
	who := make([]int, 0, k)
	for range min(k, len(pool)) {
		var sum float64
		for _, w := range weight {
			sum += w
		}
		at, left := 0, r.Rand.Float64()*sum
		for at < len(weight)-1 && left >= weight[at] {
			left -= weight[at]
			at++
		}
		who = append(who, pool[at])
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
