package energy

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

const task = "mnist-cnn, 32 images"

func offer(t testing.TB, modes ...costcurve.Mode) *Offer {
	t.Helper()
	c, err := costcurve.Device{Modes: modes}.Curve(costcurve.Terms{Deadline: 86400})
	if err != nil {
		t.Fatal(err)
	}
	o, err := ParseOffer(task, c.Append(nil), uint32(costcurve.TierCounter))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func one(seconds, joules float64) costcurve.Mode {
	return costcurve.Mode{Name: "one", ActiveWatts: joules / seconds, SecondsPerTask: seconds}
}

// Whatever is declared, no figure that counts leaves the class's band, the client is named
// exactly when one would have, and the curve is valid.
func TestLiesAreBounded(t *testing.T) {
	class := Class{Name: "board", Clients: "b-*", Seconds: 1, Joules: 10}
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.SampledFrom([]float64{1e-3, 0.1, 0.2, 1, 2, 5, 10, 50, 51, 1e3})
		s, j := value.Draw(r, "seconds"), value.Draw(r, "joules")
		b := Bound([]Client{{"b-1", offer(t, one(s, j))}}, task, []Class{class}, 5, false)[0]
		m := b.Device.Modes[0]
		got := m.ActiveWatts * m.SecondsPerTask
		const eps = 1e-9
		if m.SecondsPerTask < 0.2-eps || m.SecondsPerTask > 5+eps || got < 2*(1-eps) || got > 50*(1+eps) {
			r.Fatalf("%v s and %v J count as %v s and %v J", s, j, m.SecondsPerTask, got)
		}
		// A rounding of watts times seconds at the edge of the band may go either way.
		lie := s < 0.2*(1-eps) || s > 5*(1+eps) || j < 2*(1-eps) || j > 50*(1+eps)
		edge := math.Abs(j-2) < eps || math.Abs(j-50) < eps || math.Abs(s-0.2) < eps || math.Abs(s-5) < eps
		if named := b.Problem != ""; named != lie && !edge {
			r.Fatalf("%v s and %v J: named %v (%s)", s, j, named, b.Problem)
		}
		if c, err := b.Curve(costcurve.Terms{Deadline: 100}); err != nil || c.Validate() != nil {
			r.Fatalf("curve %+v, %v", c, err)
		}
	})
}

func TestTheFleetBoundsThoseWithoutAClass(t *testing.T) {
	clients := []Client{{"a", offer(t, one(1, 10))}, {"b", offer(t, one(1, 12))}, {"c", offer(t, one(1, 1e-3))}, {"d", nil}}
	all := Bound(clients, task, nil, 5, false)
	if all[0].Problem != "" || all[1].Problem != "" || !strings.Contains(all[2].Problem, "class fleet") {
		t.Errorf("%q, %q, %q: want the third named", all[0].Problem, all[1].Problem, all[2].Problem)
	}
	if d := all[3]; d.Own || d.Tier != costcurve.TierDefault || d.Problem != "" || math.Abs(d.Device.Modes[0].ActiveWatts-10) > 1e-9 {
		t.Errorf("who offers nothing counts as %+v, want the median", d)
	}
	// Alone, nobody else's offer matters: one client more changes nothing.
	with := Bound(clients, task, nil, 5, true)
	without := Bound(clients[:2], task, nil, 5, true)
	if with[0].Device.Modes[0] != without[0].Device.Modes[0] || with[2].Problem != "" {
		t.Error("an order under amplification depends on another client's offer")
	}
	if b := Bound(clients[:1], "cifar-cnn, 32 images", nil, 5, false)[0]; b.Own || !strings.Contains(b.Problem, "client calibrate") {
		t.Errorf("a profile of another task counts: %+v", b)
	}
}

