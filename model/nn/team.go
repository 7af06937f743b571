package nn

import (
	"sync"
	"sync/atomic"

	"github.com/sotto-fl/sotto/model/kernel"
)

// team spreads the chunks of a batch over goroutines. Chunks are taken in any
// order; nothing depends on it.
type team struct {
	x     []float32
	batch int
	work  func(n *simd, w *worker, chunk int)
	loops []func() // one for each worker but the first
	next  atomic.Int32
	done  sync.WaitGroup
}

// setWorkers makes room for count goroutines.
func (n *simd) setWorkers(count int) {
	n.workers, n.loops = nil, nil
	for id := range count {
		w := &worker{id: id}
		for _, f := range n.frames {
			w.grads = append(w.grads, f.example(f.alloc(1), 0))
		}
		w.one = kernel.Alloc(n.private)
		n.workers = append(n.workers, w)
		if id > 0 {
			n.loops = append(n.loops, func() {
				n.loop(w)
				n.done.Done()
			})
		}
	}
	for _, l := range n.trunk {
		l.scratch(count)
	}
}

// run does work on every chunk of the batch and returns when all are done.
func (n *simd) run(work func(n *simd, w *worker, chunk int), batch int) {
	n.work, n.batch = work, batch
	n.next.Store(0)
	if n.chunkCount(batch) > 1 {
		n.done.Add(len(n.loops))
		for _, l := range n.loops {
			go l()
		}
	}
	n.loop(n.workers[0])
	if n.chunkCount(batch) > 1 {
		n.done.Wait()
	}
}

func (n *simd) loop(w *worker) {
	for {
		i := int(n.next.Add(1)) - 1
		if i >= n.chunkCount(n.batch) {
			return
		}
		n.work(n, w, i)
	}
}

func forwardChunk(n *simd, w *worker, chunk int) {
	lo, hi := n.chunk(chunk, n.batch)
	n.forwardExamples(w, lo, hi)
}

func backwardChunk(n *simd, w *worker, chunk int) {
	sum := n.sums[chunk]
	clear(sum)
	lo, hi := n.chunk(chunk, n.batch)
	for e := lo; e < hi; e++ {
		n.backExample(w, e, sum)
	}
}
