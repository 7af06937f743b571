package nn

import "github.com/sotto-fl/sotto/model/kernel"

// pooledConv is a convolution, a 2x2 max pool without overlap and perhaps a ReLU
// in one. At least three quarters of the gradients that reach the convolution
// are exactly zero, so backward works on lists of the others. The outputs of the
// convolution itself are never kept.
type pooledConv struct {
	*directConv
	relu   bool
	pool   frame   // what comes out
	taps   []int64 // inputs of a pooling window, in bytes from its first
	offset [16]int32
	window []int32 // of the first tap of each pooled pixel, in the input frame
	group  []int32 // the same for each tap
	// Lists of weight gradients are cut into strips of pooled rows, so that the
	// inputs they read, and what is sorted into them, stay in an L1 cache of 32 KB;
	// sums repeats their places.
	strip int
	sums  []int32
	arg   []uint8
	// poolStride is the pool's, band the pooled rows that are computed together.
	poolStride, band int
	pooled           []pooledScratch
	winograd         *kernel.Winograd // nil where the convolution is computed directly
}

type pooledScratch struct {
	full      []float32 // outputs of the convolution
	keep      []float32 // live gradients, (pooled pixel, channel)
	offset    []int32   // and the windows that those of a strip belong to
	byChannel []float32
	offsets   []int32 // a strip of the same as (channel, pooled pixel)
	list      *kernel.List

	winograd *kernel.WinogradScratch
}

func newPooledConv(n *simd, s, p step, v views, in, out frame, relu bool) *pooledConv {
	l := &pooledConv{directConv: newDirectConv(n, s, v, in, newFrame(s.out, 0), true), relu: relu, pool: out}
	l.sparse = true
	for t := range l.offset {
		t %= 4
		l.offset[t] = int32(4 * s.Stride * (t/2*in.row + t%2*in.C))
	}
	for t := range 4 {
		l.taps = append(l.taps, int64(4*(t/2*s.out.W*s.Out+t%2*s.Out)))
	}
	for y := range p.out.H {
		for x := range p.out.W {
			first := int32(4 * s.Stride * p.Stride * (y*in.row + x*in.C))
			l.window = append(l.window, first)
			for t := range 4 {
				l.group = append(l.group, first+l.offset[t])
			}
		}
	}
	l.poolStride = p.Stride
	l.strip = p.out.H
	if n.path.Lanes() == 8 {
		// Strips of less than 32 pixels would cost more than they save.
		fit := (20 << 10) / (4 * p.Stride * s.Stride * in.row)
		fit = min(fit, (64+p.out.W-1)/p.out.W)
		l.strip = min(l.strip, max(1, fit, (31+p.out.W)/p.out.W))
	}
	strips := (p.out.H + l.strip - 1) / l.strip
	l.strip = (p.out.H + strips - 1) / strips
	for range strips {
		l.sums = append(l.sums, l.place.channel...)
	}
	l.arg = make([]uint8, n.maxBatch*l.argStride())
	// Rows of a band stay in an L2 cache until they are pooled. To keep them in L1
	// would cost more in calls than it saves.
	l.band = max(1, min(p.out.H, 136<<10/(4*p.Stride*s.out.W*s.Out)))
	if l.winograd = l.newWinograd(); l.winograd != nil {
		l.forwardFLOP = l.winograd.FLOP()
	}
	return l
}

func (l *pooledConv) argStride() int { return l.pool.Size() + kernel.Slack }

func (l *pooledConv) scratch(n int) {
	l.bufs = make([]convScratch, n)
	l.pooled = make([]pooledScratch, n)
	row, size := l.step.out.W*l.Out, l.pool.Size()
	pixels, strip := l.pool.H*l.pool.W, l.strip*l.pool.W*l.Out
	for i := range n {
		l.bufs[i].product = l.forwardProduct(row, l.Out)
		l.bufs[i].bias = kernel.Product{Reps: 1, Rows: 1, Cols: l.Out, Segs: 1, Depth: pixels, BDepth: l.Out, CRow: l.Out}
		l.pooled[i] = pooledScratch{
			keep: kernel.Alloc(size), offset: make([]int32, strip),
			byChannel: kernel.Alloc(strip), offsets: make([]int32, strip),
			list: kernel.NewList(max(4*pixels, len(l.sums)), size),
		}
		if l.winograd != nil {
			l.pooled[i].winograd = l.winograd.NewScratch()
		} else {
			l.pooled[i].full = kernel.Alloc(((l.band-1)*l.poolStride + 2) * row)
		}
	}
}

