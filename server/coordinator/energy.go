package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// lane is what the run's privacy allows to be scheduled.
func (c Config) lane() policy.Lane {
	if !c.private() {
		return policy.None
	}
	switch c.Contract.Lane {
	case privacy.LaneA:
		return policy.LaneA
	case privacy.LaneB:
		return policy.LaneB
	}
	return policy.Distributed // the work is a secret batch there, and in the local lane
}

// visible says whether what a single client does may be told to the server at all.
func visible(l policy.Lane) bool { return l == policy.None || l == policy.LaneA }

// energise sets up the scheduler, and what it knows of the clients' past from the rounds
// that are stored.
func (c *Coordinator) energise(s Scheduler) error {
	c.cfg.Energy = c.cfg.Energy.Effective()
	c.past, c.named = map[string]policy.History{}, map[string]string{}
	if c.scheduler = s; s == nil && c.cfg.Energy.Planned() {
		p, err := policy.New(c.cfg.Energy.Policy)
		if err != nil {
			return err
		}
		if lane := c.cfg.lane(); lane == policy.LaneB {
			if p, ok := p.(policy.Poster); ok {
				if err := p.Post(costcurve.Price{Lambda: c.cfg.Energy.Price}); err != nil {
					return err
				}
			}
		}
		c.scheduler = p
	}
	for _, r := range c.state.History {
		if r.Energy != nil {
			c.remember(r.Round, r.Energy)
		}
	}
	return nil
}

// remember books a round into its clients' past.
func (c *Coordinator) remember(number int, r *energy.Round) {
	share := float64(r.Tasks) / float64(max(1, len(r.Orders)))
	for _, o := range r.Orders {
		h := c.past[o.Client]
		var done int64
		if o.Done {
			done = o.Tasks
			h.Rounds, h.Last = h.Rounds+1, number
		}
		h.Offered = max(h.Offered, h.Rounds)
		h.Seconds, h.Joules = o.Seconds, o.Joules
		h.Queue = h.Queue.Next(share, done)
		c.past[o.Client] = h
	}
}

