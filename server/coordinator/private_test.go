package coordinator

import (
	"errors"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy"
)

// privateConfig is a run of the six-parameter model under a contract.
func privateConfig() Config {
	c := testConfig(2, 4)
	c.Encryption, c.Committee, c.Privacy, c.Weights = EncryptionThreshold, DefaultCommittee(), PrivacyContract, "uniform"
	c.Rounds.HolderTime, c.Rounds.MinReports = c.Rounds.Deadline, 3
	c.Contract = privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut, Clip: 1, Mechanism: privacy.DiscreteGaussian, Noise: 2, Grid: 4096, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.5, Rounds: 2, MaxParticipations: 2, Epsilon: 8, Delta: 1e-3,
		Colluders: 1, MinCohort: 3, MaxCohort: 4, MinRecords: 4, Records: 40, Counts: privacy.CountsPublic, Parameters: 6, MicroBatch: 2,
	}
	return c
}

func TestContractIsHeldAgainstConfiguration(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"":                          func(*Config) {},
		"task.batch: got 3":         func(c *Config) { c.Task.Batch = 3 },
		"contract.parameters:":      func(c *Config) { c.Contract.Parameters = 7 },
		"rounds.min_reports:":       func(c *Config) { c.Contract.MinCohort = 4 },
		"contract.micro_batch:":     func(c *Config) { c.Contract.MicroBatch = 0 },
		"encryption: got none":      func(c *Config) { c.Encryption = "none" },
		"rounds.count: got 3":       func(c *Config) { c.Rounds.Count = 3 },
		"weights: got \"examples\"": func(c *Config) { c.Weights = "examples" },
		"contract.counts: got \"bucketed\", want public": func(c *Config) { c.Contract.Counts = privacy.CountsBucketed },

		// What would need the clients' losses or counts, which a contract does not release.
		"task.validation_fraction: got 0.1":   func(c *Config) { c.Task.ValidationFraction = 0.1 },
		"schedule, early_stopping: they look": func(c *Config) { c.EarlyStop.Patience = 2 },
		"schedule, early_stopping: they":      func(c *Config) { c.Schedule.Kind = "plateau" },
		"contract.adaptive_clip.quantile:":    func(c *Config) { c.Contract.Adaptive = privacy.AdaptiveClip{Quantile: 0.5, Rate: 0.2, BitNoise: 5} },
	} {
		c := privateConfig()
		change(&c)
		err := c.Validate()
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a problem with %q", err, want)
		}
	}
}

// A plan over its own budget never reaches round 1.
func TestOverBudgetIsRefused(t *testing.T) {
	c := privateConfig()
	c.Contract.Epsilon = 0.5
	store := &memory{}
	_, err := New(t.Context(), c, store, Options{})
	if !errors.Is(err, privacy.ErrOverBudget) || !strings.Contains(err.Error(), "contract.epsilon: ") {
		t.Fatalf("got %v, want ErrOverBudget at contract.epsilon", err)
	}
	if _, err := store.Latest(t.Context()); !errors.Is(err, ErrNoState) {
		t.Errorf("the store holds something (%v): the refusal came too late", err)
	}
	c.Contract.Epsilon = 8
	if _, err := New(t.Context(), c, store, Options{}); errors.Is(err, privacy.ErrOverBudget) {
		t.Errorf("within the budget: got %v", err)
	}
}
