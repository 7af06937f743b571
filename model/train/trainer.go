package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
)

// ErrDiverged says that training left the finite numbers.
var ErrDiverged = errors.New("training diverged, lower the learning rate")

// Work is what one order asks of one client.
type Work struct {
	Round  int
	Client string
	Epochs float64 // passes over the data; a fraction of the last pass is a random part of it
	Steps  int     // exactly so many steps, in place of Epochs; 0: Epochs says
	LR     float64
}

// Processed is how many examples a client of n sees in so many steps of a batch: the
// last step of a pass takes what is left of it. n and batch are at least 1.
func Processed(steps, n, batch int) int {
	pass := (n + batch - 1) / batch // steps
	return steps/pass*n + min(n, steps%pass*batch)
}

// Steps is how many steps so many epochs over n examples take in batches. n and batch are
// at least 1.
func Steps(epochs float64, n, batch int) int {
	left := int(math.Ceil(epochs * float64(n)))
	pass := (n + batch - 1) / batch
	return left/n*pass + (left%n+batch-1)/batch
}

// maxSteps keeps products of orders inside an int.
const maxSteps = 1 << 40

func (w Work) validate() error {
	if w.Steps < 0 || w.Steps > maxSteps {
		return fmt.Errorf("order asks for %d steps, want 0 to %d", w.Steps, maxSteps)
	}
	if w.Steps == 0 && !(w.Epochs > 0 && w.Epochs <= maxEpochs) {
		return fmt.Errorf("order asks for %g epochs, want more than 0 and at most %d", w.Epochs, maxEpochs)
	}
	if !(w.LR >= 0 && w.LR <= math.MaxFloat32) {
		return fmt.Errorf("order has a learning rate of %g, want 0 or a positive number", w.LR)
	}
	return nil
}

// Metrics describe one client's work. Losses are sums over examples, in nats.
type Metrics struct {
	Examples      int // in the training part
	TrainExamples int // processed, counted once an epoch
	TrainLoss     float64
	TrainCorrect  int
	ValExamples   int
	ValLoss       float64 // of the received model
	ValCorrect    int
	Steps         int
}

// Trainer carries out one task. It is one worker's and not safe for concurrent
// use; nothing of one client's data or state reaches the next.
type Trainer struct {
	cfg     Config
	net     *nn.Network
	opt     *optim.Optimizer
	update  nn.Rule // opt's
	shape   dataset.Shape
	x       []float32 // (batch, C, H, W)
	labels  []int32
	index   []int
	scratch []float32 // one image, for augmentation
	start   []float32 // the received weights in the network's order
	local   []float32 // the trained weights in canonical order
	sum     []float64 // of clipped gradients, in the network's order

	// Of an architecture whose first layers are not trained.
	stem     *nn.Stem
	cache    *Features
	features []float32 // of a batch
}

// New makes a trainer with all of its buffers.
func New(c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	stem, rest, err := c.Architecture.Split()
	if err != nil {
		return nil, err
	}
	net, err := nn.New(rest, c.Batch)
	if err != nil {
		return nil, err
	}
	opt, err := optim.New(c.Optimizer, len(net.Weights()))
	if err != nil {
		return nil, err
	}
	in := c.Architecture.Input
	t := &Trainer{
		cfg: c, net: net, opt: opt, update: opt.Update, shape: dataset.Shape{C: in.C, H: in.H, W: in.W},
		x: make([]float32, c.Batch*in.Size()), labels: make([]int32, c.Batch),
		scratch: make([]float32, in.Size()),
		start:   make([]float32, len(net.Weights())), local: make([]float32, len(net.Weights())),
	}
	if stem != nil {
		t.stem, t.cache = stem, NewFeatures()
		t.features = make([]float32, c.Batch*stem.Out().Size())
	}
	return t, nil
}

// SetWorkers spreads each batch and each update over count goroutines (at least 1),
// which run only while a method does. Results do not depend on it; memory grows by
// a few buffers for each. On the portable kernel path it does nothing.
func (t *Trainer) SetWorkers(count int) {
	count = max(1, count)
	t.net.SetWorkers(count)
	t.opt.SetWorkers(count)
}

// Run trains on data from the parameters global (canonical order, not modified)
// and fills delta, of the same length, with local minus global. validation may be
// nil; it measures global before training. The result is a function of the task,
// the work, the data and global alone.
//
// It returns ErrDiverged, with delta undefined, when a loss or a weight is no
// longer finite, and ctx's error between two steps when ctx ends.
func (t *Trainer) Run(ctx context.Context, global []float32, data, validation *dataset.Set, work Work, delta []float32) (Metrics, error) {
	var m Metrics
	if err := errors.Join(work.validate(), t.check(data)); err != nil {
		return m, err
	}
	if len(delta) != len(global) {
		return m, fmt.Errorf("delta has %d values, want %d", len(delta), len(global))
	}
	if err := t.net.Import(global); err != nil {
		return m, err
	}
	var err error
	if validation != nil && validation.Len() > 0 {
		if err := t.check(validation); err != nil {
			return m, fmt.Errorf("validation: %w", err)
		}
		m.ValExamples = validation.Len()
		if m.ValLoss, m.ValCorrect, err = t.evaluate(ctx, validation); err != nil {
			return m, err
		}
		if !finite(m.ValLoss) {
			return m, fmt.Errorf("validation loss of the received model is %g: %w", m.ValLoss, ErrDiverged)
		}
	}
	copy(t.start, t.net.Weights())
	t.opt.Reset()
	t.opt.SetAnchor(t.start)
	if err := t.epochs(ctx, data, work, &m); err != nil {
		return m, err
	}
	if err := t.net.Export(t.local); err != nil {
		return m, err
	}
	for i, w := range t.local {
		d := w - global[i]
		if !finite(float64(d)) {
			return m, fmt.Errorf("parameter %d after %d steps: %w", i, m.Steps, ErrDiverged)
		}
		delta[i] = d
	}
	return m, nil
}

