package scenario

import (
	"errors"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// smallClients protects whole clients, five of them, with a linear model.
func smallClients() Scenario {
	s := small()
	s.Run.Privacy, s.Run.Weights = coordinator.PrivacyContract, "uniform"
	s.Run.Schedule.Kind = "constant"
	s.Run.Server = serveropt.Config{Name: serveropt.FedAvg, LR: 1}
	t := &s.Run.Task
	t.Architecture = nn.Architecture{Name: "linear", Input: nn.Shape{C: 1, H: 28, W: 28}, Layers: []nn.Layer{{Kind: nn.Flatten}, {Kind: nn.Dense, Out: 10}}}
	t.Batch, t.Epochs, t.ValidationFraction = 64, 1, 0
	s.Run.Contract = privacy.Contract{
		Unit: privacy.UnitClient, Adjacency: privacy.ZeroOut, Clip: 0.5, Mechanism: privacy.DiscreteGaussian, Noise: 1, Grid: 1 << 14,
		Rounding: privacy.RoundRecord, Lane: privacy.LaneA, Rounds: 3, MaxParticipations: 3,
		Epsilon: 20, Delta: 1e-2, Colluders: 1, MinCohort: 3, MaxCohort: 5, MinRecords: 20,
		Counts: privacy.CountsPublic, Parameters: 7850,
	}
	return s
}

// A run that protects clients repeats bit for bit, noise included, and leaves a ledger that
// verifies and says how often clients took part.
func TestPrivateClients(t *testing.T) {
	s := smallClients()
	want := run(t, s, 1)
	if got := run(t, s, 4); got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("4 workers give model %s, 1 gives %s", got.ModelSHA256, want.ModelSHA256)
	}
	if r := want.Final(); r.Train != nil || r.Validation != nil || r.Examples != 0 {
		t.Errorf("round %+v tells metrics that the contract does not release", r)
	}
	v, err := ledger.Verify(want.Ledger, want.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	if v.Balance.Rounds != 3 || v.Balance.Reserved != 0 || !(v.Balance.Spent > 0 && v.Balance.Spent <= 20) {
		t.Errorf("balance %+v, want 3 rounds charged and at most the budget spent", v.Balance)
	}
	if v.Spread == nil || len(v.Spread.Counts) != 1 || v.Spread.Counts[0] != (ledger.Tally{Rounds: 3, Clients: 5}) {
		t.Errorf("spread %+v, want 5 clients in 3 rounds each", v.Spread)
	}
	s.Run.Seed++
	if other := run(t, s, 2); other.ModelSHA256 == want.ModelSHA256 {
		t.Error("another seed gives the same model")
	}
}

// Each client takes part in as many rounds as the contract allows and no more: then the run
// halts and says why, before anything of the next round is reserved.
func TestClientsAreLimited(t *testing.T) {
	s := smallClients()
	s.Run.Rounds.Cohort = 3
	s.Run.Rounds.Count, s.Run.Contract.Rounds, s.Run.Contract.MaxParticipations = 8, 8, 2
	r, err := Run(t.Context(), s, Options{Workers: 2})
	if !errors.Is(err, coordinator.ErrHalted) || !strings.Contains(err.Error(), "have taken part in 2 rounds") {
		t.Fatalf("ended with %v, want ErrHalted and the reason", err)
	}
	v, err := ledger.Verify(r.Ledger, r.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	// Ten participations are three cohorts of three; a fourth would take somebody's third.
	if n := v.Balance.Rounds; n < 2 || n > 3 || v.Balance.Reserved != 0 {
		t.Errorf("balance %+v, want 2 or 3 rounds charged and nothing reserved", v.Balance)
	}
}

// Fewer noise shares than are charged open nothing.
func TestClientsUnderTheFloorAreVoid(t *testing.T) {
	s := smallClients()
	s.Run.Contract.MinCohort, s.Run.Rounds.MinReports = 4, 4
	s.Faults.Dropout = 0.4
	s.Run.Rounds.MaxVoid = 1
	s.Run.Rounds.Count, s.Run.Contract.Rounds, s.Run.Contract.MaxParticipations = 8, 8, 8
	s.Run.Contract.Epsilon = 50
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
}
