package optim

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/model/kernel"
)

// Optimizer is one worker's rule and its state. It is not safe for concurrent
// use.
type Optimizer struct {
	config Config
	size   int
	steps  int
	m, v   []float32 // momentum or first moment; second moment; nil where unused
	anchor []float32

	path    *kernel.Path
	lr      float64    // of the step that Begin began
	scalars [6]float32 // arguments of the kernel of Adam,
	rate    [2]float32 // and of SGD with momentum
	workers
}

// New returns an optimiser for size parameters in its initial state.
func New(c Config, size int) (*Optimizer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, fmt.Errorf("optimizer for %d parameters, want at least 1", size)
	}
	o := &Optimizer{config: c.withDefaults(), size: size, path: kernel.Default()}
	if c.Momentum != 0 || c.adaptive() {
		o.m = kernel.Alloc(size)
	}
	if c.adaptive() {
		o.v = kernel.Alloc(size)
	}
	return o, nil
}

// Reset returns to the initial state, with no anchor: nothing of one client
// reaches the next.
func (o *Optimizer) Reset() {
	o.steps, o.anchor = 0, nil
	clear(o.m)
	clear(o.v)
}

// SetAnchor gives the point that FedProx pulls towards, the received model. w is
// kept, not copied, and must not change until the next Reset. Without prox_mu
// it has no effect.
//
// Li et al., "Federated Optimization in Heterogeneous Networks", 2020,
// arXiv:1812.06127: the loss gains mu/2 |w - anchor|^2.
func (o *Optimizer) SetAnchor(w []float32) { o.anchor = w }

// Step moves weights along grads at the rate lr. grads is overwritten: the
// proximal term and the weight decay are added to it. It panics if a length
// differs from New's size, or if prox_mu is set and the anchor is not.
//
// The rules are those of torch.optim (dampening 0, no amsgrad).
func (o *Optimizer) Step(weights, grads []float32, lr float64) {
	if len(weights) != o.size || len(grads) != o.size {
		panic(fmt.Sprintf("optim: step on %d weights and %d gradients, want %d", len(weights), len(grads), o.size))
	}
	o.Begin(lr)
	o.each(weights, grads)
}

// Begin starts a step at the rate lr, which Update then makes part by part. It
// panics if prox_mu is set and the anchor is not.
func (o *Optimizer) Begin(lr float64) {
	if o.config.ProxMu != 0 && len(o.anchor) != o.size {
		panic(fmt.Sprintf("optim: anchor of %d weights, want %d", len(o.anchor), o.size))
	}
	o.steps++
	o.lr = lr
	o.scalars = o.adamScalars()
	o.rate = [2]float32{float32(o.config.Momentum), float32(lr)}
}

// Update makes the part of a step that concerns the weights w, the first of which
// is number lo, with their gradients g. g is overwritten as in Step. Once Begin has
// returned, several goroutines may update different weights; in a step each weight
// is to be updated once. It panics if the lengths differ or pass New's size.
func (o *Optimizer) Update(w, g []float32, lo int) {
	if len(w) != len(g) || lo < 0 || lo > o.size-len(w) {
		panic(fmt.Sprintf("optim: update of %d weights from %d on with %d gradients, want at most %d", len(w), lo, len(g), o.size))
	}
	if mu := float32(o.config.ProxMu); mu != 0 {
		anchor := o.anchor[lo:][:len(w)]
		for i, w := range w {
			g[i] += mu * (w - anchor[i])
		}
	}
	if decay := float32(o.config.WeightDecay); decay != 0 && o.config.Name != AdamW {
		for i, w := range w {
			g[i] += decay * w
		}
	}
	var m []float32
	if o.m != nil {
		m = o.m[lo:][:len(w)]
	}
	if o.config.adaptive() {
		o.adam(w, g, m, o.v[lo:][:len(w)])
	} else {
		o.sgd(w, g, m)
	}
}

func (o *Optimizer) sgd(weights, grads, m []float32) {
	momentum, lr := o.rate[0], o.rate[1]
	grads = grads[:len(weights)]
	switch {
	case momentum == 0:
		if o.path.SIMD() {
			o.path.AXPY(weights, grads, -lr)
			return
		}
		for i, g := range grads {
			weights[i] -= lr * g
		}
	case o.config.Nesterov:
		for i, g := range grads {
			m[i] = momentum*m[i] + g
			weights[i] -= lr * (g + momentum*m[i])
		}
	case o.path.SIMD():
		o.path.Momentum(weights, grads, m, &o.rate)
	default:
		for i, g := range grads {
			m[i] = momentum*m[i] + g
			weights[i] -= lr * m[i]
		}
	}
}

// adamScalars gives Adam PyTorch's form:
// w -= lr/(1-beta1^t) * m / (sqrt(v)/sqrt(1-beta2^t) + epsilon), with the scalars
// in float64.
func (o *Optimizer) adamScalars() [6]float32 {
	c, t := o.config, float64(o.steps)
	rate := float32(o.lr / (1 - math.Pow(c.Beta1, t)))
	scale := float32(1 / math.Sqrt(1-math.Pow(c.Beta2, t)))
	return [6]float32{float32(1 - c.Beta1), float32(c.Beta2), float32(1 - c.Beta2), rate, scale, float32(c.Epsilon)}
}

func (o *Optimizer) adam(weights, grads, m, v []float32) {
	if c := o.config; c.Name == AdamW && c.WeightDecay != 0 {
		keep := float32(1 - o.lr*c.WeightDecay)
		for i := range weights {
			weights[i] *= keep
		}
	}
	if o.path.SIMD() {
		o.path.Adam(weights, grads, m, v, &o.scalars)
		return
	}
	fresh1, beta2, fresh2, rate, scale, epsilon := o.scalars[0], o.scalars[1], o.scalars[2], o.scalars[3], o.scalars[4], o.scalars[5]
	for i, g := range grads {
		m[i] += fresh1 * (g - m[i])
		v[i] = beta2*v[i] + fresh2*g*g
		weights[i] -= rate * m[i] / (float32(math.Sqrt(float64(v[i])))*scale + epsilon)
	}
}
