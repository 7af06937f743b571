package nn

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/kernel"
)

// maxBuffers bounds the elements of the activation buffers of one Network: 1 GiB.
const maxBuffers = 1 << 28

// layer computes on whole batches in (batch, height, width, channel) order.
// The slices that it returns are its own and valid until its next call.
//
// The parameter gradient is separate from the input gradient and takes a range
// of examples, so that the gradient of one example, or of a micro-batch, can
// be had from the same forward pass.
//
// These are the layers of the portable path; simd.go has the others.
type layer interface {
	// forward computes the outputs of batch examples and keeps what the other
	// two need. x stays unchanged until they have run.
	forward(x []float32, batch int) []float32
	// gradient adds, to the layer's parameter gradients, the sum over examples
	// lo to hi-1 of the last forward. dy covers the whole batch.
	gradient(dy []float32, lo, hi int)
	// backward overwrites dx with the gradient with respect to the input.
	backward(dy, dx []float32, batch int)
}

// exampleLayer works on one example at a time: e says which, for what is kept
// between the passes.
type exampleLayer interface {
	apply(x, y []float32, e int)
	// carry overwrites dx with the gradient with respect to the input.
	carry(dy, dx []float32, e int)
	// accumulate adds to the gradients of the weight and the bias.
	accumulate(dy, dw, db []float32, e int)
}

// Network is one worker's copy of an architecture: weights, gradients and all
// buffers. It is not safe for concurrent use.
type Network struct {
	plan     plan
	maxBatch int
	input    Shape
	classes  int
	layers   []layer
	// first is the index of the first layer with parameters: the gradient is
	// not carried below it.
	first   int
	weights []float32
	grads   []float32
	nhwc    []float32    // the input, reordered; empty if it has one channel
	flow    [2][]float32 // gradients between layers, by turns
	dlogits []float32
	path    *kernel.Path
	simd    *simd // nil on the portable path

	sum      []float64 // of the ClippedSum that is being made
	addToSum Rule      // adds a gradient to it

	stem     *Stem     // of the layers that are not trained; nil without any
	features []float32 // what it makes of a batch
}

// New builds a network with all of its buffers, for batches of up to maxBatch
// examples. Its weights are zero until Import.
func New(a Architecture, maxBatch int) (*Network, error) {
	stem, rest, err := a.Split()
	if err != nil {
		return nil, err
	}
	if stem != nil {
		n, err := New(rest, maxBatch)
		if err != nil {
			return nil, err
		}
		n.stem, n.features = stem, make([]float32, maxBatch*stem.out.Size())
		n.input = a.Input
		return n, nil
	}
	p, err := a.plan()
	if err != nil {
		return nil, err
	}
	if maxBatch < 1 || maxBatch > maxBuffers/(3*p.activations) {
		return nil, fmt.Errorf("architecture %q: batch of %d examples, want 1 to %d", a.Name, maxBatch, maxBuffers/(3*p.activations))
	}
	n := &Network{
		path: kernel.Default(), plan: p, maxBatch: maxBatch, input: a.Input, classes: a.Classes(), first: -1,
		weights: kernel.Alloc(p.layout.Size()), // aligned, for repeatable bits
		grads:   kernel.Alloc(p.layout.Size()),
	}
	n.addToSum = func(_, g []float32, lo int) { n.path.AXPY64(n.sum[lo:][:len(g)], g, 1) }
	tensors := p.layout.Tensors()
	view := func(s step) views {
		if s.weight < 0 {
			return views{}
		}
		w, b := tensors[s.weight], tensors[s.bias]
		return views{
			w: n.weights[w.Offset:][:w.Size:w.Size], b: n.weights[b.Offset:][:b.Size:b.Size],
			dw: n.grads[w.Offset:][:w.Size:w.Size], db: n.grads[b.Offset:][:b.Size:b.Size],
		}
	}
	if n.path.SIMD() {
		if n.simd = newSIMD(p, a.Input, n.classes, view, n.weights, n.grads, maxBatch, n.path); n.simd != nil {
			return n, nil
		}
	}
	if a.Input.C > 1 {
		n.nhwc = make([]float32, maxBatch*a.Input.Size())
	}
	n.dlogits = make([]float32, maxBatch*n.classes)
	widest, scratch := 0, 0
	for i, s := range p.steps {
		if s.weight >= 0 && n.first < 0 {
			n.first = i
		}
		if i > n.first && n.first >= 0 {
			widest = max(widest, s.in.Size())
		}
		if s.Kind == Conv2D {
			scratch = max(scratch, columns(s, maxBatch))
		}
	}
	for i := range n.flow {
		n.flow[i] = make([]float32, maxBatch*widest)
	}
	shared := make([]float32, scratch)
	for _, s := range p.steps {
		n.layers = append(n.layers, newLayer(s, view(s), maxBatch, shared))
	}
	return n, nil
}

