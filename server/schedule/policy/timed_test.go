package policy

import (
	"compress/gzip"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule"
)

func timer(t testing.TB, name string) Timer {
	t.Helper()
	p, ok := fresh(t, name).(Timer)
	if !ok {
		t.Fatalf("%s says nothing of when", name)
	}
	return p
}

// moment is a day in half hours, the cleanest of which is the given one.
func moment(cleanest int) Moment {
	m := Moment{Rounds: 1, Slot: 1800, Slots: 48, Length: 1}
	for z := range 3 {
		f := make([]float64, m.Slots)
		for k := range f {
			f[k] = float64(200 + 100*z + 10*max(k-cleanest, cleanest-k))
		}
		m.Zones = append(m.Zones, Zone{Clients: 10, Joules: 1, Now: f[0], Forecast: f})
	}
	return m
}

// In every lane, orders carry the start that When chose, and under distributed DP-SGD
// nothing but it and the mode.
func TestOrdersStartWhenEnergyIsClean(t *testing.T) {
	for _, name := range []string{"price+forecast", "random-best+forecast", "price-fair+forecast"} {
		for _, lane := range lanes {
			p := timer(t, name)
			start, err := p.When(moment(9))
			if err != nil || start != (Start{After: 9 * 1800, Zone: -1}) {
				t.Fatalf("%s: got %+v, %v; want a start in 4.5 hours", name, start, err)
			}
			r := round(t, lane, 20)
			plan, err := p.Plan(r)
			if err != nil {
				t.Fatal(err)
			}
			base, err := fresh(t, Base(name)).Plan(round(t, lane, 20))
			if err != nil {
				t.Fatal(err)
			}
			for k, a := range plan {
				if a.Order.StartAt != 9*30*time.Minute || a.Order.Validate() != nil {
					t.Errorf("%s, lane %s: order %+v", name, lane, a.Order)
				}
				if lane == Distributed && a.Order.Tasks != 0 {
					t.Errorf("%s: %d tasks ordered of a secret batch", name, a.Order.Tasks)
				}
				a.Order.StartAt = 0
				if a != base[k] {
					t.Errorf("%s, lane %s: %+v, without timing %+v", name, lane, a, base[k])
				}
			}
			if err := Permitted(r, plan); err != nil {
				t.Error(err)
			}
			if again, err := p.Plan(round(t, lane, 20)); err != nil || again[0].Order.StartAt != 0 {
				t.Errorf("a start is used twice: %+v, %v", again, err)
			}
		}
	}
}

func TestPlaceTakesOneZone(t *testing.T) {
	p, ran := timer(t, "price+forecast+place"), make([]float64, 3)
	for n := range 100 {
		m := moment(0)
		m.Zones[2].Now, m.Zones[2].Forecast = 1, slices.Repeat([]float64{1}, m.Slots) // always the cleanest
		start, err := p.When(m)
		if err != nil {
			t.Fatal(err)
		}
		ran[start.Zone]++
		r := round(t, LaneA, 60)
		plan, err := p.Plan(r)
		if err != nil || len(plan) != r.Cohort {
			t.Fatalf("%d orders, %v", len(plan), err)
		}
		for _, a := range plan {
			if r.Clients[a.Client].Zone != start.Zone {
				t.Fatalf("round %d: client %d is in zone %d, the round in %d", n+1, a.Client, r.Clients[a.Client].Zone, start.Zone)
			}
		}
		for z, k := range ran {
			if due := float64(n+1) / 3; k > mostRate*due+1 || k < leastRate*due-1 {
				t.Fatalf("after %d rounds zone %d had %v, want between %.1f and %.1f", n+1, z, k, leastRate*due, mostRate*due)
			}
		}
	}
	if ran[2] < 75 {
		t.Errorf("rounds in each zone: %v, want most in the cleanest", ran)
	}

	// Who is few does its share; nobody there is no reason to fail.
	m := moment(0)
	r := round(t, LaneA, 12) // four in each zone
	if _, err := p.When(m); err != nil {
		t.Fatal(err)
	}
	plan, err := p.Plan(r)
	if _, tasks := energy(t, r, plan); err != nil || len(plan) != 4 || tasks != 4*16 {
		t.Errorf("%d orders of %d tasks, %v; want 4 of 64", len(plan), tasks, err)
	}
	for i := range r.Clients {
		r.Clients[i].Zone = 7
	}
	if _, err := p.When(m); err != nil {
		t.Fatal(err)
	}
	if plan, err := p.Plan(r); err != nil || len(plan) != r.Cohort {
		t.Errorf("nobody in the zone: %d orders, %v", len(plan), err)
	}
}

