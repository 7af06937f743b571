package nn

import "github.com/sotto-fl/sotto/model/kernel"

// newWinograd returns the convolution and its pool by Winograd's algorithm, or nil where that is
// not faster: with few channels the sums are too short to pay for the factors, and those of
// many weights, read for each example, are in no cache.
func (l *pooledConv) newWinograd() *kernel.Winograd {
	in := l.step.in.C
	if l.Kernel != 3 || l.Stride != 1 || l.poolStride != 2 || in < 16 || l.Out < 16 || in*l.Out > 1<<16 {
		return nil
	}
	return l.path.NewWinograd(in, l.Out, l.pool.W, l.pool.H)
}

func (l *pooledConv) prepare(backward bool) {
	if l.winograd != nil && !backward {
		l.winograd.SetWeights(l.w, l.b)
		return
	}
	l.directConv.prepare(backward)
}
