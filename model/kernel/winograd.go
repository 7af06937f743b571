package kernel

import "fmt"

// Winograd is a convolution of 3x3 taps and stride 1, and the 2x2 max pool of stride 2
// behind it, by F(2x2, 3x3): 16 multiplications for four outputs in place of 36. A tile
// of 4x4 inputs d gives the four outputs of one pooling window,
//
//	y = A' ((G g G') * (B' d B)) A
//
//	     1  0 -1  0         1    0    0          1  1  1  0
//	B' = 0  1  1  0    G = 1/2  1/2  1/2    A' = 0  1 -1 -1
//	     0 -1  1  0        1/2 -1/2  1/2
//	     0  1  0 -1         0    0    1
//
// where * goes element by element. Summed over the input channels each of the 16 elements,
// the factors, becomes a matrix product of tiles by output channels.
//
// Rounding errors are not larger than those of the direct form, whose sums are nine times
// as long. An infinite input gives what the direct form does, or NaN.
//
// A Winograd may be used by several goroutines at once, each with its own scratch,
// but not while SetWeights runs.
//
// Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016, arXiv:1509.09308.
type Winograd struct {
	path          *Path
	channels, out int
	width, height int // in tiles
	rows, columns int // of tiles that are computed together: more than one row only of whole ones
	depth         int // channels, filled up with zeros
	factor        int // elements from one factor of a band's inputs to the next
	// weights is (panel of 16 output channels, factor, depth, 16); bias is filled up.
	weights, bias []float32
}

const (
	winogradFactors = 16
	winogradDepth   = 4 // depth is a multiple
	winogradRows    = 6 // tiles of the tallest block of a product
	// winogradTile is the products of a tile and 16 output channels, and a cache line,
	// so that tiles do not share sets.
	winogradTile = (winogradFactors + 1) * panelCols
	// winogradBand is the bytes of factors and products that stay in an L2 cache beside
	// the weights.
	winogradBand = 100 << 10
)

// NewWinograd is for so many input and output channels and a pool that gives height rows of
// width pixels. It returns nil where the path has no such kernels: with AVX-512 what is
// read and written would take as long as the multiplications that are saved.
func (p *Path) NewWinograd(channels, out, width, height int) *Winograd {
	if p.winogradIn == nil || min(channels, out, width, height) < 1 {
		return nil
	}
	w := &Winograd{path: p, channels: channels, out: out, width: width, height: height}
	w.depth = (channels + winogradDepth - 1) / winogradDepth * winogradDepth
	most := max(winogradRows, winogradBand/(4*(winogradFactors*w.depth+winogradTile)))
	w.rows, w.columns = evenly(height, max(1, most/width)), evenly(width, most)
	// Factors a power of two apart would share cache sets.
	w.factor = (w.tiles()*w.depth+15)&^15 + 16
	w.weights, w.bias = Alloc(w.panels()*w.panel()), Alloc(w.panels()*panelCols)
	return w
}

// evenly cuts n into the fewest parts of at most most, and returns the largest.
func evenly(n, most int) int {
	parts := (n + most - 1) / most
	return (n + parts - 1) / parts
}

// tiles is the tiles that are computed together.
func (w *Winograd) tiles() int { return w.rows * w.columns }

func (w *Winograd) panels() int { return (w.out + panelCols - 1) / panelCols }

// panel is the elements of a panel.
func (w *Winograd) panel() int { return winogradFactors * w.depth * panelCols }

// FLOP is the arithmetic of the products of one example.
func (w *Winograd) FLOP() float64 {
	return 2 * winogradFactors * float64(w.width*w.height*w.channels*w.out)
}

// SetWeights copies weights (3, 3, input channel, output channel) and a bias.
func (w *Winograd) SetWeights(weights, bias []float32) {
	tap := w.channels * w.out
	if len(weights) < 9*tap || len(bias) < w.out {
		panic(fmt.Sprintf("kernel: %d weights and %d biases for %d to %d channels", len(weights), len(bias), w.channels, w.out))
	}
	copy(w.bias, bias[:w.out])
	for first := 0; first < w.out; first += panelCols {
		cols := min(panelCols, w.out-first)
		dst := w.weights[first/panelCols*w.panel():]
		for c, n := 0, portion(w.channels, winogradFactors*cols); c < w.channels; c += n {
			w.path.winogradWeights(&weights[c*w.out+first], &dst[c*panelCols], uintptr(min(n, w.channels-c)), uintptr(cols), uintptr(4*w.out), uintptr(4*tap), uintptr(4*w.depth*panelCols), maskTable)
		}
	}
}

