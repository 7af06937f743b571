// Package fleet releases statistics about the clients of a run, each with noise and each an event in the run's ledger:
// how many devices reported, and how long they took.
//
// It is differential privacy in the central model. The server sees every contribution in the clear: who reported when is
// metadata that no encryption of updates hides. What a release protects is a client, adding or removing all it contributed
// to the window, against those who read the ledger, the report or the log; it protects nobody against the server. A
// client contributes once to a release, with its mean over the window, clamped. The guarantee is beside that of the
// contract, with a budget of its own; both hold at once.
//
// Noise is that of github.com/google/differential-privacy/go, whose secure Laplace mechanism rounds to a grid.
package fleet

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/differential-privacy/go/v3/dpagg"

	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Config says what is released about the fleet, and at what price. The zero value releases nothing.
type Config struct {
	Every   int           `yaml:"every" json:"every" doc:"rounds between two releases of noised statistics about the clients; 0 for none"`
	Epsilon float64       `yaml:"epsilon" json:"epsilon" doc:"budget of all releases, for a client, beside that of the contract"`
	Delta   float64       `yaml:"delta" json:"delta" doc:"their delta"`
	Release float64       `yaml:"release_epsilon" json:"release_epsilon" doc:"epsilon of one release"`
	Longest time.Duration `yaml:"longest_round" json:"longest_round" doc:"round times are clamped to this"`
}

// orders are those that a budget's filter may be fixed at.
var orders = []float64{1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256}

// Budget returns the budget of a run of so many rounds, with the order of its filter fixed in advance at the one that is best
// for the plan; nil if nothing is released.
func (c Config) Budget(rounds int) (*ledger.MetricsBudget, error) {
	if c == (Config{}) {
		return nil, nil
	}
	if c.Every < 1 || !(c.Epsilon > 0 && c.Epsilon < 1e6) || !(c.Delta > 0 && c.Delta < 1) || !(c.Release > 0 && c.Release <= c.Epsilon) || c.Longest < time.Second {
		return nil, errors.New("want every, epsilon, delta and release_epsilon above 0, release_epsilon at most epsilon, longest_round from 1s: or all of them 0")
	}
	releases := int64(rounds / c.Every)
	if releases < 1 {
		return nil, fmt.Errorf("every: got %d, the run has %d rounds: nothing would be released", c.Every, rounds)
	}
	count, mean := c.events()
	plan := accountant.SelfComposed{Event: accountant.Composed{Events: []accountant.Event{count, mean}}, Count: releases}
	best, least := 0.0, 0.0
	for _, order := range orders {
		r, err := accountant.Accountant{Method: accountant.RDP, Orders: []float64{order}}.Epsilon(plan, c.Delta)
		if err != nil {
			return nil, err
		}
		if best == 0 || r.Upper < least {
			best, least = order, r.Upper
		}
	}
	if least > c.Epsilon {
		return nil, fmt.Errorf("epsilon: %d releases cost %.4g, the budget is %g: raise every, or lower release_epsilon", releases, least, c.Epsilon)
	}
	return &ledger.MetricsBudget{Epsilon: c.Epsilon, Delta: c.Delta, Order: best}, nil
}

// events are those of a release: half of its epsilon for the count, and for the mean, which dpagg makes of a noised count
// and a noised sum, a quarter each.
func (c Config) events() (count, mean accountant.Event) {
	quarter := accountant.Laplace{NoiseMultiplier: 4 / c.Release}
	return accountant.Laplace{NoiseMultiplier: 2 / c.Release}, accountant.SelfComposed{Event: quarter, Count: 2}
}

// Window collects between two releases. The zero value is empty. It is not safe for concurrent use.
type Window struct {
	rounds  int
	clients map[string]spell
}

// spell is how often a client reported, and how many seconds it took in all.
type spell struct {
	reports int
	seconds float64
}

// Add takes one round: the seconds that each client took to report.
func (w *Window) Add(took map[string]float64) {
	w.rounds++
	if w.clients == nil {
		w.clients = map[string]spell{}
	}
	for client, seconds := range took {
		s := w.clients[client]
		w.clients[client] = spell{s.reports + 1, s.seconds + seconds}
	}
}

// Due says that the window is full.
func (w *Window) Due(c Config) bool { return c.Every > 0 && w.rounds >= c.Every }

// Release empties the window and returns what may be published of it, once the ledger has it.
func (w *Window) Release(c Config) ([]ledger.Metric, error) {
	count, err := dpagg.NewCount(&dpagg.CountOptions{Epsilon: c.Release / 2, MaxPartitionsContributed: 1})
	if err != nil {
		return nil, fmt.Errorf("fleet statistics: %w", err)
	}
	mean, err := dpagg.NewBoundedMean(&dpagg.BoundedMeanOptions{
		Epsilon: c.Release / 2, MaxPartitionsContributed: 1, MaxContributionsPerPartition: 1, Lower: 0, Upper: c.Longest.Seconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("fleet statistics: %w", err)
	}
	for _, s := range w.clients {
		if err := errors.Join(count.Increment(), mean.Add(s.seconds/float64(s.reports))); err != nil {
			return nil, fmt.Errorf("fleet statistics: %w", err)
		}
	}
	*w = Window{}
	devices, err := count.Result()
	if err != nil {
		return nil, fmt.Errorf("fleet statistics: %w", err)
	}
	seconds, err := mean.Result()
	if err != nil {
		return nil, fmt.Errorf("fleet statistics: %w", err)
	}
	a, b := c.events()
	return []ledger.Metric{
		{Name: "devices that reported", Event: ledger.Event{Event: a}, Values: []float64{float64(devices)}},
		{Name: "seconds from the start of a round to a device's report, mean", Event: ledger.Event{Event: b}, Values: []float64{seconds}},
	}, nil
}
