package energy

import (
	"io/fs"
	"path"
)

// Charge is the state of a device's own battery.
type Charge struct {
	Percent  float64
	Charging bool    // or full on mains power: work takes nothing out of it
	Full     float64 // joules of a full charge; 0 if the gauge does not say
}

// ReadCharge reads the battery that feeds the device; ok is false where there is none, or
// none that says how full it is.
func ReadCharge(sys fs.FS) (c Charge, ok bool) {
	for _, dir := range glob(sys, "class/power_supply/*") {
		if kind, err := text(sys, path.Join(dir, "type")); err != nil || kind != "Battery" {
			continue
		}
		if scope, err := text(sys, path.Join(dir, "scope")); err == nil && scope == "Device" {
			continue // of a mouse
		}
		figure := func(name string) float64 {
			v, err := number(sys, path.Join(dir, name))
			if err != nil {
				return 0
			}
			return abs(v)
		}
		c.Full = figure("energy_full") * 3600 / 1e6
		if volts := figure("voltage_now"); c.Full == 0 && volts > 0 {
			c.Full = figure("charge_full") / 1e6 * volts / 1e6 * 3600
		}
		percent, err := number(sys, path.Join(dir, "capacity"))
		switch full, now := figure("energy_full"), figure("energy_now"); {
		case err == nil && percent >= 0 && percent <= 100:
			c.Percent = float64(percent)
		case full > 0:
			c.Percent = min(100, 100*now/full)
		case figure("charge_full") > 0:
			c.Percent = min(100, 100*figure("charge_now")/figure("charge_full"))
		default:
			continue
		}
		status, err := text(sys, path.Join(dir, "status"))
		c.Charging = err == nil && status != "Discharging"
		return c, true
	}
	return Charge{}, false
}
