package nn

import "github.com/sotto-fl/sotto/model/kernel"

// activation is a ReLU or tanh, in place unless copies is set. Both leave a halo
// of zeros as it is.
type activation struct {
	path         *kernel.Path
	tanh, copies bool
}

func (l *activation) private() int     { return 0 }
func (l *activation) scratch(int)      {}
func (l *activation) prepare(bool)     {}
func (l *activation) finish([]float32) {}

func (l *activation) forward(_ *worker, _ int, in, out []float32) {
	if l.copies {
		copy(out, in)
	}
	apply(l.path, l.tanh, out)
}

func (l *activation) backward(_ *worker, _ int, _, out, dout, din, _ []float32) {
	if l.copies && din != nil {
		copy(din, dout)
		dout = din
	}
	applyBack(l.path, l.tanh, dout, out)
}

func apply(path *kernel.Path, tanh bool, y []float32) {
	if tanh {
		path.Tanh(y)
	} else {
		path.ReLU(y)
	}
}

func applyBack(path *kernel.Path, tanh bool, dy, y []float32) {
	if tanh {
		path.TanhBack(dy, y)
	} else {
		path.ReLUBack(dy, y)
	}
}

// vectorPool is a max pool of any window and stride.
type vectorPool struct {
	step
	path    *kernel.Path
	in, out frame
	taps    []int64
	arg     []uint8
}

func newVectorPool(n *simd, s step, in, out frame) *vectorPool {
	l := &vectorPool{step: s, path: n.path, in: in, out: out}
	for y := range s.Window {
		for x := range s.Window {
			l.taps = append(l.taps, int64(4*(y*in.row+x*in.C)))
		}
	}
	l.arg = make([]uint8, n.maxBatch*l.argStride())
	return l
}

func (l *vectorPool) argStride() int   { return l.out.Size() + kernel.Slack }
func (l *vectorPool) private() int     { return 0 }
func (l *vectorPool) scratch(int)      {}
func (l *vectorPool) prepare(bool)     {}
func (l *vectorPool) finish([]float32) {}

func (l *vectorPool) forward(_ *worker, e int, in, out []float32) {
	arg := l.arg[e*l.argStride():][:l.argStride()]
	for y := range l.out.H {
		l.path.MaxPool(in[l.in.origin+y*l.Stride*l.in.row:], l.taps, out[l.out.origin+y*l.out.row:], arg[y*l.out.W*l.out.C:], l.out.C, l.out.W, l.Stride*l.out.C, false)
	}
}

func (l *vectorPool) backward(_ *worker, e int, _, _, dout, din, _ []float32) {
	if din == nil {
		return
	}
	clear(din)
	arg := l.arg[e*l.argStride():][:l.argStride()]
	for y := range l.out.H {
		l.path.MaxPoolBack(dout[l.out.origin+y*l.out.row:], arg[y*l.out.W*l.out.C:], l.taps, din[l.in.origin+y*l.Stride*l.in.row:], l.out.C, l.out.W, l.Stride*l.out.C)
	}
}

// whole runs a portable layer on one example at a time.
type whole struct {
	layer   exampleLayer
	step    step
	views   views
	out     frame
	y       [][]float32 // each worker's output without a halo
	size    int
	outSize int
}

func newWhole(_ *simd, l exampleLayer, s step, v views, _, out frame) *whole {
	return &whole{layer: l, step: s, views: v, out: out, size: s.in.Size(), outSize: s.out.Size()}
}

func (l *whole) scratch(n int) {
	l.y = make([][]float32, n)
	for i := range l.y {
		l.y[i] = make([]float32, l.outSize)
	}
}

func (l *whole) private() int {
	if l.step.weight < 0 {
		return 0
	}
	return align(len(l.views.w)) + align(len(l.views.b))
}

func (l *whole) prepare(bool) {}

func (l *whole) finish(sum []float32) {
	if l.step.weight >= 0 {
		copy(l.views.dw, sum)
		copy(l.views.db, sum[align(len(l.views.w)):])
	}
}

func (l *whole) forward(w *worker, e int, in, out []float32) {
	y := l.y[w.id]
	l.layer.apply(in[:l.size], y, e)
	l.out.copyIn(out, y)
}

func (l *whole) backward(w *worker, e int, _, _, dout, din, sum []float32) {
	dy := l.y[w.id]
	l.out.copyOut(dy, dout)
	if l.step.weight >= 0 {
		l.layer.accumulate(dy, sum[:len(l.views.w)], sum[align(len(l.views.w)):][:len(l.views.b)], e)
	}
	if din != nil {
		l.layer.carry(dy, din[:l.size], e)
	}
}
