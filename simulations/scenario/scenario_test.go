package scenario

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// small is a federation that trains in well under a second.
func small() Scenario {
	s := Plain()
	s.Clients, s.Data.Train, s.Data.Test, s.Partition.Least = 5, 1000, 200, 20
	s.Run.Rounds.Count = 3
	s.Run.Task.ValidationFraction = 0.1
	return s
}

func run(t *testing.T, s Scenario, workers int) *Result {
	t.Helper()
	r, err := Run(t.Context(), s, Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Same seed, same model: bit for bit, whatever the number of workers, with
// clients lost in some rounds and not in others.
func TestSameSeedSameModel(t *testing.T) {
	for name, change := range map[string]func(*Scenario){
		"all report": func(*Scenario) {},
		"dropouts":   func(s *Scenario) { s.Faults.Dropout = 0.3 },
		"sampled":    func(s *Scenario) { s.Run.Rounds.Cohort = 4 },
		"uniform":    func(s *Scenario) { s.Run.Weights = "uniform" },
	} {
		t.Run(name, func(t *testing.T) {
			s := small()
			change(&s)
			want := run(t, s, 1)
			for _, workers := range []int{2, 8} {
				if got := run(t, s, workers); got.ModelSHA256 != want.ModelSHA256 {
					t.Errorf("%d workers give model %s, 1 gives %s", workers, got.ModelSHA256, want.ModelSHA256)
				}
			}
			s.Run.Seed++
			if other := run(t, s, 2); other.ModelSHA256 == want.ModelSHA256 {
				t.Error("another seed gives the same model")
			}
		})
	}
}

func TestTrainingLearns(t *testing.T) {
	s := small()
	s.Data.Train, s.Run.Rounds.Count, s.Run.Task.Epochs = 3000, 4, 1
	r := run(t, s, 2)
	final := r.Final()
	if final == nil || final.Test.Accuracy < 0.85 {
		t.Fatalf("final round is %+v, want an accuracy of at least 0.85", final)
	}
	if final.Train == nil || final.Validation == nil || final.Train.Loss > r.Records[0].Train.Loss {
		t.Errorf("training loss did not fall: %+v then %+v", r.Records[0].Train, final.Train)
	}
	if final.Accepted != 5 || final.Rejected != 0 || final.Discarded != 0 || final.Clamped != 0 {
		t.Errorf("final round counts %+v", final)
	}
}

// Dropouts cost reports, never the run; and a round that too few survive is void
// and tried again.
func TestDropouts(t *testing.T) {
	s := small()
	s.Faults.Dropout = 0.3
	s.Run.Rounds.Count = 6
	r := run(t, s, 2)
	lost := 0
	for _, rec := range r.Records {
		lost += rec.Cohort - rec.Accepted
	}
	if r.Final().Round != 6 || lost == 0 {
		t.Fatalf("%d rounds with %d reports lost, want 6 rounds and some lost", r.Final().Round, lost)
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	for want, change := range map[string]func(*Scenario){
		"clients:":                  func(s *Scenario) { s.Clients = 0 },
		"data.set:":                 func(s *Scenario) { s.Data.Set = "imagenet" },
		"data.path:":                func(s *Scenario) { s.Data = Data{Set: "files"} },
		"partition.alpha:":          func(s *Scenario) { s.Partition.Alpha = -1 },
		"partition.kind:":           func(s *Scenario) { s.Partition.Kind = "odd" },
		"faults.dropout:":           func(s *Scenario) { s.Faults.Dropout = 1 },
		"faults.spoil:":             func(s *Scenario) { s.Faults.Spoil = []string{"client-9999"} },
		"run.rounds.min_clients:":   func(s *Scenario) { s.Run.Rounds.MinClients = 4 },
		"run.rounds.min_reports:":   func(s *Scenario) { s.Run.Rounds.MinReports = 2 },
		"run.encryption:":           func(s *Scenario) { s.Run.Encryption = "" },
		"run.privacy:":              func(s *Scenario) { s.Run.Privacy = "some" },
		"run.task.optimizer.lr:":    func(s *Scenario) { s.Run.Task.Optimizer.LR = 0 },
		"run.task.batch:":           func(s *Scenario) { s.Run.Task.Batch = 0 },
		"run.task.classes:":         func(s *Scenario) { s.Run.Task.Classes = s.Run.Task.Classes[:3] },
		"run.task.architecture:":    func(s *Scenario) { s.Run.Task.Architecture.Name = "resnet-9000" },
		"run.update.bits":           func(s *Scenario) { s.Run.Update.Bits = 99 },
		"run.server_optimizer.name": func(s *Scenario) { s.Run.Server.Name = "magic" },
		"run.schedule.kind:":        func(s *Scenario) { s.Run.Schedule.Kind = "odd" },
	} {
		s := small()
		change(&s)
		err := s.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a problem at %s", err, want)
		}
	}
	if err := small().Validate(); err != nil {
		t.Errorf("the unchanged scenario: %v", err)
	}
}

// Another number of clients needs no second change: rounds wait for all of them.
func TestClientsAlone(t *testing.T) {
	s := Plain()
	s.Clients, s.Data.Train, s.Data.Test, s.Partition.Least, s.Run.Rounds.Count = 4, 400, 100, 10, 1
	if r := run(t, s, 2); r.Final().Cohort != 4 {
		t.Errorf("a round asked %d clients, want all 4", r.Final().Cohort)
	}
	s.Clients = 2
	if err := s.Validate(); err == nil || err.Error() != "clients: got 2, want at least run.rounds.min_reports (3)" {
		t.Errorf("two clients: got %v", err)
	}
}

// A run can start from a checkpoint: with no learning to speak of it stays there.
func TestStartsFromACheckpoint(t *testing.T) {
	s := small()
	first := run(t, s, 2)
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := checkpoint.WriteFile(path, first.Model, nil); err != nil {
		t.Fatal(err)
	}
	s.Initial = path
	s.Run.Task.Optimizer.LR = 1e-9
	second := run(t, s, 2)
	if a, b := first.Final().Test.Accuracy, second.Records[0].Test.Accuracy; a != b {
		t.Errorf("accuracy is %g after starting from a model of %g", b, a)
	}
	s.Run.Task.Architecture.Name = "dp-cnn"
	if _, err := Run(t.Context(), s, Options{Workers: 1}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a checkpoint of another architecture: got %v, want a refusal that names the file", err)
	}
}

// Encryption changes how updates travel and nothing else: the model is the same,
// bit for bit, also when a key holder is silent and clients are lost.
func TestEncryptionChangesNothing(t *testing.T) {
	for name, change := range map[string]func(*Scenario){
		"all answer":     func(*Scenario) {},
		"one is silent":  func(s *Scenario) { s.Committee.Silent = 1 },
		"dropouts":       func(s *Scenario) { s.Faults.Dropout = 0.2 },
		"three of three": func(s *Scenario) { s.Committee = Committee{Members: 3, Threshold: 3, Corrupt: 2} },
		"conservative":   func(s *Scenario) { s.Run.Committee.Security = "conservative" },
		"organisations":  func(s *Scenario) { s.Committee.Organisations = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			s := small()
			change(&s)
			encrypted := run(t, s, 2)
			s.Run.Encryption = "none"
			clear := run(t, s, 2)
			if encrypted.ModelSHA256 != clear.ModelSHA256 {
				t.Errorf("encrypted %s, in the clear %s", encrypted.ModelSHA256, clear.ModelSHA256)
			}
			if encrypted.BytesUp <= clear.BytesUp {
				t.Errorf("encrypted uploads take %d bytes, those in the clear %d: nothing was encrypted", encrypted.BytesUp, clear.BytesUp)
			}
		})
	}
}

// Too few key holders open nothing.
func TestSilentCommitteeOpensNothing(t *testing.T) {
	s := small()
	s.Committee.Silent = 2
	s.Run.Rounds.MaxVoid = 1
	r, err := Run(t.Context(), s, Options{Workers: 2})
	if !errors.Is(err, coordinator.ErrHalted) {
		t.Fatalf("ended with %v, want ErrHalted", err)
	}
	if r.Final() != nil || !strings.Contains(r.Records[0].Void, "key holders") {
		t.Errorf("records are %+v, want one void round for want of key holders", r.Records)
	}
}
