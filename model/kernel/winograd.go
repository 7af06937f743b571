package kernel

import "fmt"

// Winograd is a convolution of 3x3 taps and stride 1, and the 2x2 max pool of stride 2
// behind it, by F(4x4, 3x3): 36 multiplications for 16 outputs in place of 144. A tile
// of 6x6 inputs d gives the outputs of 2x2 pooling windows,
//
//	y = A' ((G g G') * (B' d B)) A
//
//	     4  0 -5  0  1  0         6   0   0
//	     0 -4 -4  1  1  0        -4  -4  -4          1  1  1  1  1  0
//	B' = 0  4 -4 -1  1  0    G = -4   4  -4  / 24    0  1 -1  2 -2  0
//	     0 -2 -1  2  1  0         1   2   4     A' = 0  1  1  4  4  0
//	     0  2 -1 -2  1  0         1  -2   4          0  1 -1  8 -8  1
//	     0  4  0 -5  0  1         0   0  24
//
// where * goes element by element. Summed over the input channels each of the 36 elements,
// the factors, becomes a matrix product of tiles by output channels. In a pool with an odd
// number of rows or columns the last two tiles overlap.
//
// Rounding errors are a few times those of the direct form. Where inputs do not change from
// row to row, or from column to column, outputs do not either, exactly, so that ties stay ties.
// An input that is not finite spoils the windows that see it as in the direct form, or makes them
// NaN, and may make NaN of the other windows of its tiles.
//
// A Winograd may be used by several goroutines at once, each with its own scratch,
// but not while SetWeights runs.
//
// Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016, arXiv:1509.09308.
type Winograd struct {
	path          *Path
	channels, out int
	width, height int // of the pool
	rows, columns int // of tiles that are computed together: more than one row only of whole ones
	depth         int // channels, filled up with zeros
	// weights is (panel of 16 output channels, factor, depth and one, 16); bias is filled up.
	weights, bias []float32
}

const (
	winogradFactors = 36
	winogradGroup   = 8 // channels whose factors lie together; depth is a multiple
	winogradRows    = 6 // tiles of the tallest block of a product
	// winogradTile is the products of a tile and 16 output channels. It ends with a cache
	// line of nothing, as do the factors of a tile and each factor of the weights, so that
	// they do not share sets.
	winogradTile = winogradFactors*panelCols + cacheLine/4
	// winogradBand is the bytes of factors and products that stay in an L2 cache beside
	// the weights.
	winogradBand = 128 << 10
)

// NewWinograd is for so many input and output channels and a pool that gives height rows of
// width pixels, two at least. It returns nil for others, and where the path has no such kernels.
func (p *Path) NewWinograd(channels, out, width, height int) *Winograd {
	if p.winogradIn == nil || min(channels, out) < 1 || min(width, height) < 2 {
		return nil
	}
	w := &Winograd{path: p, channels: channels, out: out, width: width, height: height}
	w.depth = (channels + winogradGroup - 1) / winogradGroup * winogradGroup
	most := max(winogradRows, winogradBand/(4*(w.tile()+winogradTile)))
	across, down := (width+1)/2, (height+1)/2
	w.rows, w.columns = evenly(down, max(1, most/across)), evenly(across, most)
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

// tile is the elements from the factors of a tile to those of the next.
func (w *Winograd) tile() int { return winogradFactors*w.depth + cacheLine/4 }

func (w *Winograd) panels() int { return (w.out + panelCols - 1) / panelCols }

// panel is the elements of a panel.
func (w *Winograd) panel() int { return winogradFactors * w.factor() }

// factor is the elements from one factor of a panel to the next.
func (w *Winograd) factor() int { return (w.depth + 1) * panelCols }

// FLOP is the arithmetic of the products of one example.
func (w *Winograd) FLOP() float64 {
	return 2 * winogradFactors * float64((w.width+1)/2*((w.height+1)/2)*w.channels*w.out)
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
			w.path.winogradWeights(&weights[c*w.out+first], &dst[c*panelCols], uintptr(min(n, w.channels-c)), uintptr(cols), uintptr(4*w.out), uintptr(4*tap), uintptr(4*w.factor()), maskTable)
		}
	}
}

// WinogradScratch is what one goroutine needs for a Winograd.
type WinogradScratch struct{ factors, products []float32 }

// NewScratch makes a scratch.
func (w *Winograd) NewScratch() *WinogradScratch {
	return &WinogradScratch{factors: Alloc(w.tiles() * w.tile()), products: Alloc(w.tiles() * winogradTile)}
}

