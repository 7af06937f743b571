package nn

import (
	"sync"
	"sync/atomic"

	"github.com/sotto-fl/sotto/model/kernel"
)

// team spreads numbered tasks, such as the chunks of a batch, over goroutines.
// Tasks are taken in any order; nothing depends on it.
type team struct {
	x      []float32
	batch  int
	work   func(n *simd, w *worker, task int)
	tasks  int
	loops  []func() // one for each worker but the first
	next   atomic.Int32
	done   sync.WaitGroup
	shared sharedProduct
	// hold lets product leave one large product in shared, for a later run to do
	// together with something else; shared.parts is then above zero.
	hold bool
	wide *productDense // whose sweep is being made
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
	for _, l := range n.head {
		if d, ok := l.(*productDense); ok {
			d.scratch(count)
		}
	}
}

// run does work for every task from 0 on and returns when all are done.
func (n *simd) run(work func(n *simd, w *worker, task int), tasks int) {
	n.work, n.tasks = work, tasks
	n.next.Store(0)
	helpers := n.loops[:min(len(n.loops), tasks-1)]
	n.done.Add(len(helpers))
	for _, l := range helpers {
		go l()
	}
	n.loop(n.workers[0])
	n.done.Wait()
}

func (n *simd) loop(w *worker) {
	for {
		i := int(n.next.Add(1)) - 1
		if i >= n.tasks {
			return
		}
		n.work(n, w, i)
	}
}

// sharedProduct is a product that the workers share, by columns or by rows. Each
// element of C is one worker's and is summed in the same order as by one alone.
type sharedProduct struct {
	kernel.Product
	a, b, c, init []float32
	parts         int
	columns       bool
}

// minShared is the multiplications that are worth sharing.
const minShared = 1 << 21

// product computes p, with all workers if it is large.
func (n *simd) product(p *kernel.Product, a, b, c, init []float32) {
	if len(n.workers) == 1 || p.Rows*p.Cols*p.Depth < minShared {
		p.Run(n.path, a, b, c, init)
		return
	}
	s := sharedProduct{Product: *p, a: a, b: b, c: c, init: init, parts: p.Rows / 64}
	if p.Cols >= 128 && p.Rows < 1024 { // panels of 64 columns
		s.parts, s.columns = p.Cols/64, true
	}
	s.parts = max(1, min(s.parts, 4*len(n.workers)))
	if n.hold {
		n.hold, n.shared = false, s
		return
	}
	held := n.shared
	n.shared = s
	n.run(productPart, s.parts)
	n.shared = held
}

func productPart(n *simd, w *worker, part int) {
	s := &n.shared
	w.product.Set(&s.Product)
	p := &w.product
	if s.columns {
		panels := p.Cols / 64
		lo, hi := part*panels/s.parts*64, (part+1)*panels/s.parts*64
		if part == s.parts-1 {
			hi = p.Cols
		}
		p.Cols = hi - lo
		init := s.init
		if init != nil {
			init = init[lo:]
		}
		p.Run(n.path, s.a, s.b[n.column(lo, p.BPanel):], s.c[n.column(lo, p.CPanel):], init)
		return
	}
	lo, hi := part*p.Rows/s.parts, (part+1)*p.Rows/s.parts
	p.Rows = hi - lo
	init := s.init
	if init != nil {
		init = init[lo*p.IRow:]
	}
	p.Run(n.path, s.a[lo*p.ARow:], s.b, s.c[lo*p.CRow:], init)
}

// column is where column i starts, a multiple of a panel's columns.
func (n *simd) column(i, panel int) int {
	if panel == 0 {
		return i
	}
	return i / n.path.PanelCols() * panel
}

// backwardTask is a chunk's backward pass or, beyond the chunks, a part of the
// product that was held.
func backwardTask(n *simd, w *worker, task int) {
	if chunks := n.chunkCount(n.batch); task < chunks {
		backwardChunk(n, w, task)
	} else {
		productPart(n, w, task-chunks)
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
