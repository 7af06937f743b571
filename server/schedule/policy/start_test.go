package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

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

// What lane B is asked depends on nobody else, and is answered as Plan would have planned.
func TestAskAgreesWithPlan(t *testing.T) {
	r := Round{Index: 1, Lane: LaneB, Cohort: 2, Tasks: 20, Clients: []Candidate{candidate(t, 1), candidate(t, 2)}, Rand: rand.New(rand.NewPCG(1, 2))}
	r.Clients[1].Intensity = 10
	price, carbon, fair := &Price{}, &Price{Carbon: true}, &Price{Fair: Fairness}
	r.Clients[0].History.Queue = 7
	for _, p := range []*Price{price, carbon, fair} {
		if err := p.Post(costcurve.Price{Lambda: 200}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []Policy{price, carbon, fair, &Timed{Policy: fair, By: Forecast}, Random{}, Random{BestMode: true}} {
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
			got, err := posted.Answer(costcurve.Device{Modes: []costcurve.Mode{{Name: "one", ActiveWatts: 5, SecondsPerTask: float64(i + 1)}}}, c.History.Queue)
			if err != nil || got != orders[i].Order {
				t.Errorf("%s: client %d answers %+v (%v), Plan has %+v", p.Name(), i, got, err, orders[i].Order)
			}
		}
	}
}
