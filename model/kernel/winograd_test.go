package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/meter"
)

// winogradCase is a pooled convolution with operands that end or begin at guard pages.
type winogradCase struct {
	w                            *Winograd
	channels, out, width, height int
	xRow, yRow                   int
	x, weights, bias, y          []float32
	arg                          []uint8
	relu                         bool
}

func randomWinograd(t *testing.T, r *rand.Rand, path *Path) *winogradCase {
	c := &winogradCase{channels: 1 + r.IntN(40), out: 1 + r.IntN(70), width: 2 + r.IntN(9), height: 2 + r.IntN(5), relu: r.IntN(2) == 0}
	switch r.IntN(8) {
	case 0: // parts of a row, and of the factors
		c.channels, c.out, c.width, c.height = 340+r.IntN(30), 1+r.IntN(20), 2+r.IntN(30), 2+r.IntN(3)
	case 1: // several bands
		c.width, c.height = 12+r.IntN(10), 5+r.IntN(6)
	}
	c.xRow, c.yRow = (2*c.width+2)*c.channels+r.IntN(20), c.width*c.out+r.IntN(20)
	c.x = guarded(t, r, (2*c.height+1)*c.xRow+(2*c.width+2)*c.channels)
	c.weights, c.bias = guarded(t, r, 9*c.channels*c.out), guarded(t, r, c.out)
	c.y = guarded(t, r, (c.height-1)*c.yRow+c.width*c.out)
	c.arg = bytesOf(guarded(t, r, (c.width*c.height*c.out+Slack+3)/4))[:c.width*c.height*c.out+Slack]
	c.w = path.NewWinograd(c.channels, c.out, c.width, c.height)
	c.w.SetWeights(c.weights, c.bias)
	return c
}

// outputs is the four outputs of a window in float64, and the sum of the magnitudes
// of what is added up in them.
func (c *winogradCase) outputs(row, column, o int) (y [4]float64, size float64) {
	for k := range y {
		y[k] = float64(c.bias[o])
		for tap := range 9 {
			at := (2*row+k/2+tap/3)*c.xRow + (2*column+k%2+tap%3)*c.channels
			for i := range c.channels {
				v := float64(c.x[at+i]) * float64(c.weights[(tap*c.channels+i)*c.out+o])
				y[k] += v
				size += math.Abs(v)
			}
		}
	}
	return y, size
}

func onWinograd(t *testing.T, f func(t *testing.T, path *Path)) {
	onEachPath(t, func(t *testing.T, path *Path) {
		if path.NewWinograd(1, 1, 2, 2) == nil {
			t.Skip("the path computes convolutions directly")
		}
		f(t, path)
	})
}

func TestWinograd(t *testing.T) {
	// A product's is 1e-6 (TestProduct); TestWinogradAccuracy measures five times the
	// error of a product, seven times at most.
	const tolerance = 7e-6
	onWinograd(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(80, 1))
		for range 150 {
			c := randomWinograd(t, r, path)
			before := slices.Clone(c.y)
			c.w.MaxPool(c.w.NewScratch(), c.x, c.xRow, c.y, c.yRow, c.arg, c.relu)
			name := fmt.Sprintf("%dx%d pixels, %d to %d channels", c.height, c.width, c.channels, c.out)
			for row := range c.height {
				for i := range c.width * c.out {
					want, size := c.outputs(row, i/c.out, i%c.out)
					best := slices.Max(want[:])
					top := best
					if c.relu {
						top = max(top, 0)
					}
					got, arg := float64(c.y[row*c.yRow+i]), c.arg[row*c.width*c.out+i]
					if math.Abs(got-top) > tolerance*(1+size) {
						t.Fatalf("%s: row %d, element %d is %v, want %v", name, row, i, got, top)
					}
					if arg > 3 || math.Abs(want[arg]-best) > tolerance*(1+size) {
						t.Fatalf("%s: row %d, element %d took tap %d of %v", name, row, i, arg, want)
					}
				}
				end := min((row+1)*c.yRow, len(c.y))
				if i := row*c.yRow + c.width*c.out; !slices.Equal(c.y[i:end], before[i:end]) {
					t.Fatalf("%s: wrote behind row %d", name, row)
				}
			}
		}
	})
}

