package nn

import "github.com/sotto-fl/sotto/model/kernel"

// team spreads the work on a batch over the workers.
type team struct {
	*crew
	x      []float32
	batch  int
	shared sharedProduct
	// hold lets product leave one large product in shared, for a later run to do
	// together with something else; shared.parts is then above zero.
	hold     bool
	wide     *productDense // whose sweep is being made
	prepared bool          // the trunk is, for the backward pass

	pieces pieces
}

// setWorkers makes room for count goroutines.
func (n *simd) setWorkers(count int) {
	n.workers = nil
	for id := range count {
		w := &worker{id: id}
		for _, f := range n.frames {
			w.grads = append(w.grads, f.example(f.alloc(1), 0))
		}
		w.one = kernel.Alloc(n.private)
		n.workers = append(n.workers, w)
	}
	n.crew = newCrew(n)
	for _, l := range n.trunk {
		l.scratch(count)
	}
	for _, l := range n.head {
		if d, ok := l.(*productDense); ok {
			d.scratch(count)
		}
	}
}

// gather calls the helpers that are worth it for a batch.
func (n *simd) gather(batch int) { n.call(n.chunkCount(batch) - 1) }

// sharedProduct is a product that the workers share, by columns or by rows. Each
// element of C is one worker's and is summed in the same order as by one alone.
type sharedProduct struct {
	kernel.Product
	a, b, c, init []float32
	parts         int
	unit          int // columns that stay together, or 0 if rows are shared
}

// minShared is the multiplications that are worth sharing.
const minShared = 1 << 19

// product computes p, with all workers if it is large.
func (n *simd) product(p *kernel.Product, a, b, c, init []float32) {
	if n.called == 0 || p.Rows*p.Cols*p.Depth < minShared {
		p.Run(n.path, a, b, c, init)
		return
	}
	s := sharedProduct{Product: *p, a: a, b: b, c: c, init: init, parts: p.Rows / 32}
	unit := 64
	if n.path.PanelCols() > 0 {
		unit = 32
	}
	if p.Cols >= 2*unit && p.Rows < 1024 {
		s.parts, s.unit = p.Cols/unit, unit
	}
	s.parts = max(1, min(s.parts, 4*(n.called+1)))
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
	if s.unit > 0 {
		units := p.Cols / s.unit
		lo, hi := part*units/s.parts*s.unit, (part+1)*units/s.parts*s.unit
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

// backwardTask is a worker's share of the chunks' backward pass or, beyond the
// shares, a part of the product that was held.
func backwardTask(n *simd, w *worker, task int) {
	if task < n.pieces.shares {
		n.takePieces(w)
	} else {
		productPart(n, w, task-n.pieces.shares)
	}
}

func forwardExample(n *simd, w *worker, e int) { n.forwardExamples(w, e, e+1) }

func backwardPiece(n *simd, w *worker, chunk, lo, hi int) {
	sum := n.sums[chunk]
	if first, _ := n.chunk(chunk, n.batch); lo == first {
		clear(sum)
	}
	for e := lo; e < hi; e++ {
		n.backExample(w, e, sum)
	}
}

// reduceSize is the elements of a sum that one task adds up.
const reduceSize = 1 << 11

// reduce adds the sums of all chunks to the first, in order.
func (n *simd) reduce() {
	n.run(reducePart, (n.private+reduceSize-1)/reduceSize)
}

func reducePart(n *simd, _ *worker, part int) {
	lo, hi := part*reduceSize, min((part+1)*reduceSize, n.private)
	for _, s := range n.sums[1:n.chunkCount(n.batch)] {
		n.path.AXPY(n.sums[0][lo:hi], s[lo:hi], 1)
	}
}
