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

// rapl holds the zones of a level side by side; levels contain one another.
type rapl struct {
	levels [3][]*counter // platform, packages, cores
	failed [3]bool       // no reading since start
}

var levelNames = [3]string{"platform", "packages, without memory", "cores alone"}

const (
	plausibleWatts = 1000 // of one zone, where no limit says
	zones          = "class/powercap/intel-rapl:*"
)

// openRAPL finds the zones that can be read. Without one, the error says why.
func openRAPL(sys fs.FS) (*rapl, error) {
	r := new(rapl)
	var denied, broken error
	found := glob(sys, zones)
	for _, dir := range found {
		name, err := text(sys, path.Join(dir, "name"))
		if err != nil {
			broken = err
			continue
		}
		level := -1
		switch {
		case name == "psys":
			level = 0
		case strings.HasPrefix(name, "package-"):
			level = 1
		case name == "core":
			level = 2
		}
		if level < 0 {
			continue // memory, graphics: parts, or outside of every level
		}
		span, err := number(sys, path.Join(dir, "max_energy_range_uj"))
		if err == nil && span <= 0 {
			err = fmt.Errorf("%w: %s/max_energy_range_uj is %d", ErrSource, dir, span)
		}
		if err != nil {
			broken = err
			continue
		}
		c := &counter{sys: sys, path: path.Join(dir, "energy_uj"), span: span, maxWatts: limit(sys, dir)}
		switch _, err := c.read(); {
		case err == nil:
			r.levels[level] = append(r.levels[level], c)
		case errors.Is(err, fs.ErrPermission):
			denied = err
		default:
			broken = err
		}
	}
	switch {
	case len(r.levels[0])+len(r.levels[1])+len(r.levels[2]) > 0:
		return r, nil
	case denied != nil:
		return nil, fmt.Errorf("RAPL: %w: only root may read it since Linux 5.10, for it can betray keys; the administrator can grant it to this user", denied)
	case broken != nil:
		return nil, fmt.Errorf("RAPL: %w", broken)
	case len(found) == 0:
		return nil, errors.New("RAPL: class/powercap shows no zone; containers hide it, virtual machines have none")
	}
	return nil, errors.New("RAPL: no zone of a platform, package or core")
}

// limit is more than a zone can draw for long.
func limit(sys fs.FS, dir string) float64 {
	var most int64
	for _, file := range glob(sys, path.Join(dir, "constraint_*_power_limit_uw")) {
		if v, err := number(sys, file); err == nil {
			most = max(most, v)
		}
	}
	if watts := float64(most) / 1e6; watts >= 1 && watts <= plausibleWatts {
		return 2 * watts
	}
	return plausibleWatts
}

func (r *rapl) top() int {
	for level := range r.levels {
		if len(r.levels[level]) > 0 && !r.failed[level] {
			return level
		}
	}
	return len(r.levels) - 1
}

func (r *rapl) name() string { return "RAPL, " + levelNames[r.top()] }

func (r *rapl) quality() (costcurve.Tier, float64) {
	if r.top() == 2 {
		return costcurve.TierCounter, 0.3 // caches and memory controller are not in it
	}
	return costcurve.TierCounter, 0.05
}

func (r *rapl) start() error {
	var last error
	for level, zones := range r.levels {
		r.failed[level] = len(zones) == 0
		for _, c := range zones {
			if err := c.start(); err != nil {
				r.failed[level], last = true, err
			}
		}
	}
	if r.failed == [3]bool{true, true, true} {
		return last
	}
	return nil
}

// joules is the largest level: what holds the others, unless its register stands still,
// as that of some platforms does.
func (r *rapl) joules(dt time.Duration) (float64, error) {
	best, ok := 0.0, false
	var last error
	for level, zones := range r.levels {
		var sum float64
		for _, c := range zones {
			j, err := c.joules(dt) // also of a failed level: later readings begin here
			if err != nil {
				r.failed[level], last = true, err
			}
			sum += j
		}
		if !r.failed[level] {
			best, ok = max(best, sum), true
		}
	}
	if !ok {
		return 0, last
	}
	return best, nil
}

func (r *rapl) period() time.Duration {
	p := time.Minute
	for _, zones := range r.levels {
		for _, c := range zones {
			p = min(p, c.period())
		}
	}
	return p
}
