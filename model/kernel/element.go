package kernel

import (
	"fmt"
	"unsafe"
)

// maxRun is the elements of one call: a few microseconds, since assembly is not
// preempted.
const maxRun = 1 << 14

func same(name string, n int, more ...int) {
	for _, m := range more {
		if m != n {
			panic(fmt.Sprintf("kernel: %s of slices of %d and %d", name, n, m))
		}
	}
}

// ReLU replaces y by max(y, 0); a NaN stays.
func (p *Path) ReLU(y []float32) {
	for ; len(y) > 0; y = y[min(maxRun, len(y)):] {
		p.relu(&y[0], uintptr(min(maxRun, len(y))), maskTable)
	}
}

// Tanh replaces y by its hyperbolic tangent, to within 3e-7 relative. Equal
// inputs give equal bits on every SIMD path.
func (p *Path) Tanh(y []float32) {
	for ; len(y) > 0; y = y[min(maxRun, len(y)):] {
		p.tanh(&y[0], uintptr(min(maxRun, len(y))), maskTable)
	}
}

// ReLUBack zeroes dy where y is zero or below; y is the output of a ReLU.
func (p *Path) ReLUBack(dy, y []float32) {
	same("relu", len(dy), len(y))
	for i := 0; i < len(y); i += maxRun {
		p.reluBack(&dy[i], &y[i], uintptr(min(maxRun, len(y)-i)), maskTable)
	}
}

// TanhBack multiplies dy by 1-y*y; y is the output of a tanh.
func (p *Path) TanhBack(dy, y []float32) {
	same("tanh", len(dy), len(y))
	for i := 0; i < len(y); i += maxRun {
		p.tanhBack(&dy[i], &y[i], uintptr(min(maxRun, len(y)-i)), maskTable)
	}
}

// AXPY adds c*x to y.
func (p *Path) AXPY(y, x []float32, c float32) {
	same("axpy", len(y), len(x))
	if !p.SIMD() {
		for i, v := range x {
			y[i] += c * v
		}
		return
	}
	for i := 0; i < len(y); i += maxRun {
		p.axpy(&y[i], &x[i], uintptr(min(maxRun, len(y)-i)), c, maskTable)
	}
}

// AXPYClear adds c*x to y and makes x zero, in one pass where the length is a multiple
// of 16.
func (p *Path) AXPYClear(y, x []float32, c float32) {
	same("axpy", len(y), len(x))
	if p.axpyClear == nil || len(y)%16 != 0 {
		p.AXPY(y, x, c)
		clear(x)
		return
	}
	for i := 0; i < len(y); i += maxRun {
		p.axpyClear(&y[i], &x[i], uintptr(min(maxRun, len(y)-i)), c)
	}
}

// Scale multiplies y by c.
func (p *Path) Scale(y []float32, c float32) {
	if !p.SIMD() {
		for i := range y {
			y[i] *= c
		}
		return
	}
	for i := 0; i < len(y); i += maxRun {
		p.scale(&y[i], uintptr(min(maxRun, len(y)-i)), c, maskTable)
	}
}

// AXPY64 adds c*x to y in float64. Equal inputs give equal bits on every SIMD
// path.
func (p *Path) AXPY64(y []float64, x []float32, c float64) {
	same("axpy", len(y), len(x))
	i := 0
	if p.SIMD() {
		for full := len(y) &^ (p.lanes/2 - 1); i < full; {
			n := min(maxRun, full-i)
			p.axpy64(&y[i], &x[i], uintptr(n), c)
			i += n
		}
	}
	for ; i < len(y); i++ {
		y[i] += c * float64(x[i])
	}
}

// SumSquares returns the sum of the squares of x, in float64.
func (p *Path) SumSquares(x []float32) float64 {
	sum, i := 0.0, 0
	if p.SIMD() {
		for full := len(x) &^ (2*p.lanes - 1); i < full; {
			n := min(maxRun, full-i)
			sum += p.squares(&x[i], uintptr(n))
			i += n
		}
	}
	for _, v := range x[i:] {
		sum += float64(v) * float64(v)
	}
	return sum
}

