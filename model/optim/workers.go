package optim

import (
	"sync"
	"sync/atomic"
)

// part is the parameters that one goroutine updates at a time: 256 KB of each
// vector.
const part = 1 << 16

// workers spreads an element-wise rule over goroutines that run only during Step.
type workers struct {
	weights, grads []float32
	rule           func(o *Optimizer, lo, hi int)
	loops          []func()
	next           atomic.Int32
	done           sync.WaitGroup
}

// SetWorkers lets Step use count goroutines on kernel paths with vector
// instructions. Results do not depend on it.
func (o *Optimizer) SetWorkers(count int) {
	o.loops = nil
	for range count - 1 {
		o.loops = append(o.loops, func() {
			o.loop()
			o.done.Done()
		})
	}
}

// each applies rule to all parameters.
func (o *Optimizer) each(weights, grads []float32, rule func(o *Optimizer, lo, hi int)) {
	o.workers.weights, o.workers.grads, o.workers.rule = weights, grads, rule
	o.next.Store(0)
	helpers := o.loops[:min(len(o.loops), (o.size-1)/part)]
	o.done.Add(len(helpers))
	for _, l := range helpers {
		go l()
	}
	o.loop()
	o.done.Wait()
	o.workers.weights, o.workers.grads = nil, nil
}

func (o *Optimizer) loop() {
	for {
		lo := int(o.next.Add(1)-1) * part
		if lo >= o.size {
			return
		}
		o.workers.rule(o, lo, min(lo+part, o.size))
	}
}

func adamRule(o *Optimizer, lo, hi int) {
	o.path.Adam(o.weights[lo:hi], o.grads[lo:hi], o.m[lo:hi], o.v[lo:hi], &o.scalars)
}

func momentumRule(o *Optimizer, lo, hi int) {
	o.path.Momentum(o.weights[lo:hi], o.grads[lo:hi], o.m[lo:hi], &o.rate)
}
