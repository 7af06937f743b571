package nn

import (
	"github.com/sotto-fl/sotto/model/kernel"
)

// simd computes a Network on a vector path. The layers up to the first dense one
// (the trunk) run example by example, so that what one layer writes is still in
// cache when the next one reads it; the others (the head) run on whole batches.
//
// The batch is cut into chunks whose number depends on the architecture and the
// batch alone. Each chunk sums its parameter gradients by itself, and the sums
// are added in order, so the result does not depend on which worker did what.
type simd struct {
	path     *kernel.Path
	plan     plan
	input    Shape
	frames   []frame // frames[i] goes into trunk[i]
	acts     [][]float32
	inPlace  []bool // acts[i] is acts[i-1]
	trunk    []trunkLayer
	head     []headLayer
	flows    [][]float32 // gradients between head layers; flows[0] is the trunk's
	private  int         // elements of the trunk's parameter gradients, in private order
	first    int         // the first trunk layer with parameters; len(trunk) if none
	maxBatch int
	chunks   int // most chunks of one batch
	sums     [][]float32
	workers  []*worker
	dlogits  []float32
	logits   []float32
	classes  int
	pixels   []float32 // scratch of transposed input
	weights  []float32 // all of them, and their gradients
	grads    []float32
	panels   map[int]int // panels of weights that are in panels, by index in plan.params
	rule     Rule        // of the step that is being made, if any
	rest     [][2]int    // the weights that no sweep updates
	team

	// For clipped gradients: the squared norm of each example's gradient, what
	// it is scaled by, and the statistics of each chunk.
	clip    float64
	scale   float64
	squares []float64
	factors []float32
	stats   []ClipStats
}

// worker is the scratch of one goroutine.
type worker struct {
	id    int
	grads [][]float32 // gradients with respect to frames[i], one example
	one   []float32   // private gradient of one example; zero between uses
	chunk int         // the last one of which it had a piece

	product kernel.Product
	ahead   kernel.Ahead // what the next example will read
}

// trunkLayer works on single examples. in and out are whole examples of its
// frames; sum is the layer's span of a chunk's private gradients.
type trunkLayer interface {
	forward(w *worker, e int, in, out []float32)
	// backward overwrites din (unless it is nil) and adds to sum.
	backward(w *worker, e int, in, out, dout, din, sum []float32)
	// private is the length of sum, a multiple of 16.
	private() int
	// scratch makes what workers 0 to n-1 need.
	scratch(n int)
	// prepare readies what depends on the weights alone.
	prepare(backward bool)
	// finish writes the gradient of a whole batch in the network's order.
	finish(sum []float32)
}

// headLayer works on a batch. Rows are examples; strides are the layers' own.
type headLayer interface {
	forward(x []float32, batch int) []float32
	// backward overwrites dx (unless it is nil).
	backward(dy, dx []float32, batch int)
	// gradient overwrites the layer's gradient with the sum over examples lo to
	// hi-1 of the last forward pass.
	gradient(dy []float32, lo, hi int)
	// norms adds the squared norm of each example's gradient to squares.
	norms(dy []float32, batch int, squares []float64)
	// drop makes example e harmless to gradient, where its values are not finite.
	drop(e int)
	width() int // elements from one output row to the next
}

// load converts example e of x, (C, H, W), to the first frame.
func (n *simd) load(e int, x []float32) {
	f := n.frames[0]
	dst := f.example(n.acts[0], e)
	c, hw := f.C, f.H*f.W
	if c == 1 {
		f.copyIn(dst, x)
		return
	}
	for y := range f.H {
		row := dst[f.origin+y*f.row:][:f.W*c]
		if c == 3 {
			n.path.Interleave3(row, x[y*f.W:], hw, f.W)
			continue
		}
		n.path.Transpose(row, c, x[y*f.W:], hw, c, f.W)
	}
}

func (n *simd) forwardExamples(w *worker, lo, hi int) {
	for e := lo; e < hi; e++ {
		n.load(e, n.x[e*n.input.Size():][:n.input.Size()])
		for i, l := range n.trunk {
			l.forward(w, e, n.frames[i].example(n.acts[i], e), n.frames[i+1].example(n.acts[i+1], e))
		}
	}
}

// backExample carries the gradient of example e down the trunk and adds its
// parameter gradients to sum.
func (n *simd) backExample(w *worker, e int, sum []float32) {
	last := len(n.trunk)
	dout := n.frames[last].example(n.flows[0], e)
	n.lookAhead(w, e+1)
	at := n.private
	for i := last - 1; i >= n.first; i-- {
		l := n.trunk[i]
		at -= l.private()
		din := w.grads[i]
		if a, ok := l.(*activation); ok && !a.copies {
			din = dout
		}
		if i == n.first {
			din = nil
		}
		l.backward(w, e, n.frames[i].example(n.acts[i], e), n.frames[i+1].example(n.acts[i+1], e), dout, din, sum[at:at+l.private()])
		dout = din
	}
}

