package policy

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sotto-fl/sotto/privacy"
)

// Values of the key privacy.
const (
	WithContract    = "contract" // only runs with a privacy contract
	WithoutContract = "none"     // any run
)

func (p Policy) validatePrivacy() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if p.Privacy != WithContract && p.Privacy != WithoutContract {
		bad("privacy: got %q, want %s or %s", p.Privacy, WithContract, WithoutContract)
	}
	for _, u := range p.Units {
		if u != privacy.UnitExample && u != privacy.UnitGroup && u != privacy.UnitClient {
			bad("units: got %q, want %s, %s or %s", u, privacy.UnitExample, privacy.UnitGroup, privacy.UnitClient)
		}
	}
	if !(p.Noise >= 0 && p.Noise < 1e6) {
		bad("smallest_noise: got %g, want 0 or more", p.Noise)
	}
	for name, v := range map[string]float64{"largest_epsilon": p.Epsilon, "budget_epsilon": p.BudgetEpsilon} {
		if !(v > 0 && v < 1e6) {
			bad("%s: got %g, want above 0", name, v)
		}
	}
	for name, v := range map[string]float64{"largest_delta": p.Delta, "budget_delta": p.BudgetDelta} {
		if !(v > 0 && v < 1) {
			bad("%s: got %g, want above 0, below 1", name, v)
		}
	}
	for name, list := range map[string][]string{"architectures": p.Architectures, "tasks": p.Tasks} {
		for _, h := range list {
			if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
				bad("%s: got %.80q, want 64 hexadecimal digits", name, h)
			}
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // maps have no order
	return problems
}

// Summary says in one line what the policy permits of privacy.
func (p Policy) Summary() string {
	if p.Privacy == WithoutContract {
		return "it permits any run, also those that promise no privacy (privacy: none)"
	}
	return fmt.Sprintf("it permits runs with a privacy contract: epsilon up to %g at delta %g, noise from %g; epsilon %g over all runs on the same data", p.Epsilon, p.Delta, p.Noise, p.BudgetEpsilon)
}

// CheckRun returns ErrRefused for a run that promises less privacy than the policy asks
// for, or trains something that it does not name. That the noise is what the contract
// says is for the client itself, which draws it; that epsilon follows from it is computed
// again when the run is joined.
func (p Policy) CheckRun(c privacy.Contract, architecture, task [32]byte) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("%w: the policy itself is not usable: %w", ErrRefused, err)
	}
	for _, list := range []struct {
		key, what string
		allowed   []string
		hash      [32]byte
	}{{"architectures", "network", p.Architectures, architecture}, {"tasks", "task", p.Tasks, task}} {
		named := func(h string) bool { return strings.EqualFold(h, hex.EncodeToString(list.hash[:])) }
		if len(list.allowed) > 0 && !slices.ContainsFunc(list.allowed, named) {
			return fmt.Errorf("%w: it trains the %s %x, which %s does not name", ErrRefused, list.what, list.hash, list.key)
		}
	}
	switch {
	case c.None() && p.Privacy == WithoutContract:
		return nil
	case c.None():
		return fmt.Errorf("%w: it has no privacy contract, and privacy is %s", ErrRefused, p.Privacy)
	case len(p.Units) > 0 && !slices.Contains(p.Units, c.Unit):
		return fmt.Errorf("%w: its contract protects the unit %s, units allows %s", ErrRefused, c.Unit, strings.Join(p.Units, ", "))
	case !(c.Noise >= p.Noise):
		return fmt.Errorf("%w: its contract has a noise multiplier of %g, smallest_noise is %g", ErrRefused, c.Noise, p.Noise)
	case !(c.Epsilon <= p.Epsilon):
		return fmt.Errorf("%w: its contract has an epsilon of %g, largest_epsilon is %g", ErrRefused, c.Epsilon, p.Epsilon)
	case !(c.Delta <= p.Delta):
		return fmt.Errorf("%w: its contract has a delta of %g, largest_delta is %g", ErrRefused, c.Delta, p.Delta)
	case c.MinCohort < p.Cohort:
		return fmt.Errorf("%w: its contract counts on %d contributors, smallest_cohort is %d", ErrRefused, c.MinCohort, p.Cohort)
	}
	return nil
}