// assign chooses a round's clients and their work; c.mu is held. It is a function of who
// is ready, what they offer, the configuration and the rounds before.
func (c *Coordinator) assign(ctx context.Context, number int, ready []Info) ([]Info, *plan, error) {
	lane := c.cfg.lane()
	candidates, wanted := ready, c.wanted(len(ready))
	if c.scheduler == nil || !visible(lane) {
		candidates = c.draw(number, ready)
	}
	clients := make([]energy.Client, len(candidates))
	for i, info := range candidates {
		clients[i] = energy.Client{Name: info.Client, Offer: info.Offer}
	}
	task := energy.TaskName(c.cfg.Task.Architecture.Name, c.cfg.Task.Batch)
	bounded := energy.Bound(clients, task, c.cfg.Energy.Classes, c.cfg.Energy.Band, !visible(lane))
	p := &plan{by: make(map[string]*work, len(candidates))}
	for i := range bounded {
		if b := &bounded[i]; b.Problem != "" {
			line := fmt.Sprintf("%s (class %s): %s", candidates[i].Client, b.Class.Name, b.Problem)
			p.bounded = append(p.bounded, line)
			if c.named[candidates[i].Client] != b.Class.Name { // said once
				c.named[candidates[i].Client] = b.Class.Name
				zerolog.Ctx(ctx).Warn().Str("client", candidates[i].Client).Str("class", b.Class.Name).Str("reason", b.Problem).Msg("energy profile bounded")
			}
		}
	}
	if lane == policy.LaneB && c.scheduler != nil {
		return c.post(ctx, number, candidates)
	}
	if c.scheduler == nil {
		for i, info := range candidates {
			bounded[i].Device.Battery = costcurve.Battery{} // nobody is left out without a plan
			w := &work{figures: bounded[i], PlannedWork: PlannedWork{Client: info.Client, Offered: bounded[i].Own, Intensity: c.intensity(info.Client)}}
			if err := w.under(costcurve.MaxSeconds, 0); err != nil {
				return nil, nil, fmt.Errorf("client %s: %w", info.Client, err)
			}
			w.Records = c.records(0, info.Examples)
			w.price(c.usual(info.Examples))
			p.by[info.Client] = w
		}
		return candidates, p, nil
	}
	r := policy.Round{Index: number, Lane: lane, Cohort: wanted, Tasks: c.tasks(ready, wanted), Rand: seed.New(c.cfg.Seed, "energy/policy", number, "")}
	var all []*work // as r.Clients
	var who []Info
	here := make(map[string]bool, len(candidates))
	spare := len(candidates) - c.cfg.Rounds.MinReports // so many may be left out for their batteries
	for i, info := range candidates {
		w, err := c.candidate(info, bounded[i], r)
		if errors.Is(err, costcurve.ErrNoBattery) && spare <= 0 {
			bounded[i].Device.Battery = costcurve.Battery{}
			w, err = c.candidate(info, bounded[i], r)
		}
		if err != nil { // its own figures must not stop the others
			p.bounded = append(p.bounded, fmt.Sprintf("%s: left out: %v", info.Client, err))
			spare--
			continue
		}
		if w.candidate.Curve.Window >= unhurried {
			p.bounded = append(p.bounded, fmt.Sprintf("%s: by its figures it cannot do the least work, %d steps, in time", info.Client, w.candidate.Min))
		}
		all, who = append(all, w), append(who, info)
		here[info.Client] = true
		r.Clients = append(r.Clients, w.candidate)
	}
	for _, name := range slices.Sorted(maps.Keys(c.past)) {
		if !here[name] && visible(lane) {
			r.Away = append(r.Away, c.past[name])
		}
	}
	assigned, err := c.scheduler.Plan(r)
	if err == nil {
		err = policy.Permitted(r, assigned)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("energy policy %s: %w", c.cfg.Energy.Policy, err)
	}
	if len(assigned) < c.cfg.Rounds.MinReports && len(candidates) >= c.cfg.Rounds.MinReports {
		return nil, nil, fmt.Errorf("energy policy %s chose %d clients, rounds.min_reports is %d: lengthen energy.deadline, or choose another policy", c.cfg.Energy.Policy, len(assigned), c.cfg.Rounds.MinReports)
	}
	if c.cfg.Energy.Start == energy.StartTogether {
		policy.Together(&r, assigned)
	}
	for _, a := range assigned {
		p.delay = max(p.delay, a.Order.StartAt)
	}
	var cohort []Info
	for _, a := range assigned {
		w := all[a.Client]
		w.Order = a.Order
		if !w.Offered { // the names are ours
			w.Order.Mode, w.Order.SwitchTo, w.Order.SwitchAfter = "", "", 0
		}
		w.Records = c.records(w.Order.Tasks, who[a.Client].Examples)
		w.price(c.usual(who[a.Client].Examples))
		if a.Patience > 0 && w.Offered {
			// Clocks and networks vary: what a client that lost its connection is given, a slow one is too.
			took := a.Patience * (w.Seconds + w.candidate.UploadSeconds)
			w.wait = a.Order.StartAt + time.Duration(took*float64(time.Second)) + c.cfg.Rounds.Grace
		}
		name := who[a.Client].Client
		p.by[name], p.tasks = w, p.tasks+w.Order.Tasks
		p.reports = append(p.reports, name)
		cohort = append(cohort, who[a.Client])
	}
	if p.tasks > 0 {
		p.reference = max(1, int64(math.Round(float64(p.tasks)/float64(len(cohort)))))
	}
	c.logPlan(ctx, number, p)
	return cohort, p, nil
}

func (c *Coordinator) logPlan(ctx context.Context, number int, p *plan) {
	log := zerolog.Ctx(ctx)
	least, most := int64(math.MaxInt64), int64(0)
	for _, name := range p.reports {
		o := p.by[name].Order
		least, most = min(least, o.Tasks), max(most, o.Tasks)
		if visible(c.cfg.lane()) {
			log.Debug().Int("round", number).Str("client", name).Int64("steps", o.Tasks).Str("mode", o.Mode).
				Str("then", o.SwitchTo).Dur("after", o.SwitchAfter).Dur("start_after", o.StartAt).Msg("order")
		}
	}
	log.Info().Int("round", number).Str("policy", c.cfg.Energy.Policy).Int("clients", len(p.by)).
		Int64("steps", p.tasks).Int64("least", least).Int64("most", most).Msg("work planned")
}

