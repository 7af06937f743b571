package costcurve

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var ramp = Curve{Fixed: 1, Window: 10, Segments: []Segment{{3, 1}, {2, 2}, {4, 2.5}}}

func TestRespond(t *testing.T) {
	for _, c := range []struct {
		name   string
		price  Price
		limits Limits
		want   int64
		err    error
	}{
		{name: "between slopes", price: Price{Lambda: 2.2}, limits: Limits{Min: 1, Max: 9}, want: 5},
		{name: "exactly a slope is done", price: Price{Lambda: 2}, limits: Limits{Max: 9}, want: 5},
		{name: "just below is not", price: Price{Lambda: math.Nextafter(2, 0)}, limits: Limits{Max: 9}, want: 3},
		{name: "smallest work", price: Price{}, limits: Limits{Min: 4, Max: 9}, want: 4},
		{name: "largest work", price: Price{Lambda: 9}, limits: Limits{Min: 1, Max: 4}, want: 4},
		{name: "limit beyond the curve", price: Price{Lambda: 9}, limits: Limits{Min: 1, Max: 1 << 50}, want: 9},
		{name: "queue raises the price", price: Price{Lambda: 1, Theta: .5}, limits: Limits{Max: 9, Queue: 2}, want: 5},
		{name: "cannot do the smallest work", price: Price{}, limits: Limits{Min: 10, Max: 20}, err: ErrNoTime},
		{name: "NaN price", price: Price{Lambda: math.NaN()}, limits: Limits{Max: 9}, err: ErrInvalid},
		{name: "negative fairness", price: Price{Theta: -1}, limits: Limits{Max: 9}, err: ErrInvalid},
		{name: "limits the wrong way round", limits: Limits{Min: 3, Max: 2}, err: ErrInvalid},
		{name: "infinite queue", limits: Limits{Max: 2, Queue: Queue(math.Inf(1))}, err: ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Respond(ramp, c.price, c.limits)
			if !errors.Is(err, c.err) || got.Tasks != c.want {
				t.Errorf("got %d, %v; want %d, %v", got.Tasks, err, c.want, c.err)
			}
		})
	}
}

func TestQueue(t *testing.T) {
	q := Queue(0)
	for _, done := range []int64{0, 0, 5, 0} {
		q = q.Next(1.5, done)
	}
	if q != 1.5 {
		t.Errorf("queue is %v, want 1.5", q)
	}
}

func TestEncodingsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCurve(t)
		if c.Validate() == nil {
			b := c.Append(nil)
			got, err := DecodeCurve(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, got); diff != "" {
				t.Fatal(diff)
			}
			at := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
			if _, err := DecodeCurve(b[:at]); err == nil {
				t.Fatalf("accepted %d of %d bytes", at, len(b))
			}
		}
		o := Order{Tasks: 7, Mode: "fast", SwitchTo: "slow", SwitchAfter: 3, StartAt: time.Hour}
		if got, err := DecodeOrder(o.Append(nil)); err != nil || got != o {
			t.Fatalf("got %+v, %v", got, err)
		}
		p := Price{1.5, math.Copysign(0, -1)}
		if got, err := DecodePrice(p.Append(nil)); err != nil || got != (Price{1.5, 0}) || math.Signbit(got.Theta) {
			t.Fatalf("got %+v, %v", got, err)
		}
		tab := c.Table(0, 5, true)
		if got, err := DecodeTable(tab.Append(nil)); tab.Validate() == nil && (err != nil || cmp.Diff(tab, got) != "") {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}

func TestHostileCurves(t *testing.T) {
	long := make([]Segment, MaxSegments+1)
	for i := range long {
		long[i] = Segment{1, 1}
	}
	for name, c := range map[string]struct {
		curve Curve
		err   error
	}{
		"no segment":        {Curve{}, ErrInvalid},
		"NaN":               {Curve{Segments: []Segment{{1, math.NaN()}}}, ErrInvalid},
		"infinite":          {Curve{Segments: []Segment{{1, math.Inf(1)}}}, ErrInvalid},
		"negative energy":   {Curve{Segments: []Segment{{1, -1}}}, ErrInvalid},
		"negative fixed":    {Curve{Fixed: -1, Segments: []Segment{{1, 1}}}, ErrInvalid},
		"no task":           {Curve{Segments: []Segment{{0, 1}}}, ErrInvalid},
		"negative tasks":    {Curve{Segments: []Segment{{-5, 1}}}, ErrInvalid},
		"overflowing tasks": {Curve{Segments: []Segment{{1 << 40, 1}, {math.MaxInt64, 1}}}, ErrInvalid},
		"claimed convex":    {Curve{Segments: []Segment{{1, 2}, {1, 1}}}, ErrNotConvex},
		"too many segments": {Curve{Segments: long}, ErrInvalid},
		"nameless mode":     {Curve{Segments: []Segment{{1, 1}}, Points: []Point{{"", 1, 1}}}, ErrInvalid},
		"dominated mode":    {Curve{Segments: []Segment{{1, 1}}, Points: []Point{{"a", 1, 1}, {"b", 1, 2}}}, ErrInvalid},
	} {
		if err := c.curve.Validate(); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
	}
}

