package compare

import (
	"fmt"
	"math"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/server/schedule/policy"
	"github.com/sotto-fl/sotto/simulations/fleet"
)

// Times are what policies that choose when know, and what grams are computed from.
type Times struct {
	Carbon  map[string]carbon.Series[carbon.Average] // by zone; a zone without has its yearly average at all times
	Horizon time.Duration                            // until which all rounds are to be run
	Error   float64                                  // of the forecast: standard deviation as a share of its mean
}

// clock says when rounds begin: one after the other, unless the policy waits.
type clock struct {
	grid     *fleet.Grid
	slot     float64 // seconds: the deadline in whole minutes, so that a round takes one
	slots    int     // until the horizon
	zones    []policy.Zone
	forecast [][]float64
}

func (w *World) clock(t Times) (*clock, error) {
	c := &clock{slot: 60 * math.Ceil(w.fleet.Terms.Deadline/60), zones: make([]policy.Zone, len(w.fleet.Zones))}
	rounds := w.fleet.Config.Round.Count
	c.slots = int(t.Horizon.Seconds() / c.slot)
	var err error
	if c.grid, err = fleet.NewGrid(w.fleet, t.Carbon, t.Horizon.Seconds()+float64(rounds)*c.slot); err != nil {
		return nil, err
	}
	// What a client is expected to draw, the network included, by what is enrolled.
	mean := w.fleet.Config.Round.Tasks / int64(w.fleet.Config.Round.Cohort)
	for i := range w.fleet.Clients {
		f := &w.fleet.Clients[i]
		z := &c.zones[f.Zone]
		z.Clients++
		if curve, err := f.Device.Curve(w.fleet.Terms); err == nil {
			z.Joules += curve.At(min(mean, curve.Max()))
		}
		z.Joules += (w.fleet.Terms.DownBytes + w.fleet.Terms.UpBytes) * f.NetworkJoulesPerByte
	}
	for i := range c.zones {
		z := &c.zones[i]
		z.Joules /= float64(max(1, z.Clients))
		c.forecast = append(c.forecast, c.grid.Forecast(i, c.slot, c.slots, t.Error))
	}
	return c, nil
}

// begin returns when the next round begins, which may be so many seconds into the run at
// the earliest, with left rounds still to run. A policy that waits is asked in every slot.
func (c *clock) begin(p policy.Policy, left int, seconds float64) (float64, error) {
	t, ok := p.(policy.Timer)
	if !ok {
		return seconds, nil
	}
	for k := int(math.Ceil(seconds/c.slot - 1e-9)); ; k++ {
		now := float64(k) * c.slot
		m := policy.Moment{Rounds: left, Slot: c.slot, Slots: max(0, c.slots-k), Length: 1, Zones: make([]policy.Zone, len(c.zones))}
		copy(m.Zones, c.zones)
		for i := range m.Zones {
			z := &m.Zones[i]
			z.Now = c.grid.Mean(i, now, now)
			if m.Slots > 0 {
				z.Forecast = c.forecast[i][k:]
			}
		}
		s, err := t.When(m)
		if err != nil {
			return 0, fmt.Errorf("when: %w", err)
		}
		if s.After <= 0 {
			return max(seconds, now), nil
		}
	}
}