func TestTimedLanes(t *testing.T) {
	for name, allowed := range map[string]string{
		"price+forecast": "yyyy", "price+gate": "yyyy", "random-full+forecast": "yyyy", "price+place": "yynn", "price+gate+place": "yynn",
		"fedcs+forecast": "yynn", "fedcs+place": "yynn", "oort+gate": "ynnn", "autofl+forecast+place": "ynnn",
	} {
		for k, lane := range lanes {
			p := fresh(t, name)
			_, err := p.Plan(round(t, lane, 20))
			if ok := allowed[k] == 'y'; ok != (err == nil) || ok != (Check(p, lane) == nil) {
				t.Errorf("%s under lane %s: got %v, allowed %v", name, lane, err, ok)
			} else if !ok && (!errors.Is(err, ErrLane) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), reason(p))) {
				t.Errorf("%s under lane %s: %v does not say why", name, lane, err)
			}
		}
	}
	if why := reason(fresh(t, "price+place")); !strings.Contains(why, "place") {
		t.Errorf("the reason is %q", why)
	}
	for _, name := range []string{"price+", "price+place+forecast", "price+forecast+gate", "price+later", "+forecast", "cheapest+gate"} {
		if _, err := New(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: got %v, want ErrUnknown", name, err)
		}
	}
}

