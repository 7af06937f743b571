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
		o.m = make([]float32, size)
	}
	if c.adaptive() {
		o.v = make([]float32, size)
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
	if mu := float32(o.config.ProxMu); mu != 0 {
		if len(o.anchor) != o.size {
			panic(fmt.Sprintf("optim: anchor of %d weights, want %d", len(o.anchor), o.size))
		}
		for i, w := range weights {
			grads[i] += mu * (w - o.anchor[i])
		}
	}
	if decay := float32(o.config.WeightDecay); decay != 0 && o.config.Name != AdamW {
		for i, w := range weights {
			grads[i] += decay * w
		}
	}
	o.steps++
	if o.config.adaptive() {
		o.adam(weights, grads, lr)
	} else {
		o.sgd(weights, grads, float32(lr))
	}
}

func (o *Optimizer) sgd(weights, grads []float32, lr float32) {
	momentum := float32(o.config.Momentum)
	grads, m := grads[:len(weights)], o.m
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
		m = m[:len(weights)]
		for i, g := range grads {
			m[i] = momentum*m[i] + g
			weights[i] -= lr * (g + momentum*m[i])
		}
	default:
		if o.path.SIMD() {
			o.rate = [2]float32{momentum, lr}
			o.each(weights, grads, momentumRule)
			return
		}
		m = m[:len(weights)]
		for i, g := range grads {
			m[i] = momentum*m[i] + g
			weights[i] -= lr * m[i]
		}
	}
}

// adam has PyTorch's form: w -= lr/(1-beta1^t) * m / (sqrt(v)/sqrt(1-beta2^t) + epsilon),
// with the scalars in float64.
func (o *Optimizer) adam(weights, grads []float32, lr float64) {
	c := o.config
	if c.Name == AdamW && c.WeightDecay != 0 {
		keep := float32(1 - lr*c.WeightDecay)
		for i := range weights {
			weights[i] *= keep
		}
	}
	t := float64(o.steps)
	rate := float32(lr / (1 - math.Pow(c.Beta1, t)))
	scale := float32(1 / math.Sqrt(1-math.Pow(c.Beta2, t)))
	fresh1, fresh2 := float32(1-c.Beta1), float32(1-c.Beta2)
	beta2, epsilon := float32(c.Beta2), float32(c.Epsilon)
	if o.path.SIMD() {
		o.scalars = [6]float32{fresh1, beta2, fresh2, rate, scale, epsilon}
		o.each(weights, grads, adamRule)
		return
	}
	grads, m, v := grads[:len(weights)], o.m[:len(weights)], o.v[:len(weights)]
	for i, g := range grads {
		m[i] += fresh1 * (g - m[i])
		v[i] = beta2*v[i] + fresh2*g*g
		weights[i] -= rate * m[i] / (float32(math.Sqrt(float64(v[i])))*scale + epsilon)
	}
}
