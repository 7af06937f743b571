package nn

import "github.com/sotto-fl/sotto/model/kernel"

// columnBudget bounds the im2col buffer of one layer, in elements (2 MB, which
// an L2 cache holds). A batch that needs more is done in chunks of whole
// examples; the sums are in the same order either way.
const columnBudget = 1 << 19

// conv is a 2-D convolution as a matrix product: im2col makes one row of
// kernel*kernel*in.C inputs per output pixel, in the order of the weights,
// (out, kernel row, kernel column, in channel).
type conv struct {
	step
	views
	depth  int // kernel*kernel*in.C
	pixels int // output pixels per example
	chunk  int // examples per product
	x, y   []float32
	col    []float32 // (chunk*pixels, depth)
	held   [2]int    // the examples that col holds
	dcol   []float32 // scratch, shared between layers
}

// columns is the size of the im2col buffer of s.
func columns(s step, batch int) int {
	return chunk(s, batch) * s.out.H * s.out.W * s.Kernel * s.Kernel * s.in.C
}

func chunk(s step, batch int) int {
	per := s.out.H * s.out.W * s.Kernel * s.Kernel * s.in.C
	return max(1, min(batch, columnBudget/per))
}

func newConv(s step, v views, y []float32, batch int, shared []float32) *conv {
	return &conv{
		step: s, views: v, y: y, dcol: shared,
		depth:  s.Kernel * s.Kernel * s.in.C,
		pixels: s.out.H * s.out.W,
		chunk:  chunk(s, batch),
		col:    make([]float32, columns(s, batch)),
	}
}

func (l *conv) forward(x []float32, batch int) []float32 {
	l.x = x
	for lo := 0; lo < batch; lo += l.chunk {
		hi := min(lo+l.chunk, batch)
		l.gather(lo, hi)
		y := l.y[lo*l.out.Size() : hi*l.out.Size()]
		kernel.NT((hi-lo)*l.pixels, l.Out, l.depth, l.col, l.depth, l.w, l.depth, y, l.Out)
		addRows(y, l.b)
	}
	return l.y[:batch*l.out.Size()]
}

func (l *conv) gradient(dy []float32, lo, hi int) {
	for ; lo < hi; lo += l.chunk {
		end := min(lo+l.chunk, hi)
		first := 0
		if l.held[0] <= lo && end <= l.held[1] {
			first = (lo - l.held[0]) * l.pixels * l.depth
		} else {
			l.gather(lo, end)
		}
		d := dy[lo*l.out.Size() : end*l.out.Size()]
		kernel.TN(l.Out, l.depth, (end-lo)*l.pixels, d, l.Out, l.col[first:], l.depth, l.dw, l.depth)
		sumRows(l.db, d)
	}
}

func (l *conv) backward(dy, dx []float32, batch int) {
	clear(dx)
	for lo := 0; lo < batch; lo += l.chunk {
		hi := min(lo+l.chunk, batch)
		d := dy[lo*l.out.Size() : hi*l.out.Size()]
		kernel.NN((hi-lo)*l.pixels, l.depth, l.Out, d, l.Out, l.w, l.depth, l.dcol, l.depth)
		l.scatter(dx, lo, hi)
	}
}

// gather fills col with the inputs of examples lo to hi-1. A row of col stands
// for the same output pixel whichever examples it holds, so the positions in
// the padding are never written and stay zero.
func (l *conv) gather(lo, hi int) {
	l.held = [2]int{lo, hi}
	run := l.Kernel * l.in.C
	row := l.col
	for e := lo; e < hi; e++ {
		x := l.x[e*l.in.Size() : (e+1)*l.in.Size()]
		for oy := range l.out.H {
			for ox := range l.out.W {
				left := ox*l.Stride - l.Padding
				from, to := l.clip(left)
				for ky := range l.Kernel {
					iy := oy*l.Stride - l.Padding + ky
					if iy < 0 || iy >= l.in.H {
						continue
					}
					src := x[(iy*l.in.W+left+from)*l.in.C : (iy*l.in.W+left+to)*l.in.C]
					dst := row[ky*run+from*l.in.C:][:len(src)]
					if len(src) <= 8 { // shorter than a call of memmove
						//lint:ignore S1001 that is why it is no copy
						for i, v := range src {
							dst[i] = v
						}
					} else {
						copy(dst, src)
					}
				}
				row = row[l.depth:]
			}
		}
	}
}

// scatter adds dcol to the input gradient of examples lo to hi-1.
func (l *conv) scatter(dx []float32, lo, hi int) {
	run := l.Kernel * l.in.C
	row := l.dcol
	for e := lo; e < hi; e++ {
		x := dx[e*l.in.Size() : (e+1)*l.in.Size()]
		for oy := range l.out.H {
			for ox := range l.out.W {
				left := ox*l.Stride - l.Padding
				from, to := l.clip(left)
				for ky := range l.Kernel {
					iy := oy*l.Stride - l.Padding + ky
					if iy < 0 || iy >= l.in.H {
						continue
					}
					dst := x[(iy*l.in.W+left+from)*l.in.C : (iy*l.in.W+left+to)*l.in.C]
					src := row[ky*run+from*l.in.C:][:len(dst)]
					for i, v := range src {
						dst[i] += v
					}
				}
				row = row[l.depth:]
			}
		}
	}
}

// clip returns the kernel columns that lie inside the input when the first one
// is at column left.
func (l *conv) clip(left int) (from, to int) {
	return min(max(0, -left), l.Kernel), max(min(l.Kernel, l.in.W-left), 0)
}

// addRows adds b to every row of y, whose rows have len(b) elements.
func addRows(y, b []float32) {
	for len(y) > 0 {
		row := y[:len(b)]
		for i, v := range b {
			row[i] += v
		}
		y = y[len(b):]
	}
}

// sumRows adds every row of d to sum.
func sumRows(sum, d []float32) {
	for len(d) > 0 {
		row := d[:len(sum)]
		for i, v := range row {
			sum[i] += v
		}
		d = d[len(sum):]
	}
}
