package device

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// owned opens a device of an owner with limits; at is its clock.
func owned(t *testing.T, dir string, at *time.Time, o Options) *Device {
	t.Helper()
	if err := SaveProfile(dir, profile()); err != nil { // a step takes 0.03 J in slow, 0.05 J in fast
		t.Fatal(err)
	}
	if o.Sys == nil {
		o.Sys = fstest.MapFS{}
	}
	o.Now = func() time.Time { return *at }
	d, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func (d *Device) stored(t *testing.T) float64 {
	t.Helper()
	a, err := d.today()
	if err != nil {
		t.Fatal(err)
	}
	return a.Joules
}

// A day has so many joules, also over restarts; the next has as many again.
func TestADayHasItsJoules(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	slow := costcurve.Order{Tasks: 10, Mode: "slow"}
	d := owned(t, dir, &now, Options{DailyJoules: 1})
	for n := 1; n <= 3; n++ { // 0.3 J each
		if v := d.Spare(slow, 10, false); v.Wait != 0 || v.Never {
			t.Fatalf("order %d: %+v", n, v)
		}
	}
	d = owned(t, dir, &now, Options{DailyJoules: 1}) // restarted
	v := d.Spare(slow, 10, false)
	if v.Never || v.Wait != 2*time.Hour || !strings.Contains(v.Reason, "daily_joules") {
		t.Errorf("a fourth order: %+v, want to wait for midnight", v)
	}
	if v := d.Spare(costcurve.Order{}, 0, false); v.Wait != 0 {
		t.Errorf("a tenth of a day is left: %+v", v)
	}
	if v := d.Spare(costcurve.Order{Mode: "slow"}, 3, false); v.Wait != 0 {
		t.Errorf("an order for what is left: %+v", v)
	}
	if v := d.Spare(costcurve.Order{Mode: "slow"}, 34, false); !v.Never {
		t.Errorf("more than any day has: %+v", v)
	}
	// Two modes, or one that nobody knows, count as the dearest.
	if got := d.cost(costcurve.Order{Mode: "slow", SwitchTo: "fast"}, 10); got < 0.499 || got > 0.501 {
		t.Errorf("two modes cost %v J, want 0.5", got)
	}
	now = now.Add(2 * time.Hour)
	if v := d.Spare(slow, 10, false); v.Wait != 0 {
		t.Errorf("after midnight: %+v", v)
	}
	if got := d.stored(t); got < 0.299 || got > 0.301 {
		t.Errorf("the new day has %v J, want 0.3", got)
	}
	if info, err := os.Stat(filepath.Join(dir, DayFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("account %v, %v", info, err)
	}
}

// Where single rounds may be measured, the measurement takes the place of what was set
// aside; where they may not, the day follows from public orders alone.
func TestTheDayFollowsTheMeterOnlyWhereItMay(t *testing.T) {
	for _, measured := range []bool{true, false} {
		dir, now := t.TempDir(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		d := owned(t, dir, &now, Options{DailyJoules: 1e6})
		order := costcurve.Order{Tasks: 1000, Mode: "fast"} // 50 J
		if v := d.Spare(order, 1000, measured); v.Wait != 0 {
			t.Fatal(v)
		}
		if got := d.stored(t); got < 49.9 || got > 50.1 {
			t.Fatalf("%v J are set aside, want 50", got)
		}
		// An attempt that came to nothing frees what it set aside if it is measured anyway.
		want := map[bool]float64{true: 50, false: 100}[measured]
		if d.Spare(order, 1000, measured); d.stored(t) < want-.1 || d.stored(t) > want+.1 {
			t.Errorf("measured %v: a repeated attempt sets %v J aside, want %v", measured, d.stored(t), want)
		}
		d.Enter(energy.Train)
		time.Sleep(5 * time.Millisecond)
		readings := d.Book(t.Context(), 1, 1, costcurve.Order{}, measured)
		d.Enter(energy.Wait)
		d.EnterAgo(energy.Between, 0)
		d.Book(t.Context(), 1, 1, costcurve.Order{}, measured)
		got := d.stored(t)
		if took := readings[0].AboveIdle(1).Value; measured && (got < took-1e-6 || got > took+1) {
			t.Errorf("the day has %v J, the round took %v", got, took)
		}
		if !measured && (got < 99.9 || got > 100.1) {
			t.Errorf("the day has %v J, public orders came to 100", got)
		}
	}
}

func TestDailyJoulesNeedACalibration(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{Sys: fstest.MapFS{}, DailyJoules: 1}); !errors.Is(err, ErrUncalibrated) {
		t.Errorf("got %v", err)
	}
	dir, now := t.TempDir(), time.Now()
	d := owned(t, dir, &now, Options{DailyJoules: 1})
	if err := os.WriteFile(filepath.Join(dir, DayFile), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := d.Spare(costcurve.Order{}, 0, false); v.Wait == 0 || !strings.Contains(v.Reason, DayFile) {
		t.Errorf("a damaged account: %+v", v)
	}
}

func battery(percent, status string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, text := range map[string]string{"type": "Battery", "status": status, "capacity": percent, "energy_full": "50000000", "energy_now": "20000000", "power_now": "5000000"} {
		fs["class/power_supply/BAT0/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return fs
}

// A battery below what its owner keeps does no work, unless it is charging; and its state
// is told in quarters.
func TestBatteryLimitsAndIsToldCoarsely(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	d := owned(t, dir, &now, Options{Offer: true, MinBattery: 40, Sys: battery("39", "Discharging")})
	if v := d.Spare(costcurve.Order{}, 0, false); v.Wait == 0 || !strings.Contains(v.Reason, "39 %, min_battery is 40") {
		t.Errorf("39 %%: %+v", v)
	}
	o, _ := d.Offer()
	if s := o.State; !s.Battery || s.Percent != 25 || s.Charging || s.Full != 1<<17 {
		t.Errorf("state %+v, want 25 %% of 131072 J", s)
	}
	for _, sys := range []fstest.MapFS{battery("40", "Discharging"), battery("5", "Charging"), {}} {
		d := owned(t, dir, &now, Options{MinBattery: 40, Sys: sys})
		if v := d.Spare(costcurve.Order{}, 0, false); v.Wait != 0 {
			t.Errorf("%v: %+v", sys, v)
		}
	}
}

// A connection is classed by its slower way, and by transfers that are long enough.
func TestConnectionIsClassedByItsTransfers(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	d := owned(t, dir, &now, Options{Offer: true})
	class := func() costcurve.LinkClass { o, _ := d.Offer(); return o.State.Class }
	move := func(p energy.Phase, bytes int, took time.Duration) {
		d.Enter(p)
		now = now.Add(took)
		d.Moved(bytes)
	}
	move(energy.Download, 1000, time.Second)
	if class() != costcurve.LinkUnknown {
		t.Error("a thousand bytes say nothing of a connection")
	}
	move(energy.Download, 10<<20, time.Second)
	if class() != costcurve.LinkBroad {
		t.Errorf("10 MiB in a second are class %d", class())
	}
	move(energy.Upload, 1<<20, 4*time.Second)
	if class() != costcurve.LinkMobile {
		t.Errorf("1 MiB up in four seconds makes it class %d", class())
	}
	move(energy.Train, 1<<30, time.Second)
	if class() != costcurve.LinkMobile {
		t.Error("a phase that moves nothing changed the class")
	}
}

// powers records what is set.
type powers struct{ set []int }

func (p *powers) Set(id int) error { p.set = append(p.set, id); return nil }
func (p *powers) Restore() error   { p.set = append(p.set, -1); return nil }

func TestPowerModesAreAppliedAndPutBack(t *testing.T) {
	dir, id := t.TempDir(), 3
	p := profile()
	p.Modes[0].PowerMode, p.Modes[0].KHz = &id, 0
	if err := SaveProfile(dir, p); err != nil {
		t.Fatal(err)
	}
	board := &powers{}
	d, err := Open(dir, Options{Sys: fstest.MapFS{}, Power: board, SetCPU: func(int) {}, Clocks: &clocks{}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.Apply(t.Context(), costcurve.Order{Tasks: 3, Mode: "slow"})()
	if len(board.set) != 2 || board.set[0] != 3 || board.set[1] != -1 {
		t.Errorf("set %v, want mode 3 and then what was before", board.set)
	}
}
