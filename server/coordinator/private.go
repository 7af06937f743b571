package coordinator

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/privatise"
	"github.com/sotto-fl/sotto/server/fleet"
)

// PrivacyContract is the value of privacy under which the section contract holds.
const PrivacyContract = "contract"

// private says whether the run has a privacy contract.
func (c Config) private() bool { return c.Privacy == PrivacyContract }

// validatePrivacy refuses contradictions between the contract and the rest of the
// configuration, each with what to change.
func (c Config) validatePrivacy() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch c.Privacy {
	case "none":
		if c.Fleet != (fleet.Config{}) {
			bad("fleet: statistics about clients are accounted for in a ledger, and privacy: none has none")
		}
		if c.Task.Copies > 1 {
			bad("task.copies: got %d under privacy: none: only DP-SGD averages copies of a record", c.Task.Copies)
		}
		if c.Contract != (privacy.Contract{}) && c.Contract != (privacy.Contract{Unit: privacy.UnitNone}) {
			bad("contract: there is one although privacy is none: write privacy: contract, or leave the contract out")
		}
		return errors.Join(problems...)
	case PrivacyContract:
	default:
		return fmt.Errorf("privacy: got %q, want contract or none", c.Privacy)
	}
	k := c.Contract
	if err := k.Validate(); err != nil {
		return config.At("contract", err)
	}
	if k.None() {
		return errors.New("contract.unit: got none under privacy: contract: write privacy: none, or choose example, group or client")
	}
	if k.Unit == privacy.UnitClient {
		problems = append(problems, c.validateClients()...)
	}
	if k.Counts != privacy.CountsPublic {
		bad("contract.counts: got %q, want %s: clients tell how many records they hold when they connect, before they know of a contract, so that no server can promise less", k.Counts, privacy.CountsPublic)
	}
	if c.Task.ValidationFraction != 0 {
		bad("task.validation_fraction: got %g, want 0: a contract releases no validation losses, so that those records would serve nobody", c.Task.ValidationFraction)
	}
	if c.Encryption == "none" {
		bad("encryption: got none, want threshold: the contract is part of what clients encrypt for, and the server would see single noise shares, of which one does not protect its owner")
	}
	if layout, err := c.Task.Architecture.Layout(); err == nil && layout.Size() != k.Parameters {
		bad("contract.parameters: got %d, the architecture has %d", k.Parameters, layout.Size())
	}
	if k.Unit != privacy.UnitClient && c.Task.Batch > k.MicroBatch {
		bad("task.batch: got %d, want at most contract.micro_batch (%d): the contract charges for float32 sums of so many gradients", c.Task.Batch, k.MicroBatch)
	}
	if k.Unit != privacy.UnitExample && c.Task.Copies > 1 {
		bad("task.copies: got %d for unit %s: copies of one record are averaged under unit example", c.Task.Copies, k.Unit)
	}
	if c.Weights != "uniform" {
		bad("weights: got %q, want uniform: under a contract the divisor is a public constant", c.Weights)
	}
	if k.UploadAfter >= c.Rounds.Deadline {
		bad("contract.upload_after: got %v, want less than rounds.deadline (%v): every upload would come too late", k.UploadAfter, c.Rounds.Deadline)
	}
	if c.Rounds.Count > k.Rounds {
		bad("rounds.count: got %d, the contract covers %d rounds", c.Rounds.Count, k.Rounds)
	}
	if c.Rounds.MinReports < k.MinCohort {
		bad("rounds.min_reports: got %d, want at least contract.min_cohort (%d): fewer noise shares than are charged", c.Rounds.MinReports, k.MinCohort)
	}
	if n := max(c.Rounds.Cohort, c.Rounds.MinClients); n > k.MaxCohort {
		bad("contract.max_cohort: got %d, want at least the %d clients of a round", k.MaxCohort, n)
	}
	if c.Schedule.Kind == "plateau" || c.EarlyStop.Patience > 0 {
		bad("schedule, early_stopping: they look at the clients' validation losses, which a contract does not release")
	}
	if _, err := c.Fleet.Budget(c.Rounds.Count); err != nil {
		bad("fleet: %w", err)
	} else if c.Fleet.Every > 0 && k.Lane == privacy.LaneB {
		bad("fleet: in lane B nothing is published about who took part")
	}
	return errors.Join(problems...)
}

// compare says once if owners declare another number of records than the contract was planned
// for. Privacy holds either way. Where there are more, sums may overflow their fields, which spoils the model; where there
// are far fewer, steps are too small, for the divisor is the contract's.
func (c *Coordinator) compare(ctx context.Context, cohort []Info) {
	k := c.cfg.Contract
	if !c.cfg.private() || k.Unit != privacy.UnitExample || c.compared {
		return
	}
	declared := 0
	for _, info := range cohort {
		declared += info.Examples
	}
	if declared > k.Records || len(cohort) == k.MaxCohort && declared < k.Records/2 {
		c.compared = true
		zerolog.Ctx(ctx).Warn().Int("declared", declared).Int("contract", k.Records).Msg("clients declare another number of records than the contract says: plan the next run with theirs (contract.records)")
	}
}

// dpsgd is a round of DP-SGD: the sum of the owners' clipped gradients and of their
// noise (shares, or in the local lane each complete), divided by the public constant q*n.
type dpsgd struct {
	contract privacy.Contract
	derived  privacy.Derived
	hash     statement.Digest
}

func (d dpsgd) read(round int, values []int64, _ []float64, _ *Record) ([]float64, error) {
	rotation := privatise.NewRotation(d.contract.Parameters, privacy.RotationSeed(d.hash, round))
	decoder, err := privatise.NewDecoder(rotation, d.derived.Grid)
	if err != nil {
		return nil, err
	}
	step := make([]float64, d.contract.Parameters)
	if err := decoder.Decode(step, values, d.contract.Clip, d.contract.Divisor()); err != nil {
		return nil, err
	}
	for i := range step {
		step[i] = -step[i] // the server optimiser adds; a gradient is walked down
	}
	return step, nil
}