// Errors against float64 are four to six times those of the direct form: the transforms add
// up what is up to 100 times as large as the outputs, the sums are a ninth as long.
func TestWinogradAccuracy(t *testing.T) {
	onWinograd(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(81, 1))
		for _, s := range [][4]int{{16, 16, 8, 8}, {32, 64, 8, 8}, {128, 64, 4, 4}, {512, 32, 4, 4}} {
			c := &winogradCase{channels: s[0], out: s[1], width: s[2], height: s[3]}
			c.xRow, c.yRow = (2*c.width+2)*c.channels, c.width*c.out
			c.x, c.weights, c.bias = random(r, (2*c.height+2)*c.xRow), random(r, 9*c.channels*c.out), make([]float32, c.out)
			size := c.height * c.yRow
			c.y, c.arg = make([]float32, size), make([]uint8, size+Slack)
			c.w = path.NewWinograd(c.channels, c.out, c.width, c.height)
			c.w.SetWeights(c.weights, c.bias)
			c.w.MaxPool(c.w.NewScratch(), c.x, c.xRow, c.y, c.yRow, c.arg, false)
			full, y, arg := make([]float32, 4*size), make([]float32, size), make([]uint8, size+Slack)
			c.direct(path, full, y, arg)
			var squares, err, errDirect, most, mostDirect float64
			for i := range size {
				want, _ := c.outputs(i/c.yRow, i%c.yRow/c.out, i%c.out)
				top := slices.Max(want[:])
				squares += top * top
				e, d := math.Abs(float64(c.y[i])-top), math.Abs(float64(y[i])-top)
				err, errDirect, most, mostDirect = err+e*e, errDirect+d*d, max(most, e), max(mostDirect, d)
			}
			rms := math.Sqrt(squares / float64(size))
			mean := func(e float64) float64 { return math.Sqrt(e/float64(size)) / rms }
			t.Logf("%d to %d channels: root mean square %.2g, direct %.2g; most %.2g, direct %.2g", c.channels, c.out, mean(err), mean(errDirect), most/rms, mostDirect/rms)
			if err > 8*8*errDirect {
				t.Errorf("%d to %d channels: the error is %.2g, that of the direct form %.2g", c.channels, c.out, mean(err), mean(errDirect))
			}
		}
	})
}

// direct computes the same without Winograd's algorithm.
func (c *winogradCase) direct(path *Path, full, y []float32, arg []uint8) {
	p, packed := c.product(path)
	p.Run(path, c.x, packed, full, c.bias)
	c.pool(path, full, y, arg)
}

func (c *winogradCase) product(path *Path) (p Product, packed []float32) {
	run, row := 3*c.channels, 2*c.width*c.out
	p = Product{Reps: 2 * c.height, Rows: 2 * c.width, Cols: c.out, Segs: 3, Depth: run, ARep: c.xRow, ARow: c.channels, ASeg: c.xRow, ADepth: 1, CRep: row, CRow: c.out}
	packed, p.BPanel, p.BDepth = path.Panels(nil, c.weights, 3*run, c.out, c.out)
	p.BSeg = run * p.BDepth
	return p, packed
}

func (c *winogradCase) pool(path *Path, full, y []float32, arg []uint8) {
	row := 2 * c.width * c.out
	taps := []int64{0, int64(4 * c.out), int64(4 * row), int64(4 * (row + c.out))}
	for h := range c.height {
		path.MaxPool(full[2*h*row:], taps, y[h*c.width*c.out:], arg[h*c.width*c.out:], c.out, c.width, 2*c.out, c.relu)
	}
}

