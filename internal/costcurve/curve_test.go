package costcurve

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawDevice gives devices with U-shaped, dominated, equal and extreme modes.
func drawDevice(t *rapid.T) Device {
	d := Device{IdleWatts: rapid.SampledFrom([]float64{0, 1.2, 3}).Draw(t, "idle")}
	n := rapid.IntRange(1, 6).Draw(t, "modes")
	for i := range n {
		d.Modes = append(d.Modes, Mode{
			Name:           string(rune('a' + i)),
			ActiveWatts:    rapid.SampledFrom([]float64{0, 1, 2, 3, 4.74, 8.73, 1e-9, 1e6}).Draw(t, "watts"),
			SecondsPerTask: rapid.SampledFrom([]float64{0.1, 0.3, 1, 1.5, 1.7, 2, 7, 1e-3}).Draw(t, "seconds"),
		})
	}
	return d
}

// least is C(x) - Fixed from the definition: the best blend of any two modes, with
// no hull and no parametric argument. Two constraints need two modes at the most.
func least(d Device, b Boundary, window float64, x int64) float64 {
	best := math.Inf(1)
	for _, m := range d.Modes {
		for _, n := range d.Modes {
			em, en := d.taskJoules(m, b), d.taskJoules(n, b)
			if float64(x)*m.SecondsPerTask <= window {
				best = min(best, float64(x)*em)
				continue
			}
			if float64(x)*n.SecondsPerTask > window {
				continue
			}
			k := (m.SecondsPerTask*float64(x) - window) / (m.SecondsPerTask - n.SecondsPerTask)
			k = min(max(k, 0), float64(x)) // rounding alone can leave the range
			best = min(best, k*en+(float64(x)-k)*em)
		}
	}
	return best
}

func TestCurveIsLeastEnergy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDevice(t)
		terms := Terms{
			Deadline: rapid.SampledFrom([]float64{1, 5, 7.5, 13, 60}).Draw(t, "deadline"),
			Boundary: rapid.SampledFrom([]Boundary{AboveIdle, Total}).Draw(t, "boundary"),
			MaxTasks: rapid.SampledFrom([]int64{0, 1, 40}).Draw(t, "most"),
		}
		c, err := d.Curve(terms)
		if err != nil {
			if !errors.Is(err, ErrNoTime) {
				t.Fatal(err)
			}
			if !math.IsInf(least(d, terms.Boundary, terms.Deadline, 1), 1) {
				t.Fatalf("refused, though one task fits: %v", err)
			}
			return
		}
		dearest := 0.0
		for _, m := range d.Modes {
			dearest = max(dearest, d.taskJoules(m, terms.Boundary))
		}
		for x := int64(0); x <= min(c.Max(), 300); x++ {
			eps := 1e-12 * (1 + dearest*float64(x)) // blends cancel at most that much
			want := least(d, terms.Boundary, c.Window, x)
			if got := c.At(x) - c.Fixed; math.Abs(got-want) > eps {
				t.Fatalf("C(%d) = %v, want %v (%+v)", x, got, want, c)
			}
			slow, fast, s, ok := c.Mix(x)
			if !ok {
				t.Fatalf("Mix(%d) does not fit", x)
			}
			p, q := c.Points[slow], c.Points[fast]
			inFast := s / q.Seconds
			inSlow := float64(x) - inFast
			if slow == fast {
				inSlow = 0
			}
			if time := s + inSlow*p.Seconds; time > c.Window*(1+1e-9) {
				t.Fatalf("Mix(%d) takes %v s of %v", x, time, c.Window)
			}
			if e := inFast*q.Joules + inSlow*p.Joules; math.Abs(e-want) > eps {
				t.Fatalf("Mix(%d) costs %v, want %v", x, e, want)
			}
			if err := c.Order(x).Validate(); err != nil {
				t.Fatal(err)
			}
		}
		if most := c.Max() + 1; terms.MaxTasks == 0 && !math.IsInf(least(d, terms.Boundary, c.Window*(1-1e-9), most), 1) {
			t.Fatalf("%d tasks fit, the curve ends at %d", most, c.Max())
		}
	})
}

func TestSlowestIsNotCheapest(t *testing.T) {
	// Jetson Nano at 77, 614 and 922 MHz: total joules a task are least in the middle.
	d := Device{IdleWatts: 1.2, Modes: []Mode{{"77MHz", 2.38, 1 / 18.3}, {"614MHz", 4.74, 1 / 145.7}, {"922MHz", 8.73, 1 / 217.9}}}
	c, err := d.Curve(Terms{Deadline: 10, Boundary: Total})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Points) != 2 || c.Points[0].Name != "614MHz" || c.Points[1].Name != "922MHz" {
		t.Fatalf("hull %+v, want 614 and 922 MHz", c.Points)
	}
	if o := c.Order(1000); o.Mode != "614MHz" || o.SwitchTo != "" {
		t.Errorf("1000 tasks: %+v, want 614MHz alone", o)
	}
	if o := c.Order(1800); o.Mode != "922MHz" || o.SwitchTo != "614MHz" || o.SwitchAfter <= 0 {
		t.Errorf("1800 tasks: %+v, want 922MHz first, then 614MHz", o)
	}
}

