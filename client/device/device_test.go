package device

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// clocks records what is set.
type clocks struct{ set []int64 }

func (c *clocks) Limit(khz int64) error { c.set = append(c.set, khz); return nil }
func (c *clocks) Restore() error        { c.set = append(c.set, 0); return nil }

func figure(v float64) energy.Figure {
	return energy.Figure{Value: v, Tier: costcurve.TierDefault, RelErr: 1, Source: "test"}
}

func profile() energy.Profile {
	return energy.Profile{Version: 1, Task: "mnist-cnn, 32 images", IdleWatts: figure(1), Modes: []energy.Mode{
		{Name: "slow", Threads: 1, KHz: 600000, Tasks: 9, SecondsPerTask: 0.02, JoulesPerTask: figure(0.05)},
		{Name: "fast", Threads: 64, KHz: 900000, Tasks: 9, SecondsPerTask: 0.01, JoulesPerTask: figure(0.06)},
	}}
}

func open(t *testing.T, o Options) (*Device, string) {
	t.Helper()
	dir := t.TempDir()
	if err := SaveProfile(dir, profile()); err != nil {
		t.Fatal(err)
	}
	o.Sys = fstest.MapFS{} // no meter: the model
	d, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, dir
}

func TestOfferIsTheOwnersChoice(t *testing.T) {
	d, _ := open(t, Options{})
	if _, tell := d.Offer(); tell {
		t.Error("a profile is offered that its owner keeps")
	}
	d, _ = open(t, Options{Offer: true})
	o, tell := d.Offer()
	if !tell || o == nil || o.Task != "mnist-cnn, 32 images" || o.Tier != costcurve.TierDefault || len(o.Curve.Points) != 2 {
		t.Fatalf("offer %+v", o)
	}
	if p := o.Curve.Points[0]; p.Name != "slow" || p.Joules < 0.0299 || p.Joules > 0.0301 {
		t.Errorf("cheapest mode %+v, want slow at 0.03 J above idle", p)
	}
}

func TestModesAreAppliedAndPutBack(t *testing.T) {
	c := &clocks{}
	var cpus []int
	d, _ := open(t, Options{Clocks: c, SetCPU: func(n int) { cpus = append(cpus, n) }})
	d.Apply(t.Context(), costcurve.Order{Tasks: 3, Mode: "slow"})()
	d.Apply(t.Context(), costcurve.Order{Tasks: 3, Mode: "no such mode"})()
	d.Apply(t.Context(), costcurve.Order{Tasks: 3})()
	if !slices.Equal(c.set, []int64{600000, 0}) || !slices.Equal(cpus, []int{1, d.threads}) {
		t.Errorf("clocks %v, processors %v, want the slow mode and then what was before", c.set, cpus)
	}
}

// A round is logged by phase, adds up by tier, and moves the profile, on disk, only where
// it may.
func TestBooks(t *testing.T) {
	d, dir := open(t, Options{Clocks: &clocks{}, SetCPU: func(int) {}})
	if _, err := Totals(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("totals of nothing: %v", err)
	}
	for _, learn := range []bool{false, true} {
		before := *d.profile
		order := costcurve.Order{Tasks: 1, Mode: "slow"}
		d.Enter(energy.Download)
		restore := d.Apply(t.Context(), order)
		d.Enter(energy.Train)
		for range 3 { // about as long as the profile says, on any machine
			time.Sleep(7 * time.Millisecond)
		}
		restore()
		d.Enter(energy.Upload)
		readings := d.Book(t.Context(), 1, 1, order, learn)
		if len(readings) != 3 || readings[1].Phase != energy.Train || readings[1].Tier != costcurve.TierDefault {
			t.Fatalf("readings %+v", readings)
		}
		b, err := os.ReadFile(filepath.Join(dir, ProfileFile))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := energy.ParseProfile(b)
		if err != nil {
			t.Fatal(err)
		}
		moved := stored.Modes[0].SecondsPerTask != before.Modes[0].SecondsPerTask
		if moved && !learn {
			t.Error("a profile follows a round whose privacy forbids it")
		}
		if stored.Modes[0].SecondsPerTask != d.profile.Modes[0].SecondsPerTask {
			t.Error("the profile on disk is not the one in use")
		}
	}
	totals, err := Totals(dir)
	if err != nil || len(totals) != 3 || totals[1].Phase != "train" || totals[1].Readings != 2 || totals[1].Joules.Tier != costcurve.TierDefault || totals[1].Joules.Value <= 0 {
		t.Errorf("totals %+v, %v", totals, err)
	}
	if info, err := os.Stat(filepath.Join(dir, LogFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log %v, %v", info, err)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ProfileFile), []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Sys: fstest.MapFS{}}); !errors.Is(err, costcurve.ErrInvalid) {
		t.Errorf("a profile without modes: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, LogFile), []byte("a,b\nc,d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Totals(dir); err == nil {
		t.Error("a log of another form was added up")
	}
}
