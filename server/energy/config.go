package energy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// None is the policy under which every client does the task's epochs, as fast as it likes.
const None = "none"

// Config says how the work of a round is spread over its clients, and what joules are
// worth in grams.
type Config struct {
	Policy   string        `yaml:"policy" json:"policy" doc:"who works how much and in which mode: none leaves everyone with task.epochs; price plans for the least energy; see docs/energy.md for the others"`
	Tasks    int64         `yaml:"tasks" json:"tasks" doc:"steps in a round, all clients together; 0 for as many as task.epochs comes to"`
	Price    float64       `yaml:"price" json:"price" doc:"lane B alone: joules offered for one step more, posted before the clients' coins are tossed"`
	Ratio    float64       `yaml:"ratio" json:"ratio" doc:"largest over smallest work of a client; 0 for 4"`
	Deadline time.Duration `yaml:"deadline" json:"deadline" doc:"time that a client's work must fit in, transfers apart; 0 for nine tenths of rounds.deadline"`
	Band     float64       `yaml:"band" json:"band" doc:"factor by which a client's figures may differ from its class's; 0 for 5"`
	Start    string        `yaml:"start" json:"start,omitempty" doc:"when work begins: now; together: quick clients begin later, so that all end at once and nobody waits"`
	Horizon  time.Duration `yaml:"horizon" json:"horizon,omitempty" doc:"for policies with +forecast or +gate: time from the run's first round within which all are put where power is cleanest; afterwards they begin at once"`
	Slot     time.Duration `yaml:"slot" json:"slot,omitempty" doc:"for the same: grid of starting times; 0 for 15 minutes"`
	Classes  []Class       `yaml:"classes" json:"classes" doc:"what devices are expected to take; clients of no class are held to the fleet's median"`
	Carbon   Carbon        `yaml:"carbon" json:"carbon" doc:"what is reported as grams of CO2e"`
}

// Carbon is what software carbon intensity, SCI = ((E I) + M) / R, is computed from; R is
// one round. ISO/IEC 21031:2024.
type Carbon struct {
	Intensity   float64 `yaml:"intensity" json:"intensity" doc:"I: average gCO2e/kWh where the clients are; 0 reports no grams"`
	Embodied    float64 `yaml:"embodied" json:"embodied" doc:"M: grams of CO2e of making the devices, the share of one round"`
	Forecast    string  `yaml:"forecast" json:"forecast,omitempty" doc:"CSV file of average intensity, time_utc,zone,g_per_kwh, read anew before every round; for policies with +forecast, +gate or +place"`
	NetworkMB   float64 `yaml:"network_joules_per_mb" json:"network_joules_per_mb" doc:"joules of the network for a megabyte, either way; 108 is usual on fixed and 504 on mobile networks"`
	ServerWatts float64 `yaml:"server_watts" json:"server_watts" doc:"power of the server above idle while it runs; 0 if unknown"`
	HolderWatts float64 `yaml:"holder_watts" json:"holder_watts" doc:"power of one key holder above idle while a sum is opened; 0 if unknown"`
}

// When work begins.
const (
	StartNow      = "now"
	StartTogether = "together"
)

// Default is what `server init` writes down: no policy.
func Default() Config { return Config{}.Effective() }

// Effective returns the configuration with its defaults filled in.
func (c Config) Effective() Config {
	if c.Policy == "" {
		c.Policy = None
	}
	if c.Start == "" {
		c.Start = StartNow
	}
	if c.Slot == 0 && policy.Base(c.Policy) != c.Policy {
		c.Slot = 15 * time.Minute
	}
	if c.Ratio == 0 {
		c.Ratio = 4
	}
	if c.Band == 0 {
		c.Band = 5
	}
	return c
}

// Planned says that a policy plans the rounds.
func (c Config) Planned() bool { return c.Effective().Policy != None }

// sees are the policies that need what this server never has, and what that is.
var sees = map[string]string{
	"oort": "losses", "eafl": "losses", "fedzero": "losses", "cafe": "losses",
}

// Names lists the policies that a server can run.
func Names() []string {
	return append([]string{None}, slices.DeleteFunc(policy.Names(), func(n string) bool { return sees[n] != "" })...)
}

