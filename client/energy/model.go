package energy

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Model is power without a meter: idle, and what is above it times the share of the
// processors at work.
type Model struct {
	Name                string
	IdleWatts, MaxWatts float64
	Tier                costcurve.Tier
	RelErr              float64
}

func (m Model) watts(load float64) float64 {
	return m.IdleWatts + (m.MaxWatts-m.IdleWatts)*min(max(load, 0), 1)
}

// profiles are boards by the start of their device tree's model: idle and full power
// measured at the supply (sources in simulations/fleet/devices.yaml).
var profiles = []struct {
	model     string
	idle, max float64
}{
	{"Raspberry Pi 4 Model B", 2.7, 6.4},
	{"NVIDIA Jetson Nano", 1.2, 8.73},
	{"NVIDIA Jetson AGX Xavier", 8, 46.4},
	{"Jetson-AGX", 8, 46.4},
}

// defaultWatts of a busy core (as CodeCarbon has it), and its share when idle.
const (
	defaultWatts = 4
	idleShare    = 0.1
)

// modelOf finds the best model that the system names.
func modelOf(sys fs.FS, cores int) Model {
	if name, err := text(sys, "firmware/devicetree/base/model"); err == nil {
		for _, p := range profiles {
			if strings.HasPrefix(name, p.model) {
				return Model{"profile of " + p.model, p.idle, p.max, costcurve.TierProfile, 0.2}
			}
		}
	}
	var tdp float64 // limits can be read where counters cannot
	for _, dir := range glob(sys, zones) {
		if name, err := text(sys, path.Join(dir, "name")); err == nil && strings.HasPrefix(name, "package-") {
			if uw, err := number(sys, path.Join(dir, "constraint_0_power_limit_uw")); err == nil && uw >= 1e6 && uw <= plausibleWatts*1e6 {
				tdp += float64(uw) / 1e6
			}
		}
	}
	if tdp > 0 {
		return Model{fmt.Sprintf("power limit of %g W", tdp), idleShare * tdp, tdp, costcurve.TierTDP, 0.5}
	}
	most := defaultWatts * float64(max(1, cores))
	return Model{fmt.Sprintf("%d W a core", defaultWatts), idleShare * most, most, costcurve.TierDefault, 1}
}
