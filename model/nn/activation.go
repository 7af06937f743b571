package nn

import "math"

// relu is max(0, x); a NaN stays a NaN and passes its gradient.
type relu struct {
	size int
	y    []float32
}

func (l *relu) forward(x []float32, batch int) []float32 {
	y := l.y[:batch*l.size]
	for i, v := range x[:len(y)] {
		if v <= 0 {
			v = 0
		}
		y[i] = v
	}
	return y
}

func (l *relu) gradient([]float32, int, int) {}

func (l *relu) backward(dy, dx []float32, batch int) {
	y, dy := l.y[:batch*l.size], dy[:batch*l.size]
	for i, v := range y {
		g := dy[i]
		if v <= 0 {
			g = 0
		}
		dx[i] = g
	}
}

type tanh struct {
	size int
	y    []float32
}

func (l *tanh) forward(x []float32, batch int) []float32 {
	y := l.y[:batch*l.size]
	for i, v := range x[:len(y)] {
		y[i] = float32(math.Tanh(float64(v)))
	}
	return y
}

func (l *tanh) gradient([]float32, int, int) {}

func (l *tanh) backward(dy, dx []float32, batch int) {
	for i, v := range l.y[:batch*l.size] {
		dx[i] = dy[i] * (1 - v*v)
	}
}

// flatten changes no value: a network's weights follow its activations' order.
type flatten struct{ size int }

func (flatten) forward(x []float32, _ int) []float32 { return x }

func (flatten) gradient([]float32, int, int) {}

func (l flatten) backward(dy, dx []float32, batch int) { copy(dx, dy[:batch*l.size]) }
