package nn

import "github.com/sotto-fl/sotto/model/kernel"

// frame is the geometry of activations on a SIMD path: (height, width, channel)
// inside a halo of pad zero pixels, which the next convolution asks for. With the
// halo in place the window of a pixel is a few contiguous runs, so a convolution
// reads its input as a matrix with overlapping rows, without im2col.
type frame struct {
	Shape
	pad    int
	row    int // elements from one row of pixels to the next
	origin int // of pixel (0, 0)
	size   int // of one example, halo included
	stride int // from one example to the next
}

func newFrame(s Shape, pad int) frame {
	row := (s.W + 2*pad) * s.C
	size := (s.H + 2*pad) * row
	f := frame{Shape: s, pad: pad, row: row, origin: pad*row + pad*s.C, size: size}
	f.stride = (size + 15) &^ 15
	if f.stride%1024 == 0 {
		// A dense layer reads 1 KB of each of six examples at a time: a quarter of
		// the sets of an L1 cache, and not the same one.
		f.stride += 256 + 16
	}
	return f
}

// alloc returns room for batch examples.
func (f frame) alloc(batch int) []float32 { return kernel.Alloc(batch * f.stride) }

// example is example e of a buffer from alloc, halo included.
func (f frame) example(data []float32, e int) []float32 {
	return data[e*f.stride:][:f.size:f.size]
}

// copyIn writes dense (height, width, channel) data into the inside of dst.
func (f frame) copyIn(dst, src []float32) {
	n := f.W * f.C
	for y := range f.H {
		copy(dst[f.origin+y*f.row:][:n], src[y*n:])
	}
}

// copyOut is the reverse of copyIn.
func (f frame) copyOut(dst, src []float32) {
	n := f.W * f.C
	for y := range f.H {
		copy(dst[y*n:][:n], src[f.origin+y*f.row:])
	}
}
