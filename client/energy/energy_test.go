package energy

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// tree is a view of /sys with files that may not be read.
type tree struct {
	fstest.MapFS
	denied map[string]bool
}

func (t tree) Open(name string) (fs.File, error) {
	if t.denied[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return t.MapFS.Open(name)
}

func (t tree) set(name string, v int64) { t.MapFS[name].Data = []byte(strconv.FormatInt(v, 10) + "\n") }

func load(t *testing.T, name string) tree {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	tr := tree{fstest.MapFS{}, map[string]bool{}}
	var file *fstest.MapFile
	for line := range strings.Lines(string(b)) {
		if head, ok := strings.CutPrefix(line, "-- "); ok {
			path := strings.TrimSuffix(head, " --\n")
			path, denied := strings.CutSuffix(path, " (denied)")
			tr.denied[path] = denied
			file = &fstest.MapFile{}
			tr.MapFS[path] = file
		} else if file != nil {
			file.Data = append(file.Data, line...)
		}
	}
	return tr
}

type clock struct{ t time.Duration }

func (c *clock) now() time.Duration { return c.t }

const (
	p0   = "class/powercap/intel-rapl:0/energy_uj"
	core = "class/powercap/intel-rapl:0:0/energy_uj"
	dram = "class/powercap/intel-rapl:0:1/energy_uj"
	p1   = "class/powercap/intel-rapl:1/energy_uj"
	psys = "class/powercap/intel-rapl:2/energy_uj"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(b)) }

// one measures a single phase of dt, in which change happens.
func one(t *testing.T, tr tree, dt time.Duration, change func()) (*Meter, Reading) {
	t.Helper()
	c := new(clock)
	m := Open(tr, Options{Now: c.now, Cores: 2})
	m.Begin(Train)
	change()
	c.t += dt
	r := m.End()
	if len(r) != 1 || r[0].Phase != Train || r[0].Elapsed != dt {
		t.Fatalf("readings %+v, want one of training, %v long", r, dt)
	}
	if err := r[0].Validate(); err != nil || r[0].Source == "" {
		t.Errorf("%+v: %v", r[0], err)
	}
	return m, r[0]
}

func TestIntelCountsNothingTwice(t *testing.T) {
	tr := load(t, "intel.txt")
	advance := func(platform int64) func() {
		return func() {
			tr.set(p0, 1000000+30e6)
			tr.set(core, 500000+20e6)
			tr.set(dram, 70000+5e6)
			tr.set(p1, 2000000+10e6)
			tr.set(psys, 9000000+platform)
		}
	}
	if _, r := one(t, tr, time.Second, advance(60e6)); !near(r.Value, 60) || r.Tier != costcurve.TierCounter {
		t.Errorf("%+v, want the platform's 60 J", r)
	}
	tr = load(t, "intel.txt")
	if _, r := one(t, tr, time.Second, advance(0)); !near(r.Value, 40) {
		t.Errorf("%+v, want both packages' 40 J where the platform stands still", r)
	}
	tr = load(t, "intel.txt")
	tr.denied[psys] = true
	if _, r := one(t, tr, time.Second, advance(60e6)); !near(r.Value, 40) {
		t.Errorf("%+v, want 40 J without the platform", r)
	}
	tr = load(t, "intel.txt")
	tr.denied[psys], tr.denied[p0], tr.denied[p1] = true, true, true
	if _, r := one(t, tr, time.Second, advance(60e6)); !near(r.Value, 20) || r.RelErr < 0.2 {
		t.Errorf("%+v, want the cores' 20 J with a wide error", r)
	}
}

