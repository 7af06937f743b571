package costcurve

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What a device answers is what Respond says on its own curve, within the bounds; it works
// also where nothing fits.
func TestPostedIsAnsweredFromOnesOwnCurve(t *testing.T) {
	d := Device{Modes: []Mode{{"slow", 3, 1}, {"fast", 10, 0.5}}}
	for _, c := range []struct {
		price    float64
		min, max int64
		window   time.Duration
		tasks    int64
		mode     string
	}{
		{3, 1, 100, 100 * time.Second, 100, "slow"},
		{2.9, 5, 100, 100 * time.Second, 5, "slow"},
		{3, 1, 100, 40 * time.Second, 40, "slow"},
		{7, 1, 100, 40 * time.Second, 80, "fast"},
		{0, 20, 20, 20 * time.Second, 20, "slow"}, // equal work, as cheap as it fits
		{9, 50, 90, time.Second, 50, "fast"},      // too slow: the smallest work
	} {
		got, err := Posted{Price{Lambda: c.price}, c.min, c.max, c.window}.Answer(d, 0)
		if err != nil || got.Tasks != c.tasks || got.Mode != c.mode {
			t.Errorf("%+v: answered %+v, %v", c, got, err)
		}
	}
	for _, p := range []Posted{
		{Price{Lambda: -1}, 1, 2, time.Second}, {Price{Lambda: math.NaN()}, 1, 2, time.Second}, {Price{}, 0, 2, time.Second},
		{Price{}, 3, 2, time.Second}, {Price{}, 1, MaxTasks + 1, time.Second}, {Price{}, 1, 2, 0},
	} {
		if _, err := p.Answer(d, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// Whatever a battery holds, what is told is rounded down, valid, and never more than there is.
func TestStateIsCoarse(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		percent, full := rapid.Float64Range(-10, 200).Draw(r, "percent"), rapid.Float64Range(0, 1e9).Draw(r, "joules")
		s := Charge(percent, rapid.Bool().Draw(r, "charging"), full)
		s.Class = ClassOf(rapid.Float64Range(-1, 1e9).Draw(r, "rate"))
		if err := s.Validate(); err != nil {
			r.Fatal(err)
		}
		if b := s.Stored(); b.Joules > full*max(0, percent)/100 || s.Battery && (s.Percent%25 != 0 || float64(s.Full) < full/2) {
			r.Fatalf("%+v stores %+v", s, b)
		}
		if b := s.Class.BytesPerSecond(); ClassOf(b) != s.Class {
			r.Fatalf("class %d promises %v bytes a second, which is class %d", s.Class, b, ClassOf(b))
		}
	})
	for _, s := range []State{
		{Percent: 50}, {Battery: true, Percent: 26, Full: 3 << 10}, {Battery: true, Percent: 125, Full: 3 << 10}, {Battery: true, Percent: -25, Full: 3 << 10},
		{Battery: true, Percent: 25, Full: 7 << 10}, {Battery: true, Percent: 25}, {Charging: true}, {Class: 5},
	} {
		if !errors.Is(s.Validate(), ErrInvalid) {
			t.Errorf("%+v is taken", s)
		}
	}
}
