package kernel

import (
	"fmt"
	"unsafe"
)

// mostSelected is the quads of one kernel.
const mostSelected = 5

// Selectors are what Live must take as taps, at places 0, for the selectors of SumSelected.
var Selectors = func() (s [16]int32) {
	for t := range s {
		s[t] = int32(0x03020100 + 0x04040404*(t%4))
	}
	return s
}()

// HasQuads reports whether the path has Quads and SumSelected.
func (p *Path) HasQuads() bool { return p.quads != nil }

// Quads writes for each of n elements of each of rows rows of x the four inputs that the taps of a 2x2
// pool may have chosen: x[i], x[i+right], x[i+down] and x[i+down+right]. Rows are row elements
// apart, and to quads in dst, which has room for n quads a row rounded up to eight.
func (p *Path) Quads(dst, x []float32, rows, n, right, down, row, to int) {
	if len(x) < span([2]int{rows, row}, [2]int{n, 1})+right+down || len(dst) < 4*span([2]int{rows, to}, [2]int{(n + 7) &^ 7, 1}) {
		panic(fmt.Sprintf("kernel: %d rows of %d quads in slices of %d and %d", rows, n, len(x), len(dst)))
	}
	for i, k := 0, portion(rows, 4*n); i < rows; i += k {
		p.quads(&x[i*row], &x[i*row+down], &dst[4*i*to], uintptr(min(k, rows-i)), uintptr(n), uintptr(4*right), uintptr(4*row), uintptr(16*to), maskTable)
	}
}

// SumSelected adds to dst, a matrix of n rows of channels columns, for each of
// rows times pixels pixels, each of n quads from the pixel's own on and each channel,
// weight times what selector chooses of the quad. Rows of quads are row, pixels pixel quads apart.
// channels is a multiple of 16.
func (p *Path) SumSelected(dst, quads []float32, selector []int32, weight []float32, n, channels, rows, pixels, row, pixel int) {
	size := rows * pixels * channels
	if channels%16 != 0 || n < 1 || len(dst) < n*channels || len(selector) < size || len(weight) < size || len(quads) < 4*((rows-1)*row+(pixels-1)*pixel+n) {
		panic(fmt.Sprintf("kernel: sums of %d quads of %dx%d pixels of %d channels in slices of %d, %d, %d and %d", n, rows, pixels, channels, len(dst), len(quads), len(selector), len(weight)))
	}
	for c := 0; c < channels; c += 16 {
		for i, left := 0, (n+mostSelected-1)/mostSelected; left > 0; left-- {
			k := (n - i + left - 1) / left
			p.selected[k](shift(unsafe.SliceData(quads), 4*i), &selector[c], &weight[c], &dst[i*channels+c],
				uintptr(rows), uintptr(pixels), uintptr(4*channels), uintptr(16*pixel), uintptr(16*row), uintptr(4*channels))
			i += k
		}
	}
}
