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

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// Intensities are what is forecast of average carbon intensity, by zone.
type Intensities = map[string]carbon.Series[carbon.Average]

// ahead is how long before its start an order is given: the client waits for it. A start
// that is farther away waits here and is planned anew in every slot, for by then the
// forecast may say something else, and a server that is killed meanwhile has asked nobody.
const ahead = 5 * time.Minute

// timed waits until the next round's start is near, and leaves in c.after what is left
// of the wait. It returns false when it has waited: the clients that are ready may be
// others then. A forecast saves grams and must not stop a run: without one rounds begin at
// once.
func (c *Coordinator) timed(ctx context.Context) (ready bool, err error) {
	c.after = 0
	t, ok := c.scheduler.(policy.Timer)
	if !ok {
		return true, nil
	}
	log := zerolog.Ctx(ctx)
	m, err := c.moment(time.Now())
	if err != nil {
		log.Warn().Err(err).Msg("no forecast: the round begins at once")
		return true, nil
	}
	s, err := t.When(m)
	if err != nil {
		return false, fmt.Errorf("energy policy %s: %w", c.cfg.Energy.Policy, err)
	}
	after := time.Duration(math.Round(s.After * 1e9))
	if after <= 0 {
		return true, nil
	}
	if after <= ahead {
		c.after = after
		log.Info().Dur("after", after).Int("rounds_left", m.Rounds).Msg("the round is put off to cleaner power")
		return true, nil
	}
	log.Info().Dur("after", after).Int("rounds_left", m.Rounds).Msg("waiting for cleaner power")
	wait := time.NewTimer(min(after-ahead, c.cfg.Energy.Slot))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-wait.C:
		return false, nil
	}
}

// zones are those of the forecast, by name.
func (c *Coordinator) zones() []string { return slices.Sorted(maps.Keys(c.intensities)) }

// zone is the index of a client's among them.
func (c *Coordinator) zone(client string) int {
	class, _ := energy.ClassOf(c.cfg.Energy.Classes, client)
	return max(0, slices.Index(c.zones(), class.Zone))
}

// moment is what is known before the next round. Forecasts are public, and so are classes;
// who is there is not in it, so that every lane allows the start that follows.
func (c *Coordinator) moment(now time.Time) (policy.Moment, error) {
	if c.forecast == nil {
		return policy.Moment{}, errors.New("no file of carbon intensity (run.energy.carbon.forecast)")
	}
	var err error
	if c.intensities, err = c.forecast(); err != nil {
		return policy.Moment{}, fmt.Errorf("run.energy.carbon.forecast: %w", err)
	}
	e := c.cfg.Energy
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.state.History) > 0 {
		c.begun = c.state.History[0].Started
	} else if c.begun.IsZero() {
		c.begun = now
	}
	work := c.workTime()
	m := policy.Moment{
		Rounds: c.cfg.Rounds.Count - c.state.Round, Slot: e.Slot.Seconds(),
		Slots:  max(0, int(c.begun.Add(e.Horizon).Sub(now)/e.Slot)),
		Length: max(1, int((work+e.Slot-1)/e.Slot)),
	}
	for _, s := range c.intensities { // as far as all reach
		m.Slots = min(m.Slots, max(0, int(s.Start().Add(s.Len()).Sub(now)/e.Slot)))
	}
	names := c.zones()
	m.Zones = make([]policy.Zone, len(names))
	for i, name := range names {
		s := c.intensities[name]
		z := &m.Zones[i]
		z.Joules = 1
		var known bool
		if z.Now, known = s.Mean(now, now); !known {
			return m, fmt.Errorf("run.energy.carbon.forecast: zone %q is not forecast for now", name)
		}
		if z.Forecast, known = s.Window(now, e.Slot, m.Slots); !known {
			return m, fmt.Errorf("run.energy.carbon.forecast: zone %q does not reach from now to the horizon", name)
		}
	}
	for _, k := range e.Classes {
		if i := slices.Index(names, k.Zone); i >= 0 {
			m.Zones[i].Clients++
		}
	}
	if len(e.Classes) == 0 {
		m.Zones[0].Clients = 1
	}
	return m, nil
}
