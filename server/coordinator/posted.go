package coordinator

import (
	"context"
	"fmt"
	"math"

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
	for _, info := range clients {
		w := &work{PlannedWork: PlannedWork{Client: info.Client, Intensity: c.intensity(info.Client)}}
		class, known := energy.ClassOf(c.cfg.Energy.Classes, info.Client)
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
		w.Order.StartAt, p.delay = c.after, c.after // of what was forecast: the same for all
	}
	zerolog.Ctx(ctx).Info().Int("round", number).Str("policy", c.cfg.Energy.Policy).Float64("price", c.cfg.Energy.Price).
		Int64("expected_steps", r.Tasks).Int64("mean", p.reference).Msg("price posted")
	return clients, p, nil
}