func TestJoules(t *testing.T) {
	a := Joules{10, TierCounter, 0.05}
	b := Joules{30, TierProfile, 0.3}
	if got, want := a.Add(b), (Joules{40, TierProfile, (0.5 + 9) / 40}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if a.Add(Joules{}) != a || (Joules{}).Add(a) != a {
		t.Error("the zero Joules is not the identity")
	}
	for _, bad := range []Joules{{-1, 0, .1}, {math.NaN(), 0, .1}, {1, 6, .1}, {1, 1, 0}, {1, 1, -1}, {1, 1, math.Inf(1)}} {
		if !errors.Is(bad.Validate(), ErrInvalid) {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestClassBoundsALiar(t *testing.T) {
	liar := Curve{Fixed: 1, Window: 10, Segments: []Segment{{4, 0.01}, {6, 3}}}
	if err := Plausible(liar, ramp, 5); !errors.Is(err, ErrImplausible) {
		t.Errorf("a hundredth of the class's energy: got %v, want ErrImplausible", err)
	}
	bounded := Clamp(liar, ramp, 5)
	if err := bounded.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := Plausible(bounded, ramp, 5); err != nil {
		t.Error(err)
	}
	if bounded.Max() != ramp.Max() {
		t.Errorf("clamped to %d tasks, want the class's %d", bounded.Max(), ramp.Max())
	}
	if diff := cmp.Diff(ramp, Clamp(ramp, ramp, 1)); diff != "" {
		t.Errorf("an honest curve changed:\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(ramp.Append(nil))
	f.Add(Order{Tasks: 7, Mode: "fast", SwitchTo: "slow", SwitchAfter: 3}.Append(nil))
	f.Add(Price{1, 2}.Append(nil))
	f.Add(ramp.Table(0, 5, true).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeCurve(b); err == nil && !bytes.Equal(c.Append(nil), b) {
			t.Errorf("curve: % x is not canonical", b)
		}
		if o, err := DecodeOrder(b); err == nil && !bytes.Equal(o.Append(nil), b) {
			t.Errorf("order: % x is not canonical", b)
		}
		if p, err := DecodePrice(b); err == nil && !bytes.Equal(p.Append(nil), b) {
			t.Errorf("price: % x is not canonical", b)
		}
		if tab, err := DecodeTable(b); err == nil && !bytes.Equal(tab.Append(nil), b) {
			t.Errorf("table: % x is not canonical", b)
		}
	})
}

func TestSpendAndAlone(t *testing.T) {
	c := Curve{Fixed: 5, Window: 10, Segments: []Segment{{5, 1}, {5, 3}}, Points: []Point{{"slow", 2, 1}, {"fast", 1, 2}}}
	for x := int64(0); x <= c.Max(); x++ {
		joules, seconds, ok := c.Spend(c.Order(x))
		if !ok || math.Abs(joules-c.At(x)) > 1e-9 || seconds > c.Window+1e-9 {
			t.Errorf("%d tasks: %v J in %v s (%v), want %v J", x, joules, seconds, ok, c.At(x))
		}
	}
	if o := c.Alone(5); o.Mode != "slow" {
		t.Errorf("5 tasks fit the slow mode: got %+v", o)
	}
	if joules, seconds, ok := c.Spend(c.Alone(6)); !ok || joules != 5+12 || seconds != 6 {
		t.Errorf("6 tasks in the fast mode: got %v J in %v s (%v), want 17 and 6", joules, seconds, ok)
	}
	if _, _, ok := c.Spend(Order{Tasks: 1, Mode: "turbo"}); ok {
		t.Error("a mode that the curve does not have is accepted")
	}
}