func TestHostileMoments(t *testing.T) {
	for name, change := range map[string]func(m *Moment){
		"no rounds":   func(m *Moment) { m.Rounds = 0 },
		"no length":   func(m *Moment) { m.Length = 0 },
		"no slot":     func(m *Moment) { m.Slot = 0 },
		"NaN slot":    func(m *Moment) { m.Slot = math.NaN() },
		"long slots":  func(m *Moment) { m.Slot = 1e300 },
		"no zone":     func(m *Moment) { m.Zones = nil },
		"NaN":         func(m *Moment) { m.Zones[1].Now = math.NaN() },
		"NaN ahead":   func(m *Moment) { m.Zones[1].Forecast[7] = math.NaN() },
		"ragged":      func(m *Moment) { m.Zones[1].Forecast = m.Zones[1].Forecast[:7] },
		"no forecast": func(m *Moment) { m.Zones[0].Forecast = nil },
		"joules":      func(m *Moment) { m.Zones[0].Joules = math.Inf(1) },
		"clients":     func(m *Moment) { m.Zones[0].Clients = -1 },
	} {
		m := moment(3)
		change(&m)
		if _, err := timer(t, "price+forecast").When(m); !errors.Is(err, costcurve.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	// Late, or with nobody enrolled, rounds begin.
	for _, name := range []string{"price+forecast", "price+gate", "price+forecast+place", "price+gate+place", "price+place"} {
		for what, change := range map[string]func(m *Moment){
			"behind": func(m *Moment) { m.Rounds = 49 },
			"over": func(m *Moment) {
				m.Slots = 0
				m.Zones[0].Forecast, m.Zones[1].Forecast, m.Zones[2].Forecast = nil, nil, nil
			},
			"no cost": func(m *Moment) { m.Zones[0].Now, m.Zones[1].Now, m.Zones[2].Now = 0, 0, 0; m.Rounds = 48 },
			"nobody":  func(m *Moment) { m.Zones[0].Clients, m.Zones[1].Clients, m.Zones[2].Clients = 0, 0, 0; m.Rounds = 48 },
		} {
			m := moment(20)
			change(&m)
			if s, err := timer(t, name).When(m); err != nil || s.After != 0 {
				t.Errorf("%s, %s: got %+v, %v; want a start at once", name, what, s, err)
			}
		}
	}
}

// day reads a year of a zone in slots of half an hour.
func day(t testing.TB, file string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "data", "traces", file))
	if err != nil {
		t.Skipf("../shared/data/traces is not there: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := carbon.Read[carbon.Average](z)
	if err != nil {
		t.Fatal(err)
	}
	year, ok := all[""].Window(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), 30*time.Minute, 366*48)
	if !ok {
		t.Fatal("2020 is not all there")
	}
	return year
}

// As in package schedule, and through the policy: twelve rounds in the 48 half hours of
// a day, forecast with errors of 10 % of its mean, as grams saved against the mean. The
// gate knows no forecast, and has a week for seven times as many.
func TestTimingOnTraces(t *testing.T) {
	const slots, rounds, sd = 48, 12, 0.10
	run := func(name string, truth, forecast []float64, left int) (took float64) {
		p := timer(t, name)
		for k := 0; k < len(truth) && left > 0; k++ {
			s, err := p.When(Moment{Rounds: left, Slot: 1800, Slots: len(truth) - k, Length: 1, Zones: []Zone{{Clients: 1, Joules: 1, Now: truth[k], Forecast: forecast[k:]}}})
			if err != nil {
				t.Fatal(err)
			}
			if s.After == 0 {
				took += truth[k]
				left--
			}
		}
		if left > 0 {
			t.Fatalf("%s: %d rounds never ran", name, left)
		}
		return took
	}
	for _, c := range []struct{ zone, file string }{
		{"DE", "carbon_intensity_ger_ci.csv.gz"}, {"FR", "carbon_intensity_fr_ci.csv.gz"}, {"GB", "carbon_intensity_gb_ci.csv.gz"},
	} {
		year := day(t, c.file)
		for _, rho := range []float64{0, 0.9} {
			r := rand.New(rand.NewPCG(71, 72))
			var mean, clairvoyant, replanned float64
			for at := 0; at+slots <= len(year); at += slots {
				truth := year[at : at+slots]
				var today float64
				for _, v := range truth {
					today += v / slots
				}
				mean += today * rounds
				_, best, err := schedule.PlanStarts([]schedule.Site{{Intensity: truth, Joules: 1}}, schedule.Rounds{Count: rounds, Length: 1})
				if err != nil {
					t.Fatal(err)
				}
				clairvoyant += best
				forecast, e := make([]float64, slots), r.NormFloat64()
				for k, v := range truth {
					forecast[k] = max(0, v+sd*today*e)
					e = rho*e + math.Sqrt(1-rho*rho)*r.NormFloat64()
				}
				replanned += run("price+forecast", truth, forecast, rounds)
			}
			saving := func(v float64) float64 { return 100 * (1 - v/mean) }
			t.Logf("%s, errors of 10 %% (correlation %.1f): clairvoyant %.1f %%, price+forecast %.1f %%", c.zone, rho, saving(clairvoyant), saving(replanned))
			if gap := saving(clairvoyant) - saving(replanned); gap > 3 {
				t.Errorf("%s, correlation %.1f: %.2f points from the clairvoyant plan, want at most 3", c.zone, rho, gap)
			}
		}
		// Who has no forecast can take yesterday for one.
		var days, repeated float64
		for at := slots; at+slots <= len(year); at += slots {
			today := year[at : at+slots]
			for _, v := range today {
				days += v * rounds / slots
			}
			repeated += run("price+forecast", today, year[at-slots:at], rounds)
		}
		t.Logf("%s, yesterday as the forecast: price+forecast %.1f %%", c.zone, 100*(1-repeated/days))
		if repeated > 0.95*days {
			t.Errorf("%s: yesterday as the forecast saves %.1f %%, want 5 at the least", c.zone, 100*(1-repeated/days))
		}
		var mean, gated, known float64
		for at := 0; at+7*slots <= len(year); at += slots {
			week := year[at : at+7*slots]
			for _, v := range week {
				mean += v * rounds / slots
			}
			_, best, err := schedule.PlanStarts([]schedule.Site{{Intensity: week, Joules: 1}}, schedule.Rounds{Count: 7 * rounds, Length: 1})
			if err != nil {
				t.Fatal(err)
			}
			known += best
			gated += run("price+gate", week, make([]float64, len(week)), 7*rounds)
		}
		saved := 100 * (1 - gated/mean)
		if t.Logf("%s, a week: clairvoyant %.1f %%, price+gate, which has no forecast, %.1f %%", c.zone, 100*(1-known/mean), saved); saved < 2 {
			t.Errorf("%s: the gate saves %.1f %% in a week, want 2 at the least", c.zone, saved)
		}
	}
}