func TestWrap(t *testing.T) {
	const span = 65532610987
	tr := load(t, "amd.txt")
	tr.set(p0, span-4e6)
	tr.set(core, span-1e6)
	if _, r := one(t, tr, time.Second, func() { tr.set(p0, 6e6); tr.set(core, 1e6) }); !near(r.Value, 10) || r.Tier != costcurve.TierCounter {
		t.Errorf("%+v, want 10 J over the wrap", r)
	}
	// Ten minutes without a poll may hide several wraps: modelled, and said.
	tr = load(t, "amd.txt")
	m, r := one(t, tr, 10*time.Minute, func() { tr.set(p0, 5e6) })
	if r.Tier != costcurve.TierDefault || len(m.Notes()) == 0 || m.Period() > time.Minute {
		t.Errorf("%+v, notes %q, period %v", r, m.Notes(), m.Period())
	}
	// A reset looks like a wrap that no device could have drawn.
	tr = load(t, "amd.txt")
	tr.set(p0, 30e9)
	tr.set(core, 30e9)
	if _, r := one(t, tr, time.Second, func() { tr.set(p0, 1); tr.set(core, 1) }); r.Tier != costcurve.TierDefault || r.Value > 100 {
		t.Errorf("%+v, want a modelled second", r)
	}
}

// Any sequence of polls, each soon enough, adds up to what was spent.
func TestPollingAddsUp(t *testing.T) {
	const span = 65532610987
	tr := load(t, "amd.txt")
	tr.denied[core] = true
	c := new(clock)
	m := Open(tr, Options{Now: c.now})
	total, at := 0.0, int64(span-100)
	tr.set(p0, at)
	m.Begin(Train)
	for i := range 2000 {
		step := int64(1+i*7919%90) * 1e6
		at = (at + step) % span
		total += float64(step) / 1e6
		tr.set(p0, at)
		c.t += time.Second
		m.Poll()
	}
	if r := m.End(); !near(r[0].Value, total) || r[0].Tier != costcurve.TierCounter {
		t.Errorf("%+v, want %g J", r, total)
	}
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		file, source string
		tier         costcurve.Tier
		joules       float64 // of ten seconds of training on one of two processors
	}{
		{"jetson.txt", "POM_5V_IN", costcurve.TierCounter, 50},
		{"jetson-l4t.txt", "VDD_IN", costcurve.TierCounter, 72},
		{"jetson-agx.txt", "2 rails", costcurve.TierCounter, 150},
		{"laptop.txt", "battery BAT0", costcurve.TierBattery, 120},
		{"denied.txt", "65 W", costcurve.TierTDP, 10 * (6.5 + 58.5/2)},
		{"container.txt", "4 W a core", costcurve.TierDefault, 10 * (0.8 + 7.2/2)},
		{"raspberry.txt", "Raspberry Pi 4", costcurve.TierProfile, 10 * (2.7 + 3.7/2)},
	} {
		m, r := one(t, load(t, c.file), 10*time.Second, func() {})
		if !near(r.Value, c.joules) || r.Tier != c.tier || m.Tier() != c.tier || !strings.Contains(m.Source(), c.source) || !strings.Contains(r.Source, c.source) {
			t.Errorf("%s: %+v from %q, want %g J, tier %v, from %q", c.file, r, m.Source(), c.joules, c.tier, c.source)
		}
	}
}

func TestNotesSayWhatIsMissing(t *testing.T) {
	for file, want := range map[string]string{"denied.txt": "root", "container.txt": "containers hide it"} {
		if notes := strings.Join(Open(load(t, file), Options{}).Notes(), "\n"); !strings.Contains(notes, want) {
			t.Errorf("%s: notes %q, want %q", file, notes, want)
		}
	}
}

func TestAMDSockets(t *testing.T) {
	tr := load(t, "amd-hwmon.txt")
	if _, r := one(t, tr, time.Second, func() { tr.set("class/hwmon/hwmon1/energy2_input", 7e6+25e6) }); !near(r.Value, 25) {
		t.Errorf("%+v, want the socket's 25 J", r)
	}
}

