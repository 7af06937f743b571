package scenario

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/simulations/mnist"
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

// Exactly as many are lost in every round as the floor bears: what is certified is what was
// planned, the ledger shows no less noise, and one lost more leaves nothing but void rounds.
func TestThreeOfTenDropEveryRound(t *testing.T) {
	s := smallPrivate()
	s.Clients, s.Partition.Least = 10, 20
	s.Run.Contract.MinCohort, s.Run.Contract.MaxCohort, s.Run.Rounds.MinReports = 7, 10, 7
	full := run(t, s, 2)
	s.Faults.DropExactly = 3
	r := run(t, s, 2)
	planned, err := s.Run.Contract.Certify()
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.Verify(r.Ledger, r.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	all, err := ledger.Verify(full.Ledger, full.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	if want := planned[0].Upper; v.Balance.Spent != all.Balance.Spent || math.Abs(float64(v.Balance.Spent)-want) > 1e-3 {
		t.Errorf("spent %v with three lost in every round and %v with none, planned %v", v.Balance.Spent, all.Balance.Spent, want)
	}
	for _, round := range v.Rounds {
		c := round.Commit
		if c == nil || c.Counts.Survived != 7 || c.Noise.Planned != s.Run.Contract.Noise || c.Noise.Effective < c.Noise.Planned {
			t.Errorf("round %d: %+v, want 7 survivors and at least the planned noise", round.Number, c)
		}
	}
	s.Faults.DropExactly = 4
	if r, err := Run(t.Context(), s, Options{Workers: 2}); !errors.Is(err, coordinator.ErrHalted) || r.Final() != nil || len(r.Records) != s.Run.Rounds.MaxVoid {
		t.Errorf("four lost: ended with %v after %d records, want %d void ones and nothing opened", err, len(r.Records), s.Run.Rounds.MaxVoid)
	}
}

// Each owner's noise is complete in the local lane: promised against key holders too, who would see one
// owner's sum.
func TestLocalRun(t *testing.T) {
	s := smallPrivate()
	s.Run.Contract.Lane = privacy.LocalDPSGD
	want := run(t, s, 2)
	if got := run(t, s, 1); got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("1 worker gives model %s, 2 give %s", got.ModelSHA256, want.ModelSHA256)
	}
	v, err := ledger.Verify(want.Ledger, want.LedgerKey)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := smallPrivate().Run.Contract.Derive()
	if err != nil {
		t.Fatal(err)
	}
	local, err := s.Run.Contract.Derive()
	if err != nil {
		t.Fatal(err)
	}
	if local.ShareVariance < 2*shared.ShareVariance-1 || v.Rounds[0].Commit.Noise.Effective < 1 {
		t.Errorf("a share of variance %d for %d of those that add up, noise %+v", local.ShareVariance, shared.ShareVariance, v.Rounds[0].Commit.Noise)
	}
	rows, err := s.Run.Contract.Certify()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !r.Claimed || r.Upper != rows[0].Upper {
			t.Errorf("against %s: epsilon %g, claimed %v; want %g, claimed", r.Adversary, r.Upper, r.Claimed, rows[0].Upper)
		}
	}
}

// Unit group: whole writers are dealt, drawn and clipped.
func TestGroupRun(t *testing.T) {
	s := smallPrivate()
	s.Data = Data{Set: "files", Path: groupFolder(t), Test: 50}
	s.Partition = Partition{Kind: "groups"}
	c := &s.Run.Contract
	c.Unit, c.Records, c.MinRecords, c.SamplingRate, c.Delta, c.Noise = privacy.UnitGroup, 100, 20, 0.3, 1e-3, 3
	want := run(t, s, 1)
	if got := run(t, s, 3); got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("3 workers give model %s, 1 gives %s", got.ModelSHA256, want.ModelSHA256)
	}
	if _, err := ledger.Verify(want.Ledger, want.LedgerKey); err != nil {
		t.Error(err)
	}
	c.Records = 99
	if _, err := Run(t.Context(), s, Options{Workers: 1}); err == nil || !strings.Contains(err.Error(), "the owners have 100 groups") {
		t.Errorf("another number of groups: got %v", err)
	}
	s = smallPrivate()
	s.Partition = Partition{Kind: "groups"}
	if _, err := Run(t.Context(), s, Options{Workers: 1}); err == nil || !strings.Contains(err.Error(), "needs data with groups") {
		t.Errorf("data without groups: got %v", err)
	}
}

// groupFolder writes 300 training images of 100 writers, and 100 of test, as IDX files.
func groupFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	train, test, err := mnist.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*dataset.Set{"train": train.Subset(first(300)), "t10k": test.Subset(first(100))} {
		images, labels := []byte{0, 0, 8, 3}, []byte{0, 0, 8, 1}
		for _, n := range []int{s.Len(), 28, 28} {
			images = binary.BigEndian.AppendUint32(images, uint32(n))
		}
		labels = binary.BigEndian.AppendUint32(labels, uint32(s.Len()))
		groups := "group\n"
		for i := range s.Len() {
			images = append(images, s.Image(i).(*image.Gray).Pix...)
			labels = append(labels, byte(s.Label(i)))
			groups += fmt.Sprintln("writer", i%100)
		}
		for suffix, b := range map[string][]byte{"-images-idx3-ubyte": images, "-labels-idx1-ubyte": labels, "-groups.csv": []byte(groups)} {
			if err := os.WriteFile(filepath.Join(dir, name+suffix), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func first(n int) []int {
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	return index
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