// usual is how many steps the configuration's epochs are for a client of so many examples;
// under DP-SGD, how many its mean batch takes.
func (c *Coordinator) usual(examples int) int64 {
	batch := c.cfg.Task.Batch
	if c.cfg.lane() == policy.Distributed {
		return int64(math.Ceil(c.cfg.Contract.SamplingRate * float64(examples) / float64(batch)))
	}
	steps := train.Steps(c.cfg.Task.Epochs, examples, batch)
	if most := c.cfg.Task.MaxSteps; most > 0 {
		steps = min(steps, most)
	}
	return int64(steps)
}

// tasks is the work of a round, all clients together.
func (c *Coordinator) tasks(ready []Info, wanted int) int64 {
	if c.cfg.Energy.Tasks > 0 || c.cfg.lane() == policy.Distributed {
		return c.cfg.Energy.Tasks
	}
	var all int64
	for _, info := range ready {
		all += c.usual(info.Examples)
	}
	return max(1, int64(math.Round(float64(all)*float64(wanted)/float64(len(ready)))))
}

// unhurried is the window of a client that is ordered the least work although it is too
// slow for it.
const unhurried = costcurve.MaxSeconds / 2

// candidate is a client as a policy sees it.
func (c *Coordinator) candidate(info Info, b energy.Bounded, r policy.Round) (*work, error) {
	w := &work{figures: b, PlannedWork: PlannedWork{Client: info.Client, Offered: b.Own, Intensity: c.intensity(info.Client)}}
	h := c.past[info.Client]
	h.Offered++
	c.past[info.Client] = h
	least, most := c.bounds(info.Examples, r)
	w.candidate = policy.Candidate{Min: least, Max: most, Examples: int64(info.Examples), Battery: 1, Zone: c.zone(info.Client), Intensity: w.Intensity, History: h}
	if s := b.State; s.Battery && !s.Charging {
		w.candidate.Battery, w.candidate.BatteryJoules = float64(s.Percent)/100, float64(s.Full)
	}
	deadline, bytes := c.workTime(), max(c.BodySize(), 4*len(c.state.Params))
	if rate := b.Device.Link.UpBytesPerSecond; rate > 0 {
		w.candidate.UploadSeconds = float64(c.BodySize()) / rate
	}
	if c.cfg.Energy.Deadline != 0 { // is that of work alone
		bytes = 0
	}
	err := w.under(deadline.Seconds(), bytes)
	if errors.Is(err, costcurve.ErrNoTime) || err == nil && w.candidate.Curve.Max() < max(1, least) {
		w.candidate.Max = max(1, least)
		if err = w.under(costcurve.MaxSeconds, 0); err == nil && w.candidate.Curve.Max() < least {
			err = fmt.Errorf("%w: %d steps are the least work", costcurve.ErrNoTime, least)
		}
	}
	return w, err
}

// workTime is the time that work must fit in.
func (c *Coordinator) workTime() time.Duration {
	if d := c.cfg.Energy.Deadline; d != 0 {
		return d
	}
	return c.cfg.Rounds.Deadline - c.cfg.Rounds.Deadline/10
}

// bounds are the least and the most steps that a client of so many examples may be asked.
func (c *Coordinator) bounds(examples int, r policy.Round) (least, most int64) {
	batch := c.cfg.Task.Batch
	if r.Lane == policy.Distributed {
		return 0, max(1, (int64(privacy.BatchCap(examples, c.cfg.Contract.SamplingRate))+int64(batch)-1)/int64(batch))
	}
	mean, root := float64(r.Tasks)/float64(r.Cohort), math.Sqrt(c.cfg.Energy.Ratio)
	least, most = max(1, int64(mean/root+0.5)), max(1, int64(mean*root+0.5))
	for train.Processed(int(least), examples, batch) < int(c.smallest()) {
		least++
	}
	if n := int64(c.cfg.Task.MaxSteps); n > 0 {
		most = min(most, n)
		least = min(least, most)
	}
	return least, max(most, least)
}

