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

// In lane B coins decide: the run repeats, and neither the ledger nor the records say how many took part.
func TestClientsOfLaneB(t *testing.T) {
	s := smallClients()
	s.Run.Contract.Lane, s.Run.Contract.SamplingRate = privacy.LaneB, 0.5
	want := run(t, s, 1)
	if got := run(t, s, 4); got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("4 workers give model %s, 1 gives %s", got.ModelSHA256, want.ModelSHA256)
	}
	v, err := ledger.Verify(want.Ledger, want.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	if v.Balance.Rounds != 3 || v.Spread != nil {
		t.Errorf("balance %+v and spread %+v, want 3 rounds and no spread", v.Balance, v.Spread)
	}
	for _, round := range v.Rounds {
		if round.Commit.Counts != nil {
			t.Errorf("round %d tells the size of its cohort: %+v", round.Number, *round.Commit.Counts)
		}
	}
	for _, r := range want.Records {
		if r.Accepted != 5 { // tails upload as well
			t.Errorf("round %d has %d uploads, want 5", r.Round, r.Accepted)
		}
	}
	s.Run.Contract.Lane, s.Run.Contract.SamplingRate = privacy.LaneA, 0
	if all := run(t, s, 2); all.ModelSHA256 == want.ModelSHA256 {
		t.Error("the coins changed nothing")
	}
}

// The clip norm follows its quantile from released bits: it moves, the ledger has every round's, and a
// second run repeats it.
func TestClipAdapts(t *testing.T) {
	s := smallClients()
	s.Run.Contract.Clip = 50 // far above every norm
	s.Run.Contract.Adaptive = privacy.AdaptiveClip{Quantile: 0.5, Rate: 1, BitNoise: 2}
	s.Run.Contract.Noise, s.Run.Contract.Epsilon = 1.5, 30
	want := run(t, s, 1)
	if got := run(t, s, 4); got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("4 workers give model %s, 1 gives %s", got.ModelSHA256, want.ModelSHA256)
	}
	v, err := ledger.Verify(want.Ledger, want.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	clip := 50.0
	for i, r := range want.Records {
		if r.Clip != clip || v.Rounds[i].Commit.Clip != clip {
			t.Errorf("round %d has clip norm %g and %g in the ledger, want %g", r.Round, r.Clip, v.Rounds[i].Commit.Clip, clip)
		}
		if r.NextClip == clip || r.NextClip <= 0 {
			t.Errorf("round %d leaves the clip norm at %g", r.Round, r.NextClip)
		}
		clip = r.NextClip
	}
}
