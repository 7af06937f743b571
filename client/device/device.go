// Package device is the machine that a client runs on, as a participant sees it: what
// work costs it, what each phase of a round took, and the modes that it can be brought
// into.
//
// It measures with client/energy and keeps two files in the client's folder: the profile
// that `client calibrate` made (energy.json), which it lets follow what rounds take, and
// a log of every phase (energy.csv). Both stay on this machine; what of them may be told
// is for the participant to decide.
package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// ProfileFile and LogFile are the files in a client's folder.
const (
	ProfileFile = "energy.json"
	LogFile     = "energy.csv"
)

// Clocks limits clocks; energy.Clocks does.
type Clocks interface {
	Limit(khz int64) error
	Restore() error
}

// Options of a Device. The zero value is this machine, and tells the server nothing.
type Options struct {
	Offer  bool        // the owner lets the profile be told
	Sys    fs.FS       // a view of /sys; nil: this machine's
	Clocks Clocks      // nil: this machine's, if they may be set
	SetCPU func(n int) // nil: runtime.GOMAXPROCS
	Now    func() time.Time
	Replay *energy.Replay
}

// Device implements participant.Device. Its methods are for one goroutine; polling the
// meter meanwhile is its own affair. Close it when done.
type Device struct {
	dir     string
	options Options
	threads int
	profile *energy.Profile // nil: not calibrated

	mu    sync.Mutex
	meter *energy.Meter
	stop  chan struct{}
	poll  sync.WaitGroup

	applied string // the one mode that the last order ran in; empty for none or several
}

var _ participant.Device = (*Device)(nil)

// Open opens the device with the profile in dir, if there is one. A profile that is no
// profile is an error: it would steer work wrongly.
func Open(dir string, o Options) (*Device, error) {
	d := &Device{dir: dir, options: o, threads: runtime.GOMAXPROCS(0), stop: make(chan struct{})}
	b, err := os.ReadFile(filepath.Join(dir, ProfileFile))
	switch {
	case err == nil:
		p, err := energy.ParseProfile(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, ProfileFile), err)
		}
		d.profile = &p
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if d.options.Sys == nil {
		d.options.Sys = os.DirFS("/sys")
	}
	if d.options.SetCPU == nil {
		d.options.SetCPU = func(n int) { runtime.GOMAXPROCS(n) }
	}
	if d.options.Now == nil {
		d.options.Now = time.Now
	}
	if d.options.Clocks == nil {
		if c, err := energy.OpenClocks("/sys"); err == nil {
			d.options.Clocks = c
		}
	}
	d.meter = energy.Open(d.options.Sys, energy.Options{Busy: d.threads, Replay: o.Replay})
	d.poll.Go(func() {
		tick := time.NewTicker(d.meter.Period())
		defer tick.Stop()
		for {
			select {
			case <-d.stop:
				return
			case <-tick.C:
				d.mu.Lock()
				d.meter.Poll()
				d.mu.Unlock()
			}
		}
	})
	return d, nil
}

// Close ends the polling.
func (d *Device) Close() {
	close(d.stop)
	d.poll.Wait()
}

// Source says what is measured, and how it is known.
func (d *Device) Source() (string, costcurve.Tier) { return d.meter.Source(), d.meter.Tier() }

// day is the window of an offered curve: the server computes what fits a round.
const day = 86400

// Offer implements participant.Device.
func (d *Device) Offer() *participant.Offer {
	if !d.options.Offer || d.profile == nil {
		return nil
	}
	c, err := d.profile.Device().Curve(costcurve.Terms{Deadline: day, Boundary: costcurve.AboveIdle})
	if err != nil {
		return nil
	}
	return &participant.Offer{Task: d.profile.Task, Curve: c, Tier: d.profile.Tier()}
}

// Enter implements participant.Device.
func (d *Device) Enter(p energy.Phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.meter.Begin(p)
}

func (d *Device) mode(name string) *energy.Mode {
	if d.profile == nil {
		return nil
	}
	for i := range d.profile.Modes {
		if d.profile.Modes[i].Name == name {
			return &d.profile.Modes[i]
		}
	}
	return nil
}

// Apply implements participant.Device.
func (d *Device) Apply(ctx context.Context, o costcurve.Order) (restore func()) {
	d.applied = ""
	if o.Mode == "" {
		return func() {}
	}
	log := zerolog.Ctx(ctx)
	first := d.mode(o.Mode)
	if first == nil {
		log.Warn().Str("mode", o.Mode).Msg("the order names a mode that this device's profile does not have: working as it is")
		return func() {}
	}
	if err := d.set(first); err != nil {
		log.Warn().Err(err).Str("mode", first.Name).Msg("mode not fully applied")
	}
	var change *time.Timer
	d.applied = first.Name
	if then := d.mode(o.SwitchTo); then != nil {
		d.applied = ""
		change = time.AfterFunc(o.SwitchAfter, func() {
			if err := d.set(then); err != nil {
				log.Warn().Err(err).Str("mode", then.Name).Msg("mode not fully applied")
			}
		})
	}
	log.Info().Str("mode", o.Mode).Str("then", o.SwitchTo).Dur("after", o.SwitchAfter).Msg("power mode applied")
	return func() {
		if change != nil {
			change.Stop()
		}
		if err := d.reset(); err != nil {
			log.Error().Err(err).Msg("the clocks' limits could not be put back")
		}
	}
}

// set brings the machine into a mode.
func (d *Device) set(m *energy.Mode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.options.SetCPU(min(m.Threads, d.threads))
	d.meter.SetBusy(m.Threads)
	if m.KHz == 0 {
		return nil
	}
	if d.options.Clocks == nil {
		return errors.New("clocks cannot be set here any more")
	}
	return d.options.Clocks.Limit(m.KHz)
}

func (d *Device) reset() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.options.SetCPU(d.threads)
	d.meter.SetBusy(d.threads)
	if d.options.Clocks == nil {
		return nil
	}
	return d.options.Clocks.Restore()
}

// Book implements participant.Device.
func (d *Device) Book(ctx context.Context, round, attempt int, o costcurve.Order, learn bool) []energy.Reading {
	log := zerolog.Ctx(ctx)
	d.mu.Lock()
	readings := d.meter.End()
	d.mu.Unlock()
	if len(readings) == 0 {
		return nil
	}
	if err := d.write(round, attempt, readings); err != nil {
		log.Warn().Err(err).Msg("energy log not written")
	}
	e := log.Info().Int("round", round)
	for _, r := range readings {
		e = e.Float64(r.Phase.String()+"_joules", rounded(r.Value))
	}
	e.Str("tier", worst(readings).String()).Str("source", readings[0].Source).Msg("energy")
	if learn && o.Tasks > 0 && d.applied != "" {
		for _, r := range readings {
			if r.Phase == energy.Train {
				if err := d.follow(o.Tasks, r); err != nil {
					log.Warn().Err(err).Msg("energy profile not updated")
				}
			}
		}
	}
	d.applied = ""
	return readings
}

// follow moves the profile towards what a round took, and stores it.
func (d *Device) follow(tasks int64, r energy.Reading) error {
	p := *d.profile
	p.Modes = append([]energy.Mode(nil), p.Modes...)
	if err := p.Update(d.applied, tasks, r.Elapsed.Seconds(), r.Joules); err != nil {
		return err
	}
	d.profile = &p
	return SaveProfile(d.dir, p)
}

func worst(readings []energy.Reading) costcurve.Tier {
	var t costcurve.Tier
	for _, r := range readings {
		t = max(t, r.Tier)
	}
	return t
}

// rounded leaves a log line readable.
func rounded(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }
