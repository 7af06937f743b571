package nn

import "github.com/sotto-fl/sotto/model/kernel"

// productDense is y = x*W + b with W (in, out).
type productDense struct {
	views
	n       *simd
	path    *kernel.Path
	in, out int
	stride  int // of x
	x, y    []float32
	turned  []float32 // W as (out, in), or dy as (out, batch)
	result  []float32 // dx as (in, batch), where W stays as it is
	packed  []float32 // turned, as a product reads it
	dx      []float32
	wide    bool // turn dy instead of W
	p       kernel.Product
}

func newProductDense(n *simd, s step, v views, stride int) *productDense {
	l := &productDense{views: v, n: n, path: n.path, in: s.in.Size(), out: s.Out, stride: stride}
	l.y = kernel.Alloc(n.maxBatch * l.width())
	// A large matrix is cheaper to read by rows than to turn.
	l.wide = len(v.w) >= 1<<16 && n.maxBatch >= 8
	if l.wide {
		l.turned = kernel.Alloc(l.out * n.maxBatch)
		l.result = kernel.Alloc(l.in * n.maxBatch)
	} else {
		l.turned = kernel.Alloc(len(v.w))
	}
	return l
}

func (l *productDense) width() int { return align(l.out) }

func (l *productDense) forward(x []float32, batch int) []float32 {
	l.x = x
	l.p.Set(&kernel.Product{Reps: 1, Rows: batch, Cols: l.out, Segs: 1, Depth: l.in, ARow: l.stride, ADepth: 1, BDepth: l.out, CRow: l.width()})
	l.n.product(&l.p, x, l.w, l.y, l.b)
	return l.y
}

func (l *productDense) gradient(dy []float32, lo, hi int) {
	w := l.width()
	l.p.Set(&kernel.Product{Reps: 1, Rows: l.in, Cols: l.out, Segs: 1, Depth: hi - lo, ARow: 1, ADepth: l.stride, BDepth: w, CRow: l.out})
	l.n.product(&l.p, l.x[lo*l.stride:], dy[lo*w:], l.dw, nil)
	l.p.Set(&kernel.Product{Reps: 1, Rows: 1, Cols: l.out, Segs: 1, Depth: hi - lo, BDepth: w, CRow: l.out})
	l.p.Run(l.path, one, dy[lo*w:], l.db, nil)
}

func (l *productDense) backward(dy, dx []float32, batch int) {
	if dx == nil {
		return
	}
	w := l.width()
	if !l.wide {
		l.path.Transpose(l.turned, l.in, l.w, l.out, l.in, l.out)
		l.p.Set(&kernel.Product{Reps: 1, Rows: batch, Cols: l.in, Segs: 1, Depth: l.out, ARow: w, ADepth: 1, BDepth: l.in, CRow: l.stride})
		l.p.Run(l.path, dy, l.turned, dx, nil)
		return
	}
	l.path.Transpose(l.turned, batch, dy, w, batch, l.out)
	l.p.Set(&kernel.Product{Reps: 1, Cols: batch, Segs: 1, Depth: l.out, ARow: l.out, ADepth: 1, CRow: batch})
	l.packed, l.p.BPanel, l.p.BDepth = l.path.Panels(l.packed, l.turned, l.out, batch, batch)
	l.dx = dx
	l.n.wide = l
	l.n.run(inputPart, (l.in+inputRows-1)/inputRows)
}

// inputRows is the inputs whose gradients are computed, and turned while they are
// in cache, by one task.
const inputRows = 512

// inputPart computes a part of the input gradient of the dense layer n.wide.
func inputPart(n *simd, w *worker, part int) {
	l := n.wide
	lo := part * inputRows
	w.product.Set(&l.p)
	p := &w.product
	p.Rows = min(inputRows, l.in-lo)
	result := l.result[lo*p.Cols:][:p.Rows*p.Cols]
	p.Run(n.path, l.w[lo*l.out:], l.packed, result, nil)
	n.path.Transpose(l.dx[lo:], l.stride, result, p.Cols, p.Rows, p.Cols)
}

// norms uses |x dy'| = |x| |dy|: the gradient of one example is an outer product.
// Goodfellow, "Efficient Per-Example Gradient Computations", 2015,
// arXiv:1510.01799.
func (l *productDense) norms(dy []float32, batch int, squares []float64) {
	for e := range batch {
		squares[e] += (l.path.SumSquares(l.x[e*l.stride:][:l.in]) + 1) * l.path.SumSquares(dy[e*l.width():][:l.out])
	}
}

func (l *productDense) drop(e int) { clear(l.x[e*l.stride:][:l.in]) }

// headActivation is a ReLU or tanh, in place unless it has outputs of its own.
type headActivation struct {
	path   *kernel.Path
	tanh   bool
	stride int
	own, y []float32
}

func (l *headActivation) width() int { return l.stride }

func (l *headActivation) forward(x []float32, batch int) []float32 {
	l.y = x[:batch*l.stride]
	if l.own != nil {
		copy(l.own, l.y)
		l.y = l.own[:batch*l.stride]
	}
	apply(l.path, l.tanh, l.y)
	return l.y
}

func (l *headActivation) backward(dy, dx []float32, batch int) {
	if dx == nil {
		return
	}
	copy(dx, dy[:batch*l.stride])
	applyBack(l.path, l.tanh, dx[:batch*l.stride], l.y)
}

func (l *headActivation) gradient([]float32, int, int)    {}
func (l *headActivation) norms([]float32, int, []float64) {}
func (l *headActivation) drop(int)                        {}

// headNorm is a group norm of features.
type headNorm struct {
	views
	*groupNorm
	in, out int // strides
	size    int
	y       []float32
	dw1     []float32
}

func newHeadNorm(n *simd, s step, v views, stride int) *headNorm {
	l := &headNorm{views: v, groupNorm: newGroupNorm(s, v, n.maxBatch), in: stride, size: s.in.Size(), dw1: make([]float32, 2*s.in.Size())}
	l.out = align(l.size)
	l.y = kernel.Alloc(n.maxBatch * l.out)
	return l
}

func (l *headNorm) width() int { return l.out }

func (l *headNorm) forward(x []float32, batch int) []float32 {
	for e := range batch {
		l.apply(x[e*l.in:][:l.size], l.y[e*l.out:][:l.size], e)
	}
	return l.y
}

func (l *headNorm) backward(dy, dx []float32, batch int) {
	if dx == nil {
		return
	}
	for e := range batch {
		l.carry(dy[e*l.out:][:l.size], dx[e*l.in:][:l.size], e)
	}
}

func (l *headNorm) gradient(dy []float32, lo, hi int) {
	clear(l.views.dw)
	clear(l.views.db)
	for e := lo; e < hi; e++ {
		l.accumulate(dy[e*l.out:][:l.size], l.views.dw, l.views.db, e)
	}
}

func (l *headNorm) norms(dy []float32, batch int, squares []float64) {
	for e := range batch {
		clear(l.dw1)
		l.accumulate(dy[e*l.out:][:l.size], l.dw1[:l.size], l.dw1[l.size:], e)
		for _, v := range l.dw1 {
			squares[e] += float64(v) * float64(v)
		}
	}
}

func (l *headNorm) drop(e int) { clear(l.example(l.xhat, e)) }
