package train

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
)

// The model is large enough for the batch, the dense products and the optimiser
// to be shared.
func TestIndependentOfWorkers(t *testing.T) {
	a, err := nn.Named("cifar-cnn")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Architecture: a, Classes: dataset.CIFAR10(),
		Normalization: dataset.Normalization{Mean: []float64{0.5, 0.5, 0.5}, Std: []float64{0.25, 0.25, 0.25}},
		Optimizer:     optim.Config{Name: optim.Adam, LR: 1e-3}, Batch: 40, Epochs: 1, Seed: 8,
	}
	const images = 61
	rng := seed.New(5, "workers", 0, "")
	pixels, labels, index := make([]uint8, images*a.Input.Size()), make([]int32, images), make([]int32, images)
	for i := range pixels {
		pixels[i] = uint8(rng.Uint32())
	}
	for i := range labels {
		labels[i], index[i] = int32(rng.IntN(10)), int32(i)
	}
	data, err := dataset.New(dataset.Shape{C: 3, H: 32, W: 32}, pixels, labels, c.Classes)
	if err != nil {
		t.Fatal(err)
	}
	global := initial(t, c)
	trainer := newTrainer(t, c)
	train := func() ([]float32, []float64, Metrics) {
		delta, m := run(t, trainer, global, data, data, Work{Round: 1, Client: "north", Epochs: 1.5, LR: 1e-3})
		sum := make([]float64, len(global))
		if err := trainer.Clipped(context.Background(), global, data, index, 0.5, nil, sum); err != nil {
			t.Fatal(err)
		}
		return delta, sum, m
	}
	delta, sum, metrics := train()
	if !slices.ContainsFunc(delta, func(d float32) bool { return d != 0 }) {
		t.Fatal("training changed nothing")
	}
	for _, workers := range []int{2, 5, 1, 0} {
		trainer.SetWorkers(workers)
		d, s, m := train()
		if !slices.Equal(d, delta) || !slices.Equal(s, sum) || !cmp.Equal(m, metrics) {
			t.Errorf("results differ with %d workers", workers)
		}
	}
}
