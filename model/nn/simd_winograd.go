package nn

import "github.com/sotto-fl/sotto/model/kernel"

// winograd is the forward pass of a pooled 3x3 convolution by F(2,3) along the
// rows: two thirds of the multiplications. See kernel.WinogradIn.
type winograd struct {
	path     *kernel.Path
	tiles    int // of a row: pairs of outputs, and pooled pixels
	channels int // in
	out      int
	rows     int // of outputs in a band
	bias     []float32
	w        []float32
	factors  [kernel.WinogradPlanes][]float32 // of the weights
	packed   [kernel.WinogradPlanes][]float32 // as the products read them
	panel    int
	depth    int
	// Elements of one factor of the inputs, and of one product, of a band.
	plane, product int
}

// chooseWinograd sets l.winograd where it is faster: with few channels the sums are
// too short to pay for the factors.
func (l *pooledConv) chooseWinograd() {
	if !l.path.HasWinograd() || l.Kernel != 3 || l.Stride != 1 || l.poolStride != 2 || l.step.in.C < 16 || l.Out < 16 {
		return
	}
	w := &winograd{path: l.path, tiles: l.pool.W, channels: l.step.in.C, out: l.Out, bias: l.b, w: l.w}
	// The products of a band stay in an L2 cache until they are pooled.
	l.band = max(1, min(l.pool.H, 128<<10/(4*2*kernel.WinogradPlanes*w.tiles*w.out)))
	w.rows = 2 * l.band
	// Planes a power of two apart would share cache sets.
	w.plane = align((w.rows+2)*w.tiles*w.channels) + 16
	w.product = align(w.rows*w.tiles*w.out) + 16
	for i := range w.factors {
		w.factors[i] = kernel.Alloc(3 * w.channels * w.out)
	}
	l.winograd = w
	l.forwardFLOP = 2 * float64(kernel.WinogradPlanes*2*l.pool.H*w.tiles*3*w.channels*w.out)
}

func (w *winograd) scratch() (factors, products []float32) {
	return kernel.Alloc(kernel.WinogradPlanes * w.plane), kernel.Alloc(kernel.WinogradPlanes * w.product)
}

func (w *winograd) prepare() {
	w.path.WinogradWeights(&w.factors, w.w, 3)
	for i, f := range w.factors {
		w.packed[i], w.panel, w.depth = w.path.Panels(w.packed[i], f, 3*w.channels, w.out, w.out)
	}
}

func (l *pooledConv) prepare(backward bool) {
	if l.winograd != nil && !backward {
		l.winograd.prepare()
		return
	}
	l.directConv.prepare(backward)
}

func (l *pooledConv) convolveWinograd(worker *worker, in []float32, top, rows int) {
	w, s := l.winograd, &l.pooled[worker.id]
	for r := range 2*rows + 2 {
		l.path.WinogradIn(s.factors[r*w.tiles*w.channels:], in[(2*top+r)*l.in.row:], w.tiles, w.channels, w.plane)
	}
	p := &worker.product
	p.Set(&kernel.Product{
		Reps: 1, Rows: 2 * rows * w.tiles, Cols: w.out, Segs: 3, Depth: w.channels,
		ARow: w.channels, ASeg: w.tiles * w.channels, ADepth: 1,
		BSeg: w.channels * w.depth, BDepth: w.depth, BPanel: w.panel, CRow: w.out,
	})
	for i := range kernel.WinogradPlanes {
		var init []float32
		if i == 1 { // the product that both outputs add
			init = w.bias
		}
		p.Run(l.path, s.factors[i*w.plane:], w.packed[i], s.products[i*w.product:], init)
	}
}

func (l *pooledConv) poolWinograd(worker *worker, e int, out []float32, top, rows int) {
	w, products, arg := l.winograd, l.pooled[worker.id].products, l.args(e)
	row := w.tiles * w.out
	for y := range rows {
		l.path.WinogradPool(out[l.pool.origin+(top+y)*l.pool.row:], arg[(top+y)*row:], products[2*y*row:], w.out, w.tiles, w.product, row, l.relu)
	}
}
