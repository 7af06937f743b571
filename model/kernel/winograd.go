package kernel

import "fmt"

// Winograd's F(2,3) makes two neighbouring outputs y of a filter of three taps g
// over four inputs d with four multiplications in place of six:
//
//	m0 = (d0-d2)*g0               y0 = m0 + m1 + m2
//	m1 = (d1+d2)*(g0+g1+g2)/2     y1 = m1 - m2 - m3
//	m2 = (d2-d1)*(g0-g1+g2)/2
//	m3 = (d1-d3)*g2
//
// Along the rows of a convolution the sums over channels and kernel rows turn each
// of the four into a matrix product. Rounding errors are two to three times those of the direct
// form, and an infinite input gives NaN where the direct form may give infinity.
//
// Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016, arXiv:1509.09308.

// WinogradPlanes is the factors of F(2,3): of inputs, of weights and of products.
const WinogradPlanes = 4

// HasWinograd reports whether the path has the kernels. Where four multiply-adds
// take no more time than what they read and write, they would save nothing.
func (p *Path) HasWinograd() bool { return p.winogradIn != nil }

// WinogradIn writes the factors of tiles tiles of a row of pixels, which begin two
// pixels apart: factor f of tile t and channel c goes to d[f*plane+t*channels+c].
func (p *Path) WinogradIn(d, x []float32, tiles, channels, plane int) {
	if tiles < 1 || channels < 1 || plane < tiles*channels || len(x) < (2*tiles+2)*channels || len(d) < 3*plane+tiles*channels {
		panic(fmt.Sprintf("kernel: factors of %d tiles of %d channels in slices of %d and %d", tiles, channels, len(x), len(d)))
	}
	for i, n := 0, portion(tiles, 4*channels); i < tiles; i += n {
		p.winogradIn(&x[2*i*channels], &d[i*channels], uintptr(min(n, tiles-i)), uintptr(channels), uintptr(4*plane), maskTable)
	}
}

// WinogradWeights writes the four factors of weights w (kernel row, 3, rest) to g,
// each (kernel row, rest); rows is the kernel rows.
func (p *Path) WinogradWeights(g *[WinogradPlanes][]float32, w []float32, rows int) {
	n := len(w) / (3 * rows)
	for r := range rows {
		var f [WinogradPlanes][]float32
		for i := range f {
			f[i] = g[i][r*n:][:n]
		}
		taps := w[3*r*n:][:3*n]
		copy(f[0], taps)
		copy(f[3], taps[2*n:])
		copy(f[2], taps)
		p.AXPY(f[2], taps[2*n:], 1)
		copy(f[1], f[2])
		p.AXPY(f[1], taps[n:2*n], 1)
		p.AXPY(f[2], taps[n:2*n], -1)
		p.Scale(f[1], 0.5)
		p.Scale(f[2], 0.5)
	}
}

// WinogradPool makes two outputs of each of tiles tiles in two rows, and pools the
// four as MaxPool does. Product f of tile t and channel c is m[f*plane+t*channels+c],
// and row elements later in the second row. arg has Slack.
func (p *Path) WinogradPool(y []float32, arg []uint8, m []float32, channels, tiles, plane, row int, relu bool) {
	n := tiles * channels
	if tiles < 1 || channels < 1 || plane < 0 || row < 0 || len(m) < 3*plane+row+n || len(y) < n || len(arg) < n+Slack {
		panic(fmt.Sprintf("kernel: pool of %d tiles of %d channels in slices of %d, %d and %d", tiles, channels, len(m), len(y), len(arg)))
	}
	for i, k := 0, portion(tiles, 8*channels); i < tiles; i += k {
		at := i * channels
		p.winogradPool(&m[at], &y[at], &arg[at], uintptr(channels), uintptr(min(k, tiles-i)), uintptr(4*channels), uintptr(4*plane), uintptr(4*row), flag(relu), maskTable)
	}
}
