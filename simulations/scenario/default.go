package scenario

import (
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/simulations/mnist"
)

// Default is what `simulations` runs when it is given no file: ten data holders
// train a small CNN on handwritten digits that a Dirichlet distribution dealt
// out, so that nobody has all ten digits in equal parts. A scenario file changes
// what it names and keeps the rest.
func Default() Scenario {
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
			Server:   serveropt.Config{Name: "fedavg", LR: 1},
			Schedule: optim.Schedule{Kind: "cosine"},
			Task: train.Config{
				Architecture:  nn.Architecture{Name: "mnist-cnn"},
				Classes:       []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
				Normalization: n,
				Optimizer:     optim.Config{Name: "sgd", LR: 0.05, Momentum: 0.9},
				Batch:         32,
				Epochs:        0.5,
			},
		},
	}
}