// Adam makes one step of the rule on weights w with gradient g, first moment m
// and second moment u:
//
//	m += s[0]*(g-m);  u = s[1]*u + s[2]*g*g;  w -= s[3]*m / (sqrt(u)*s[4] + s[5])
//
// Denormal numbers count as zero. s should be on the heap, or the call allocates it there.
func (p *Path) Adam(w, g, m, u []float32, s *[6]float32) {
	same("adam", len(w), len(g), len(m), len(u))
	for i := 0; i < len(w); i += maxRun {
		p.adam(&w[i], &g[i], &m[i], &u[i], uintptr(min(maxRun, len(w)-i)), s, maskTable)
	}
}

// Momentum makes one step of SGD: m = s[0]*m + g; w -= s[1]*m. It is as Adam
// otherwise.
func (p *Path) Momentum(w, g, m []float32, s *[2]float32) {
	same("momentum", len(w), len(g), len(m))
	for i := 0; i < len(w); i += maxRun {
		p.momentum(&w[i], &g[i], &m[i], uintptr(min(maxRun, len(w)-i)), s, maskTable)
	}
}

// permutations moves the lanes that an 8-bit mask selects to the front: AVX2's
// compression.
var permutations = func() (t [256][8]uint32) {
	for m := range t {
		n := 0
		for l := range uint32(8) {
			if m>>l&1 == 1 {
				t[m][n] = l
				n++
			}
		}
	}
	return t
}()

// Transpose writes the transpose of src (rows by cols, row stride srcRow) to dst
// (cols by rows, row stride dstRow).
func (p *Path) Transpose(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	if len(src) < span([2]int{rows, srcRow}, [2]int{cols, 1}) || len(dst) < span([2]int{cols, dstRow}, [2]int{rows, 1}) {
		panic(fmt.Sprintf("kernel: transpose of %dx%d in slices of %d and %d", rows, cols, len(src), len(dst)))
	}
	r8, c8 := 0, 0
	if p.SIMD() {
		r8, c8 = rows&^7, cols&^7
	}
	if r8 > 0 && c8 > 0 {
		for i := 0; i < r8; {
			n := min(r8-i, 8*max(1, maxRun/(8*c8)))
			transpose(&src[i*srcRow], &dst[i], uintptr(n/8), uintptr(c8/8), uintptr(4*srcRow), uintptr(4*dstRow))
			i += n
		}
	}
	for i := range rows {
		first := c8
		if i >= r8 {
			first = 0
		}
		for j := first; j < cols; j++ {
			dst[j*dstRow+i] = src[i*srcRow+j]
		}
	}
}

// Interleave3 writes n pixels of three channels to dst: dst[3*i+c] = src[c*plane+i].
func (p *Path) Interleave3(dst, src []float32, plane, n int) {
	if len(dst) < 3*n || plane < n || len(src) < 2*plane+n {
		panic(fmt.Sprintf("kernel: %d pixels of planes %d apart in slices of %d and %d", n, plane, len(src), len(dst)))
	}
	i := 0
	if p.SIMD() {
		for full := n &^ 7; i < full; {
			k := min(maxRun, full-i)
			interleave3(&src[i], &dst[3*i], uintptr(k/8), uintptr(4*plane))
			i += k
		}
	}
	for ; i < n; i++ {
		dst[3*i], dst[3*i+1], dst[3*i+2] = src[i], src[plane+i], src[2*plane+i]
	}
}

// interleaved is the pixel of each element of eight pixels of three channels.
var interleaved = func() (t [3][8]uint32) {
	for i := range 24 {
		t[i/8][i%8] = uint32(i / 3)
	}
	return t
}()

// TransposeInt32 is Transpose for integers.
func (p *Path) TransposeInt32(dst []int32, dstRow int, src []int32, srcRow, rows, cols int) {
	p.Transpose(floats(dst), dstRow, floats(src), srcRow, rows, cols)
}

// floats reads integers as floats; moving them changes no bit.
func floats(s []int32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}
