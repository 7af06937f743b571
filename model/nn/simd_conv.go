package nn

import (
	"sync/atomic"

	"github.com/sotto-fl/sotto/model/kernel"
)

// directConv is a convolution on frames. Its weights are (kernel row, kernel
// column, in channel, out channel), which is the B of the product that computes
// it.
//
// Backward, the input gradient is a sum of weight rows over a list of live output
// gradients: as fast as a dense product when all are live, and faster the more of
// them a ReLU or a max pool has made zero. So is the weight gradient when many
// zeros are expected (sparse); otherwise it is a dense product.
type directConv struct {
	step
	views
	path    *kernel.Path
	in, out frame
	sparse  bool
	depth   int // elements of a window
	run     int // of them contiguous
	place   tables
	turned  []float32 // the weights as (part of the window, out channel, its rows)
	rows    int       // kernel rows of a part: they fit in an L1 cache
	// packed is the weights as the forward product reads them, with the strides
	// of B there.
	packed      []float32
	panel, pack int
	needDX      bool
	forwardFLOP float64      // of one example
	gradFLOP    float64      // of its weight gradient, unless that is sparse
	visits      atomic.Int64 // gradients in lists, so far
	passes      atomic.Int64 // examples
	bufs        []convScratch
}

// tables of byte offsets.
type tables struct {
	pixel   []int32 // window of each output pixel in the input frame
	channel []int32 // weight gradient of each output channel, (out channel, window)
	weights []int32 // weights of each output channel in a part of turned
}

type convScratch struct {
	product, grad, bias kernel.Product
	list                *kernel.List
	byChannel           []float32 // output gradients, (out channel, pixel)
}

var one = []float32{1}

func newDirectConv(n *simd, s step, v views, in, out frame, sparse bool) *directConv {
	l := &directConv{
		step: s, views: v, path: n.path, in: in, out: out,
		depth: s.Kernel * s.Kernel * s.in.C, run: s.Kernel * s.in.C,
		needDX: n.first < len(n.trunk),
	}
	l.forwardFLOP, l.gradFLOP = l.dense(), l.dense()
	// Short lists cost more than they save.
	l.sparse = sparse && s.out.H*s.out.W >= 64
	for y := range s.out.H {
		for x := range s.out.W {
			l.place.pixel = append(l.place.pixel, int32(4*s.Stride*(y*in.row+x*in.C)))
		}
	}
	l.rows = max(1, min(l.Kernel, 32<<10/(4*l.run*l.Out)))
	for c := range s.Out {
		l.place.channel = append(l.place.channel, int32(4*c*l.depth))
		l.place.weights = append(l.place.weights, int32(4*c*l.rows*l.run))
	}
	if l.needDX {
		l.turned = kernel.Alloc((s.Kernel + l.rows - 1) / l.rows * l.rows * l.run * s.Out)
	}
	return l
}

func (l *directConv) scratch(n int) {
	l.bufs = make([]convScratch, n)
	pixels := l.step.out.H * l.step.out.W
	for i := range l.bufs {
		b := &l.bufs[i]
		b.product = l.forwardProduct(l.out.row, l.out.C)
		b.grad = l.gradProduct(l.out.row)
		b.bias = l.biasProduct(l.out.row)
		b.list = kernel.NewList(max(pixels, l.Out), pixels*l.Out)
		if l.sparse {
			b.byChannel = kernel.Alloc(pixels * l.Out)
		}
	}
}

// forwardProduct is the convolution of one example; C's rows of pixels are row
// elements apart.
func (l *directConv) forwardProduct(row, pixel int) kernel.Product {
	s := l.step
	return kernel.Product{
		Reps: s.out.H, Rows: s.out.W, Cols: s.Out, Segs: s.Kernel, Depth: l.run,
		ARep: s.Stride * l.in.row, ARow: s.Stride * l.in.C, ASeg: l.in.row, ADepth: 1,
		CRep: row, CRow: pixel,
	}
}

// convolve runs a forward product with the packed weights.
func (l *directConv) convolve(p *kernel.Product, in, out []float32) {
	p.BPanel, p.BDepth = l.panel, l.pack
	p.BSeg = l.run * l.pack
	p.Run(l.path, in, l.packed, out, l.b)
}

