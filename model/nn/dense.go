package nn

import "github.com/sotto-fl/sotto/model/kernel"

// dense is y = x*Wᵀ + b with W (out, in).
type dense struct {
	views
	in, out int
	x, y    []float32
}

func (l *dense) forward(x []float32, batch int) []float32 {
	l.x = x
	y := l.y[:batch*l.out]
	kernel.NT(batch, l.out, l.in, x, l.in, l.w, l.in, y, l.out)
	addRows(y, l.b)
	return y
}

func (l *dense) gradient(dy []float32, lo, hi int) {
	d := dy[lo*l.out : hi*l.out]
	kernel.TN(l.out, l.in, hi-lo, d, l.out, l.x[lo*l.in:], l.in, l.dw, l.in)
	sumRows(l.db, d)
}

func (l *dense) backward(dy, dx []float32, batch int) {
	kernel.NN(batch, l.in, l.out, dy, l.out, l.w, l.in, dx, l.in)
}
