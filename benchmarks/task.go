package benchmarks

import (
	"math/rand/v2"

	"github.com/sotto-fl/sotto/internal/picture"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
)

// Task is a network with its initial weights, an optimiser and random examples. Its
// rate of training is zero: many steps on a few examples would learn them by heart,
// which keeps more outputs alive than training on many does, and other weights each
// time it is run. A step of rate zero does all the arithmetic of any other.
type Task struct {
	Net    *nn.Network
	Opt    *optim.Optimizer
	update nn.Rule
	X      []float32
	Labels []int32
}

// DenseMFLOP is the dense arithmetic of one training example of cifar-cnn: the
// forward products, the weight gradients, and the input gradients of all layers
// but the first, 2 operations for each multiply-add.
const DenseMFLOP = 35.0

// ForwardMFLOP is the part of the forward pass.
const ForwardMFLOP = 12.3

// NewTask makes a task for batches of up to batch examples, with count random
// pictures.
func NewTask(model string, batch, count, workers int) (*Task, error) {
	a, err := nn.Named(model)
	if err != nil {
		return nil, err
	}
	m, err := a.Init(1)
	if err != nil {
		return nil, err
	}
	n, err := nn.New(a, batch)
	if err != nil {
		return nil, err
	}
	n.SetWorkers(workers)
	if err := n.Import(m.Params); err != nil {
		return nil, err
	}
	opt, err := optim.New(optim.Config{Name: optim.Adam, LR: 1e-3}, len(n.Weights()))
	if err != nil {
		return nil, err
	}
	opt.SetWorkers(workers)
	t := &Task{Net: n, Opt: opt, update: opt.Update, X: make([]float32, count*a.Input.Size()), Labels: make([]int32, count)}
	r := rand.New(rand.NewPCG(1, 1))
	picture.Fill(t.X, a.Input.C, a.Input.H, a.Input.W, r)
	for i := range t.Labels {
		t.Labels[i] = int32(r.IntN(a.Classes()))
	}
	return t, nil
}

// Step makes one training step on all examples: gradient and Adam.
func (t *Task) Step() { t.Train(t.X, t.Labels) }

// Train is Step on examples of the caller's.
func (t *Task) Train(x []float32, labels []int32) {
	t.Opt.Begin(0)
	t.Net.Train(x, labels, t.update)
}

// ClippedStep is Step with every example's gradient clipped and no noise.
func (t *Task) ClippedStep() {
	t.Opt.Begin(0)
	t.Net.ClippedGradient(t.X, t.Labels, 1, 1/float64(len(t.Labels)), t.update)
}

// White replaces the pictures by white noise.
func (t *Task) White() {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range t.X {
		t.X[i] = float32(r.NormFloat64())
	}
}
