package scenario

import (
	"strings"
	"testing"
)

// powered is a small federation on a drawn fleet.
func powered(policy string) Scenario {
	s := small()
	s.Run.Encryption = "none"
	s.Fleet = "../fleets/mixed.yaml"
	s.Run.Energy.Policy = policy
	return s
}

// Orders with unequal work reach the participants: same seed, same model, for any number
// of workers; and clients do not all do the same.
func TestSameSeedSameModelUnderAPolicy(t *testing.T) {
	for _, policy := range []string{"price", "random-best"} {
		s := powered(policy)
		s.Run.Rounds.Cohort = 4
		s.Run.Energy.Tasks = 40
		want := run(t, s, 1)
		if got := run(t, s, 8); got.ModelSHA256 != want.ModelSHA256 {
			t.Errorf("%s: 8 workers give model %s, 1 gives %s", policy, got.ModelSHA256, want.ModelSHA256)
		}
		works := map[int64]bool{}
		for _, r := range want.Records {
			if r.Energy == nil || r.Energy.Clients == nil || len(r.Energy.Orders) != 4 {
				t.Fatalf("%s: energy of round %d is %+v", policy, r.Round, r.Energy)
			}
			var sum float64
			for _, o := range r.Energy.Orders {
				works[o.Tasks] = true
				sum += o.Joules
				if o.Mode == "" || !o.Done || o.Tasks < 5 || o.Tasks > 20 {
					t.Errorf("%s: round %d ordered %+v, want a mode and 5 to 20 steps", policy, r.Round, o)
				}
			}
			if r.Energy.Tasks != 40 || sum <= 0 || r.Energy.Clients.Joules < 0.999*sum || r.Energy.Clients.Joules > 1.001*sum || r.Energy.Clients.Tier != 3 {
				t.Errorf("%s: round %d: %+v, orders sum to %g J", policy, r.Round, r.Energy, sum)
			}
		}
		if unequal := len(works) > 1; unequal != (policy == "price") {
			t.Errorf("%s: works %v", policy, works)
		}
	}
}

// Normalisation leaves equal work alone, bit for bit: the policy that gives everyone
// what the epochs come to gives the model of plain federated averaging.
func TestEqualWorkIsFederatedAveraging(t *testing.T) {
	s := small()
	s.Run.Encryption = "none"
	s.Partition.Kind, s.Partition.Alpha, s.Run.Task.Epochs = "iid", 0, 1
	want := run(t, s, 2)
	s.Run.Energy.Policy = "random-full"
	got := run(t, s, 2)
	if got.ModelSHA256 != want.ModelSHA256 {
		t.Errorf("model %s, federated averaging gives %s", got.ModelSHA256, want.ModelSHA256)
	}
	if want.Records[0].Energy != nil {
		t.Error("nobody offered figures, and there are joules")
	}
}

func TestPoliciesThatNeedWhatTheServerNeverSees(t *testing.T) {
	s := powered("oort")
	if _, err := Run(t.Context(), s, Options{Workers: 1}); err == nil || !strings.Contains(err.Error(), "losses") {
		t.Errorf("got %v", err)
	}
}
