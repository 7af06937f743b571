package nn

import "github.com/sotto-fl/sotto/model/kernel"

// pooledConv is a convolution, a 2x2 max pool without overlap and perhaps a ReLU
// in one. At least three quarters of the gradients that reach the convolution
// are exactly zero. Backward works on lists or sets of the others, or, where windows
// are small, on all inputs that a pool may have chosen. The outputs of the convolution
// itself are never kept.
type pooledConv struct {
	*directConv
	relu   bool
	pool   frame   // what comes out
	taps   []int64 // inputs of a pooling window, in bytes from its first
	offset [16]int32
	window []int32           // of the first tap of each pooled pixel, in the input frame
	group  []int32           // the same for each tap
	groups []kernel.BitGroup // the same for sets; nil where the path has none
	// quads says that the weight gradient selects from quads of inputs: windows of few
	// elements are shorter than a list would be.
	quads bool
	turn  int // the example whose live gradients are counted then
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
	// small says that the convolution and its pool are one kernel: windows are short.
	small bool
}

type pooledScratch struct {
	full      []float32 // outputs of the convolution
	keep      []float32 // live gradients, (pooled pixel, channel)
	offset    []int32   // and the windows that those of a strip belong to, or the selectors of quads
	byChannel []float32
	offsets   []int32 // a strip of the same as (channel, pooled pixel)
	list      *kernel.List
	sets      *kernel.Sets
	quads     []float32 // of a strip
	visited   int       // gradients in the last weight gradient

	winograd *kernel.WinogradScratch
	small    kernel.ConvPool
}