func (l *pooledConv) forward(w *worker, e int, in, out []float32) {
	if l.winograd != nil {
		l.winograd.MaxPool(l.pooled[w.id].winograd, in, l.in.row, out[l.pool.origin:], l.pool.row, l.args(e), l.relu)
		return
	}
	for top := 0; top < l.pool.H; top += l.band {
		rows := min(l.band, l.pool.H-top)
		l.convolveBand(w, in, top, rows)
		l.poolBand(w, e, out, top, rows)
	}
}

// convolveBand computes the outputs that pooled rows from top on need, and
// poolBand pools them.
func (l *pooledConv) convolveBand(w *worker, in []float32, top, rows int) {
	p := &l.bufs[w.id].product
	p.Reps = (rows-1)*l.poolStride + 2
	l.convolve(p, in[top*l.poolStride*l.Stride*l.in.row:], l.pooled[w.id].full)
}

func (l *pooledConv) poolBand(w *worker, e int, out []float32, top, rows int) {
	full, arg := l.pooled[w.id].full, l.args(e)
	row := l.step.out.W * l.Out
	for y := range rows {
		l.path.MaxPool(full[y*l.poolStride*row:], l.taps, out[l.pool.origin+(top+y)*l.pool.row:], arg[(top+y)*l.pool.W*l.Out:], l.Out, l.pool.W, l.poolStride*l.Out, l.relu)
	}
}

func (l *pooledConv) args(e int) []uint8 { return l.arg[e*l.argStride():][:l.argStride()] }

func (l *pooledConv) backward(w *worker, e int, in, out, dout, din, sum []float32) {
	l.listWindows(w, e, out, dout)
	l.weightGradient(w, in, sum)
	if din != nil {
		l.listWeights(w, e)
		l.inputGradient(w, din)
	}
}

// listWindows finds the live gradients and lists, for each channel, them and the
// windows that they belong to.
func (l *pooledConv) listWindows(w *worker, e int, out, dout []float32) {
	p, arg := &l.pooled[w.id], l.args(e)
	width := l.pool.W * l.Out
	p.list.Reset()
	for top := 0; top < l.pool.H; top += l.strip {
		rows := min(l.strip, l.pool.H-top)
		for y := top; y < top+rows; y++ {
			at := l.pool.origin + y*l.pool.row
			l.path.Live(dout[at:], out[at:], arg[y*width:], l.pool.W, l.Out, l.window[y*l.pool.W:], &l.offset, p.keep[y*width:], p.offset[(y-top)*width:], l.relu)
		}
		pixels := rows * l.pool.W
		l.path.Transpose(p.byChannel, pixels, p.keep[top*width:], l.Out, pixels, l.Out)
		l.path.TransposeInt32(p.offsets, pixels, p.offset, l.Out, pixels, l.Out)
		l.path.Compress(p.list, p.byChannel, l.Out, pixels, pixels, p.offsets, pixels)
	}
	l.count(p.list.Len())
}

// weightGradient adds to sum what the list of windows says.
func (l *pooledConv) weightGradient(w *worker, in, sum []float32) {
	b, p := &l.bufs[w.id], &l.pooled[w.id]
	db := sum[align(len(l.w)):][:l.Out]
	b.bias.Run(l.path, one, p.keep, db, db)
	l.path.Sums(p.list, l.sums, in, sum[:len(l.w)], l.Kernel, l.run, l.in.row, l.run)
}

// listWeights lists, for each pooled pixel and tap, the live gradients and the
// weights of their channels.
func (l *pooledConv) listWeights(w *worker, e int) {
	p := &l.pooled[w.id]
	p.list.Reset()
	l.path.CompressTaps(p.list, p.keep, l.args(e), l.pool.H*l.pool.W, l.Out, l.Out, 4, l.place.weights)
}

func (l *pooledConv) inputGradient(w *worker, din []float32) {
	clear(din)
	l.scatter(l.pooled[w.id].list, l.group, din)
}