// views are a layer's spans of the network's weights and gradients.
type views struct{ w, b, dw, db []float32 }

func newLayer(s step, v views, batch int, shared []float32) layer {
	y := make([]float32, batch*s.out.Size())
	switch s.Kind {
	case Conv2D:
		return newConv(s, v, y, batch, shared)
	case MaxPool:
		return &maxPool{step: s, y: y, argmax: make([]int32, len(y))}
	case AvgPool:
		return &avgPool{step: s, y: y}
	case Dense:
		return &dense{views: v, in: s.in.Size(), out: s.Out, y: y}
	case GroupNorm:
		l := newGroupNorm(s, v, batch)
		l.y = y
		return l
	case ReLU:
		return &relu{size: s.in.Size(), y: y}
	case Tanh:
		return &tanh{size: s.in.Size(), y: y}
	default: // Flatten: (height, width, channel) is already flat; Import and Export reorder
		return flatten{size: s.in.Size()}
	}
}

// Kernel names the path that computes the matrix products.
func (n *Network) Kernel() string {
	if n.simd == nil {
		return "go"
	}
	return n.path.Name()
}

// Layout is the canonical layout of Import and Export.
func (n *Network) Layout() model.Layout { return n.plan.layout }

// Weights returns the parameters in the network's own order, shared and
// mutable. See the package documentation for what may be done with them.
func (n *Network) Weights() []float32 { return n.weights }

// Grads returns the gradient that Gradient wrote last, in the order of Weights.
func (n *Network) Grads() []float32 { return n.grads }

// Import sets the weights from params, which is in canonical order and is not
// kept. A wrong length is an error and changes nothing.
func (n *Network) Import(params []float32) error {
	if len(params) != len(n.weights) {
		return fmt.Errorf("import: %d parameters, want %d", len(params), len(n.weights))
	}
	n.reorder(n.weights, params, true)
	return nil
}

// Export writes the weights to dst in canonical order.
func (n *Network) Export(dst []float32) error {
	if len(dst) != len(n.weights) {
		return fmt.Errorf("export: room for %d parameters, want %d", len(dst), len(n.weights))
	}
	n.reorder(dst, n.weights, false)
	return nil
}

// ExportGrads writes Grads to dst in canonical order.
func (n *Network) ExportGrads(dst []float32) error {
	if len(dst) != len(n.grads) {
		return fmt.Errorf("export: room for %d gradients, want %d", len(dst), len(n.grads))
	}
	n.reorder(dst, n.grads, false)
	return nil
}

func (n *Network) reorder(dst, src []float32, inward bool) {
	if n.simd != nil {
		n.simd.reorder(dst, src, inward)
	} else {
		n.plan.reorder(dst, src, inward)
	}
}

// reorder copies between the canonical order and that of the portable layers.
func (p plan) reorder(dst, src []float32, inward bool) {
	at := 0
	for _, q := range p.params {
		a, b := q.a, q.b
		if !inward {
			a, b = b, a
		}
		size := a * b
		for range q.rows {
			d, s := dst[at:at+size], src[at:at+size]
			if a == 1 || b == 1 {
				copy(d, s)
			} else {
				for i := range a {
					for j := range b {
						d[j*a+i] = s[i*b+j]
					}
				}
			}
			at += size
		}
	}
}

// Forward computes the class scores of batch examples. x is (batch, C, H, W)
// and is not modified; the result is (batch, classes), belongs to the network
// and is valid until its next call. It panics if batch is outside 1 to
// maxBatch or x has another length: the caller sizes both.
func (n *Network) Forward(x []float32, batch int) []float32 {
	defer n.rest()
	return n.forward(x, batch)
}

// rest ends the goroutines that help.
func (n *Network) rest() {
	if n.simd != nil {
		n.simd.dismiss()
	}
}