// epochs makes the steps of work. Each pass is a fresh shuffle; a fractional last
// pass stops early, which makes it a uniform sample without replacement.
func (t *Trainer) epochs(ctx context.Context, data *dataset.Set, work Work, m *Metrics) error {
	m.Examples = data.Len()
	shuffle := seed.New(t.cfg.Seed, "shuffle", work.Round, work.Client)
	vary := seed.New(t.cfg.Seed, "augment", work.Round, work.Client)
	left := int(math.Ceil(work.Epochs * float64(data.Len())))
	most := t.cfg.MaxSteps
	if work.Steps > 0 {
		if most > 0 && work.Steps > most {
			return fmt.Errorf("order asks for %d steps, the task allows %d", work.Steps, most)
		}
		left, most = Processed(work.Steps, data.Len(), t.cfg.Batch), work.Steps
		if left > maxEpochs*data.Len() {
			return fmt.Errorf("order asks for %d steps, more than %d passes over %d examples", work.Steps, maxEpochs, data.Len())
		}
	}
	for left > 0 {
		t.permute(data.Len(), shuffle)
		n := min(left, data.Len())
		for from := 0; from < n; from += t.cfg.Batch {
			if most > 0 && m.Steps == most {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.step(data, t.index[from:min(from+t.cfg.Batch, n)], work.LR, vary, m); err != nil {
				return err
			}
		}
		left -= n
	}
	return nil
}

func (t *Trainer) step(data *dataset.Set, index []int, lr float64, vary *rand.Rand, m *Metrics) error {
	x, labels := t.varied(data, index, vary)
	t.opt.Begin(lr)
	loss, correct := t.net.Train(x, labels, t.update)
	if !finite(loss) {
		return fmt.Errorf("loss after %d steps: %w", m.Steps, ErrDiverged)
	}
	m.Steps++
	m.TrainExamples += len(index)
	m.TrainLoss += loss
	m.TrainCorrect += correct
	return nil
}

// fill returns what the trained layers read of some examples.
func (t *Trainer) fill(data *dataset.Set, index []int) ([]float32, []int32) {
	if t.stem != nil {
		return t.kept(data, index)
	}
	return t.raw(data, index)
}

func (t *Trainer) raw(data *dataset.Set, index []int) ([]float32, []int32) {
	x, labels := t.x[:len(index)*t.shape.Size()], t.labels[:len(index)]
	data.Fill(x, labels, index, t.cfg.Normalization)
	return x, labels
}

// varied is fill with the task's augmentation.
func (t *Trainer) varied(data *dataset.Set, index []int, rng *rand.Rand) ([]float32, []int32) {
	if !t.cfg.Augmentation.Enabled() {
		return t.fill(data, index)
	}
	x, labels := t.raw(data, index)
	for i := range index {
		t.cfg.Augmentation.Apply(x[i*t.shape.Size():][:t.shape.Size()], t.scratch, t.shape, t.cfg.Normalization, rng)
	}
	return t.featuresOf(x, len(index)), labels
}

func (t *Trainer) permute(n int, rng *rand.Rand) {
	t.identity(n)
	rng.Shuffle(n, func(i, j int) { t.index[i], t.index[j] = t.index[j], t.index[i] })
}

func (t *Trainer) identity(n int) {
	if cap(t.index) < n {
		t.index = make([]int, n)
	}
	t.index = t.index[:n]
	for i := range t.index {
		t.index[i] = i
	}
}

// Evaluate measures params on data: the sum of the losses and the number of
// correct predictions.
func (t *Trainer) Evaluate(ctx context.Context, params []float32, data *dataset.Set) (lossSum float64, correct int, err error) {
	if err := t.check(data); err != nil {
		return 0, 0, err
	}
	if err := t.net.Import(params); err != nil {
		return 0, 0, err
	}
	return t.evaluate(ctx, data)
}

func (t *Trainer) evaluate(ctx context.Context, data *dataset.Set) (lossSum float64, correct int, err error) {
	t.identity(data.Len())
	for from := 0; from < data.Len(); from += t.cfg.Batch {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		x, labels := t.fill(data, t.index[from:min(from+t.cfg.Batch, data.Len())])
		l, c := t.net.Evaluate(x, labels)
		lossSum += l
		correct += c
	}
	return lossSum, correct, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// check refuses data that the network cannot take.
func (t *Trainer) check(data *dataset.Set) error {
	if data == nil || data.Len() == 0 {
		return errors.New("no training examples")
	}
	if c, h, w := data.Shape(); (dataset.Shape{C: c, H: h, W: w}) != t.shape {
		return fmt.Errorf("images are %dx%dx%d, the task wants %v", c, h, w, t.shape)
	}
	if have := data.Classes(); !slices.Equal(have, t.cfg.Classes) {
		return fmt.Errorf("data has the classes %q, the task %q: open the data with the task's classes", have, t.cfg.Classes)
	}
	return nil
}
