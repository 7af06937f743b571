package scenario

import (
	"errors"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// ErrNoBaseline says that a scenario is not one that a run without privacy is set beside.
var ErrNoBaseline = errors.New("a baseline is for runs under a privacy contract")

// baselineRounds is how often the baseline averages: plain training needs few rounds.
const baselineRounds = 12

// Baseline is s without privacy: no clipping, no noise, no coins. It is federated
// averaging on the same data, owners, network, seed and encryption, which looks at as many records as s
// does in the mean, q*n*rounds, or all of them in every pass of every round under unit client. The
// client optimiser is that of s, or of the default scenario under unit client, where it makes one
// long step, with a rate that falls like a cosine. It is not DP-SGD with the noise turned off.
func (s Scenario) Baseline() (Scenario, error) {
	c := s.Run.Contract
	if s.Run.Privacy != coordinator.PrivacyContract {
		return s, ErrNoBaseline
	}
	s.Name += "-baseline"
	s.Run.Name = s.Name
	passes := c.SamplingRate * float64(s.Run.Rounds.Count)
	if c.Unit == privacy.UnitClient {
		passes = s.Run.Task.Epochs * float64(s.Run.Rounds.Count)
		if c.Lane == privacy.LaneB {
			passes *= c.SamplingRate
		}
		s.Run.Task.Optimizer, s.Run.Task.MaxSteps = Plain().Run.Task.Optimizer, 0
	}
	s.Run.Task.Epochs = passes / baselineRounds
	s.Run.Task.Copies = 0
	s.Run.Task.Batch = Plain().Run.Task.Batch
	s.Run.Rounds.Count, s.Run.Rounds.Evaluate = baselineRounds, baselineRounds
	s.Run.Privacy, s.Run.Contract = "none", privacy.Contract{}
	s.Run.Weights = "examples"
	s.Run.Server = serveropt.Config{Name: serveropt.FedAvg, LR: 1}
	s.Run.Schedule = optim.Schedule{Kind: optim.Cosine}
	return s, nil
}
