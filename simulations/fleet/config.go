package fleet

import (
	"errors"
	"fmt"
	"strings"
)

// Config describes a fleet, and what a round asks of it.
type Config struct {
	Name     string             `yaml:"name" doc:"name of the fleet in reports"`
	Mix      map[string]float64 `yaml:"mix" doc:"share of each class of device, by its id in devices.yaml"`
	Zones    map[string]float64 `yaml:"zones" doc:"where clients are: gCO2e/kWh of each zone; clients are spread evenly"`
	Spread   float64            `yaml:"spread" doc:"devices of a class differ: power and time are up to this share above the class's, evenly"`
	Error    float64            `yaml:"error" doc:"standard deviation of what a round really takes around the curve, as a share"`
	Loss     float64            `yaml:"loss" doc:"probability that a client is lost in a round after it began"`
	Mobile   float64            `yaml:"mobile" doc:"share of the phones that are on a mobile network"`
	Workload Workload           `yaml:"workload" doc:"what one task is"`
	Round    Round              `yaml:"round" doc:"what is asked of the fleet"`
	Target   float64            `yaml:"target_accuracy" doc:"accuracy up to which joules are counted"`
}

// Workload says what the devices are taken to train. The model whose accuracy is
// reported may be smaller: its tasks are then priced as those of this network.
type Workload struct {
	Network         string  `yaml:"network" doc:"what the figures are those of"`
	MFLOPPerExample float64 `yaml:"mflop_per_example" doc:"floating point operations of a training step for one example, in millions"`
	DownBytes       float64 `yaml:"down_bytes" doc:"of the model, once a round"`
	UpBytes         float64 `yaml:"up_bytes" doc:"of the update, once a round"`
}

// Round says how much is asked.
type Round struct {
	Count    int     `yaml:"count" doc:"rounds"`
	Cohort   int     `yaml:"cohort" doc:"clients in a round"`
	Tasks    int64   `yaml:"tasks" doc:"tasks in a round, all clients together"`
	Ratio    float64 `yaml:"ratio" doc:"largest over smallest work of a client: bounds are the mean divided and multiplied by its root"`
	Batch    int     `yaml:"batch" doc:"examples in a task; has to be the scenario's run.task.batch"`
	Deadline float64 `yaml:"deadline" doc:"seconds; 0: the 90th percentile over the fleet of the time for the mean work in a device's cheapest mode, transfers and margin included"`
	Margin   float64 `yaml:"margin" doc:"share of the deadline kept free"`
}

// Validate reports every problem, each with its key path.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	known, err := Classes()
	if err != nil {
		return err
	}
	ids := make(map[string]bool)
	var names []string
	for _, k := range known {
		ids[k.ID] = true
		names = append(names, k.ID)
	}
	var sum float64
	for id, share := range c.Mix {
		if !ids[id] {
			bad("mix.%s: unknown device, want one of %s", id, strings.Join(names, ", "))
		}
		if !(share > 0 && share < 1e6) {
			bad("mix.%s: got %g, want more than 0", id, share)
		}
		sum += share
	}
	if !(sum > 0) {
		bad("mix: no device; name at least one of %s", strings.Join(names, ", "))
	}
	if len(c.Zones) == 0 {
		bad("zones: none; name at least one, e.g. DE: 381")
	}
	for z, g := range c.Zones {
		if !(g > 0 && g < 1e5) {
			bad("zones.%s: got %g gCO2e/kWh, want more than 0", z, g)
		}
	}
	for _, f := range []struct {
		key    string
		v      float64
		lo, hi float64
	}{
		{"spread", c.Spread, 0, 10}, {"error", c.Error, 0, 1}, {"loss", c.Loss, 0, 0.9}, {"mobile", c.Mobile, 0, 1},
		{"workload.mflop_per_example", c.Workload.MFLOPPerExample, 1e-3, 1e9}, {"workload.down_bytes", c.Workload.DownBytes, 0, 1e12},
		{"workload.up_bytes", c.Workload.UpBytes, 0, 1e12}, {"round.ratio", c.Round.Ratio, 1, 1e6},
		{"round.deadline", c.Round.Deadline, 0, 1e9}, {"round.margin", c.Round.Margin, 0, 0.9}, {"target_accuracy", c.Target, 0.01, 1},
	} {
		if !(f.v >= f.lo && f.v <= f.hi) {
			bad("%s: got %g, want %g to %g", f.key, f.v, f.lo, f.hi)
		}
	}
	if r := c.Round; r.Count < 1 || r.Cohort < 1 || r.Tasks < int64(r.Cohort) || r.Tasks > 1<<40 || r.Batch < 1 || r.Batch > 1<<20 {
		bad("round: %d rounds of %d clients, %d tasks of %d examples, want at least 1 of each and a task for each client", r.Count, r.Cohort, r.Tasks, r.Batch)
	}
	return errors.Join(problems...)
}