// intensity is that of a client's class, what its zone's forecast says of the start, or the
// run's.
func (c *Coordinator) intensity(client string) float64 {
	class, _ := energy.ClassOf(c.cfg.Energy.Classes, client)
	if class.Intensity > 0 {
		return class.Intensity
	}
	if names := c.zones(); len(names) > 0 {
		start := time.Now().Add(c.after)
		if v, ok := c.intensities[names[c.zone(client)]].Mean(start, start); ok {
			return v
		}
	}
	return c.cfg.Energy.Carbon.Intensity
}

// smallest is the contract's smallest work, in training records.
func (c *Coordinator) smallest() uint64 {
	least := uint64(1)
	if c.committee != nil {
		least = c.cfg.Committee.MinWork
	}
	if c.cfg.private() {
		least = max(least, uint64(c.cfg.Contract.MinRecords))
	}
	return least
}

// spent is what a finished attempt cost, and tells the scheduler. It is nil where nobody
// offers figures and the configuration has none.
func (c *Coordinator) spent(a *attempt, rec Record, ok bool) *energy.Round {
	lane, p := c.cfg.lane(), a.plan
	r := &energy.Round{Policy: c.cfg.Energy.Policy, Reference: p.reference, Tasks: p.tasks, Bounded: p.bounded}
	use := energy.Use{Bytes: rec.BytesUp + rec.BytesDown, Seconds: max(0, rec.Seconds-p.delay.Seconds()), Opening: p.opening.Seconds(), Holders: c.members()}
	told := c.scheduler != nil && (lane != policy.LaneB || p.known)
	for _, w := range p.by {
		told = told || w.Offered
	}
	outcome := policy.Outcome{}
	names := slices.Sorted(maps.Keys(p.by))
	for _, name := range names {
		w := p.by[name]
		use.Clients = use.Clients.Add(w.Joules)
		use.Grams += w.Joules.Value / 3.6e6 * w.Intensity
		o := energy.Ordered{Client: name, Tasks: w.Tasks, Mode: w.Order.Mode, Then: w.Order.SwitchTo, Joules: w.Joules.Value, Seconds: w.Seconds, Done: ok && p.counted[name]}
		if visible(lane) && told {
			r.Orders = append(r.Orders, o)
		}
		outcome.Reports = append(outcome.Reports, policy.Report{Candidate: w.candidate, Order: w.Order, Seconds: w.Seconds, Joules: w.Joules.Value, Done: o.Done})
	}
	if !told {
		if use.Clients = (costcurve.Joules{}); c.scheduler == nil && c.cfg.Energy.Carbon == (energy.Carbon{}) {
			return nil
		}
		use.Grams = 0
	}
	r.Footprint(c.cfg.Energy.Carbon, use)
	c.remember(rec.Round, r)
	if c.scheduler != nil && len(p.reports) > 0 { // not after a crash: the plan was another process's
		if rec.Test != nil {
			outcome.Accuracy = rec.Test.Accuracy
		}
		if !visible(lane) {
			outcome.Reports = nil
		} else {
			outcome.Reports = inOrder(outcome.Reports, names, p.reports)
		}
		c.scheduler.Observe(outcome)
	}
	return r
}

// inOrder puts reports, which are by name, into the order that the policy planned in.
func inOrder(reports []policy.Report, names, order []string) []policy.Report {
	at := make(map[string]int, len(names))
	for i, name := range names {
		at[name] = i
	}
	sorted := make([]policy.Report, len(order))
	for i, name := range order {
		sorted[i] = reports[at[name]]
	}
	return sorted
}

// members is how many key holders there are.
func (c *Coordinator) members() int {
	if c.committee == nil {
		return 0
	}
	return len(c.committee.signed.Record.Members)
}
