package nn

import "github.com/sotto-fl/sotto/model/kernel"

// productDense is y = x*W + b with W (in, out). Where the path reads panels, a
// large W lies in panels of that many outputs, one after the other: (panel, in,
// output of the panel). Its products then copy nothing but what is small.
type productDense struct {
	views
	n       *simd
	path    *kernel.Path
	at      int // of W among the network's weights
	in, out int
	stride  int // of x
	panel   int // elements of a panel of W, 0 if W is not in panels
	x, y    []float32
	turned  []float32 // W as (out, in), or dy as (out, batch)
	packed  []float32 // turned, as a product reads it
	wide    bool      // turn dy instead of W
	p       kernel.Product

	// Of the sweep over the inputs: the gradients around the layer, dy as a product
	// reads it with the strides of B there, and what the workers need.
	dx, dy   []float32
	dyPacked []float32
	dyPanel  int
	dyDepth  int
	batch    int
	part     int // inputs of a task
	columns  int // of turned: the batch in whole vectors
	bufs     []sweepScratch
}

type sweepScratch struct{ dx, dw []float32 }

func newProductDense(n *simd, s step, v views, at, stride int) *productDense {
	l := &productDense{views: v, n: n, path: n.path, at: at, in: s.in.Size(), out: s.Out, stride: stride}
	l.y = kernel.Alloc(n.maxBatch * l.width())
	// A large matrix is cheaper to read by rows than to turn. The order of the
	// weights must not depend on maxBatch.
	if c := l.path.PanelCols(); c > 0 && l.out > c && l.out%c == 0 && len(v.w) >= 1<<16 {
		l.panel = l.in * c
	}
	l.wide = l.panel > 0 || len(v.w) >= 1<<16 && n.maxBatch >= 8
	if l.wide {
		l.turned = kernel.Alloc(l.out * align(n.maxBatch))
	} else {
		l.turned = kernel.Alloc(len(v.w))
	}
	return l
}

func (l *productDense) width() int { return align(l.out) }

func (l *productDense) scratch(n int) {
	if !l.wide {
		return
	}
	l.bufs = make([]sweepScratch, n)
	for i := range l.bufs {
		dx, dw := sweepRows*align(l.n.maxBatch), sweepRows*l.out
		if l.panel > 0 {
			dx, dw = max(dx, fewRows*fewExamples), max(dw, fewRows*l.path.PanelCols())
		}
		l.bufs[i] = sweepScratch{dx: kernel.Alloc(min(dx, l.in*align(l.n.maxBatch))), dw: kernel.Alloc(min(dw, l.in*l.out))}
	}
}

func (l *productDense) forward(x []float32, batch int) []float32 {
	l.x = x
	l.p.Set(&kernel.Product{Reps: 1, Rows: batch, Cols: l.out, Segs: 1, Depth: l.in, ARow: l.stride, ADepth: 1, BDepth: l.rowW(), BPanel: l.panel, CRow: l.width()})
	l.n.product(&l.p, x, l.w, l.y, l.b)
	return l.y
}

// rowW is the elements from one row of W, or of a panel of it, to the next.
func (l *productDense) rowW() int {
	if l.panel > 0 {
		return l.path.PanelCols()
	}
	return l.out
}

func (l *productDense) gradient(dy []float32, lo, hi int) {
	w := l.width()
	l.p.Set(&kernel.Product{Reps: 1, Rows: l.in, Cols: l.out, Segs: 1, Depth: hi - lo, ARow: 1, ADepth: l.stride, BDepth: w, CRow: l.rowW(), CPanel: l.panel})
	l.n.product(&l.p, l.x[lo*l.stride:], dy[lo*w:], l.dw, nil)
	l.bias(dy, lo, hi)
}

func (l *productDense) bias(dy []float32, lo, hi int) {
	w := l.width()
	l.p.Set(&kernel.Product{Reps: 1, Rows: 1, Cols: l.out, Segs: 1, Depth: hi - lo, BDepth: w, CRow: l.out})
	l.p.Run(l.path, one, dy[lo*w:], l.db, nil)
}

func (l *productDense) backward(dy, dx []float32, batch int) {
	if l.wide {
		l.sweep(dy, dx, batch, l.n.rule != nil)
		return
	}
	if dx == nil {
		return
	}
	l.path.Transpose(l.turned, l.in, l.w, l.out, l.in, l.out)
	l.p.Set(&kernel.Product{Reps: 1, Rows: batch, Cols: l.in, Segs: 1, Depth: l.out, ARow: l.width(), ADepth: 1, BDepth: l.in, CRow: l.stride})
	l.n.product(&l.p, dy, l.turned, dx, nil)
}

