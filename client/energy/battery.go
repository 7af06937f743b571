package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// battery is what a device draws from its own battery: the gauge's power, integrated.
// Differences of charge are coarser, and used where no power is shown.
type battery struct {
	sys    fs.FS
	dir    string
	gauge  *power
	charge int64 // uWh, or uAh
	volts  float64
}

func openBattery(sys fs.FS) (*battery, error) {
	err := errors.New("battery: none")
	for _, dir := range glob(sys, "class/power_supply/*") {
		if kind, e := text(sys, path.Join(dir, "type")); e != nil || kind != "Battery" {
			continue
		}
		if scope, e := text(sys, path.Join(dir, "scope")); e == nil && scope == "Device" {
			continue // of a mouse
		}
		b := &battery{sys: sys, dir: dir}
		if err = b.start(); err == nil {
			return b, nil
		}
	}
	return nil, err
}

func (b *battery) name() string          { return "battery " + path.Base(b.dir) }
func (b *battery) period() time.Duration { return time.Second }
func (b *battery) quality() (costcurve.Tier, float64) {
	if b.gauge == nil {
		return costcurve.TierBattery, 0.3 // a step of the gauge may be minutes of work
	}
	return costcurve.TierBattery, 0.15
}

func (b *battery) discharging() error {
	status, err := text(b.sys, path.Join(b.dir, "status"))
	if err == nil && status != "Discharging" {
		err = fmt.Errorf("%w: battery %s is %.20q, so it does not feed the work", ErrSource, path.Base(b.dir), status)
	}
	return err
}

func (b *battery) start() error {
	if err := b.discharging(); err != nil {
		return err
	}
	b.gauge = nil
	for _, watts := range []func() (float64, error){b.power, b.current} {
		if g := (&power{watts: watts}); g.start() == nil && g.last > 0 {
			b.gauge = g
			return nil
		}
	}
	var err error
	b.charge, b.volts, err = b.stored()
	return err
}

func (b *battery) power() (float64, error) {
	v, err := number(b.sys, path.Join(b.dir, "power_now"))
	return abs(v) / 1e6, err // the sign differs between drivers
}

func (b *battery) current() (float64, error) {
	ua, err := number(b.sys, path.Join(b.dir, "current_now"))
	uv, err2 := number(b.sys, path.Join(b.dir, "voltage_now"))
	return abs(ua) * abs(uv) / 1e12, errors.Join(err, err2)
}

// stored returns energy in uWh with volts 1, or charge in uAh with volts.
func (b *battery) stored() (int64, float64, error) {
	if v, err := number(b.sys, path.Join(b.dir, "energy_now")); err == nil {
		return v, 1, nil
	}
	v, err := number(b.sys, path.Join(b.dir, "charge_now"))
	uv, err2 := number(b.sys, path.Join(b.dir, "voltage_now"))
	return v, abs(uv) / 1e6, errors.Join(err, err2)
}

func (b *battery) joules(dt time.Duration) (float64, error) {
	if err := b.discharging(); err != nil {
		return 0, err
	}
	if b.gauge != nil {
		return b.gauge.joules(dt)
	}
	now, volts, err := b.stored()
	if err != nil {
		return 0, err
	}
	spent := float64(b.charge-now) * (b.volts + volts) / 2 * 3600 / 1e6
	b.charge, b.volts = now, volts
	if spent <= 0 {
		return 0, fmt.Errorf("%w: battery %s shows no change over %.3g s", ErrSource, path.Base(b.dir), dt.Seconds())
	}
	return spent, nil
}

func abs(v int64) float64 {
	if v < 0 {
		return -float64(v)
	}
	return float64(v)
}