func (n *Network) forward(x []float32, batch int) []float32 {
	if batch < 1 || batch > n.maxBatch || len(x) != batch*n.input.Size() {
		panic(fmt.Sprintf("nn: forward of %d values as a batch of %d, want at most %d examples of %v", len(x), batch, n.maxBatch, n.input))
	}
	in := n.input
	if n.stem != nil {
		in = n.stem.out
		n.stem.Apply(n.features[:batch*in.Size()], x, batch)
		x = n.features[:batch*in.Size()]
	}
	if n.simd != nil {
		return n.simd.forward(x, batch)
	}
	h := x
	if in.C > 1 {
		h = n.nhwc[:len(x)]
		pixels := in.H * in.W
		for e := range batch {
			for c := range in.C {
				src := x[(e*in.C+c)*pixels:][:pixels]
				dst := h[e*in.Size()+c:]
				for i, v := range src {
					dst[i*in.C] = v
				}
			}
		}
	}
	for _, l := range n.layers {
		h = l.forward(h, batch)
	}
	return h
}

// Gradient runs forward and backward over one batch of len(labels) examples.
// It overwrites Grads with the gradient of the mean loss, and returns the sum
// of the losses and the number of correct predictions before any update. x is
// as in Forward. It panics on a label outside 0 to classes-1.
func (n *Network) Gradient(x []float32, labels []int32) (lossSum float64, correct int) {
	defer n.rest()
	logits := n.forward(x, len(labels))
	if n.simd != nil {
		lossSum, correct = crossEntropy(n.simd.dlogits[:len(logits)], logits, labels, n.classes, 1/float64(len(labels)))
		n.simd.gradient(len(labels))
		return lossSum, correct
	}
	clear(n.grads)
	return n.backprop(logits, labels, 1/float64(len(labels)))
}

// Rule updates the weights w, which begin at element lo of Weights, with their
// gradient g, which it may overwrite. Both are only its own until it returns.
type Rule func(w, g []float32, lo int)

// Train is Gradient, and hands every weight and its gradient to rule once. The
// weights are the same, bit for bit, as if rule had been given all of Weights and
// Grads after Gradient, provided that it works element by element; but the
// gradient of a large layer is handed over while it is in cache, by several
// goroutines at a time if there are workers, and Grads is undefined afterwards.
// rule is not called at all if the loss is not finite.
func (n *Network) Train(x []float32, labels []int32, rule Rule) (lossSum float64, correct int) {
	if n.simd == nil {
		lossSum, correct = n.Gradient(x, labels)
		if !math.IsNaN(lossSum) && !math.IsInf(lossSum, 0) {
			rule(n.weights, n.grads, 0)
		}
		return lossSum, correct
	}
	defer n.rest()
	logits := n.forward(x, len(labels))
	lossSum, correct = crossEntropy(n.simd.dlogits[:len(logits)], logits, labels, n.classes, 1/float64(len(labels)))
	if !math.IsNaN(lossSum) && !math.IsInf(lossSum, 0) {
		n.simd.step(len(labels), rule)
	}
	return lossSum, correct
}

// backprop adds to grads the gradient of scale times the summed loss of the
// batch that Forward saw last, on the portable path.
func (n *Network) backprop(logits []float32, labels []int32, scale float64) (lossSum float64, correct int) {
	batch := len(labels)
	dy := n.dlogits[:len(logits)]
	lossSum, correct = crossEntropy(dy, logits, labels, n.classes, scale)
	for i := len(n.layers) - 1; ; i-- {
		n.layers[i].gradient(dy, 0, batch)
		if i == n.first {
			return lossSum, correct
		}
		dx := n.flow[i%2][:batch*n.plan.steps[i].in.Size()]
		n.layers[i].backward(dy, dx, batch)
		dy = dx
	}
}

// Evaluate returns the sum of the losses and the number of correct predictions
// on one batch of len(labels) examples, and leaves Grads alone. It panics as
// Gradient does.
func (n *Network) Evaluate(x []float32, labels []int32) (lossSum float64, correct int) {
	defer n.rest()
	logits := n.forward(x, len(labels))
	return crossEntropy(nil, logits, labels, n.classes, 0)
}

// SetWorkers spreads each batch over count goroutines, but no more than GOMAXPROCS.
// They run only while a method does, and wait there without sleeping for up to 200 us
// at a time. Results do not depend on it. On the portable path it does nothing.
func (n *Network) SetWorkers(count int) {
	if n.simd != nil && count >= 1 && count != len(n.simd.workers) {
		n.simd.setWorkers(count)
	}
}
