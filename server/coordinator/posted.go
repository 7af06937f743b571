package coordinator

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// post asks every client of lane B for work by a posted price; c.mu is held. What each is
// asked follows from the configuration and its own declared number of examples: the
// server sees no curve, and no answer.
func (c *Coordinator) post(ctx context.Context, number int, clients []Info) ([]Info, *plan, error) {
	asker, ok := c.scheduler.(policy.Asker)
	if !ok {
		return nil, nil, fmt.Errorf("energy policy %s posts nothing that clients could answer: lane B needs one that does", c.cfg.Energy.Policy)
	}
	r := policy.Round{
		Index: number, Lane: policy.LaneB, Cohort: max(1, int(math.Round(c.cfg.Contract.Divisor()))), Tasks: c.cfg.Energy.Tasks,
		Rand: seed.New(c.cfg.Seed, "energy/policy", number, ""),
	}
	p := &plan{by: make(map[string]*work, len(clients)), tasks: r.Tasks, reference: max(1, r.Tasks/int64(r.Cohort)), known: true}
	assigned := make([]policy.Assignment, 0, len(clients))
	for i, info := range clients {
		w := &work{PlannedWork: PlannedWork{Client: info.Client, Intensity: c.cfg.Energy.Carbon.Intensity}}
		class, known := energy.ClassOf(c.cfg.Energy.Classes, info.Client)
		if class.Intensity > 0 {
			w.Intensity = class.Intensity
		}
		least, most := c.bounds(info.Examples, r)
		w.candidate = policy.Candidate{Min: least, Max: most, Examples: int64(info.Examples), Battery: 1, Intensity: w.Intensity}
		if w.Posted = asker.Ask(&r, &w.candidate); w.Posted == nil {
			w.Order.Tasks = r.Share(&w.candidate)
			least = w.Order.Tasks
		} else {
			w.Posted.Window = c.workTime()
			least = w.Posted.Min
		}
		w.Records = c.records(least, info.Examples)
		if p.known = p.known && known; known {
			// Of a class's device, at the mean work, by as often as its coin falls so.
			steps := float64(p.reference) * c.cfg.Contract.SamplingRate
			w.Joules, w.Seconds = costcurve.Joules{Value: steps * class.Joules, Tier: costcurve.TierDefault, RelErr: 1}, float64(p.reference)*class.Seconds
		}
		p.by[info.Client] = w
		p.reports = append(p.reports, info.Client)
		assigned = append(assigned, policy.Assignment{Client: i})
	}
	if err := c.begin(ctx, p, nil, assigned); err != nil {
		return nil, nil, fmt.Errorf("energy policy %s: %w", c.cfg.Energy.Policy, err)
	}
	for i, a := range assigned {
		p.by[clients[i].Client].Order.StartAt = a.Order.StartAt
	}
	zerolog.Ctx(ctx).Info().Int("round", number).Str("policy", c.cfg.Energy.Policy).Float64("price", c.cfg.Energy.Price).
		Int64("expected_steps", r.Tasks).Int64("mean", p.reference).Msg("price posted")
	return clients, p, nil
}

// begin sets when orders start; r is nil where nobody's figures are known.
func (c *Coordinator) begin(ctx context.Context, p *plan, r *policy.Round, orders []policy.Assignment) error {
	switch c.cfg.Energy.Start {
	case energy.StartTogether:
		policy.Together(r, orders)
	case energy.StartCarbon:
		now := time.Now()
		f := c.forecast(ctx)
		rest, passed := f.From(now)
		seconds := c.workTime().Seconds()
		if r != nil {
			seconds = min(seconds, policy.Seconds(r, orders))
		}
		slot := f.Slot
		delay, err := policy.Delay(rest, slot, seconds, c.cfg.Energy.Delay+passed)
		if err != nil {
			return err
		}
		emits := func(from time.Duration) (mean float64) {
			n := 0
			for i := from / slot; i < time.Duration(len(rest)) && float64(i)*slot.Seconds() < from.Seconds()+seconds; i++ {
				mean, n = mean+rest[i], n+1
			}
			return mean / float64(max(1, n))
		}
		if slot > 0 && len(rest) > 0 {
			for _, w := range p.by {
				if _, ok := energy.ClassOf(c.cfg.Energy.Classes, w.Client); !ok {
					w.Intensity = emits(delay)
				}
			}
			if delay = max(0, delay-passed); delay > 0 {
				zerolog.Ctx(ctx).Info().Dur("delay", delay).Float64("gco2e_kwh_now", emits(0)).Float64("gco2e_kwh_then", emits(delay+passed)).Msg("the round is put off to cleaner power")
			}
		}
		for i := range orders {
			orders[i].Order.StartAt += min(delay, c.cfg.Energy.Delay)
		}
	}
	for _, a := range orders {
		p.delay = max(p.delay, a.Order.StartAt)
	}
	return nil
}

// forecast is the newest there is. Without one rounds begin at once: a forecast saves
// grams, and must not stop a run.
func (c *Coordinator) forecast(ctx context.Context) energy.Forecast {
	if c.forecasts == nil {
		return energy.Forecast{}
	}
	f, err := c.forecasts()
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("no forecast: the round begins at once")
	}
	if rest, _ := f.From(time.Now()); err == nil && rest == nil {
		zerolog.Ctx(ctx).Warn().Str("file", c.cfg.Energy.Carbon.Forecast).Msg("the forecast is not of now: the round begins at once")
	}
	return f
}
