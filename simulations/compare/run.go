package compare

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/server/schedule"
	"github.com/sotto-fl/sotto/server/schedule/policy"
	"github.com/sotto-fl/sotto/simulations/fleet"
)

// Costs are what the clients spent. Joules of tier costcurve.TierProfile.
type Costs struct {
	Rounds  int
	Seconds float64 // virtual
	Device  float64 // joules above idle, transfers, waiting and wasted work included
	Network float64 // joules of the network outside of the devices
	Grams   float64 // CO2e of Device and Network, at the average intensity of each client's zone then
	Waiting float64 // joules, part of Device: above idle from the end of a client's work to the end of the round
	Wasted  float64 // joules, part of Device: of clients that were lost, late or not waited for
	Idle    float64 // joules that a round's clients draw in any case while it lasts; not in Device
}

// Round is the state after one round.
type Round struct {
	Costs
	Accuracy float64
}

// Run is one policy under one seed.
type Run struct {
	Policy   string
	Seed     uint64
	Rounds   []Round
	Reached  int // the first round with the target accuracy; 0: never
	Regret   float64
	Jain     float64 // of participation
	Gini     float64
	GiniWork float64 // of joules
	GiniDone float64 // of tasks
	Dropouts int     // lost, late, flat or not waited for
	Flat     int     // of them: batteries that ran out
	Decile   float64 // mean accuracy over the worst tenth of the clients, after the last round
}

// At returns the costs up to the target, and whether it was reached.
func (r *Run) At() (Costs, bool) {
	if r.Reached == 0 {
		return Costs{}, false
	}
	return r.Rounds[r.Reached-1].Costs, true
}

// ledger is a run in progress.
type ledger struct {
	w        *World
	lane     policy.Lane
	limit    int
	solar    *fleet.Solar
	clock    *clock
	p        policy.Policy
	history  []policy.History
	battery  []float64
	least    int64
	most     int64
	spent    []float64
	done     []float64 // tasks
	optimum  float64   // joules of the cohorts' exact optima
	planned  float64
	rate     float64 // lane B
	dropouts int
	flat     int
	total    Costs
}

// choice says that the server chooses who takes part.
func (l *ledger) choice() bool { return l.lane != policy.LaneB && l.lane != policy.Distributed }

// Conditions are the same for all policies.
type Conditions struct {
	Lane    policy.Lane
	Target  float64      // accuracy up to which joules are counted
	Limit   int          // most rounds that one client may contribute to, as the ledger counts them; 0: none
	Solar   *fleet.Solar // surplus power, of which policies are told and which has no CO2e; nil: none
	Times   Times
	Workers int
}

// Simulate runs a fresh policy in the world for the fleet's number of rounds.
func (w *World) Simulate(ctx context.Context, name string, on Conditions) (*Run, error) {
	l, err := w.ledger(name, on)
	if err != nil {
		return nil, err
	}
	pool, err := newTrainers(w.task, on.Workers)
	if err != nil {
		return nil, err
	}
	run := &Run{Policy: name, Seed: w.seed}
	params := slices.Clone(w.initial)
	habits := w.fleet.Habits()
	for n := 1; n <= w.fleet.Config.Round.Count; n++ {
		if l.total.Seconds, err = l.clock.begin(l.p, w.fleet.Config.Round.Count-n+1, l.total.Seconds); err != nil {
			return nil, fmt.Errorf("policy %s, seed %d, round %d: %w", name, w.seed, n, err)
		}
		r := l.round(n, habits.Next())
		plan, err := l.p.Plan(r.Round)
		if err == nil {
			err = policy.Permitted(r.Round, plan)
		}
		if err != nil {
			return nil, fmt.Errorf("policy %s, seed %d, round %d: %w", name, w.seed, n, err)
		}
		out := l.play(r, plan)
		t, err := w.teach(ctx, pool, params, n, out.who, out.tasks)
		if err != nil {
			return nil, fmt.Errorf("policy %s, seed %d, round %d: %w", name, w.seed, n, err)
		}
		for k, i := range out.who {
			l.history[i].Loss = t.losses[k]
		}
		out.outcome.Accuracy = t.accuracy
		if !l.choice() {
			out.outcome.Reports = nil
		}
		l.p.Observe(out.outcome)
		run.Rounds = append(run.Rounds, Round{l.total, t.accuracy})
		if run.Reached == 0 && t.accuracy >= on.Target {
			run.Reached = n
		}
	}
	counts := make([]float64, len(l.history))
	for i, h := range l.history {
		counts[i] = float64(h.Rounds)
	}
	fair := schedule.Measure(counts)
	run.Jain, run.Gini, run.Dropouts, run.Flat = fair.Jain, fair.Gini, l.dropouts, l.flat
	run.GiniWork, run.GiniDone = schedule.Measure(l.spent).Gini, schedule.Measure(l.done).Gini
	if l.optimum > 0 {
		run.Regret = l.planned/l.optimum - 1
	}
	shares, err := w.shares(ctx, pool, params)
	if err != nil {
		return nil, err
	}
	slices.Sort(shares)
	worst := max(1, len(shares)/10)
	for _, s := range shares[:worst] {
		run.Decile += s / float64(worst)
	}
	return run, nil
}