// lookAhead says what the backward pass of example e will read that the one before
// has not left in the caches.
func (n *simd) lookAhead(w *worker, e int) {
	w.ahead.Clear()
	if e >= n.batch {
		return
	}
	last := len(n.trunk)
	for i := last - 1; i >= n.first; i-- {
		kernel.Add(&w.ahead, n.frames[i].example(n.acts[i], e))
		if i == last-1 {
			kernel.Add(&w.ahead, n.frames[last].example(n.flows[0], e))
			kernel.Add(&w.ahead, n.frames[last].example(n.acts[last], e))
		}
		if l, ok := n.trunk[i].(*pooledConv); ok {
			kernel.Add(&w.ahead, l.args(e))
		}
	}
}

// forward returns the class scores of a batch.
func (n *simd) forward(x []float32, batch int) []float32 {
	n.x, n.batch = x, batch
	n.gather(batch)
	for _, l := range n.trunk {
		l.prepare(false)
	}
	n.run(forwardExample, batch)
	h := n.acts[len(n.trunk)]
	for _, l := range n.head {
		h = l.forward(h, batch)
	}
	out := n.logits[:batch*n.classes]
	stride := n.head[len(n.head)-1].width()
	for e := range batch {
		copy(out[e*n.classes:][:n.classes], h[e*stride:])
	}
	return out
}

// backHead fills the flows with gradients, from n.dlogits.
func (n *simd) backHead(batch int) {
	last := len(n.head)
	stride := n.head[last-1].width()
	for e := range batch {
		copy(n.flows[last][e*stride:], n.dlogits[e*n.classes:][:n.classes])
	}
	for i := last - 1; i >= 0; i-- {
		dx := n.flows[i]
		if i == 0 && n.first == len(n.trunk) {
			dx = nil
		}
		n.head[i].backward(n.flows[i+1], dx, batch)
	}
}

// gradient overwrites the network's gradient with that of dlogits.
func (n *simd) gradient(batch int) {
	n.startUnits(batch)
	// The first dense layer's gradient is usually the largest product; nothing
	// in the trunk waits for it.
	n.shared.parts, n.hold = 0, n.private > 0
	for i, l := range n.head {
		l.gradient(n.flows[i+1], 0, batch)
	}
	n.hold = false
	n.backTrunk(batch)
}

// backTrunk carries the gradient of a batch down the trunk, and computes the
// product that was held.
func (n *simd) backTrunk(batch int) {
	if n.private == 0 {
		return
	}
	n.cut(backwardPiece)
	n.run(backwardTask, n.pieces.shares+n.shared.parts)
	n.reduce()
	n.finish(n.sums[0])
}

// step is gradient, and hands all weights to rule.
func (n *simd) step(batch int, rule Rule) {
	n.rule = rule
	n.startUnits(batch)
	n.rule = nil
	n.shared.parts, n.hold = 0, n.private > 0
	for i, l := range n.head {
		if d, ok := l.(*productDense); !ok || !d.wide {
			l.gradient(n.flows[i+1], 0, batch)
		}
	}
	n.hold = false
	n.backTrunk(batch)
	n.updateRest(rule)
}

// updateRest hands the weights that no sweep updates to rule.
func (n *simd) updateRest(rule Rule) {
	n.rule = rule
	n.run(updatePart, len(n.rest))
	n.rule = nil
}

func updatePart(n *simd, _ *worker, part int) {
	lo, hi := n.rest[part][0], n.rest[part][1]
	n.rule(n.weights[lo:hi], n.grads[lo:hi], lo)
}

// addRest notes that no sweep updates the weights lo to hi-1, in parts for workers
// to share.
func (n *simd) addRest(lo, hi int) {
	const most = 1 << 13
	for ; lo < hi; lo += most {
		n.rest = append(n.rest, [2]int{lo, min(lo+most, hi)})
	}
}

func (n *simd) finish(sum []float32) {
	at := 0
	for _, l := range n.trunk {
		l.finish(sum[at : at+l.private()])
		at += l.private()
	}
}

// chunkCount is the number of chunks of a batch, and chunk the examples of one.
func (n *simd) chunkCount(batch int) int {
	return min(len(n.sums), (batch+minChunk-1)/minChunk)
}

func (n *simd) chunk(i, batch int) (lo, hi int) {
	k := n.chunkCount(batch)
	return i * batch / k, (i + 1) * batch / k
}

// reorder copies between the canonical order, (rows, a, b) in the terms of param,
// and (b, a, rows), or (panel, b, a, rows of the panel).
func (n *simd) reorder(dst, src []float32, inward bool) {
	at := 0
	for index, q := range n.plan.params {
		rows, a, b := q.rows, q.a, q.b
		if rows == 1 && b == 1 {
			copy(dst[at:at+a*b], src[at:])
			at += a * b
			continue
		}
		panels := max(1, n.panels[index])
		rows /= panels
		for range panels {
			for i := range a {
				outside, inside := at+i*b, at+i*rows
				if inward {
					n.path.Transpose(dst[inside:], a*rows, src[outside:], a*b, rows, b)
				} else {
					n.path.Transpose(dst[outside:], a*b, src[inside:], a*rows, b, rows)
				}
			}
			at += rows * a * b
		}
	}
}
