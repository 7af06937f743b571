package main

import (
	"context"

	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/simulations/results"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// epsilons certifies a scenario's contract against each adversary; nil without one.
// It is the cost of the whole plan, also for a run that took fewer rounds.
func epsilons(s scenario.Scenario) ([]results.Epsilon, error) {
	if s.Run.Privacy != coordinator.PrivacyContract {
		return nil, nil
	}
	rows, err := s.Run.Contract.Certify()
	if err != nil {
		return nil, err
	}
	var list []results.Epsilon
	for _, r := range rows {
		list = append(list, results.Epsilon{Adversary: r.Adversary, Lower: r.Lower, Epsilon: r.Upper, Delta: s.Run.Contract.Delta, Promised: r.Claimed})
	}
	return list, nil
}

// runBaseline runs what Scenario.Baseline made and tells its seconds and its test accuracy.
func runBaseline(ctx context.Context, s scenario.Scenario, workers int) (seconds, accuracy float64, err error) {
	r, err := scenario.Run(ctx, s, scenario.Options{Workers: workers})
	if err != nil {
		return 0, 0, err
	}
	if f := r.Final(); f != nil && f.Test != nil {
		accuracy = f.Test.Accuracy
	}
	return r.Seconds, accuracy, nil
}