// sweepRows is the inputs that one task takes through the backward pass while
// their weights are in cache. A batch of few examples takes fewRows of them, and the
// weight gradient of one panel after the other: its time is that of weights and moments
// on their way from memory, which longer runs make better use of.
const (
	sweepRows   = 256
	fewRows     = 512
	fewExamples = 16
)

// sweep computes the input gradient (unless dx is nil) and, if update is set, the
// weight gradient of the whole batch, which it hands to the rule part by part: the
// weights come from memory once, and the gradient never goes there.
func (l *productDense) sweep(dy, dx []float32, batch int, update bool) {
	if dx == nil && !update {
		return
	}
	l.dx, l.dy, l.batch = dx, nil, batch
	w := l.width()
	if dx != nil {
		l.columns = align(batch)
		if batch != l.columns {
			clear(l.turned[:l.out*l.columns])
		}
		l.path.Transpose(l.turned, l.columns, dy, w, batch, l.out)
		// One run of W, or one for each panel.
		segs, depth, seg, row := 1, l.out, 0, l.out
		if l.panel > 0 {
			segs, depth, seg, row = l.panels(), l.path.PanelCols(), l.panel, l.path.PanelCols()
		}
		l.p.Set(&kernel.Product{Reps: 1, Cols: l.columns, Segs: segs, Depth: depth, ARow: row, ASeg: seg, ADepth: 1, CRow: l.columns})
		l.packed, l.p.BPanel, l.p.BDepth = l.path.Panels(l.packed, l.turned, l.out, l.columns, l.columns)
		l.p.BSeg = depth * l.p.BDepth
	}
	if update {
		l.dyPacked, l.dyPanel, l.dyDepth = l.path.Panels(l.dyPacked, dy, batch, l.out, w)
		l.dy = dy
	}
	l.n.wide = l
	l.part = sweepRows
	if l.few() {
		l.part = fewRows
	}
	parts := (l.in + l.part - 1) / l.part
	if l.n.called > 0 && !l.n.prepared {
		parts++ // for what else waits for nothing
	}
	l.n.run(sweepPart, parts)
	if update {
		l.bias(dy, 0, batch)
	}
}

func (l *productDense) panels() int { return l.out / l.path.PanelCols() }

// few reports whether the batch is one of few examples.
func (l *productDense) few() bool { return l.panel > 0 && l.batch <= fewExamples }

// sweepPart is the part of the sweep of the dense layer n.wide that concerns
// l.part inputs.
func sweepPart(n *simd, w *worker, part int) {
	l, b := n.wide, &n.wide.bufs[w.id]
	lo := part * l.part
	if lo >= l.in {
		n.prepareBackward()
		return
	}
	rows := min(l.part, l.in-lo)
	p := &w.product
	if l.dx != nil {
		p.Set(&l.p)
		p.Rows = rows
		dx := b.dx[:rows*p.Cols]
		p.Run(n.path, l.w[lo*l.rowW():], l.packed, dx, nil)
		// Rows in eights: there is room, and what is beyond the batch is zero.
		n.path.Transpose(l.dx[lo:], l.stride, dx, p.Cols, rows, eights(l.batch))
	}
	if l.dy == nil {
		return
	}
	p.Set(&kernel.Product{Reps: 1, Rows: rows, Cols: l.out, Segs: 1, Depth: l.batch, ARow: 1, ADepth: l.stride, BDepth: l.dyDepth, BPanel: l.dyPanel, CRow: l.rowW()})
	if l.few() {
		p.Cols, p.BPanel = p.CRow, 0
		dw := b.dw[:rows*p.Cols]
		for i := range l.panels() {
			p.Run(n.path, l.x[lo:], l.dyPacked[i*l.dyPanel:], dw, nil)
			at := i*l.panel + lo*p.CRow
			n.rule(l.w[at:][:len(dw)], dw, l.at+at)
		}
		return
	}
	if l.panel > 0 {
		p.CPanel = rows * p.CRow
	}
	p.Run(n.path, l.x[lo:], l.dyPacked, b.dw[:rows*l.out], nil)
	if l.panel == 0 {
		at := lo * l.out
		n.rule(l.w[at:][:rows*l.out], b.dw[:rows*l.out], l.at+at)
		return
	}
	for i := range l.panels() {
		at := i*l.panel + lo*p.CRow
		n.rule(l.w[at:][:p.CPanel], b.dw[i*p.CPanel:][:p.CPanel], l.at+at)
	}
}

func eights(n int) int { return (n + 7) &^ 7 }

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