// What is pooled follows the rules of MaxPool: the first of equals, and NaN.
func TestWinogradTies(t *testing.T) {
	onWinograd(t, func(t *testing.T, path *Path) {
		const out = 27
		r := rand.New(rand.NewPCG(83, 1))
		w := path.NewWinograd(1, out, 2, 2)
		for range 300 {
			// Products that give any outputs y, exactly: m = T y T', where A' T = 1.
			transform := [6][4]float32{{1, 0, -1, 0}, {0, 0.5, 0.5, 0}, {0, -0.5, 0.5, 0}, {}, {}, {0, -1, 0, 1}}
			var y [4][4]float32
			for i := range y {
				for k := range y[i] {
					y[i][k] = float32(r.IntN(4) - 2)
				}
			}
			s := w.NewScratch()
			for i := range transform {
				for k := range transform {
					m := float32(0)
					for p := range y {
						for q := range y[p] {
							m += transform[i][p] * y[p][q] * transform[k][q]
						}
					}
					for c := range panelCols {
						s.products[(6*i+k)*panelCols+c] = m
					}
				}
			}
			// A corner is in one output alone.
			for _, corner := range [][3]int{{0, 0, 0}, {0, 3, 5}, {3, 0, 30}, {3, 3, 35}} {
				if r.IntN(4) == 0 {
					y[corner[0]][corner[1]] = float32(math.NaN())
					for c := range panelCols {
						s.products[corner[2]*panelCols+c] = float32(math.NaN())
					}
				}
			}
			relu := r.IntN(2) == 0
			pooled, arg := make([]float32, 4*out), make([]uint8, 4*out+Slack)
			products := slices.Clone(s.products)
			for _, first := range []int{0, panelCols} {
				copy(s.products, products)
				w.pool(s, &winogradPart{0, 0, 1, 1}, pooled, 2*out, arg, first, relu)
			}
			for i := range pooled {
				p, q := 2*(i/out/2), 2*(i/out%2)
				window := []float32{y[p][q], y[p][q+1], y[p+1][q], y[p+1][q+1]}
				best, want := window[0], 0
				for k, v := range window {
					if v > best || v != v {
						best, want = v, k
					}
				}
				if relu && best < 0 {
					best = 0
				}
				if int(arg[i]) != want || pooled[i] != best && !(pooled[i] != pooled[i] && best != best) {
					t.Fatalf("%v: element %d took %d, %v, want %d, %v", window, i, arg[i], pooled[i], want, best)
				}
			}
		}
	})
}

// Where inputs do not change along a row or a column, outputs are equal bit for bit.
func TestWinogradFlat(t *testing.T) {
	onWinograd(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(84, 1))
		for range 60 {
			c := randomWinograd(t, r, path)
			across, down := r.IntN(2) == 0, r.IntN(2) == 0
			for row := range 2*c.height + 2 {
				for i := range (2*c.width + 2) * c.channels {
					from, at := row*c.xRow+i, row*c.xRow+i
					if down {
						from = i
					}
					if across {
						from += i%c.channels - i
					}
					c.x[at] = c.x[from]
				}
			}
			c.w.MaxPool(c.w.NewScratch(), c.x, c.xRow, c.y, c.yRow, c.arg, c.relu)
			for i, arg := range c.arg[:c.height*c.width*c.out] {
				if across && arg%2 != 0 || down && arg > 1 {
					t.Fatalf("%dx%d pixels, %d to %d channels: element %d took tap %d, which is equal to an earlier one", c.height, c.width, c.channels, c.out, i, arg)
				}
			}
		}
	})
}

// An input that is not finite spoils the windows that see it, and at most the others of
// its tiles. Where something else than NaN comes out of it, it is what the direct form gives.
func TestWinogradNotFinite(t *testing.T) {
	onWinograd(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(82, 1))
		for range 100 {
			c := randomWinograd(t, r, path)
			row, column := r.IntN(2*c.height+2), r.IntN(2*c.width+2)
			bad := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[r.IntN(3)]
			c.x[row*c.xRow+column*c.channels+r.IntN(c.channels)] = bad
			c.w.MaxPool(c.w.NewScratch(), c.x, c.xRow, c.y, c.yRow, c.arg, c.relu)
			// in tells whether input i is in the tile of window k of n.
			in := func(i, k, n int) bool {
				first := k &^ 1
				if n%2 == 1 && k >= n-2 {
					first = n - 2
				}
				return i >= 2*first && i < 2*first+6
			}
			for h := range c.height {
				for i := range c.width * c.out {
					got, arg := float64(c.y[h*c.yRow+i]), c.arg[h*c.width*c.out+i]
					want, size := c.outputs(h, i/c.out, i%c.out)
					top := slices.Max(want[:])
					if c.relu {
						top = max(top, 0)
					}
					spoilt := in(row, h, c.height) && in(column, i/c.out, c.width)
					switch {
					case arg > 3:
						t.Fatalf("tap %d", arg)
					case got != got:
						if !spoilt {
							t.Fatalf("%v at %d, %d made window %d, %d NaN", bad, row, column, h, i/c.out)
						}
					case got != top && !(math.Abs(got-top) <= 1e-6*(1+size)):
						t.Fatalf("%v at %d, %d: window %d, %d is %v, want %v", bad, row, column, h, i/c.out, got, top)
					}
				}
			}
		}
	})
}

