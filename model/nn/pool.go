package nn

import "math"

// maxPool takes the largest input of each window. The first maximum in scan
// order (rows, then columns) wins a tie. A NaN wins over every number, and the
// last NaN of a window over the others, as in PyTorch.
type maxPool struct {
	step
	y      []float32
	argmax []int32 // index into the example's input
}

func (l *maxPool) forward(x []float32, batch int) []float32 {
	in, out := l.in.Size(), l.out.Size()
	for e := range batch {
		l.apply(x[e*in:(e+1)*in], l.y[e*out:(e+1)*out], e)
	}
	return l.y[:batch*out]
}

func (l *maxPool) apply(x, all []float32, e int) {
	c, o := l.in.C, 0
	argmax := l.argmax[e*l.out.Size():]
	for oy := range l.out.H {
		for ox := range l.out.W {
			y, arg := all[o:o+c], argmax[o:o+c]
			origin := (oy*l.Stride*l.in.W + ox*l.Stride) * c
			copy(y, x[origin:origin+c])
			for i := range arg {
				arg[i] = int32(origin + i)
			}
			for ky := range l.Window {
				for kx := range l.Window {
					if ky == 0 && kx == 0 {
						continue
					}
					at := origin + (ky*l.in.W+kx)*c
					maximum(y, arg, x[at:at+c], int32(at))
				}
			}
			o += c
		}
	}
}

// maximum replaces the elements of y that x exceeds, and notes where they were:
// x[i] is at index at+i. Written so that the compiler selects without branching,
// since branches here are mispredicted about half the time.
func maximum(y []float32, arg []int32, x []float32, at int32) {
	arg, x = arg[:len(y)], x[:len(y)]
	for i, best := range y {
		v, a := x[i], arg[i]
		bits := math.Float32bits(best)
		if v > best {
			a = at + int32(i)
		}
		if v > best {
			bits = math.Float32bits(v)
		}
		if v != v {
			a = at + int32(i)
		}
		if v != v {
			bits = math.Float32bits(v)
		}
		y[i], arg[i] = math.Float32frombits(bits), a
	}
}

func (l *maxPool) gradient([]float32, int, int) {}

func (l *maxPool) backward(dy, dx []float32, batch int) {
	in, out := l.in.Size(), l.out.Size()
	for e := range batch {
		l.carry(dy[e*out:(e+1)*out], dx[e*in:(e+1)*in], e)
	}
}

func (l *maxPool) carry(dy, dx []float32, e int) {
	clear(dx)
	for i, at := range l.argmax[e*len(dy) : (e+1)*len(dy)] {
		dx[at] += dy[i]
	}
}

func (l *maxPool) accumulate(_, _, _ []float32, _ int) {}

// avgPool takes the mean of each window.
type avgPool struct {
	step
	y []float32
}

func (l *avgPool) forward(x []float32, batch int) []float32 {
	in, out := l.in.Size(), l.out.Size()
	for e := range batch {
		l.apply(x[e*in:(e+1)*in], l.y[e*out:(e+1)*out], e)
	}
	return l.y[:batch*out]
}

func (l *avgPool) apply(x, y []float32, _ int) {
	clear(y)
	scale := 1 / float32(l.Window*l.Window)
	l.windows(func(in, out int) {
		src, dst := x[in:in+l.in.C], y[out:out+l.in.C]
		for i, v := range src {
			dst[i] += v * scale
		}
	})
}

func (l *avgPool) gradient([]float32, int, int) {}

func (l *avgPool) backward(dy, dx []float32, batch int) {
	in, out := l.in.Size(), l.out.Size()
	for e := range batch {
		l.carry(dy[e*out:(e+1)*out], dx[e*in:(e+1)*in], e)
	}
}

func (l *avgPool) carry(dy, dx []float32, _ int) {
	clear(dx)
	scale := 1 / float32(l.Window*l.Window)
	l.windows(func(in, out int) {
		src, dst := dy[out:out+l.in.C], dx[in:in+l.in.C]
		for i, v := range src {
			dst[i] += v * scale
		}
	})
}

func (l *avgPool) accumulate(_, _, _ []float32, _ int) {}

// windows calls f, for each output pixel and each input pixel of its window,
// with the indices of their first channels.
func (l *avgPool) windows(f func(in, out int)) {
	out := 0
	for oy := range l.out.H {
		for ox := range l.out.W {
			for ky := range l.Window {
				for kx := range l.Window {
					f(((oy*l.Stride+ky)*l.in.W+ox*l.Stride+kx)*l.in.C, out)
				}
			}
			out += l.in.C
		}
	}
}
