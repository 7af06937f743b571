package optim

import (
	"errors"
	"fmt"
	"math"
)

// The kinds a Schedule may have.
const (
	Constant = "constant"
	Step     = "step"
	Cosine   = "cosine"
	Plateau  = "plateau"
)

// Schedule says how the learning rate moves over the rounds or epochs of a run.
// The empty kind is constant.
type Schedule struct {
	Kind     string  `yaml:"kind" json:"kind" doc:"constant, step, cosine or plateau"`
	Every    int     `yaml:"every" json:"every" doc:"step: rounds between two reductions"`
	Factor   float64 `yaml:"factor" json:"factor" doc:"step, plateau: what one reduction multiplies the rate by"`
	Floor    float64 `yaml:"floor" json:"floor" doc:"least rate, never above the base rate"`
	Patience int     `yaml:"patience" json:"patience" doc:"plateau: rounds without improvement that are put up with"`
	MinDelta float64 `yaml:"min_delta" json:"min_delta" doc:"plateau: least fall of the validation loss that is an improvement"`
}

// Validate reports every field that is out of range, and every field that is
// set although the kind ignores it.
func (s Schedule) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	unused := func(name string, set bool) {
		if set {
			bad("%s: kind %s does not use it, remove it", name, s.Kind)
		}
	}
	switch s.Kind {
	case "", Constant, Cosine, Plateau, Step:
	default:
		return fmt.Errorf("kind: got %q, want %s, %s, %s or %s", s.Kind, Constant, Step, Cosine, Plateau)
	}
	if s.Kind == Step {
		if s.Every < 1 {
			bad("every: got %d, want at least 1", s.Every)
		}
	} else {
		unused("every", s.Every != 0)
	}
	if s.Kind == Step || s.Kind == Plateau {
		if !(s.Factor > 0 && s.Factor < 1) {
			bad("factor: got %g, want more than 0 and less than 1", s.Factor)
		}
	} else {
		unused("factor", s.Factor != 0)
	}
	if s.Kind == Plateau {
		if s.Patience < 0 {
			bad("patience: got %d, want 0 or more", s.Patience)
		}
		if !(s.MinDelta >= 0) || math.IsInf(s.MinDelta, 0) {
			bad("min_delta: got %g, want 0 or more", s.MinDelta)
		}
	} else {
		unused("patience", s.Patience != 0)
		unused("min_delta", s.MinDelta != 0)
	}
	if !(s.Floor >= 0) || math.IsInf(s.Floor, 0) {
		bad("floor: got %g, want 0 or more", s.Floor)
	}
	return errors.Join(problems...)
}

// Rate is the learning rate of step (from 0) of total. history holds the
// validation losses so far, oldest first, and matters to plateau alone: each
// run of more than Patience losses that are not below the best by MinDelta
// reduces the rate once (torch's ReduceLROnPlateau with an absolute threshold
// and no cooldown). A NaN is no improvement.
func (s Schedule) Rate(base float64, step, total int, history []float64) float64 {
	rate, floor := base, min(s.Floor, base)
	switch s.Kind {
	case Step:
		rate = base * math.Pow(s.Factor, float64(step/max(s.Every, 1)))
	case Cosine:
		done := min(float64(step)/float64(max(total, 1)), 1)
		rate = floor + (base-floor)*(1+math.Cos(math.Pi*done))/2
	case Plateau:
		best, waited := math.Inf(1), 0
		for _, loss := range history {
			if loss < best-s.MinDelta {
				best, waited = loss, 0
			} else if waited++; waited > s.Patience {
				rate, waited = rate*s.Factor, 0
			}
		}
	}
	return max(rate, floor)
}

// EarlyStopping ends a run whose validation loss no longer falls.
type EarlyStopping struct {
	Patience int     `yaml:"patience" json:"patience" doc:"losses without improvement that end the run; 0 never ends it"`
	MinDelta float64 `yaml:"min_delta" json:"min_delta" doc:"least fall of the loss that is an improvement"`
}

// Validate reports every field that is out of range.
func (e EarlyStopping) Validate() error {
	var problems []error
	if e.Patience < 0 {
		problems = append(problems, fmt.Errorf("patience: got %d, want 0 (never stop) or more", e.Patience))
	}
	if !(e.MinDelta >= 0) || math.IsInf(e.MinDelta, 0) {
		problems = append(problems, fmt.Errorf("min_delta: got %g, want 0 or more", e.MinDelta))
	}
	return errors.Join(problems...)
}

// Stop says whether the last Patience losses of history, oldest first, all
// failed to improve on the best before them by more than MinDelta. A NaN is no
// improvement.
func (e EarlyStopping) Stop(history []float64) bool {
	best, waited := math.Inf(1), 0
	for _, loss := range history {
		if loss < best-e.MinDelta {
			best, waited = loss, 0
		} else {
			waited++
		}
	}
	return e.Patience > 0 && waited >= e.Patience
}