// Validate reports every problem, each with its key path. lane is that of the run's privacy
// contract.
func (c Config) Validate(lane policy.Lane) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	e := c.Effective()
	if e.Policy != None {
		p, err := policy.New(e.Policy)
		switch {
		case err != nil:
			bad("policy: got %q, want %s", c.Policy, strings.Join(Names(), ", "))
		case policy.Check(p, lane) != nil:
			bad("policy: %w", policy.Check(p, lane))
		case sees[policy.Base(e.Policy)] != "":
			bad("policy: %s looks at each client's %s, which reach this server in sums only: choose another policy", e.Policy, sees[policy.Base(e.Policy)])
		}
	}
	if c.Tasks < 0 || c.Tasks > 1<<40 {
		bad("tasks: got %d, want 0 (as task.epochs comes to) or more", c.Tasks)
	}
	if lane == policy.LaneB && e.Policy != None {
		if c.Tasks == 0 {
			bad("tasks: got 0, want the expected steps of a round: in lane B nothing may follow from who is there")
		}
		if strings.HasPrefix(e.Policy, "price") && c.Price == 0 {
			bad("price: got 0, want the joules offered for a step: in lane B each client's work answers a posted price")
		}
	}
	if !(c.Price >= 0 && c.Price <= 1e15) || c.Price != 0 && lane != policy.LaneB {
		bad("price: got %g, want 0: it is for lane B, where clients answer it", c.Price)
	}
	if lane == policy.Distributed && c.Tasks != 0 {
		bad("tasks: got %d, want 0: under distributed DP-SGD the work is a secret batch", c.Tasks)
	}
	if !(e.Ratio >= 1 && e.Ratio <= 1e6) {
		bad("ratio: got %g, want 1 (equal work) or more; 4 is usual", c.Ratio)
	}
	switch {
	case e.Start != StartNow && e.Start != StartTogether:
		bad("start: got %q, want now or together", c.Start)
	case e.Start != StartNow && e.Policy == None:
		bad("start: got %s, want now: nobody plans orders under policy none", e.Start)
	case e.Start == StartTogether && lane != policy.None && lane != policy.LaneA:
		bad("start: got together, want now: under lane %s a client's order must not follow from the others' devices", lane)
	}
	timed := policy.Base(e.Policy) != e.Policy
	switch {
	case timed && c.Carbon.Forecast == "":
		bad("carbon.forecast: policy %s needs a file of the intensity to come", e.Policy)
	case timed && strings.Contains(e.Policy, "+forecast") && c.Horizon <= 0, timed && strings.Contains(e.Policy, "+gate") && c.Horizon <= 0:
		bad("horizon: got %s, want the time in which policy %s may place the rounds", c.Horizon, e.Policy)
	case c.Horizon < 0 || c.Slot < 0 || !timed && (c.Horizon != 0 || c.Slot != 0):
		bad("horizon, slot: got %s and %s, want 0: they are for policies with +forecast, +gate or +place", c.Horizon, c.Slot)
	case timed && e.Slot < time.Second || c.Horizon/max(e.Slot, 1) > 1<<16 && timed:
		bad("slot: got %s, want a second or more, and at most %d of them in horizon", e.Slot, 1<<16)
	}
	if c.Deadline < 0 {
		bad("deadline: got %s, want 0 (most of rounds.deadline) or more", c.Deadline)
	}
	if !(e.Band >= 1 && e.Band <= 1e3) {
		bad("band: got %g, want 1 to 1000; 5 is usual", c.Band)
	}
	for i, k := range c.Classes {
		if err := k.validate(); err != nil {
			bad("classes[%d].%w", i, err)
		}
	}
	for _, f := range []struct {
		key  string
		v    float64
		most float64
	}{
		{"intensity", c.Carbon.Intensity, 1e5}, {"embodied", c.Carbon.Embodied, 1e9}, {"network_joules_per_mb", c.Carbon.NetworkMB, 1e6},
		{"server_watts", c.Carbon.ServerWatts, 1e9}, {"holder_watts", c.Carbon.HolderWatts, 1e9},
	} {
		if !(f.v >= 0 && f.v <= f.most) {
			bad("carbon.%s: got %g, want 0 to %g", f.key, f.v, f.most)
		}
	}
	return errors.Join(problems...)
}
