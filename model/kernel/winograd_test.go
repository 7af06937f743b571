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
	c := &winogradCase{channels: 1 + r.IntN(40), out: 1 + r.IntN(70), width: 1 + r.IntN(9), height: 1 + r.IntN(5), relu: r.IntN(2) == 0}
	switch r.IntN(8) {
	case 0: // parts of a row, and of the factors
		c.channels, c.out, c.width, c.height = 340+r.IntN(30), 1+r.IntN(20), 1+r.IntN(20), 1+r.IntN(2)
	case 1: // several bands
		c.width, c.height = 10+r.IntN(10), 3+r.IntN(4)
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
		if path.NewWinograd(1, 1, 1, 1) == nil {
			t.Skip("the path computes convolutions directly")
		}
		f(t, path)
	})
}

func TestWinograd(t *testing.T) {
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
					if math.Abs(got-top) > 1e-6*(1+size) {
						t.Fatalf("%s: row %d, element %d is %v, want %v", name, row, i, got, top)
					}
					if arg > 3 || math.Abs(want[arg]-best) > 1e-6*(1+size) {
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

// Errors against float64 are no larger than those of the direct form: what the transforms
// add is made up for by sums that are a ninth as long.
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
			if err > errDirect {
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
		nan := float32(math.NaN())
		w := path.NewWinograd(1, out, 1, 1)
		for _, c := range []struct {
			y    [4]float32
			want uint8
		}{
			{[4]float32{5, 5, 5, 5}, 0}, {[4]float32{1, 5, 5, 5}, 1}, {[4]float32{1, 2, 5, 5}, 2}, {[4]float32{1, 2, 3, 5}, 3}, {[4]float32{9, nan, 9, 9}, 1},
			{[4]float32{9, nan, 9, nan}, 3}, {[4]float32{-2, -1, -1, -3}, 1}, {[4]float32{nan, nan, nan, nan}, 3}, {[4]float32{-5, -5, -5, -5}, 0},
		} {
			for _, relu := range []bool{false, true} {
				s := w.NewScratch()
				for i := range panelCols { // y = m00, -m03, -m30, m33
					s.products[0*panelCols+i] = c.y[0]
					s.products[3*panelCols+i] = -c.y[1]
					s.products[12*panelCols+i] = -c.y[2]
					s.products[15*panelCols+i] = c.y[3]
				}
				y, arg := make([]float32, out), make([]uint8, out+Slack)
				w.pool(s, y, arg, 0, 1, panelCols, relu)
				w.pool(s, y, arg, 0, 1, 0, relu)
				for i := range y {
					best := c.y[c.want]
					if relu && best < 0 {
						best = 0
					}
					if arg[i] != c.want || y[i] != best && !(y[i] != y[i] && best != best) {
						t.Fatalf("%v: channel %d took %d, %v, want %d", c.y, i, arg[i], y[i], c.want)
					}
				}
			}
		}
	})
}

// Sums of small integers are exact, so ties of inputs are ties of outputs. A NaN spoils
// the pixels that see it and no others; so does an infinite input, unless what the direct
// form gives comes out.
func TestWinogradNasty(t *testing.T) {
	onWinograd(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(82, 1))
		for range 60 {
			c := randomWinograd(t, r, path)
			for _, v := range [][]float32{c.x, c.weights, c.bias} {
				for i := range v {
					v[i] = float32(r.IntN(3) - 1)
				}
			}
			c.w.SetWeights(c.weights, c.bias)
			bad, channel := -1, r.IntN(c.channels)
			row, column := r.IntN(2*c.height+2), r.IntN(2*c.width+2)
			if r.IntN(2) == 0 {
				bad = row*c.xRow + column*c.channels + channel
				c.x[bad] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[r.IntN(3)]
			}
			c.w.MaxPool(c.w.NewScratch(), c.x, c.xRow, c.y, c.yRow, c.arg, c.relu)
			for h := range c.height {
				for i := range c.width * c.out {
					got, arg := c.y[h*c.yRow+i], c.arg[h*c.width*c.out+i]
					want, _ := c.outputs(h, i/c.out, i%c.out)
					top := slices.Max(want[:])
					first := uint8(slices.Index(want[:], top))
					if c.relu {
						top = max(top, 0)
					}
					if k := i / c.out; bad >= 0 && row >= 2*h && row < 2*h+4 && column >= 2*k && column < 2*k+4 {
						if got == got && float64(got) != top || arg > 3 {
							t.Fatalf("a tile with %v gives %v, tap %d, want %v", c.x[bad], got, arg, top)
						}
						continue
					}
					if float64(got) != top || arg != first {
						t.Fatalf("%v gives %v, tap %d", want, got, arg)
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
		s, small := w.NewScratch(), path.NewWinograd(3, 5, 1, 1).NewScratch()
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
		if path.NewWinograd(0, 5, 2, 2) != nil || path.NewWinograd(3, 5, 2, 0) != nil {
			t.Error("a convolution without channels or pixels")
		}
	})
}

// BenchmarkWinograd times pooled convolutions by Winograd's algorithm and directly,
// in turns. %peak counts the multiplications that each makes, and leaves out the rest.
func BenchmarkWinograd(b *testing.B) {
	for _, path := range available {
		if !path.SIMD() || path.NewWinograd(1, 1, 1, 1) == nil {
			continue
		}
		for _, s := range [][3]int{{32, 64, 8}, {16, 16, 16}, {16, 32, 8}, {32, 32, 14}, {64, 64, 8}, {64, 128, 8}, {64, 128, 4}, {128, 128, 4}, {128, 256, 4}, {256, 256, 4}, {256, 512, 2}, {512, 512, 2}} {
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
