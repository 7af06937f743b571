package compare

import (
	"context"
	"testing"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/simulations/fleet"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// How far k steps take an owner along its first one, beside what costcurve.Progress says,
// after twelve rounds of eight steps. Neither equal weights for updates nor their
// numbers of steps are near it. The seed is not among those that policies are judged by.
func TestProgressIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	s, err := scenario.Load(config.Sources{File: "../scenarios/energy.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	var c fleet.Config
	if err := config.Load(&c, config.Sources{File: "../fleets/mixed.yaml"}); err != nil {
		t.Fatal(err)
	}
	w, err := NewWorld(s, c, 11)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	pool, err := newTrainers(w.task, 2)
	if err != nil {
		t.Fatal(err)
	}
	const owners, rounds = 20, 12
	params := w.initial
	who, tasks := make([]int, owners), make([]int64, owners)
	for round := 1; round <= rounds; round++ {
		for k := range who {
			who[k], tasks[k] = (round*owners+k)%len(w.clients), 8
		}
		if _, err := w.step(ctx, pool, params, round, who, tasks); err != nil {
			t.Fatal(err)
		}
	}
	steps := []int{1, 2, 4, 8, 16}
	deltas := make([][]float32, owners*len(steps))
	if err := pool.each(len(deltas), func(tr *train.Trainer, k int) error {
		i, n := k%owners, steps[k/owners]
		deltas[k] = make([]float32, len(params))
		_, err := tr.Run(ctx, params, w.clients[i], nil, train.Work{
			Round: rounds + 1, Client: w.names[i], LR: w.rate(rounds + 1),
			Epochs: (float64(n*w.task.Batch) - 0.5) / float64(w.clients[i].Len()),
		}, deltas[k])
		return err
	}); err != nil {
		t.Fatal(err)
	}
	far := make([]float64, len(steps))
	for k, d := range deltas {
		var dot, squared float64
		for j, v := range deltas[k%owners] {
			dot += float64(v) * float64(d[j])
			squared += float64(v) * float64(v)
		}
		far[k/owners] += dot / squared / owners
	}
	for i, n := range steps {
		t.Logf("%2d steps: %.2f of the first, progress %.2f", n, far[i], costcurve.Progress(int64(n)))
	}
	measured, model := far[4]/far[2], costcurve.Progress(16)/costcurve.Progress(4)
	if measured < 1.05 || measured > 2 || measured/model > 1.35 || model/measured > 1.35 {
		t.Errorf("16 steps go %.2f times as far as 4, the model says %.2f", measured, model)
	}
}
