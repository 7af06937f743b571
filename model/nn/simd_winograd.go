package nn

import "github.com/sotto-fl/sotto/model/kernel"

// newWinograd returns the convolution and its pool by Winograd's algorithm, or nil where that is
// not faster: with few channels the sums are too short to pay for the factors, and those of
// many weights, four times their size and read for each example, are in no cache.
func (l *pooledConv) newWinograd() *kernel.Winograd {
	in, tiles := l.step.in.C, (l.pool.W+1)/2*((l.pool.H+1)/2)
	if l.Kernel != 3 || l.Stride != 1 || l.poolStride != 2 || min(in, l.Out) < 8 || in*l.Out > min(4, tiles)<<13 {
		return nil
	}
	return l.path.NewWinograd(in, l.Out, l.pool.W, l.pool.H)
}

func (l *pooledConv) prepare(backward bool) {
	if l.winograd != nil && !backward {
		l.winograd.SetWeights(l.w, l.b)
		return
	}
	if backward {
		l.turn = (l.turn + 1) % minChunk
	}
	l.directConv.prepare(backward)
}