// When the charger is plugged in, the battery no longer says what work costs.
func TestChargerEndsBatteryReadings(t *testing.T) {
	tr := load(t, "laptop.txt")
	m, r := one(t, tr, time.Second, func() { tr.MapFS["class/power_supply/BAT0/status"].Data = []byte("Charging\n") })
	if r.Tier != costcurve.TierTDP || !strings.Contains(strings.Join(m.Notes(), "\n"), "Charging") {
		t.Errorf("%+v, notes %q", r, m.Notes())
	}
	delete(tr.MapFS, "class/power_supply/BAT0/current_now")
	tr.MapFS["class/power_supply/BAT0/status"].Data = []byte("Discharging\n")
	// 1000 uAh at 12 V are 43.2 J.
	if _, r := one(t, tr, time.Minute, func() { tr.set("class/power_supply/BAT0/charge_now", 4000000-1000) }); !near(r.Value, 43.2) || r.Tier != costcurve.TierBattery {
		t.Errorf("%+v, want 43.2 J", r)
	}
}

// A phase that was modelled in part carries the worse tier.
func TestTierIsTheWorst(t *testing.T) {
	tr := load(t, "amd.txt")
	c := new(clock)
	m := Open(tr, Options{Now: c.now, Cores: 2})
	m.Begin(Train)
	tr.set(p0, 3e6+10e6)
	c.t += time.Second
	m.Poll()
	tr.denied[p0], tr.denied[core] = true, true
	c.t += time.Second
	m.Begin(Wait)
	tr.denied[p0], tr.denied[core] = false, false
	c.t += time.Second
	r := m.End()
	if len(r) != 2 || r[0].Tier != costcurve.TierDefault || !strings.Contains(r[0].Source, "in part") || r[1].Phase != Wait {
		t.Errorf("%+v", r)
	}
	m.Begin(Upload)
	tr.set(p0, 20e6)
	c.t += time.Second
	if r := m.End(); r[0].Tier != costcurve.TierCounter || !near(r[0].Value, 7) {
		t.Errorf("%+v, want the counter again, 7 J", r)
	}
}

func TestAboveIdle(t *testing.T) {
	r := Reading{Joules: costcurve.Joules{Value: 10, Tier: costcurve.TierCounter, RelErr: 0.1}, Elapsed: 2 * time.Second}
	if j := r.AboveIdle(3); j.Value != 4 || !near(j.RelErr, 0.25) {
		t.Errorf("%+v, want 4 J within the same 1 J", j)
	}
	if j := r.AboveIdle(30); j.Value != 0 {
		t.Errorf("%+v, want 0", j)
	}
}

func TestReplay(t *testing.T) {
	p, err := ParseReplay(strings.NewReader("seconds,joules\n0,100\n10,200\n20,500\n"), costcurve.TierExternal, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	c := new(clock)
	m := Open(load(t, "container.txt"), Options{Now: c.now, Replay: p})
	m.Begin(Train)
	c.t = 5 * time.Second
	m.Begin(Upload)
	c.t = 15 * time.Second
	m.Begin(Wait)
	c.t = time.Minute
	r := m.End()
	if !near(r[0].Value, 50) || !near(r[1].Value, 200) || r[0].Tier != costcurve.TierExternal || r[2].Tier == costcurve.TierExternal {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"", "seconds,joules\n", "0,1\n0,2\n", "0,5\n1,4\n", "0,NaN\n1,2\n", "0,1,2\n", "-1,0\n1,1\n"} {
		if _, err := ParseReplay(strings.NewReader(bad), costcurve.TierExternal, 0.01); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := ParseReplay(strings.NewReader("0,1\n1,2\n"), costcurve.TierExternal, 0); err == nil {
		t.Error("a recording without error is accepted")
	}
}

func FuzzReplay(f *testing.F) {
	f.Add("seconds,joules\n0,1\n1,2\n")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseReplay(strings.NewReader(s), costcurve.TierExternal, 0.01)
		if err == nil && (len(p.seconds) < 2 || p.total[len(p.total)-1] < p.total[0]) {
			t.Errorf("%q gave %+v", s, p)
		}
	})
}

