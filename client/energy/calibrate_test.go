package energy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// bench is a machine of 2 W idle whose task takes 8 s at 1 GHz on one thread, where
// four threads are no better than two, and power goes with threads and the clock's cube.
func bench(t *testing.T) *Bench {
	tr := load(t, "amd.txt")
	tr.denied[core] = true
	c := new(clock)
	var spent float64
	ghz, threads := 1.0, 1
	pass := func(d time.Duration, watts float64) {
		c.t += d
		spent += watts * d.Seconds()
		tr.set(p0, int64(spent*1e6)%65532610987)
	}
	tr.set(p0, 0)
	return &Bench{
		Meter: Open(tr, Options{Now: c.now, Cores: 4}), Now: c.now, Idle: 10 * time.Second, Each: 30 * time.Second,
		Sleep: func(_ context.Context, d time.Duration) error { pass(d, 2); return nil },
		Apply: func(s Setting) error {
			if threads = s.Threads; s.KHz > 0 {
				ghz = float64(s.KHz) / 1e6
			}
			return nil
		},
		Task: func(ctx context.Context) error {
			pass(time.Duration(8e9/float64(min(threads, 2))/ghz), 2+float64(threads)*ghz*ghz*ghz)
			return ctx.Err()
		},
	}
}

func TestCalibrate(t *testing.T) {
	p, err := bench(t).Calibrate(context.Background(), []Setting{
		{Name: "slow", Threads: 1, KHz: 500000}, {Name: "slow-2", Threads: 2, KHz: 500000}, {Name: "fast", Threads: 1, KHz: 2000000}, {Name: "fast-2", Threads: 2, KHz: 2000000}, {Name: "fast-4", Threads: 4, KHz: 2000000},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Task = "a task"
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	want := map[string][2]float64{"slow": {16, 2.125}, "slow-2": {8, 2.25}, "fast": {4, 10}, "fast-2": {2, 18}}
	d := p.Device()
	if len(d.Modes) != len(want) || !near(d.IdleWatts, 2) || p.Tier() != costcurve.TierCounter {
		t.Fatalf("%+v, want four modes (four threads are no quicker) above 2 W", d)
	}
	for _, m := range d.Modes {
		if w := want[m.Name]; !near(m.SecondsPerTask, w[0]) || !near(m.ActiveWatts, w[1]) {
			t.Errorf("%+v, want %v s and W", m, w)
		}
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	q, err := ParseProfile(b.Bytes())
	if err != nil || !cmp.Equal(p, q) {
		t.Errorf("%v: %s", err, cmp.Diff(p, q))
	}
	for _, bad := range []string{"", "{}", "{\"version\":1}", b.String() + "{}", "null"} {
		if _, err := ParseProfile([]byte(bad)); !errors.Is(err, costcurve.ErrInvalid) {
			t.Errorf("%.40q: %v, want ErrInvalid", bad, err)
		}
	}
}

func TestCalibrateStops(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := bench(t).Calibrate(ctx, []Setting{{Name: "m", Threads: 1, KHz: 0}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestUpdate(t *testing.T) {
	p, err := bench(t).Calibrate(context.Background(), []Setting{{Name: "m", Threads: 1, KHz: 1000000}}) // 8 s, 24 J
	if err != nil {
		t.Fatal(err)
	}
	counter := costcurve.Joules{Value: 340, Tier: costcurve.TierCounter, RelErr: 0.05}
	if err := p.Update("m", 10, 90, counter); err != nil {
		t.Fatal(err)
	}
	m := p.Modes[0]
	if !near(m.SecondsPerTask, 8.2) || !near(m.JoulesPerTask.Value, 26) {
		t.Errorf("%+v, want a fifth of the way to 9 s and 34 J", m)
	}
	if err := p.Update("m", 10, 80, costcurve.Joules{Value: 1e6, Tier: costcurve.TierDefault, RelErr: 1}); err != nil || !near(p.Modes[0].JoulesPerTask.Value, 26) {
		t.Errorf("a default moved a counter's figure: %+v, %v", p.Modes[0], err)
	}
	before := p.Modes[0]
	for _, bad := range []func() error{
		func() error { return p.Update("m", 10, 9000, counter) },
		func() error { return p.Update("m", 0, 0, counter) },
		func() error { return p.Update("n", 10, 90, counter) },
		func() error { return p.Update("m", 10, 90, costcurve.Joules{Value: 1e5, RelErr: 0.1}) },
	} {
		if err := bad(); err == nil || p.Modes[0] != before {
			t.Errorf("%v, %+v: want a refusal and no change", err, p.Modes[0])
		}
	}
}

func TestClocks(t *testing.T) {
	root := t.TempDir()
	write := func(cpu, name, text string) {
		dir := filepath.Join(root, "devices/system/cpu", cpu, "cpufreq")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenClocks(root); err == nil {
		t.Error("clocks where there is no cpufreq")
	}
	for _, cpu := range []string{"cpu0", "cpu1"} {
		write(cpu, "scaling_max_freq", "3000000\n")
		write(cpu, "cpuinfo_min_freq", "1000000\n")
		write(cpu, "cpuinfo_max_freq", "3000000\n")
	}
	c, err := OpenClocks(root)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int64{1000000, 1500000, 2000000, 2500000, 3000000}, c.Steps()); d != "" {
		t.Error(d)
	}
	read := func() string {
		b, _ := os.ReadFile(filepath.Join(root, "devices/system/cpu/cpu1/cpufreq/scaling_max_freq"))
		return string(b)
	}
	if err := c.Limit(1500000); err != nil || read() != "1500000" {
		t.Errorf("%v, limit %q", err, read())
	}
	if err := c.Restore(); err != nil || read() != "3000000" {
		t.Errorf("%v, limit %q", err, read())
	}
	write("cpu0", "scaling_available_frequencies", "900 800 700 600 500 400 300\n")
	if c, err = OpenClocks(root); err != nil || !cmp.Equal(c.Steps(), []int64{300, 400, 600, 700, 900}) {
		t.Errorf("%v %v", c.Steps(), err)
	}
}
