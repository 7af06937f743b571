package serveropt

import (
	"errors"
	"fmt"
)

// The names a Config may have.
const (
	FedAvg  = "fedavg"
	FedAvgM = "fedavgm"
	FedAdam = "fedadam"
	FedYogi = "fedyogi"
)

// Config chooses a rule and its constants. A zero field means the default of
// the rule (WithDefaults), except where the rule does not use it.
type Config struct {
	Name     string  `yaml:"name" json:"name" doc:"fedavg, fedavgm, fedadam or fedyogi"`
	LR       float64 `yaml:"lr" json:"lr" doc:"server rate; 0 for 1 (fedavg, fedavgm) or 0.01 (fedadam, fedyogi)"`
	Momentum float64 `yaml:"momentum" json:"momentum" doc:"fedavgm: share of the last step that is kept; 0 for 0.9"`
	Beta1    float64 `yaml:"beta1" json:"beta1" doc:"fedadam, fedyogi: decay of the mean update; 0 for 0.9"`
	Beta2    float64 `yaml:"beta2" json:"beta2" doc:"fedadam, fedyogi: decay of the mean squared update; 0 for 0.99"`
	Tau      float64 `yaml:"tau" json:"tau" doc:"fedadam, fedyogi: added to the denominator, smaller adapts more; 0 for 0.001"`
	Average  float64 `yaml:"average" json:"average" doc:"decay of the average of all rounds' models, which is measured, and is the model of the last round; 0 for none"`
}

// WithDefaults fills zero fields: lr 1 for fedavg and fedavgm, 0.01 for the
// adaptive rules; momentum 0.9; beta1 0.9, beta2 0.99 and tau 0.001, the
// paper's choices (its Section 5 fixes the betas and finds tau = 0.001 good
// throughout, and leaves the rate to be tuned).
func (c Config) WithDefaults() Config {
	fill := func(field *float64, value float64) {
		if *field == 0 {
			*field = value
		}
	}
	switch {
	case c.Name == FedAvg:
		fill(&c.LR, 1)
	case c.Name == FedAvgM:
		fill(&c.LR, 1)
		fill(&c.Momentum, 0.9)
	case c.adaptive():
		fill(&c.LR, 0.01)
		fill(&c.Beta1, 0.9)
		fill(&c.Beta2, 0.99)
		fill(&c.Tau, 1e-3)
	}
	return c
}

// Validate reports every field that is out of range, and every field that is
// set although the rule ignores it. It judges c.WithDefaults().
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name != FedAvg && c.Name != FedAvgM && !c.adaptive() {
		return fmt.Errorf("name: got %q, want %s, %s, %s or %s", c.Name, FedAvg, FedAvgM, FedAdam, FedYogi)
	}
	if !(c.LR > 0) || c.LR > 1e6 {
		problem("lr: got %g, want more than 0 and at most 1e6", c.LR)
	}
	unit := func(name string, value float64, used bool) {
		switch {
		case !used && value != 0:
			problem("%s: %s does not use it, remove it", name, c.Name)
		case !(value >= 0 && value < 1):
			problem("%s: got %g, want at least 0 and below 1", name, value)
		}
	}
	unit("average", c.Average, true)
	unit("momentum", c.Momentum, c.Name == FedAvgM)
	unit("beta1", c.Beta1, c.adaptive())
	unit("beta2", c.Beta2, c.adaptive())
	switch {
	case !c.adaptive() && c.Tau != 0:
		problem("tau: %s does not use it, remove it", c.Name)
	case c.adaptive() && !(c.Tau >= 1e-12 && c.Tau <= 1e6):
		problem("tau: got %g, want 1e-12 to 1e6", c.Tau)
	}
	return errors.Join(errs...)
}

func (c Config) adaptive() bool { return c.Name == FedAdam || c.Name == FedYogi }