// Figures that no device has must not reach a solver: a client could stop the run.
func TestAbsurdOffersCountAsTypical(t *testing.T) {
	for _, p := range []costcurve.Point{{Name: "x", Seconds: 1e9, Joules: 1e15}, {Name: "x", Seconds: 3e8, Joules: 1e15}, {Name: "x", Seconds: 1e-9, Joules: 0}} {
		b := Bound([]Client{{"a", &Offer{Task: task, Curve: costcurve.Curve{Points: []costcurve.Point{p}}}}}, task, nil, 5, false)[0]
		if _, err := b.Curve(costcurve.Terms{Deadline: costcurve.MaxSeconds}); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	absurd := &Offer{Task: task, Curve: costcurve.Curve{Points: []costcurve.Point{{Name: "x", Seconds: 1e-300, Joules: 1e15}}}}
	b := Bound([]Client{{"a", absurd}}, task, nil, 5, false)[0]
	if _, err := b.Curve(costcurve.Terms{Deadline: 60}); err != nil || b.Problem == "" || b.Own {
		t.Errorf("%+v, %v", b, err)
	}
	same := []Client{{"a", absurd}, {"b", absurd}, {"c", absurd}, {"d", nil}}
	for _, b := range Bound(same, task, nil, 5, false) {
		if _, err := b.Curve(costcurve.Terms{Deadline: 60}); err != nil {
			t.Errorf("a fleet of them: %v", err)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct {
		config Config
		lane   policy.Lane
		want   string
	}{
		{Config{Policy: "price"}, policy.None, ""},
		{Config{Policy: "price"}, policy.LaneA, ""},
		{Config{Policy: "price"}, policy.Distributed, ""},
		{Config{Policy: "price", Tasks: 9, Price: 1}, policy.LaneB, ""},
		{Config{Policy: "price", Tasks: 9}, policy.LaneB, "price: got 0"},
		{Config{Policy: "random-best"}, policy.LaneB, "tasks: got 0"},
		{Config{Policy: "fedcs"}, policy.LaneA, ""},
		{Config{Policy: "fedcs"}, policy.LaneB, "may not run under lane B"},
		{Config{Policy: "olar"}, policy.Distributed, "may not run under lane distributed-dp-sgd"},
		{Config{Policy: "oort"}, policy.None, "losses"},
		{Config{Policy: "oort+forecast"}, policy.LaneA, "losses"},
		{Config{Policy: "price", Tasks: 9}, policy.Distributed, "secret batch"},
		{Config{Policy: "best"}, policy.None, "want none, price"},
		{Config{Ratio: 0.5}, policy.None, "ratio: got 0.5"},
		{Config{Band: math.NaN()}, policy.None, "band: got NaN"},
		{Config{Carbon: Carbon{Intensity: -1}}, policy.None, "carbon.intensity: got -1"},
		{Config{Classes: []Class{{Name: "x", Clients: "[", Seconds: 1, Joules: 1}}}, policy.None, "classes[0].clients"},
	} {
		err := c.config.Validate(c.lane)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v under %s: got %v, want %q", c.config, c.lane, err, c.want)
		}
	}
}

// SCI, by hand: 36 kJ at 100 g/kWh is 1 g, and 0.5 g embodied.
func TestFootprint(t *testing.T) {
	var r Round
	r.Footprint(Carbon{Intensity: 100, Embodied: 0.5, NetworkMB: 100, ServerWatts: 10, HolderWatts: 5}, Use{
		Clients: costcurve.Joules{Value: 18000, Tier: costcurve.TierProfile, RelErr: 0.2}, Grams: 0.5,
		Bytes: 100e6, Seconds: 750, Opening: 25, Holders: 4,
	})
	if r.Network.Joules != 1e4 || r.Server.Joules != 7500 || r.Holders.Joules != 500 || math.Abs(r.Grams-1.5) > 1e-12 {
		t.Errorf("%+v %+v %+v, %v g", r.Network, r.Server, r.Holders, r.Grams)
	}
	var empty Round
	empty.Footprint(Carbon{}, Use{Bytes: 1, Seconds: 1})
	if empty.Clients != nil || empty.Network != nil || empty.Server != nil || empty.Holders != nil || empty.Grams != 0 {
		t.Errorf("what nobody gave is %+v, want nothing", empty)
	}
}

// Whatever parses has modes, and encodes to the same bytes.
func FuzzParseOffer(f *testing.F) {
	good := offer(f, one(1, 2), costcurve.Mode{Name: "two", ActiveWatts: 9, SecondsPerTask: 0.5}).Curve.Append(nil)
	f.Add(task, good, uint32(1))
	f.Add(task, good[:len(good)-1], uint32(5))
	f.Add("", []byte{}, uint32(6))
	f.Fuzz(func(t *testing.T, task string, b []byte, tier uint32) {
		o, err := ParseOffer(task, b, tier)
		if err != nil {
			if !errors.Is(err, ErrOffer) || o != nil {
				t.Fatalf("%v, %v", o, err)
			}
			return
		}
		if len(o.Curve.Points) == 0 || !bytes.Equal(o.Curve.Append(nil), b) {
			t.Fatalf("%+v", o)
		}
		Bound([]Client{{"x", o}}, o.Task, nil, 5, false)[0].Curve(costcurve.Terms{Deadline: 60})
	})
}