func TestFixedAndBattery(t *testing.T) {
	d := Device{
		Modes: []Mode{{"only", 3, 1}}, IdleWatts: 1, WakeJoules: 2,
		Link:    Link{DownBytesPerSecond: 100, UpBytesPerSecond: 50, DownJoulesPerByte: .01, UpJoulesPerByte: .02},
		Battery: Battery{Joules: 100, Reserve: 50},
	}
	terms := Terms{Deadline: 20, Margin: 1, DownBytes: 200, UpBytes: 100}
	c, err := d.Curve(terms)
	if err != nil {
		t.Fatal(err)
	}
	if c.Fixed != 6 || c.Window != 15 {
		t.Errorf("fixed %v J, window %v s, want 6 and 15", c.Fixed, c.Window)
	}
	// 50 J above the reserve, 20 J of idling, 6 J fixed: 24 J at 2 J a task.
	if c.Max() != 12 {
		t.Errorf("battery allows %d tasks, want 12", c.Max())
	}
	d.Battery.Joules = 77
	if _, err := d.Curve(terms); !errors.Is(err, ErrNoBattery) {
		t.Errorf("7 J left: got %v, want ErrNoBattery", err)
	}
	d.Link.UpBytesPerSecond = 0
	if _, err := d.Curve(terms); !errors.Is(err, ErrInvalid) {
		t.Errorf("no upload rate: got %v, want ErrInvalid", err)
	}
}

func TestFillIsLargestAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCurve(t)
		lo := rapid.Int64Range(0, c.Max()).Draw(t, "lo")
		hi := rapid.Int64Range(lo, c.Max()).Draw(t, "hi")
		lambda := rapid.SampledFrom([]float64{-1, 0, 1, 2, 2.5, 3, 1e300, math.Inf(1)}).Draw(t, "lambda")
		want := lo
		for want < hi && c.Marginal(want) <= lambda {
			want++
		}
		if got := c.Fill(lambda, lo, hi); got != want {
			t.Fatalf("Fill(%v, %d, %d) = %d, want %d on %+v", lambda, lo, hi, got, want, c.Segments)
		}
	})
}

func drawCurve(t *rapid.T) Curve {
	c := Curve{Fixed: rapid.SampledFrom([]float64{0, 1, 1e15}).Draw(t, "fixed"), Window: 10}
	last := 0.0
	for range rapid.IntRange(1, 5).Draw(t, "segments") {
		last += rapid.SampledFrom([]float64{0, 0.5, 1, 5e-324, 1e14}).Draw(t, "step")
		c.Segments = append(c.Segments, Segment{rapid.Int64Range(1, 9).Draw(t, "tasks"), last})
	}
	if rapid.Bool().Draw(t, "named") {
		c.Points = []Point{{"slow", 2, 1}, {"fast", 1, 3}}
	}
	return c
}

func TestAnalyticFillAgreesWithMarginal(t *testing.T) {
	type family interface {
		At(int64) float64
		Marginal(int64) float64
		Fill(float64, int64, int64) int64
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) float64 { return rapid.SampledFrom([]float64{1e-6, 0.3, 1, 7, 1e5}).Draw(t, name) }
		var c family = XLogX{draw("a"), draw("b")}
		if rapid.Bool().Draw(t, "dvfs") {
			c = DVFS{rapid.SampledFrom([]float64{0, 1, 5}).Draw(t, "static"), draw("kappa"), draw("cycles"), draw("window")}
		}
		lo := rapid.Int64Range(0, 50).Draw(t, "lo")
		hi := rapid.Int64Range(lo, 200).Draw(t, "hi")
		x := rapid.Int64Range(0, 200).Draw(t, "x")
		for _, lambda := range []float64{c.Marginal(x), math.Nextafter(c.Marginal(x), 0), 0, -1, 1e300} {
			want := lo
			for want < hi && c.Marginal(want) <= lambda {
				want++
			}
			if got := c.Fill(lambda, lo, hi); got != want {
				t.Fatalf("%T%+v: Fill(%v, %d, %d) = %d, want %d", c, c, lambda, lo, hi, got, want)
			}
		}
		if d := c.At(x+1) - c.At(x) - c.Marginal(x); math.Abs(d) > 1e-9*c.At(x+1) {
			t.Fatalf("%T%+v: marginal of task %d is off by %v", c, c, x+1, d)
		}
	})
}

func TestTableWithoutSwitching(t *testing.T) {
	d := Device{Modes: []Mode{{"slow", 1, 2}, {"fast", 5, 1}}}
	got, err := d.Table(Terms{Deadline: 6, Boundary: Total}, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	want := Table{[]int32{0, 1, 2, 3, 4, 5, 6}, []float64{0, 2, 4, 6, 20, 25, 30}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if _, err := d.Table(Terms{Deadline: 6}, 7, 9); !errors.Is(err, ErrNoTime) {
		t.Errorf("7 tasks in 6 s: got %v, want ErrNoTime", err)
	}
	c, err := d.Curve(Terms{Deadline: 6, Boundary: Total})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Table{[]int32{0, 2, 3}, []float64{0, 4, 6}}, c.Table(2, 3, true)); diff != "" {
		t.Error(diff)
	}
}
