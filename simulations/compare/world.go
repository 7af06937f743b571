package compare

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/simulations/fleet"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// World is what all policies meet under one seed. It is read only once made.
type World struct {
	seed    uint64
	fleet   *fleet.Fleet
	clients []*dataset.Set
	names   []string
	test    *dataset.Set
	initial []float32
	task    train.Config
	weigh   func(examples int) float64
	rate    func(round int) float64
	origin  string // what the above come from
	cache   string // folder; "": none
}

// Cache keeps what rounds do to models in a folder that exists, for this and later worlds.
func (w *World) Cache(folder string) { w.cache = folder }

// NewWorld deals out the scenario's data and draws the fleet, both under root.
func NewWorld(s scenario.Scenario, c fleet.Config, root uint64) (*World, error) {
	s.Run.Seed = root
	clients, test, err := s.Open()
	if err != nil {
		return nil, err
	}
	if s.Run.Encryption != "none" || s.Run.Privacy != "none" || s.Run.Server.Name != "fedavg" || s.Run.Server.LR != 1 {
		return nil, fmt.Errorf("scenario %s: compare trains without encryption, privacy or a server's optimiser; set run.encryption and run.privacy to none and run.server_optimizer to fedavg with lr 1", s.Name)
	}
	if o := s.Run.Task.Optimizer; o.Name != "sgd" || o.Nesterov || o.ProxMu != 0 {
		return nil, fmt.Errorf("scenario %s: compare normalises the work of SGD only; got the optimiser %s", s.Name, o.Name)
	}
	if s.Run.Task.Batch != c.Round.Batch {
		return nil, fmt.Errorf("scenario %s: run.task.batch is %d, the fleet's round.batch is %d; a task is one batch, make them equal", s.Name, s.Run.Task.Batch, c.Round.Batch)
	}
	f, err := fleet.Draw(c, len(clients), root)
	if err != nil {
		return nil, err
	}
	m, err := s.Run.Task.Architecture.Init(root)
	if err != nil {
		return nil, err
	}
	w := &World{seed: root, fleet: f, clients: clients, test: test, initial: m.Params, task: s.Run.Task}
	if w.origin, err = origin(struct {
		Scenario scenario.Scenario
		Rounds   int // of which the learning rate may be a function
	}{s, c.Round.Count}); err != nil {
		return nil, err
	}
	for i := range clients {
		w.names = append(w.names, fmt.Sprintf("client-%04d", i+1))
	}
	w.weigh = func(n int) float64 { return 1 }
	if s.Run.Weights == "examples" {
		w.weigh = func(n int) float64 { return float64(n) }
	}
	schedule, base := s.Run.Schedule, s.Run.Task.Optimizer.LR
	if schedule.Kind == "plateau" {
		schedule = optim.Schedule{Kind: "constant"}
	}
	w.rate = func(round int) float64 { return schedule.Rate(base, round-1, c.Round.Count, nil) }
	return w, nil
}

// luck is what happens to one client in one round, whatever the policy.
type luck struct {
	lost         bool
	at           float64 // share of the work that a lost client did
	slow, hungry float64 // time and power beside what the curve says
}

func (w *World) luck(round, client int) luck {
	rng := seed.New(w.seed, "compare/luck", round, w.names[client])
	e := w.fleet.Config.Error
	return luck{
		lost: rng.Float64() < w.fleet.Config.Loss, at: rng.Float64(),
		slow: math.Exp(e * rng.NormFloat64()), hungry: math.Exp(e * rng.NormFloat64()),
	}
}

// trainers are as many as there are workers.
type trainers chan *train.Trainer

func newTrainers(task train.Config, workers int) (trainers, error) {
	p := make(trainers, workers)
	for range workers {
		t, err := train.New(task)
		if err != nil {
			return nil, err
		}
		p <- t
	}
	return p, nil
}

// each calls do for 0 to n-1 with a trainer, and returns the first error in that order.
func (p trainers) each(n int, do func(t *train.Trainer, i int) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		t := <-p
		wait.Go(func() {
			defer func() { p <- t }()
			errs[i] = do(t, i)
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// step trains the clients' shares of a round and moves params: each update is divided by
// its progress, and the mean multiplied by the mean progress (FedNova, see
// costcurve.Progress).
func (w *World) step(ctx context.Context, p trainers, params []float32, round int, who []int, tasks []int64) (losses []float64, err error) {
	deltas, steps := make([][]float32, len(who)), make([]int, len(who))
	losses = make([]float64, len(who))
	if err := p.each(len(who), func(t *train.Trainer, k int) error {
		i := who[k]
		n := w.clients[i].Len()
		deltas[k] = make([]float32, len(params))
		m, err := t.Run(ctx, params, w.clients[i], nil, train.Work{
			Round: round, Client: w.names[i], LR: w.rate(round),
			Epochs: (float64(tasks[k]*int64(w.task.Batch)) - 0.5) / float64(n), // rounded up to whole examples
		}, deltas[k])
		steps[k] = m.Steps
		losses[k] = m.TrainLoss / float64(max(1, m.TrainExamples))
		return err
	}); err != nil {
		return nil, err
	}
	var weight, effective float64
	for k, i := range who {
		p := w.weigh(w.clients[i].Len())
		weight += p
		effective += p * costcurve.Progress(int64(steps[k]))
	}
	if weight == 0 {
		return losses, nil
	}
	sum := make([]float64, len(params))
	for k, i := range who {
		f := w.weigh(w.clients[i].Len()) / weight * (effective / weight) / costcurve.Progress(int64(steps[k]))
		for j, d := range deltas[k] {
			sum[j] += f * float64(d)
		}
	}
	for j, d := range sum {
		params[j] += float32(d)
	}
	return losses, nil
}

// accuracy measures params on the test set, in fixed parts.
func (w *World) accuracy(ctx context.Context, p trainers, params []float32) (float64, error) {
	const part = 500
	n := (w.test.Len() + part - 1) / part
	right := make([]int, n)
	err := p.each(n, func(t *train.Trainer, i int) (err error) {
		index := make([]int, 0, part)
		for j := i * part; j < min(w.test.Len(), (i+1)*part); j++ {
			index = append(index, j)
		}
		_, right[i], err = t.Evaluate(ctx, params, w.test.Subset(index))
		return err
	})
	sum := 0
	for _, r := range right {
		sum += r
	}
	return float64(sum) / float64(w.test.Len()), err
}

// shares measures params on up to 100 of the images of each client.
func (w *World) shares(ctx context.Context, p trainers, params []float32) ([]float64, error) {
	shares := make([]float64, len(w.clients))
	err := p.each(len(shares), func(t *train.Trainer, i int) error {
		n := min(100, w.clients[i].Len())
		index := seed.New(w.seed, "compare/shares", 0, w.names[i]).Perm(w.clients[i].Len())[:n]
		_, right, err := t.Evaluate(ctx, params, w.clients[i].Subset(index))
		shares[i] = float64(right) / float64(n)
		return err
	})
	return shares, err
}

// curve is what a client declares, with what its battery holds now.
func (w *World) curve(i int, battery float64) (costcurve.Curve, error) {
	d := w.fleet.Clients[i].Device
	if w.fleet.Clients[i].BatteryJoules > 0 {
		d.Battery.Joules = battery
	}
	return d.Curve(w.fleet.Terms)
}
