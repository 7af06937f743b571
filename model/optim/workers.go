package optim

import (
	"sync"
	"sync/atomic"
)

// part is the parameters that one goroutine updates at a time: 256 KB of each
// vector.
const part = 1 << 16

// workers spreads the updates of a Step over goroutines that run only during it.
type workers struct {
	weights, grads []float32
	loops          []func()
	next           atomic.Int32
	done           sync.WaitGroup
}

// SetWorkers lets Step use count goroutines. Results do not depend on it.
func (o *Optimizer) SetWorkers(count int) {
	o.loops = nil
	for range count - 1 {
		o.loops = append(o.loops, func() {
			o.loop()
			o.done.Done()
		})
	}
}

// each updates all parameters.
func (o *Optimizer) each(weights, grads []float32) {
	o.workers.weights, o.workers.grads = weights, grads
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
		hi := min(lo+part, o.size)
		o.Update(o.weights[lo:hi], o.grads[lo:hi], lo)
	}
}