// MaxPool computes one example. Rows of pixels of x are xRow elements apart, those of y
// yRow elements, and arg has no gaps. Values, ties and NaN are as those of Path.MaxPool.
// arg has Slack.
func (w *Winograd) MaxPool(s *WinogradScratch, x []float32, xRow int, y []float32, yRow int, arg []uint8, relu bool) {
	row := w.width * w.out
	if xRow < 0 || yRow < row || len(x) < (2*w.height+1)*xRow+(2*w.width+2)*w.channels || len(y) < (w.height-1)*yRow+row || len(arg) < w.height*row+Slack ||
		len(s.factors) < w.tiles()*w.tile() || len(s.products) < w.tiles()*winogradTile {
		panic(fmt.Sprintf("kernel: pool of %dx%d pixels of %d to %d channels in slices of %d, %d and %d, rows %d and %d apart", w.height, w.width, w.channels, w.out, len(x), len(y), len(arg), xRow, yRow))
	}
	across, down := (w.width+1)/2, (w.height+1)/2
	for top := 0; top < down; top += w.rows {
		for left := 0; left < across; left += w.columns {
			b := winogradPart{top, left, min(w.rows, down-top), min(w.columns, across-left)}
			w.factors(s, &b, x, xRow)
			w.ahead(&b, y, yRow, arg)
			for p := range w.panels() {
				// Products are pooled while they are in cache.
				w.multiply(s, w.weights[p*w.panel():], b.rows*b.columns)
				w.pool(s, &b, y, yRow, arg, p*panelCols, relu)
			}
		}
	}
}

// winogradPart is tiles that are computed together.
type winogradPart struct{ top, left, rows, columns int }

// place returns the first pooled row of row r of the tiles, the first pooled pixel of tile
// c there, and how many tiles from c on are two pixels apart.
func (w *Winograd) place(b *winogradPart, r, c int) (row, column, tiles int) {
	row, column, tiles = min(2*(b.top+r), w.height-2), 2*(b.left+c), b.columns-c
	switch {
	case column > w.width-2:
		column--
	case column+2*tiles > w.width:
		tiles--
	}
	return row, column, tiles
}

func (w *Winograd) factors(s *WinogradScratch, b *winogradPart, x []float32, xRow int) {
	most := portion(b.columns, winogradFactors*w.channels)
	for r := range b.rows {
		for c := 0; c < b.columns; {
			row, column, tiles := w.place(b, r, c)
			tiles = min(tiles, most)
			w.path.winogradIn(&x[2*row*xRow+2*column*w.channels], &s.factors[(r*b.columns+c)*w.tile()], uintptr(tiles), uintptr(w.channels), uintptr(4*xRow), uintptr(4*w.tile()), maskTable)
			c += tiles
		}
	}
}

// ahead asks for what pool will write, which is in no cache when a batch is large.
func (w *Winograd) ahead(b *winogradPart, y []float32, yRow int, arg []uint8) {
	for r := range b.rows {
		row, column, _ := w.place(b, r, 0)
		n := min(2*b.columns, w.width-column) * w.out
		for i := row; i < row+2; i++ {
			var a Ahead
			Add(&a, y[i*yRow+column*w.out:][:n])
			Add(&a, arg[(i*w.width+column)*w.out:][:n])
			w.path.Fetch(&a, n)
		}
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
			w.path.winogradProduct[rows](&s.factors[i*w.tile()+f*winogradGroup], &panel[f*w.factor()], &s.products[i*winogradTile+f*panelCols],
				uintptr(like), uintptr(min(factors, winogradFactors-f)), uintptr(w.depth), uintptr(4*w.tile()))
		}
		i += like * rows
		blocks -= like
	}
}

// pool makes the outputs of the panel that begins with channel first, and pools them.
func (w *Winograd) pool(s *WinogradScratch, b *winogradPart, y []float32, yRow int, arg []uint8, first int, relu bool) {
	cols, argRow := min(panelCols, w.out-first), w.width*w.out
	gap, most := 2*w.out-cols, portion(b.columns, winogradFactors*cols)
	for r := range b.rows {
		for c := 0; c < b.columns; {
			row, column, tiles := w.place(b, r, c)
			tiles = min(tiles, most)
			to := column*w.out + first
			w.path.winogradPool(&s.products[(r*b.columns+c)*winogradTile], &w.bias[first], &y[row*yRow+to], &arg[row*argRow+to], uintptr(cols), uintptr(tiles),
				uintptr(w.out), uintptr(4*yRow), uintptr(4*gap), uintptr(argRow), uintptr(gap), flag(relu), maskTable)
			c += tiles
		}
	}
}