// Whatever the files of /sys hold, a reading is a number with a tier.
func FuzzSys(f *testing.F) {
	f.Add("12", "Discharging", int64(1000))
	f.Add("-9223372036854775808", "x", int64(0))
	f.Add("99999999999999999999", "", int64(-5))
	f.Fuzz(func(t *testing.T, value, status string, ms int64) {
		for _, name := range []string{"intel.txt", "laptop.txt", "jetson.txt", "amd-hwmon.txt"} {
			tr := load(t, name)
			c := new(clock)
			m := Open(tr, Options{Now: c.now})
			m.Begin(Train)
			for path, file := range tr.MapFS {
				if strings.HasSuffix(path, "status") {
					file.Data = []byte(status)
				} else if strings.Contains(path, "_input") || strings.Contains(path, "_now") || strings.HasSuffix(path, "_uj") {
					file.Data = []byte(value)
				}
			}
			c.t = time.Duration(ms%1e9) * time.Millisecond
			for _, r := range m.End() {
				if err := r.Validate(); err != nil {
					t.Errorf("%s with %q: %+v: %v", name, value, r, err)
				}
			}
		}
	})
}

// A battery is the device's own; of a gauge that shows no capacity, charges tell.
func TestChargeOfABattery(t *testing.T) {
	tr := load(t, "laptop.txt")
	c, ok := ReadCharge(tr)
	if !ok || c.Percent != 80 || c.Charging || !near(c.Full, 5*12*3600) {
		t.Errorf("%+v, %v: want 80 %% of 216 kJ, discharging", c, ok)
	}
	tr.MapFS["class/power_supply/BAT0/capacity"] = &fstest.MapFile{Data: []byte("42\n")}
	tr.MapFS["class/power_supply/BAT0/status"].Data = []byte("Charging\n")
	if c, ok = ReadCharge(tr); !ok || c.Percent != 42 || !c.Charging {
		t.Errorf("%+v, %v: want 42 %%, charging", c, ok)
	}
	if _, ok := ReadCharge(load(t, "intel.txt")); ok {
		t.Error("a battery of a machine without one")
	}
}

// A wait ends when it ended, not when that was learned: what the source showed in between
// says how much of it was before.
func TestAWaitEndsInThePast(t *testing.T) {
	tr, c := load(t, "intel.txt"), new(clock)
	m := Open(tr, Options{Now: c.now, Cores: 2})
	step := func(seconds, microjoules int64) {
		c.t += time.Duration(seconds) * time.Second
		for _, f := range []string{p0, p1, psys} {
			if tr.MapFS[f] != nil {
				v, err := number(tr, f)
				if err != nil {
					t.Fatal(err)
				}
				tr.set(f, v+microjoules)
			}
		}
		m.Poll()
	}
	share := func(ago time.Duration) (wait, after Reading) {
		m.Begin(Wait)
		step(10, 10e6)
		step(10, 40e6) // somebody else works
		m.BeginAgo(Between, ago)
		step(5, 5e6)
		r := m.End()
		if len(r) != 2 || r[0].Phase != Wait || r[1].Phase != Between {
			t.Fatalf("%+v", r)
		}
		return r[0], r[1]
	}
	whole, rest := share(0)
	unit := rest.Value / 5 // of the source: it has one or two packages
	if unit <= 0 || !near(whole.Value, 50*unit) || whole.Elapsed != 20*time.Second || rest.Elapsed != 5*time.Second {
		t.Fatalf("%+v, %+v", whole, rest)
	}
	for ago, want := range map[time.Duration]float64{5 * time.Second: 30, 10 * time.Second: 10, 15 * time.Second: 5, 20 * time.Second: 0, time.Hour: 0} {
		wait, after := share(ago)
		if !near(wait.Value, want*unit) || !near(wait.Value+after.Value, 55*unit) || wait.Elapsed+after.Elapsed != 25*time.Second || wait.Elapsed != max(0, 20*time.Second-ago) {
			t.Errorf("%v ago: waited %+v, then %+v; want %v J", ago, wait, after, want*unit)
		}
	}
}