// gradProduct is the weight gradient of one example: for each kernel row, the
// inputs that it meets, transposed, times the output gradients.
func (l *directConv) gradProduct(row int) kernel.Product {
	s := l.step
	return kernel.Product{
		Reps: s.Kernel, Rows: l.run, Cols: s.Out, Segs: s.out.H, Depth: s.out.W,
		ARep: l.in.row, ARow: 1, ASeg: s.Stride * l.in.row, ADepth: s.Stride * l.in.C,
		BSeg: row, BDepth: s.Out,
		CRep: l.run * s.Out, CRow: s.Out, IRep: l.run * s.Out, IRow: s.Out,
	}
}

// biasProduct sums the output gradients of one example.
func (l *directConv) biasProduct(row int) kernel.Product {
	s := l.step
	return kernel.Product{Reps: 1, Rows: 1, Cols: s.Out, Segs: s.out.H, Depth: s.out.W, BSeg: row, BDepth: s.Out, CRow: s.Out}
}

func (l *directConv) prepare(backward bool) {
	if !backward {
		l.packed, l.panel, l.pack = l.path.Panels(l.packed, l.w, l.depth, l.Out, l.Out)
	}
	if backward && l.needDX {
		part := l.rows * l.run
		for at := 0; at < l.depth; at += part {
			l.path.Transpose(l.turned[at*l.Out:], part, l.w[at*l.Out:], l.Out, min(part, l.depth-at), l.Out)
		}
	}
}

func (l *directConv) forward(w *worker, _ int, in, out []float32) {
	l.convolve(&l.bufs[w.id].product, in, out[l.out.origin:])
}

func (l *directConv) private() int { return align(len(l.w)) + align(len(l.b)) }

func align(n int) int { return (n + 15) &^ 15 }

func (l *directConv) backward(w *worker, _ int, in, _, dout, din, sum []float32) {
	b := &l.bufs[w.id]
	dy := dout[l.out.origin:]
	dw, db := sum[:len(l.w)], sum[align(len(l.w)):][:l.Out]
	b.bias.Run(l.path, one, dy, db, db)
	s := l.step
	if l.sparse {
		pixels := s.out.H * s.out.W
		for y := range s.out.H {
			l.path.Transpose(b.byChannel[y*s.out.W:], pixels, dy[y*l.out.row:], l.Out, s.out.W, l.Out)
		}
		b.list.Reset()
		l.path.Compress(b.list, b.byChannel, l.Out, pixels, pixels, l.place.pixel, 0)
		l.path.Sums(b.list, l.place.channel, in, dw, s.Kernel, l.run, l.in.row, l.run)
		l.count(b.list.Len())
	} else {
		b.grad.Run(l.path, in, dy, dw, dw)
	}
	if din == nil {
		return
	}
	clear(din)
	b.list.Reset()
	for y := range s.out.H {
		l.path.Compress(b.list, dy[y*l.out.row:], s.out.W, l.Out, l.Out, l.place.weights, 0)
	}
	l.scatter(b.list, l.place.pixel, din)
	if !l.sparse {
		l.count(b.list.Len())
	}
}

// count notes that the list of one example had n gradients.
func (l *directConv) count(n int) {
	l.visits.Add(int64(n))
	l.passes.Add(1)
}

// dense is the arithmetic of one pass of one example as a dense product.
func (l *directConv) dense() float64 { return 2 * float64(l.step.out.Size()) * float64(l.depth) }

// work is the arithmetic of one example's forward and backward pass, and the
// share of the outputs (of the pool, if there is one) whose gradients were not
// zero.
func (l *directConv) work(outputs int) (flop, live float64) {
	listed := 0.0
	if n := l.passes.Load(); n > 0 {
		visits := float64(l.visits.Load()) / float64(n)
		listed, live = 2*visits*float64(l.depth), visits/float64(outputs)
	}
	flop = l.forwardFLOP
	if l.sparse {
		flop += listed
	} else {
		flop += l.gradFLOP
	}
	if l.needDX {
		flop += listed
	}
	return flop, live
}

// scatter adds to din, for each group of the list, weight rows at the window that
// place gives.
func (l *directConv) scatter(list *kernel.List, place []int32, din []float32) {
	for r := 0; r < l.Kernel; r += l.rows {
		l.path.Sums(list, place, l.turned[r*l.run*l.Out:], din[r*l.in.row:], min(l.rows, l.Kernel-r), l.run, l.run, l.in.row)
	}
}

func (l *directConv) finish(sum []float32) {
	if l.sparse {
		l.path.Transpose(l.dw, l.Out, sum, l.depth, l.Out, l.depth)
	} else {
		copy(l.dw, sum)
	}
	copy(l.db, sum[align(len(l.w)):])
}
