package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

func candidate(t testing.TB, seconds float64) Candidate {
	t.Helper()
	c, err := costcurve.Device{Modes: []costcurve.Mode{{Name: "one", ActiveWatts: 5, SecondsPerTask: seconds}}}.Curve(costcurve.Terms{Deadline: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return Candidate{Curve: c, Min: 1, Max: 20, Examples: 100, Battery: 1, Intensity: 400}
}

// Whoever is quick begins late: all end together, and not later than the last did.
func TestTogetherEndsAtTheMakespan(t *testing.T) {
	r := Round{Index: 1, Cohort: 3, Tasks: 30, Clients: []Candidate{candidate(t, 1), candidate(t, 3), candidate(t, 2)}, Rand: rand.New(rand.NewPCG(1, 2))}
	r.Clients[2].UploadSeconds = 4
	orders, err := Random{}.Plan(r)
	if err != nil {
		t.Fatal(err)
	}
	if s := Seconds(&r, orders); s != 30 {
		t.Fatalf("the longest order takes %v s, want 30", s)
	}
	Together(&r, orders)
	var starts []time.Duration
	for _, a := range orders {
		starts = append(starts, a.Order.StartAt)
	}
	if want := []time.Duration{20 * time.Second, 0, 6 * time.Second}; !slices.Equal(starts, want) {
		t.Errorf("starts %v, want %v", starts, want)
	}
}

// No other start within patience emits less, and none beyond it is taken.
func TestDelayIsTheCheapestStartInTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		forecast := rapid.SliceOfN(rapid.Float64Range(0, 900), 0, 60).Draw(r, "forecast")
		seconds := rapid.Float64Range(0, 4000).Draw(r, "seconds")
		patience := time.Duration(rapid.Int64Range(0, int64(20*time.Hour)).Draw(r, "patience"))
		const slot = 30 * time.Minute
		got, err := Delay(forecast, slot, seconds, patience)
		if err != nil {
			r.Fatal(err)
		}
		length := max(1, int(seconds+1799)/1800)
		emitted := func(at int) (sum float64) {
			for _, g := range forecast[at : at+length] {
				sum += g
			}
			return sum
		}
		if len(forecast) < length {
			if got != 0 {
				r.Fatalf("delay %v on no forecast", got)
			}
			return
		}
		if got > patience || got%slot != 0 {
			r.Fatalf("delay %v, patience %v", got, patience)
		}
		for at := 0; at+length <= len(forecast) && time.Duration(at)*slot <= patience; at++ {
			if emitted(at) < emitted(int(got/slot))-1e-6 {
				r.Fatalf("starts after %v, slot %d is cheaper", got, at)
			}
		}
	})
}

// What lane B is asked depends on nobody else, and is answered as Plan would have planned.
func TestAskAgreesWithPlan(t *testing.T) {
	r := Round{Index: 1, Lane: LaneB, Cohort: 2, Tasks: 20, Clients: []Candidate{candidate(t, 1), candidate(t, 2)}, Rand: rand.New(rand.NewPCG(1, 2))}
	r.Clients[1].Intensity = 10
	price, carbon := &Price{}, &Price{Carbon: true}
	for _, p := range []*Price{price, carbon} {
		if err := p.Post(costcurve.Price{Lambda: 200}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []Policy{price, carbon, Random{}, Random{BestMode: true}} {
		orders, err := p.Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Clients {
			c := &r.Clients[i]
			posted := p.(Asker).Ask(&r, c)
			if posted == nil {
				if r.Share(c) != orders[i].Order.Tasks {
					t.Errorf("%s: share %d, planned %d", p.Name(), r.Share(c), orders[i].Order.Tasks)
				}
				continue
			}
			posted.Window = 1000 * time.Second
			got, err := posted.Answer(costcurve.Device{Modes: []costcurve.Mode{{Name: "one", ActiveWatts: 5, SecondsPerTask: float64(i + 1)}}}, 0)
			if err != nil || got != orders[i].Order {
				t.Errorf("%s: client %d answers %+v (%v), Plan has %+v", p.Name(), i, got, err, orders[i].Order)
			}
		}
	}
}