func newPooledConv(n *simd, s, p step, v views, in, out frame, relu bool) *pooledConv {
	l := &pooledConv{directConv: newDirectConv(n, s, v, in, newFrame(s.out, 0), true), relu: relu, pool: out}
	l.quads = n.path.HasQuads() && s.Out%16 == 0 && l.depth < 64
	l.sparse = !l.quads
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
	if l.path.HasSets() && l.needDX {
		sets := kernel.NewSets(p.out.H*p.out.W, s.Out)
		for y := range p.out.H {
			for t := range 4 {
				// Windows of every other pixel do not overlap, as a rule.
				for i := range p.out.W {
					x := 2 * i
					if x >= p.out.W {
						x = 2*(i-(p.out.W+1)/2) + 1
					}
					pixel := y*p.out.W + x
					l.groups = append(l.groups, sets.Group(pixel, t, l.group[4*pixel+t]))
				}
			}
		}
	}
	l.strip = p.out.H
	if l.quads {
		l.gradFLOP = 2 * float64(p.out.Size()*l.depth)
		// Quads, gradients and selectors of a strip share an L1 cache.
		step := p.Stride * s.Stride
		l.strip = max(1, (20<<10-16*l.quadRow()*(s.Kernel-step))/(16*l.quadRow()*step+8*p.out.W*s.Out))
	} else if n.path.Lanes() == 8 {
		// Strips of less than 32 pixels would cost more than they save.
		fit := (20 << 10) / (4 * p.Stride * s.Stride * in.row)
		fit = min(fit, (64+p.out.W-1)/p.out.W)
		l.strip = max(1, fit, (31+p.out.W)/p.out.W)
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
	// Of longer windows the outputs are few beside the multiplications.
	l.small = l.winograd == nil && l.depth <= 128 && l.path.HasConvPool(l.run, l.Out)
	return l
}

func (l *pooledConv) argStride() int { return l.pool.Size() + kernel.Slack }

// quadRow is the quads of one row of inputs: whole groups of eight.
func (l *pooledConv) quadRow() int { return eights(l.in.row) }

func (l *pooledConv) scratch(n int) {
	l.bufs = make([]convScratch, n)
	l.pooled = make([]pooledScratch, n)
	row, size := l.step.out.W*l.Out, l.pool.Size()
	pixels, strip := l.pool.H*l.pool.W, l.strip*l.pool.W*l.Out
	for i := range n {
		l.bufs[i].product = l.forwardProduct(row, l.Out)
		l.bufs[i].bias = kernel.Product{Reps: 1, Rows: 1, Cols: l.Out, Segs: 1, Depth: pixels, BDepth: l.Out, CRow: l.Out}
		b := &l.pooled[i]
		b.keep, b.offset = kernel.Alloc(size), make([]int32, strip)
		if l.quads {
			step := l.poolStride * l.Stride
			b.quads = kernel.Alloc(4 * l.quadRow() * ((l.strip-1)*step + l.Kernel))
		} else {
			b.byChannel, b.offsets = kernel.Alloc(strip), make([]int32, strip)
		}
		if l.groups != nil {
			b.sets = kernel.NewSets(pixels, l.Out)
		}
		if !l.quads || l.groups == nil {
			b.list = kernel.NewList(max(4*pixels, len(l.sums)), size)
		}
		switch {
		case l.winograd != nil:
			b.winograd = l.winograd.NewScratch()
		case l.small:
			b.small = kernel.ConvPool{
				Runs: l.Kernel, Depth: l.run, Out: l.Out, Run: l.in.row,
				Right: l.Stride * l.in.C, Below: l.Stride * l.in.row, Step: l.poolStride * l.Stride * l.in.C,
				Panel: l.depth * l.path.PanelCols(),
			}
		default:
			b.full = kernel.Alloc(((l.band-1)*l.poolStride + 2) * row)
		}
	}
}

func (l *pooledConv) forward(w *worker, e int, in, out []float32) {
	if l.winograd != nil {
		l.winograd.MaxPool(l.pooled[w.id].winograd, in, l.in.row, out[l.pool.origin:], l.pool.row, l.args(e), l.relu)
		return
	}
	if l.small {
		l.forwardSmall(w, e, in, out)
		return
	}
	for top := 0; top < l.pool.H; top += l.band {
		rows := min(l.band, l.pool.H-top)
		l.convolveBand(w, in, top, rows)
		l.poolBand(w, e, out, top, rows)
	}
}

func (l *pooledConv) forwardSmall(w *worker, e int, in, out []float32) {
	g, arg := &l.pooled[w.id].small, l.args(e)
	for y := range l.pool.H {
		g.MaxPool(l.path, in[y*l.poolStride*g.Below:], l.packed, l.b, out[l.pool.origin+y*l.pool.row:], arg[y*l.pool.W*l.Out:], l.pool.W, l.relu)
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
	l.weightGradient(w, e, in, out, dout, sum)
	if din != nil {
		l.listWeights(w, e)
		l.inputGradient(w, din)
	}
}

// listWindows finds the live gradients and lists, for each channel, them and the
// windows that they belong to. With quads there is no list.
func (l *pooledConv) listWindows(w *worker, e int, out, dout []float32) {
	if l.quads {
		return
	}
	p := &l.pooled[w.id]
	p.list.Reset()
	for top := 0; top < l.pool.H; top += l.strip {
		rows := min(l.strip, l.pool.H-top)
		l.live(w, e, out, dout, top, rows)
		pixels := rows * l.pool.W
		l.path.Transpose(p.byChannel, pixels, p.keep[top*l.pool.W*l.Out:], l.Out, pixels, l.Out)
		l.path.TransposeInt32(p.offsets, pixels, p.offset, l.Out, pixels, l.Out)
		l.path.Compress(p.list, p.byChannel, l.Out, pixels, pixels, p.offsets, pixels)
	}
	p.visited = p.list.Len()
	l.count(p.visited)
}

// live finds the live gradients of pooled rows from top on, and their windows or selectors.
func (l *pooledConv) live(w *worker, e int, out, dout []float32, top, rows int) {
	p, arg := &l.pooled[w.id], l.args(e)
	width := l.pool.W * l.Out
	for y := top; y < top+rows; y++ {
		at := l.pool.origin + y*l.pool.row
		keep, offset := p.keep[y*width:], p.offset[(y-top)*width:]
		if l.quads { // selectors are the same for all pixels
			l.path.Live(dout[at:], out[at:], arg[y*width:], 1, width, l.window[:1], &kernel.Selectors, keep, offset, l.relu)
		} else {
			l.path.Live(dout[at:], out[at:], arg[y*width:], l.pool.W, l.Out, l.window[y*l.pool.W:], &l.offset, keep, offset, l.relu)
		}
	}
}

// weightGradient adds to sum what the list of windows says, or what quads give.
func (l *pooledConv) weightGradient(w *worker, e int, in, out, dout, sum []float32) {
	b, p := &l.bufs[w.id], &l.pooled[w.id]
	dw, db := sum[:len(l.w)], sum[align(len(l.w)):][:l.Out]
	if l.quads {
		l.selectInputs(w, e, in, out, dout, dw)
	} else {
		l.path.Sums(p.list, l.sums, in, dw, l.Kernel, l.run, l.in.row, l.run)
	}
	b.bias.Run(l.path, one, p.keep, db, db)
}

// selectInputs adds the weight gradient to dw, (window, channel): for each strip it
// makes quads of the inputs and multiplies each gradient, zero or not, by what its
// selector chooses of them. So an infinite input or a NaN spoils the gradient, as it does in a dense
// product, even where all that meets it is zero.
func (l *pooledConv) selectInputs(w *worker, e int, in, out, dout, dw []float32) {
	p := &l.pooled[w.id]
	step, row := l.poolStride*l.Stride, l.quadRow()
	pixel := step * l.step.in.C
	for top := 0; top < l.pool.H; top += l.strip {
		rows := min(l.strip, l.pool.H-top)
		l.live(w, e, out, dout, top, rows)
		l.path.Quads(p.quads, in[top*step*l.in.row:], (rows-1)*step+l.Kernel, (l.pool.W-1)*pixel+l.run, l.Stride*l.step.in.C, l.Stride*l.in.row, l.in.row, row)
		for r := range l.Kernel {
			l.path.SumSelected(dw[r*l.run*l.Out:], p.quads[4*r*row:], p.offset, p.keep[top*l.pool.W*l.Out:], l.run, l.Out, rows, l.pool.W, step*row, pixel)
		}
	}
	p.visited = l.pool.Size()
	if e == l.turn { // one example of a batch says enough
		live := 0
		for _, g := range p.keep {
			if g != 0 {
				live++
			}
		}
		l.count(live)
	}
}

// listWeights finds, for each pooled pixel and tap, the live gradients, or lists
// them and the weights of their channels.
func (l *pooledConv) listWeights(w *worker, e int) {
	p := &l.pooled[w.id]
	if p.sets != nil {
		p.sets.Fill(l.path, p.keep, l.args(e))
		return
	}
	p.list.Reset()
	l.path.CompressTaps(p.list, p.keep, l.args(e), l.pool.H*l.pool.W, l.Out, l.Out, 4, l.place.weights)
}

func (l *pooledConv) inputGradient(w *worker, din []float32) {
	clear(din)
	p := &l.pooled[w.id]
	if p.sets == nil {
		l.scatter(p.list, l.group, din)
		return
	}
	for r := 0; r < l.Kernel; r += l.rows {
		p.sets.Sum(l.path, l.groups, p.keep, l.turned[r*l.run*l.Out:], din[r*l.in.row:], min(l.rows, l.Kernel-r), l.run, l.rows*l.run, l.run, l.in.row, &w.ahead)
	}
}
