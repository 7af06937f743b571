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
	"slices"
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
	Power  PowerModes  // nil: this machine's, if there are any and they may be set
	SetCPU func(n int) // nil: runtime.GOMAXPROCS
	Now    func() time.Time
	Replay *energy.Replay

	MinBattery  int     // percent below which its owner lets it do no work; 0: none
	DailyJoules float64 // above idle, that its owner gives a day; 0: any
}

// PowerModes changes a board's power mode; energy.PowerModes does.
type PowerModes interface {
	Set(id int) error
	Restore() error
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

	entered  time.Time              // when the phase began
	link     costcurve.LinkClass    // of the slower way, as the last transfers were
	ways     [2]costcurve.LinkClass // down and up
	phase    energy.Phase
	reserved float64 // joules of the day, set aside for an order
	measured bool    // whether its measurement takes their place
}

// ErrUncalibrated: what the owner wants held needs a profile.
var ErrUncalibrated = errors.New("this device is not calibrated")

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
	if d.options.Power == nil && d.uses(func(m energy.Mode) bool { return m.PowerMode != nil }) {
		if p, err := energy.OpenPowerModes("nvpmodel", "/etc/nvpmodel.conf"); err == nil {
			d.options.Power = p
		}
	}
	if o.DailyJoules > 0 && d.profile == nil {
		return nil, fmt.Errorf("daily_joules is %g: %w", o.DailyJoules, ErrUncalibrated)
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

// offered is the window of an offered curve: the server computes what fits a round.
const offered = 86400

// Offer implements participant.Device.
func (d *Device) Offer() (o *participant.Offer, tell bool) {
	if d.profile == nil {
		return nil, false
	}
	c, err := d.profile.Device().Curve(costcurve.Terms{Deadline: offered, Boundary: costcurve.AboveIdle})
	if err != nil {
		return nil, false
	}
	o = &participant.Offer{Task: d.profile.Task, Curve: c, Tier: d.profile.Tier()}
	if charge, ok := energy.ReadCharge(d.options.Sys); ok {
		o.State = costcurve.Charge(charge.Percent, charge.Charging, charge.Full)
	}
	o.State.Class = d.link
	return o, d.options.Offer
}

// Idle implements participant.Device.
func (d *Device) Idle() *float64 {
	if d.profile == nil {
		return nil
	}
	watts := d.profile.IdleWatts.Value
	return &watts
}

// Enter implements participant.Device.
func (d *Device) Enter(p energy.Phase) { d.EnterAgo(p, 0) }

// EnterAgo implements participant.Device.
func (d *Device) EnterAgo(p energy.Phase, ago time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase, d.entered = p, d.options.Now()
	d.meter.BeginAgo(p, ago)
}

// leastTransfer is how many bytes say something of a connection: less is over before it
// has got up to speed.
const leastTransfer = 64 << 10

// Moved implements participant.Device.
func (d *Device) Moved(bytes int) {
	took := d.options.Now().Sub(d.entered).Seconds()
	if bytes < leastTransfer || took <= 0 || d.phase != energy.Download && d.phase != energy.Upload {
		return
	}
	way := 0
	if d.phase == energy.Upload {
		way = 1
	}
	d.ways[way] = costcurve.ClassOf(float64(bytes) / took)
	if d.link = min(d.ways[0], d.ways[1]); d.link == costcurve.LinkUnknown {
		d.link = max(d.ways[0], d.ways[1])
	}
}

// uses says whether some mode of the profile is of a kind.
func (d *Device) uses(is func(energy.Mode) bool) bool {
	return d.profile != nil && slices.ContainsFunc(d.profile.Modes, is)
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
	if m.PowerMode != nil {
		if d.options.Power == nil {
			return errors.New("power modes cannot be set here any more")
		}
		return d.options.Power.Set(*m.PowerMode)
	}
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
	var problems []error
	if d.options.Power != nil {
		problems = append(problems, d.options.Power.Restore())
	}
	if d.options.Clocks != nil {
		problems = append(problems, d.options.Clocks.Restore())
	}
	return errors.Join(problems...)
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
	if err := d.correct(readings); err != nil {
		log.Warn().Err(err).Msg("the day's joules are not corrected")
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