// ledger prepares a run of a fresh policy.
func (w *World) ledger(name string, on Conditions) (*ledger, error) {
	p, err := policy.New(name)
	if err != nil {
		return nil, err
	}
	if err := policy.Check(p, on.Lane); err != nil {
		return nil, err
	}
	clock, err := w.clock(on.Times)
	if err != nil {
		return nil, err
	}
	n := len(w.clients)
	l := &ledger{w: w, lane: on.Lane, limit: on.Limit, solar: on.Solar, clock: clock, p: p, history: make([]policy.History, n), spent: make([]float64, n), done: make([]float64, n)}
	l.least, l.most = w.fleet.Config.Bounds()
	for i := range w.clients {
		l.battery = append(l.battery, w.fleet.Clients[i].Device.Battery.Joules)
	}
	return l, l.post()
}

// offered is a round, and who its candidates are.
type offered struct {
	policy.Round
	index []int // of candidate k
}

func (l *ledger) round(n int, there []bool) offered {
	c := l.w.fleet.Config.Round
	r := offered{Round: policy.Round{Index: n, Lane: l.lane, Cohort: c.Cohort, Tasks: c.Tasks, Rand: seed.New(l.w.seed, "compare/policy", n, "")}}
	if l.solar != nil {
		r.Excess = l.solar.Surplus(l.w.fleet, l.total.Seconds)
		for z := range r.Excess {
			r.Excess[z] *= l.w.fleet.Terms.Deadline
		}
	}
	choice := l.choice()
	for i, here := range there {
		if !here || l.limit > 0 && l.history[i].Rounds >= l.limit {
			if choice {
				r.Away = append(r.Away, l.history[i])
			}
			continue
		}
		if !choice && seed.New(l.w.seed, "compare/coin", n, l.w.names[i]).Float64() >= l.rate {
			continue
		}
		curve, err := l.w.curve(i, l.battery[i])
		if err != nil || curve.Max() < l.least {
			if choice {
				r.Away = append(r.Away, l.history[i])
			}
			continue
		}
		l.history[i].Offered++
		r.Clients, r.index = append(r.Clients, l.candidate(i, curve)), append(r.index, i)
	}
	if choice { // elsewhere nothing may follow from who is there
		r.Cohort = min(r.Cohort, max(1, len(r.Clients)))
	}
	return r
}

// candidate is client i as policies see it now.
func (l *ledger) candidate(i int, curve costcurve.Curve) policy.Candidate {
	f := &l.w.fleet.Clients[i]
	c := policy.Candidate{
		Curve: curve, Min: l.least, Max: l.most, Examples: int64(l.w.clients[i].Len()),
		UploadSeconds: l.w.fleet.Terms.UpBytes / f.Device.Link.UpBytesPerSecond,
		Battery:       1, BatteryJoules: f.BatteryJoules, Zone: f.Zone, History: l.history[i],
		Intensity: l.clock.grid.Mean(f.Zone, l.total.Seconds, l.total.Seconds),
	}
	if f.BatteryJoules > 0 {
		c.Battery = l.battery[i] / f.BatteryJoules
	}
	return c
}

// post publishes the first price of lane B, from everybody's curves.
func (l *ledger) post() error {
	c := l.w.fleet.Config.Round
	var there float64
	var enrolled []policy.Candidate
	for i := range l.w.clients {
		there += l.w.fleet.Clients[i].Availability
		if curve, err := l.w.curve(i, l.battery[i]); err == nil && curve.Max() >= l.least {
			enrolled = append(enrolled, l.candidate(i, curve))
		}
	}
	l.rate = min(1, float64(c.Cohort)/there)
	p, ok := l.p.(policy.Poster)
	if !ok || l.lane != policy.LaneB {
		return nil
	}
	share := there / float64(len(l.w.clients)) * l.rate
	return p.Open(enrolled, min(1, share), c.Tasks)
}

// played is what came of a plan: who reported, after how many tasks.
type played struct {
	who     []int
	tasks   []int64
	outcome policy.Outcome
}

// play carries a plan out in virtual time and books what it took.
func (l *ledger) play(r offered, plan []policy.Assignment) played {
	w, terms := l.w, l.w.fleet.Terms
	type ending struct {
		k, client      int
		seconds, above float64
		due            float64 // when to give up on it
		done, lost     bool
		order          costcurve.Order
	}
	ends := make([]ending, len(plan))
	var chosen []schedule.Client
	var total int64
	for k, a := range plan {
		i := r.index[a.Client]
		c, device := &r.Clients[a.Client], &w.fleet.Clients[i].Device
		order := a.Order
		if l.lane == policy.Distributed { // the secret batch, here the mean
			order.Tasks = w.fleet.Config.Round.Tasks / int64(w.fleet.Config.Round.Cohort)
		}
		joules, seconds, ok := c.Curve.Spend(order)
		if !ok {
			joules, seconds = c.Curve.At(order.Tasks), c.Curve.Window
		}
		l.planned += joules
		chosen = append(chosen, schedule.Client{Curve: c.Curve, Min: min(c.Min, order.Tasks), Max: max(c.Max, order.Tasks)})
		total += order.Tasks
		down := terms.DownBytes / device.Link.DownBytesPerSecond
		due := terms.Deadline
		if a.Patience > 0 {
			due = min(due, a.Patience*(order.StartAt.Seconds()+down+seconds+c.UploadSeconds))
		}
		luck := w.luck(r.Index, i)
		seconds *= luck.slow
		work := (joules - c.Curve.Fixed) * luck.slow * luck.hungry
		e := ending{k: k, client: i, order: order, lost: luck.lost, due: due}
		e.seconds = order.StartAt.Seconds() + down + seconds + c.UploadSeconds
		e.above = c.Curve.Fixed + work
		e.done = !luck.lost && e.seconds <= due
		upload := terms.UpBytes * device.Link.UpJoulesPerByte
		switch {
		case luck.lost:
			e.above = c.Curve.Fixed - upload + luck.at*work
			e.seconds = down + luck.at*seconds
		case !e.done: // stops when it is due
			e.above = c.Curve.Fixed - upload + work*min(1, max(0, due-down)/seconds)
			e.seconds = due
		}
		if client := &w.fleet.Clients[i]; client.BatteryJoules > 0 {
			if drawn := e.above + device.IdleWatts*e.seconds; drawn > l.battery[i] {
				part := l.battery[i] / drawn
				e.above, e.seconds, e.done = e.above*part, e.seconds*part, false
				l.flat++
			}
		}
		ends[k] = e
	}
	if a, err := schedule.SolveConvex(chosen, total); err == nil {
		l.optimum += a.Joules
	}
	// The round ends with the last report that is wanted, or when nobody is worth
	// waiting for.
	order := slices.Clone(ends)
	slices.SortStableFunc(order, func(a, b ending) int { return cmp.Compare(a.seconds, b.seconds) })
	over, reports := 0.0, 0
	wanted := len(plan)
	if l.lane == policy.None || l.lane == policy.LaneA {
		wanted = min(wanted, r.Cohort)
	}
	for _, e := range order {
		if e.done && reports < wanted {
			reports++
			over = e.seconds
		}
	}
	if len(plan) == 0 {
		over = terms.Deadline
	}
	for _, e := range ends {
		if !e.done && reports < wanted {
			over = max(over, e.due)
		}
	}
	var out played
	accepted := 0
	for _, e := range order {
		if !e.done || accepted == reports {
			ends[e.k].done = false
			continue
		}
		accepted++
	}
	above, intensity := make([]float64, len(w.fleet.Zones)), make([]float64, len(w.fleet.Zones))
	for z := range intensity {
		intensity[z] = l.clock.grid.Mean(z, l.total.Seconds, l.total.Seconds+over)
	}
	for k, e := range ends {
		a, client := plan[k], &w.fleet.Clients[e.client]
		bytes := terms.DownBytes
		h := &l.history[e.client]
		if e.done {
			bytes += terms.UpBytes
			wait := client.WaitWatts * max(0, over-e.seconds)
			e.above += wait
			l.total.Waiting += wait
			out.who, out.tasks = append(out.who, e.client), append(out.tasks, e.order.Tasks)
			out.outcome.Released += float64(e.order.Tasks)
			h.Rounds, h.Last = h.Rounds+1, r.Index
			l.done[e.client] += float64(e.order.Tasks)
		} else {
			if e.seconds > over { // not waited for: told to stop
				e.above *= over / e.seconds
			}
			l.total.Wasted += e.above
			l.dropouts++
		}
		h.Seconds, h.Joules = e.seconds, e.above
		l.total.Device += e.above
		l.total.Network += bytes * client.NetworkJoulesPerByte
		l.total.Grams += bytes * client.NetworkJoulesPerByte * intensity[client.Zone] / 3.6e6
		above[client.Zone] += e.above
		l.total.Idle += client.Device.IdleWatts * over
		l.spent[e.client] += e.above
		if client.BatteryJoules > 0 {
			l.battery[e.client] = math.Max(0, l.battery[e.client]-e.above-client.Device.IdleWatts*over)
		}
		out.outcome.Reports = append(out.outcome.Reports, policy.Report{
			Candidate: r.Clients[a.Client], Order: e.order, Seconds: e.seconds, Joules: e.above, Done: e.done,
		})
	}
	if l.solar != nil {
		for z, watts := range l.solar.Surplus(w.fleet, l.total.Seconds) {
			above[z] = max(0, above[z]-watts*over)
		}
	}
	for z, joules := range above {
		l.total.Grams += joules * intensity[z] / 3.6e6
	}
	share := float64(w.fleet.Config.Round.Tasks) / float64(len(w.clients))
	done := make(map[int]int64, len(out.who))
	for k, i := range out.who {
		done[i] = out.tasks[k]
	}
	for i := range l.history {
		l.history[i].Queue = l.history[i].Queue.Next(share, done[i])
	}
	l.total.Rounds++
	l.total.Seconds += over
	return out
}