func TestWinogradRefuses(t *testing.T) {
	onWinograd(t, func(t *testing.T, path *Path) {
		w := path.NewWinograd(3, 5, 2, 2)
		refused := func(f func()) (refused bool) {
			defer func() { refused = recover() != nil }()
			f()
			return false
		}
		weights := func(w9, bias int) func() {
			return func() { w.SetWeights(make([]float32, w9), make([]float32, bias)) }
		}
		pool := func(s *WinogradScratch, x, xRow, y, yRow, arg int) func() {
			return func() { w.MaxPool(s, make([]float32, x), xRow, make([]float32, y), yRow, make([]uint8, arg), true) }
		}
		s, small := w.NewScratch(), new(WinogradScratch)
		if refused(weights(135, 5)) || refused(pool(s, 108, 18, 20, 10, 20+Slack)) {
			t.Fatal("the base of the cases is refused")
		}
		for i, f := range []func(){
			weights(134, 5), weights(135, 4), pool(s, 107, 18, 20, 10, 20+Slack), pool(s, 108, -18, 20, 10, 20+Slack), pool(s, 108, 18, 19, 10, 20+Slack),
			pool(s, 108, 18, 20, 9, 20+Slack), pool(s, 108, 18, 20, 10, 19+Slack), pool(small, 108, 18, 20, 10, 20+Slack),
		} {
			if !refused(f) {
				t.Errorf("case %d reads or writes outside of its slices", i)
			}
		}
		if path.NewWinograd(0, 5, 2, 2) != nil || path.NewWinograd(3, 5, 2, 1) != nil {
			t.Error("a convolution without channels or with too few pixels")
		}
	})
}

// BenchmarkWinograd times pooled convolutions by Winograd's algorithm and directly,
// in turns. %peak counts the multiplications that each makes, and leaves out the rest.
func BenchmarkWinograd(b *testing.B) {
	for _, path := range available {
		if !path.SIMD() || path.NewWinograd(1, 1, 2, 2) == nil {
			continue
		}
		for _, s := range [][3]int{{32, 64, 8}, {16, 16, 16}, {16, 32, 8}, {8, 8, 16}, {32, 32, 14}, {32, 32, 7}, {64, 128, 8}, {128, 128, 4}, {128, 256, 4}, {128, 256, 2}, {256, 256, 4}} {
			b.Run(fmt.Sprintf("%s/%dto%d-%dx%d", path.name, s[0], s[1], s[2], s[2]), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 1))
				c := &winogradCase{channels: s[0], out: s[1], width: s[2], height: s[2], relu: true}
				c.xRow, c.yRow = (2*c.width+2)*c.channels, c.width*c.out
				c.x, c.weights, c.bias = random(r, (2*c.height+2)*c.xRow), random(r, 9*c.channels*c.out), random(r, c.out)
				size := c.height * c.yRow
				full, y, arg := Alloc(4*size), Alloc(size), make([]uint8, size+Slack)
				w := path.NewWinograd(c.channels, c.out, c.width, c.height)
				w.SetWeights(c.weights, c.bias)
				scratch := w.NewScratch()
				p, packed := c.product(path)
				peak := func() float64 { return path.Peak(3) }
				fast, direct := meter.New(peak), meter.New(peak)
				calls := int(1 + 5e6/w.FLOP())
				for b.Loop() {
					fast.Time(func() {
						for range calls {
							w.MaxPool(scratch, c.x, c.xRow, y, c.yRow, arg, true)
						}
					})
					direct.Time(func() {
						for range calls {
							p.Run(path, c.x, packed, full, c.bias)
							c.pool(path, full, y, arg)
						}
					})
				}
				fast.Stop()
				direct.Stop()
				us := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(calls) }
				b.ReportMetric(us(fast.CPU()), "us")
				b.ReportMetric(us(direct.CPU()), "direct-us")
				b.ReportMetric(us(fast.Least()), "us-best")
				b.ReportMetric(us(direct.Least()), "direct-us-best")
				b.ReportMetric(100*w.FLOP()/us(fast.CPU())/1e3/fast.Peak(), "%peak")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