// WinogradScratch is what one goroutine needs for a Winograd.
type WinogradScratch struct{ factors, products []float32 }

// NewScratch makes a scratch.
func (w *Winograd) NewScratch() *WinogradScratch {
	return &WinogradScratch{factors: Alloc(winogradFactors * w.factor), products: Alloc(w.tiles() * winogradTile)}
}

// MaxPool computes one example. Rows of pixels of x are xRow elements apart, those of y
// yRow elements, and arg has no gaps. Values, ties and NaN are as those of Path.MaxPool.
// arg has Slack.
func (w *Winograd) MaxPool(s *WinogradScratch, x []float32, xRow int, y []float32, yRow int, arg []uint8, relu bool) {
	row := w.width * w.out
	if xRow < 0 || yRow < row || len(x) < (2*w.height+1)*xRow+(2*w.width+2)*w.channels || len(y) < (w.height-1)*yRow+row || len(arg) < w.height*row+Slack ||
		len(s.factors) < winogradFactors*w.factor || len(s.products) < w.tiles()*winogradTile {
		panic(fmt.Sprintf("kernel: pool of %dx%d pixels of %d to %d channels in slices of %d, %d and %d, rows %d and %d apart", w.height, w.width, w.channels, w.out, len(x), len(y), len(arg), xRow, yRow))
	}
	for top := 0; top < w.height; top += w.rows {
		for left := 0; left < w.width; left += w.columns {
			rows, columns := min(w.rows, w.height-top), min(w.columns, w.width-left)
			for r := range rows {
				w.factors(s, x[2*(top+r)*xRow+2*left*w.channels:], xRow, r*columns, columns)
			}
			// Products are pooled while they are in cache. The last channels come first: up
			// to 7 bytes of arg behind them are overwritten.
			for p := w.panels() - 1; p >= 0; p-- {
				w.multiply(s, w.weights[p*w.panel():], rows*columns)
				for r := range rows {
					w.pool(s, y[(top+r)*yRow+left*w.out:], arg[(top+r)*row+left*w.out:], r*columns, columns, p*panelCols, relu)
				}
			}
		}
	}
}

// factors makes the factors of tiles of a row, which become tiles at and on of those that are
// computed together.
func (w *Winograd) factors(s *WinogradScratch, x []float32, row, at, tiles int) {
	for i, n := 0, portion(tiles, winogradFactors*w.channels); i < tiles; i += n {
		w.path.winogradIn(&x[2*i*w.channels], &s.factors[(at+i)*w.depth], uintptr(min(n, tiles-i)), uintptr(w.channels), uintptr(4*row), uintptr(4*w.depth), uintptr(4*w.factor), maskTable)
	}
}

// multiply multiplies the factors of so many tiles by a panel of the weights.
func (w *Winograd) multiply(s *WinogradScratch, panel []float32, tiles int) {
	factors := min(winogradFactors, max(1, maxWork/(tiles*w.depth*panelCols)))
	// Blocks of rows of one height are one call.
	blocks := (tiles + winogradRows - 1) / winogradRows
	for i := 0; i < tiles; {
		rows := (tiles - i + blocks - 1) / blocks
		like := blocks
		if rows*blocks > tiles-i {
			like -= rows*blocks - (tiles - i)
		}
		for f := 0; f < winogradFactors; f += factors {
			w.path.winogradProduct[rows](&s.factors[f*w.factor+i*w.depth], &panel[f*w.depth*panelCols], &s.products[i*winogradTile+f*panelCols],
				uintptr(like), uintptr(min(factors, winogradFactors-f)), uintptr(w.depth), uintptr(4*w.factor))
		}
		i += like * rows
		blocks -= like
	}
}

// pool makes the outputs of tiles of a row, tiles at and on of those that are computed
// together, for the panel that begins with channel first, and pools them.
func (w *Winograd) pool(s *WinogradScratch, y []float32, arg []uint8, at, tiles, first int, relu bool) {
	cols := min(panelCols, w.out-first)
	gap := w.out - cols
	for i, n := 0, portion(tiles, winogradFactors*cols); i < tiles; i += n {
		to := i*w.out + first
		w.path.winogradPool(&s.products[(at+i)*winogradTile], &w.bias[first], &y[to], &arg[to], uintptr(cols), uintptr(min(n, tiles-i)), uintptr(4*gap), uintptr(gap), flag(relu), maskTable)
	}
}
