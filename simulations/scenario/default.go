package scenario

import (
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/simulations/mnist"
)

// Plain is the default of scenarios without privacy: ten data holders train a small
// CNN on handwritten digits that a Dirichlet distribution dealt out, so that nobody
// has all ten digits in equal parts, by federated averaging over encrypted sums.
func Plain() Scenario {
	n := mnist.Normalization()
	return Scenario{
		Name:      "mnist-10",
		Clients:   10,
		Data:      Data{Set: "mnist"},
		Partition: Partition{Kind: "dirichlet", Alpha: 0.5, Least: 100},
		Committee: Committee{Members: 4, Threshold: 3, Corrupt: 1},
		Run: coordinator.Config{
			Name: "mnist-10", Seed: 1, Encryption: coordinator.EncryptionThreshold, Committee: coordinator.DefaultCommittee(), Privacy: "none",
			Rounds: coordinator.Rounds{
				Count: 12, MinReports: coordinator.DefaultMinReports,
				// A simulated round ends when everyone has reported or is lost; the
				// clock never decides, or the result would depend on the machine.
				Deadline: 24 * time.Hour, HolderTime: time.Hour, MaxVoid: 3,
			},
			Update:   aggregation.Codec{Bits: 16, Range: 1},
			Weights:  "examples",
			Server:   serveropt.Config{Name: serveropt.FedAvg, LR: 1},
			Schedule: optim.Schedule{Kind: optim.Cosine},
			Energy:   energy.Default(),
			Task: train.Config{
				Architecture:  nn.Architecture{Name: "mnist-cnn"},
				Classes:       []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
				Normalization: n,
				Optimizer:     optim.Config{Name: optim.SGD, LR: 0.05, Momentum: 0.9},
				Batch:         32,
				Epochs:        0.5,
			},
		},
	}
}

// Default is what `simulations` runs when it is given no file: the owners and the data of
// Plain, trained by distributed DP-SGD. Every round is one step over the sum of all
// owners' clipped gradients and noise shares, which nobody sees apart.
func Default() Scenario {
	s := Plain()
	s.Name, s.Run.Name = "mnist-private", "mnist-private"
	r := &s.Run
	r.Rounds.Count, r.Rounds.MinReports, r.Rounds.Evaluate = 200, 7, 20
	r.Privacy = coordinator.PrivacyContract
	r.Contract = privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut,
		Clip: 0.1, Mechanism: privacy.DiscreteGaussian, Noise: 0.709, Grid: 1 << 14, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.01707, Rounds: 200, MaxParticipations: 200,
		Epsilon: 4, Delta: 1e-5, Colluders: 1, MinCohort: 7, MaxCohort: 10,
		MinRecords: 100, Records: 60000, Counts: privacy.CountsPublic, Parameters: 26010, MicroBatch: 64,
	}
	r.Weights = "uniform"
	r.Server = serveropt.Config{Name: serveropt.FedAvgM, LR: 7, Momentum: 0.9, Average: 0.95}
	r.Schedule = optim.Schedule{Kind: optim.Constant}
	r.Task.Architecture, r.Task.Batch, r.Task.Epochs = nn.Architecture{Name: "dp-cnn"}, 64, 1
	r.Task.Augmentation.Shift, r.Task.Copies = 1, 2
	return s
}

// Load reads a scenario: what o does not name stays as in Default, or as in Plain
// when o says that there is no privacy.
func Load(o config.Sources) (Scenario, error) {
	s := Default()
	err := config.Load(&s, o)
	if s.Run.Privacy == "none" {
		s = Plain()
		err = config.Load(&s, o)
	}
	return s, err
}
