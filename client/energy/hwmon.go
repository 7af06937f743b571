package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// acpi is a power meter at the machine's supply.
type acpi struct{ power }

func openACPI(sys fs.FS) (*acpi, error) {
	for _, dir := range glob(sys, "class/hwmon/hwmon*") {
		if name, err := text(sys, path.Join(dir, "name")); err != nil || name != "power_meter" {
			continue
		}
		for _, file := range []string{"power1_average", "power1_input"} {
			file = path.Join(dir, file)
			a := &acpi{power{watts: func() (float64, error) {
				v, err := number(sys, file)
				return float64(v) / 1e6, err
			}}}
			if _, err := a.read(); err == nil {
				return a, nil
			}
		}
	}
	return nil, errors.New("hwmon: no power meter of the whole machine")
}

func (*acpi) name() string                       { return "ACPI power meter, whole machine" }
func (*acpi) quality() (costcurve.Tier, float64) { return costcurve.TierCounter, 0.05 }

// sockets are AMD's counters of sockets; those of cores are inside of them.
type sockets struct{ rapl }

func openSockets(sys fs.FS) (*sockets, error) {
	s := new(sockets)
	for _, dir := range glob(sys, "class/hwmon/hwmon*") {
		if name, err := text(sys, path.Join(dir, "name")); err != nil || name != "amd_energy" {
			continue
		}
		for _, label := range glob(sys, path.Join(dir, "energy*_label")) {
			if l, err := text(sys, label); err != nil || !strings.HasPrefix(l, "Esocket") {
				continue
			}
			c := &counter{sys: sys, path: strings.TrimSuffix(label, "_label") + "_input", maxWatts: plausibleWatts}
			if _, err := c.read(); err != nil {
				return nil, fmt.Errorf("hwmon: %w", err)
			}
			s.levels[1] = append(s.levels[1], c)
		}
	}
	if len(s.levels[1]) == 0 {
		return nil, errors.New("hwmon: no counters of AMD sockets")
	}
	return s, nil
}

func (*sockets) name() string { return "AMD socket counters, without memory" }

// rails are the supplies that a Jetson's INA3221 monitors watch.
type rails struct {
	power
	label string
	peers bool
}

// Rails that feed a whole module, and those that lie side by side where there is none.
var (
	totals = map[string]bool{"VDD_IN": true, "POM_5V_IN": true}
	peers  = map[string]bool{
		"GPU": true, "CPU": true, "SOC": true, "CV": true, "VDDRQ": true, "SYS5V": true,
		"VDD_GPU_SOC": true, "VDD_CPU_CV": true, "VIN_SYS_5V0": true,
	}
)

func openRails(sys fs.FS) (*rails, error) {
	watts := make(map[string]func() (float64, error))
	for _, pattern := range []string{"class/hwmon/hwmon*", "bus/i2c/drivers/ina3221*/*/hwmon/hwmon*"} {
		for _, dir := range glob(sys, pattern) {
			if name, err := text(sys, path.Join(dir, "name")); err != nil || name != "ina3221" {
				continue
			}
			for _, channel := range []string{"1", "2", "3"} { // further ones are shunts
				label, err := text(sys, path.Join(dir, "in"+channel+"_label"))
				if err != nil {
					continue
				}
				watts[label] = func() (float64, error) {
					mv, err := number(sys, path.Join(dir, "in"+channel+"_input"))
					ma, err2 := number(sys, path.Join(dir, "curr"+channel+"_input"))
					return float64(mv) * float64(ma) / 1e6, errors.Join(err, err2)
				}
			}
		}
	}
	for _, dir := range glob(sys, "bus/i2c/drivers/ina3221x/*/iio:device*") { // older L4T
		for _, channel := range []string{"0", "1", "2"} {
			label, err := text(sys, path.Join(dir, "rail_name_"+channel))
			if err != nil {
				continue
			}
			watts[label] = func() (float64, error) {
				mw, err := number(sys, path.Join(dir, "in_power"+channel+"_input"))
				return float64(mw) / 1e3, err
			}
		}
	}
	var side []func() (float64, error)
	for label, w := range watts {
		if totals[label] {
			r := &rails{power{watts: w}, label, false}
			_, err := r.read()
			return r, err
		}
		if peers[label] {
			side = append(side, w)
		}
	}
	if len(side) == 0 {
		return nil, errors.New("INA3221: no rail of a board that is known")
	}
	r := &rails{power{watts: func() (sum float64, err error) {
		for _, w := range side {
			v, err := w()
			if err != nil {
				return 0, err
			}
			sum += v
		}
		return sum, nil
	}}, fmt.Sprintf("%d rails side by side", len(side)), true}
	_, err := r.read()
	return r, err
}

func (r *rails) name() string { return "INA3221, " + r.label }

func (r *rails) quality() (costcurve.Tier, float64) {
	if r.peers {
		return costcurve.TierCounter, 0.15 // what feeds the rest of the board is not watched
	}
	return costcurve.TierCounter, 0.05
}

func (*rails) period() time.Duration { return time.Second }
