package compare

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// sunny is a week in which a zone's intensity swings by the day.
func sunny(t *testing.T) map[string]carbon.Series[carbon.Average] {
	t.Helper()
	values := make([]float64, 7*24)
	for h := range values {
		values[h] = 100
		if h%24 >= 11 && h%24 < 14 {
			values[h] = 20
		}
	}
	all := map[string]carbon.Series[carbon.Average]{}
	for _, zone := range []string{"DE", "FR", "GB", "PL"} {
		s, err := carbon.New[carbon.Average](time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC), time.Hour, slices.Clone(values))
		if err != nil {
			t.Fatal(err)
		}
		all[zone] = s
	}
	return all
}

// Policies that wait run all rounds where energy is clean, at the joules of those that do
// not, under every contract that they may run under.
func TestTimingPays(t *testing.T) {
	w := small(t)
	w.Cache(t.TempDir())
	times := Times{Carbon: sunny(t), Horizon: 24 * time.Hour}
	for _, lane := range []policy.Lane{policy.None, policy.LaneA, policy.LaneB, policy.Distributed} {
		for _, base := range []string{"price", "random-best"} {
			run := func(name string) Costs {
				r, err := w.Simulate(context.Background(), name, Conditions{Lane: lane, Target: 0.999, Times: times, Workers: 2})
				if err != nil {
					t.Fatal(err)
				}
				return r.Rounds[len(r.Rounds)-1].Costs
			}
			now, then := run(base), run(base+"+forecast")
			if then.Device != now.Device || then.Network != now.Network {
				t.Errorf("%s, lane %s: waiting changes joules: %+v, without %+v", base, lane, then, now)
			}
			if want := (now.Device + now.Network) / 3.6e6 * 20; then.Grams < want*(1-1e-9) || then.Grams > want*(1+1e-9) {
				t.Errorf("%s, lane %s: %v g where the sun shines, want %v", base, lane, then.Grams, want)
			}
			if then.Seconds > times.Horizon.Seconds() {
				t.Errorf("%s, lane %s: the last round ends after %v s, beyond the horizon", base, lane, then.Seconds)
			}
		}
	}
	// Without a forecast, and with a place, the same rounds run; the place is a choice of who.
	for _, name := range []string{"price+gate", "price+gate+place", "price+forecast+place", "price+place", "oracle+place"} {
		r, err := w.Simulate(context.Background(), name, Conditions{Lane: policy.LaneA, Target: 0.999, Times: times, Workers: 2})
		if err != nil || len(r.Rounds) != 4 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every policy, with every suffix, is refused where its lanes end, with the reason, before
// anything is trained.
func TestRefusalsSayWhy(t *testing.T) {
	w := small(t)
	refused := 0
	for _, base := range policy.Names() {
		for _, suffix := range append([]string{""}, policy.Suffixes()...) {
			p, err := policy.New(base + suffix)
			if err != nil {
				t.Fatal(err)
			}
			lanes, why := p.Lanes()
			for _, lane := range []policy.Lane{policy.None, policy.LaneA, policy.LaneB, policy.Distributed} {
				if slices.Contains(lanes, lane) {
					continue
				}
				refused++
				_, err := w.Simulate(context.Background(), base+suffix, Conditions{Lane: lane, Target: 0.5, Workers: 1})
				if !errors.Is(err, policy.ErrLane) || why == "" || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), lane.String()) {
					t.Errorf("%s under lane %s: %v, want a refusal that says %q", base+suffix, lane, err, why)
				}
			}
		}
	}
	if refused < 100 {
		t.Errorf("%d refusals", refused)
	}
}

// Under lane B, who else is there moves nobody's order: not through the cohort's size
// either.
func TestLaneBOrdersIgnoreOthers(t *testing.T) {
	w := small(t)
	for _, name := range []string{"price", "price-fair", "random-full", "random-best"} {
		orders := func(there int) map[int]costcurve.Order {
			l, err := w.ledger(name, Conditions{Lane: policy.LaneB, Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			l.rate = 1
			who := make([]bool, len(w.clients))
			for i := range there {
				who[i] = true
			}
			r := l.round(1, who)
			plan, err := l.p.Plan(r.Round)
			if err != nil {
				t.Fatal(err)
			}
			all := map[int]costcurve.Order{}
			for _, a := range plan {
				all[r.index[a.Client]] = a.Order
			}
			return all
		}
		few, all := orders(2), orders(len(w.clients))
		if len(few) == 0 || len(all) <= len(few) {
			t.Fatalf("%d and %d orders; the test shows nothing", len(few), len(all))
		}
		for i, o := range few {
			if o != all[i] {
				t.Errorf("%s: client %d does %+v with two there, %+v with all", name, i, o, all[i])
			}
		}
	}
}

// A battery that runs out is a dropout.
func TestFlatBatteriesDropOut(t *testing.T) {
	w := small(t)
	flat := 0
	for i := range w.fleet.Clients {
		if c := &w.fleet.Clients[i]; c.BatteryJoules > 0 {
			c.BatteryJoules, c.Device.Battery = 200, costcurve.Battery{Joules: 200, Reserve: 1}
			flat++
		}
	}
	r, err := w.Simulate(context.Background(), "random-full", Conditions{Target: 0.999, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if flat == 0 || r.Flat == 0 || r.Dropouts < r.Flat {
		t.Errorf("%d phones with next to no battery: %d ran out, %d dropouts", flat, r.Flat, r.Dropouts)
	}
}
