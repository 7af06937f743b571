package scenario

import (
	"errors"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// smallPrivate is a run under a contract that trains in well under a second.
func smallPrivate() Scenario {
	s := small()
	s.Run.Privacy, s.Run.Weights = coordinator.PrivacyContract, "uniform"
	s.Run.Task.Architecture.Name, s.Run.Task.Batch, s.Run.Task.ValidationFraction = "dp-cnn", 32, 0
	s.Run.Schedule.Kind = "constant"
	s.Run.Server = serveropt.Config{Name: "fedavgm", LR: 1, Momentum: 0.9}
	s.Run.Contract = privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut, Clip: 0.1, Mechanism: privacy.DiscreteGaussian, Noise: 1, Grid: 1 << 14,
		Rounding: privacy.RoundSum, Lane: privacy.DistributedDPSGD, SamplingRate: 0.05, Rounds: 3, MaxParticipations: 3,
		Epsilon: 4, Delta: 1e-5, Colluders: 1, MinCohort: 3, MaxCohort: 5, MinRecords: 20, Records: 1000,
		Counts: privacy.CountsPublic, Parameters: 26010, MicroBatch: 32,
	}
	return s
}

// A private run repeats bit for bit, coins and noise included, and leaves a ledger
// that verifies with nothing but its public key.
func TestPrivateRun(t *testing.T) {
	s := smallPrivate()
	want := run(t, s, 1)
	if got := run(t, s, 4); got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("4 workers give model %s, 1 gives %s", got.ModelSHA256, want.ModelSHA256)
	}
	if r := want.Final(); r.Train != nil || r.Validation != nil {
		t.Errorf("round %+v tells metrics that the contract does not release", r)
	}
	v, err := ledger.Verify(want.Ledger, want.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	if v.Balance.Rounds != 3 || v.Balance.Reserved != 0 || !(v.Balance.Spent > 0 && v.Balance.Spent <= 4) {
		t.Errorf("balance %+v, want 3 rounds charged and at most the budget spent", v.Balance)
	}
	for _, at := range []int{len(want.Ledger) / 3, len(want.Ledger) / 2, len(want.Ledger) - 2} {
		b := append([]byte(nil), want.Ledger...)
		b[at] ^= 1
		if _, err := ledger.Verify(b, want.LedgerKey); !errors.Is(err, ledger.ErrDifferent) {
			t.Errorf("byte %d flipped: got %v, want a difference", at, err)
		}
	}
}

// With an average every round's figures are its, and so is the last model; owners go
// on from the iterates.
func TestAverageIsTheLastModel(t *testing.T) {
	s := small()
	s.Run.Rounds.Count = 4
	plain := run(t, s, 2)
	s.Run.Server.Average = 0.9
	averaged := run(t, s, 2)
	for i, r := range averaged.Records {
		same := r.Model == plain.Records[i].Model
		if last := i == len(averaged.Records)-1; same == last {
			t.Errorf("round %d: same model as without an average is %v, want %v", r.Round, same, !last)
		}
	}
	if a := averaged.Final(); a.Model != averaged.ModelSHA256 || a.Test.Loss == plain.Final().Test.Loss {
		t.Errorf("the last round is of model %s with loss %g, the result is %s", a.Model, a.Test.Loss, averaged.ModelSHA256)
	}
}

// The run never takes more than the contract's budget: it halts before.
func TestBudgetHaltsTheRun(t *testing.T) {
	s := smallPrivate()
	s.Run.Contract.Rounds, s.Run.Contract.MaxParticipations = 2, 2
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "the contract covers 2 rounds") {
		t.Errorf("three rounds under a contract for two: got %v, want a refusal", err)
	}
}

// Fewer noise shares than are charged open nothing: the round is void, the
// reservation stands, and the run goes on.
func TestRoundsUnderTheFloorAreVoid(t *testing.T) {
	s := smallPrivate()
	s.Run.Contract.MinCohort, s.Run.Rounds.MinReports = 4, 4
	s.Faults.Dropout = 0.4
	s.Run.Rounds.MaxVoid = 1
	s.Run.Rounds.Count, s.Run.Contract.Rounds, s.Run.Contract.MaxParticipations = 8, 8, 8
	r, err := Run(t.Context(), s, Options{Workers: 2})
	if !errors.Is(err, coordinator.ErrHalted) {
		t.Fatalf("ended with %v, want ErrHalted: with 40 %% dropout some round falls under the floor", err)
	}
	v, err := ledger.Verify(r.Ledger, r.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, round := range v.Rounds {
		if c := round.Commit; c != nil && (c.Counts.Survived < 4 || c.Noise.Effective < c.Noise.Planned) {
			t.Errorf("round %d was opened with %d updates and noise %v", round.Number, c.Counts.Survived, c.Noise)
		}
	}
	if v.Balance.Reserved != 1 {
		t.Errorf("%d reservations stand, want that of the void round", v.Balance.Reserved)
	}
}
