package nn

import (
	"sync/atomic"

	"github.com/sotto-fl/sotto/model/kernel"
)

// newSIMD returns nil if a size passes what the kernels take; the portable layers
// then serve.
func newSIMD(p plan, in Shape, classes int, v func(s step) views, weights, grads []float32, maxBatch int, path *kernel.Path) *simd {
	for _, s := range p.steps {
		if s.Kind == Conv2D && s.Kernel*s.Kernel*s.in.C*s.Out > 1<<28 {
			return nil // byte offsets are 32 bits
		}
	}
	n := &simd{path: path, plan: p, input: in, maxBatch: maxBatch, classes: classes, weights: weights, grads: grads, panels: map[int]int{}}
	split := 0
	for p.steps[split].Kind != Dense {
		split++
	}
	n.buildTrunk(p.steps[:split], v)
	n.buildHead(p.steps[split:], v)
	// At most 8 chunks, and at most 64 MB of sums.
	n.chunks = max(1, min(8, (1<<24)/max(1, n.private)))
	for range min(n.chunks, (maxBatch+minChunk-1)/minChunk) {
		n.sums = append(n.sums, kernel.Alloc(n.private))
	}
	n.pieces.at = make([]atomic.Int64, len(n.sums))
	n.dlogits = make([]float32, maxBatch*classes)
	n.logits = make([]float32, maxBatch*classes)
	n.pixels = make([]float32, in.Size())
	n.setWorkers(1)
	return n
}

// minChunk is the examples that are worth a hand-over to another goroutine.
const minChunk = 8

func (n *simd) buildTrunk(steps []step, v func(s step) views) {
	// halo is the padding that the frame after steps[i] must have.
	halo := func(i int) int {
		for i++; i < len(steps); i++ {
			switch steps[i].Kind {
			case ReLU, Tanh:
				continue
			case Conv2D:
				return steps[i].Padding
			}
			return 0
		}
		return 0
	}
	at := newFrame(n.input, halo(-1))
	n.frames = append(n.frames, at)
	n.inPlace = append(n.inPlace, false)
	add := func(l trunkLayer, out frame, inPlace bool) {
		n.trunk = append(n.trunk, l)
		n.private += l.private()
		n.inPlace = append(n.inPlace, inPlace)
		n.frames = append(n.frames, out)
		at = out
	}
	n.first = -1
	squashed := false // the buffer holds outputs of a tanh
	for i := 0; i < len(steps); i++ {
		s := steps[i]
		if s.weight >= 0 && n.first < 0 {
			n.first = len(n.trunk)
		}
		switch s.Kind {
		case Conv2D:
			if pool, last, relu := pooled(steps[i:]); pool > 0 {
				out := newFrame(steps[i+last].out, halo(i+last))
				add(newPooledConv(n, s, steps[i+pool], v(s), at, out, relu), out, false)
				i += last
				break
			}
			out := newFrame(s.out, halo(i))
			add(newDirectConv(n, s, v(s), at, out, sparseAfter(steps[i+1:])), out, false)
		case ReLU, Tanh:
			// A tanh needs its own outputs again; a ReLU only spoils those whose
			// gradients it blocks.
			l := &activation{path: n.path, tanh: s.Kind == Tanh, copies: s.Kind == Tanh && squashed}
			add(l, at, !l.copies)
			squashed = squashed || l.tanh
			continue
		case Flatten: // (height, width, channel) is already flat
			continue
		case MaxPool:
			out := newFrame(s.out, halo(i))
			if taps := s.Window * s.Window; taps <= kernel.MaxTaps && taps*s.in.C <= 1<<18 {
				add(newVectorPool(n, s, at, out), out, false)
			} else {
				add(newWhole(n, &maxPool{step: s, argmax: make([]int32, n.maxBatch*s.out.Size())}, s, views{}, at, out), out, false)
			}
		case AvgPool:
			out := newFrame(s.out, halo(i))
			add(newWhole(n, &avgPool{step: s}, s, views{}, at, out), out, false)
		case GroupNorm:
			out := newFrame(s.out, halo(i))
			add(newWhole(n, newGroupNorm(s, v(s), n.maxBatch), s, v(s), at, out), out, false)
		}
		squashed = false
	}
	if n.first < 0 {
		n.first = len(n.trunk)
	}
}

// pooled looks for a 2x2 max pool without overlap behind the convolution that
// steps begin with, with or without a ReLU before or after it. It returns the
// index of the pool and of the last of these steps, or 0.
func pooled(steps []step) (pool, last int, relu bool) {
	i := 1
	if i < len(steps) && steps[i].Kind == ReLU {
		relu = true
		i++
	}
	if i >= len(steps) || steps[i].Kind != MaxPool || steps[i].Window != 2 || steps[i].Stride < 2 {
		return 0, 0, false
	}
	if i+1 < len(steps) && steps[i+1].Kind == ReLU {
		return i, i + 1, true
	}
	return i, i, relu
}

// sparseAfter reports whether the layers behind a convolution leave many of its
// output gradients zero.
func sparseAfter(steps []step) bool {
	for _, s := range steps {
		switch s.Kind {
		case ReLU:
			return true
		case MaxPool:
			return s.Stride >= 2
		case Tanh:
		default:
			return false
		}
	}
	return false
}

func (n *simd) buildHead(steps []step, v func(s step) views) {
	in := n.frames[len(n.frames)-1].stride
	widths := []int{in}
	squashed := false // as in buildTrunk
	done := 0
	for _, s := range steps {
		var l headLayer
		switch s.Kind {
		case Dense:
			w := n.plan.layout.Tensors()[s.weight]
			d := newProductDense(n, s, v(s), w.Offset, in)
			if d.panel > 0 {
				n.panels[s.weight] = d.panels()
			}
			if d.wide {
				n.addRest(done, w.Offset)
				done = w.Offset + w.Size
			}
			l, squashed = d, false
		case ReLU, Tanh:
			a := &headActivation{path: n.path, tanh: s.Kind == Tanh, stride: in}
			if a.tanh && squashed {
				a.own = kernel.Alloc(n.maxBatch * in)
			}
			squashed = squashed || a.tanh
			l = a
		default: // a norm of features
			l = newHeadNorm(n, s, v(s), in)
			squashed = false
		}
		n.head = append(n.head, l)
		in = l.width()
		widths = append(widths, in)
	}
	n.addRest(done, n.plan.layout.Size())
	n.place(widths)
}

// place makes room for what a batch leaves behind, in one piece: large pages then
// hold it. Dense layers read and write rows that lie on a small page each, so theirs
// come first, where the large pages are sure to be. widths are of the flows.
func (n *simd) place(widths []int) {
	total := 0
	for _, w := range widths {
		total += align(eights(n.maxBatch) * w)
	}
	for i, f := range n.frames {
		if !n.inPlace[i] {
			total += align(n.maxBatch * f.stride)
		}
	}
	room := kernel.Alloc(total)
	take := func(size int) []float32 {
		s := room[:size:size]
		room = room[align(size):]
		return s
	}
	for _, w := range widths {
		n.flows = append(n.flows, take(eights(n.maxBatch)*w))
	}
	n.acts = make([][]float32, len(n.frames))
	for i := len(n.frames) - 1; i >= 0; i-- {
		if !n.inPlace[i] {
			n.acts[i] = take(n.maxBatch * n.frames[i].stride)
		}
	}
	for i := range n.acts {
		if n.inPlace[i] {
			n.acts[i] = n.acts[i-1]
		}
	}
}
