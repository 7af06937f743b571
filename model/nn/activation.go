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
		y[i] = max(v, 0)
	}
	return y
}

func (l *relu) gradient([]float32, int, int) {}

func (l *relu) backward(dy, dx []float32, batch int) {
	y, dy := l.y[:batch*l.size], dy[:batch*l.size]
	dx = dx[:len(y)]
	for i, v := range y {
		// Signs are as good as random, so a branch here is mispredicted half the
		// time. forward leaves no output but +0 whose gradient is blocked: the
		// mask is all ones unless every bit of v is 0.
		b := math.Float32bits(v)
		mask := uint32(int32(b|-b) >> 31)
		dx[i] = math.Float32frombits(math.Float32bits(dy[i]) & mask)
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
