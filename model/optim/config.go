package optim

import (
	"errors"
	"fmt"
)

// The names a Config may have.
const (
	SGD   = "sgd"
	Adam  = "adam"
	AdamW = "adamw"
)

// Config chooses a rule and its constants. For adam and adamw a zero beta1,
// beta2 or epsilon means PyTorch's default: 0.9, 0.999, 1e-8. LR and WeightDecay
// have no default.
type Config struct {
	Name        string  `yaml:"name" json:"name" doc:"sgd, adam or adamw"`
	LR          float64 `yaml:"lr" json:"lr" doc:"base learning rate"`
	Momentum    float64 `yaml:"momentum" json:"momentum" doc:"sgd: share of the last step that is kept; 0 turns it off"`
	Nesterov    bool    `yaml:"nesterov" json:"nesterov" doc:"sgd: look ahead along the momentum"`
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay" doc:"pull towards zero; part of the gradient, but decoupled from it in adamw"`
	Beta1       float64 `yaml:"beta1" json:"beta1" doc:"adam, adamw: decay of the mean gradient; 0 for 0.9"`
	Beta2       float64 `yaml:"beta2" json:"beta2" doc:"adam, adamw: decay of the mean squared gradient; 0 for 0.999"`
	Epsilon     float64 `yaml:"epsilon" json:"epsilon" doc:"adam, adamw: added to the denominator; 0 for 1e-8"`
	ProxMu      float64 `yaml:"prox_mu" json:"prox_mu" doc:"FedProx: pull towards the received model; 0 turns it off"`
}

func (c Config) adaptive() bool { return c.Name == Adam || c.Name == AdamW }

func (c Config) withDefaults() Config {
	if c.adaptive() {
		for _, f := range []struct {
			field *float64
			value float64
		}{{&c.Beta1, 0.9}, {&c.Beta2, 0.999}, {&c.Epsilon, 1e-8}} {
			if *f.field == 0 {
				*f.field = f.value
			}
		}
	}
	return c
}

// Validate reports every field that is out of range, and every field that is
// set although the rule ignores it.
func (c Config) Validate() error {
	if c.Name != SGD && !c.adaptive() {
		return fmt.Errorf("name: got %q, want %s, %s or %s", c.Name, SGD, Adam, AdamW)
	}
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	unused := func(name string, set bool) {
		if set {
			bad("%s: %s does not use it, remove it", name, c.Name)
		}
	}
	share := func(name string, v float64) {
		if !(v >= 0 && v < 1) {
			bad("%s: got %g, want at least 0 and below 1", name, v)
		}
	}
	strength := func(name string, v float64) {
		if !(v >= 0 && v <= 1e6) {
			bad("%s: got %g, want 0 to 1e6", name, v)
		}
	}
	if !(c.LR > 0 && c.LR <= 1e6) {
		bad("lr: got %g, want more than 0 and at most 1e6", c.LR)
	}
	strength("weight_decay", c.WeightDecay)
	strength("prox_mu", c.ProxMu)
	if c.adaptive() {
		unused("momentum", c.Momentum != 0)
		unused("nesterov", c.Nesterov)
		share("beta1", c.Beta1)
		share("beta2", c.Beta2)
		if c.Epsilon != 0 && !(c.Epsilon >= 1e-30 && c.Epsilon <= 1) {
			bad("epsilon: got %g, want 1e-30 to 1, or 0 for 1e-8", c.Epsilon)
		}
	} else {
		unused("beta1", c.Beta1 != 0)
		unused("beta2", c.Beta2 != 0)
		unused("epsilon", c.Epsilon != 0)
		share("momentum", c.Momentum)
		if c.Nesterov && c.Momentum == 0 {
			bad("nesterov: needs momentum, e.g. 0.9")
		}
	}
	return errors.Join(problems...)
}
