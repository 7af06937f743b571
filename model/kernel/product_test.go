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

// onEachPath runs f on every SIMD path, and says which the processor lacks.
func onEachPath(t *testing.T, f func(t *testing.T, p *Path)) {
	for _, name := range []string{"avx512", "avx2"} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(available, func(p *Path) bool { return p.name == name })
			if i < 0 {
				t.Skip("this processor has no ", name)
			}
			f(t, available[i])
		})
	}
}

func randomProduct(r *rand.Rand) Product {
	dim := func() int { return 1 + r.IntN(70) }
	p := Product{Reps: 1 + r.IntN(3), Rows: 1 + r.IntN(30), Cols: dim(), Segs: 1 + r.IntN(4), Depth: dim()}
	if r.IntN(6) == 0 {
		p.Segs, p.Depth = 1+r.IntN(2), 500+r.IntN(700)
	}
	if r.IntN(4) == 0 { // a matrix product of several blocks
		p.Reps, p.Segs, p.Rows = 1, 1, 1+r.IntN(200)
	}
	large := r.IntN(40) == 0 // a B that an L2 cache does not hold
	if large {
		p.Reps, p.Segs, p.Rows, p.Cols = 1, 1, 1+r.IntN(14), 17+r.IntN(100)
		p.Depth = (1<<17)/p.Cols + r.IntN(300)
	}
	p.ADepth, p.ARow = 1, r.IntN(2*p.Depth)
	if r.IntN(2) == 0 {
		p.ARow, p.ADepth = 1, p.Rows+r.IntN(5)
	}
	p.ASeg, p.ARep = r.IntN(100), r.IntN(100)
	p.BDepth, p.BSeg = p.Cols+r.IntN(9), r.IntN(100)
	kind := r.IntN(8)
	if large {
		kind = 0
	}
	switch kind {
	case 0, 1, 2:
		p.BSeg = p.Depth * p.BDepth // may be in panels
	case 3: // no stride is one
		p.ARow, p.ADepth = 2+r.IntN(5), 2+r.IntN(5)
	}
	p.CRow = p.Cols + r.IntN(9)
	p.CRep = p.Rows*p.CRow + r.IntN(5)
	return p
}

func TestProduct(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(1, 2))
		products := 600
		if testing.Short() {
			products = 100
		}
		for range products {
			p := randomProduct(r)
			a := guarded(t, r, span([2]int{p.Reps, p.ARep}, [2]int{p.Rows, p.ARow}, [2]int{p.Segs, p.ASeg}, [2]int{p.Depth, p.ADepth}))
			b := guarded(t, r, span([2]int{p.Segs, p.BSeg}, [2]int{p.Depth, p.BDepth}, [2]int{p.Cols, 1}))
			columns := p.Cols // from the first to the last of a row of C
			if path.packs && r.IntN(3) == 0 {
				p.CRow = panelCols + r.IntN(3)
				p.CRep = p.Rows*p.CRow + r.IntN(5)
				p.CPanel = p.Reps*p.CRep + r.IntN(5)
				last := (p.Cols - 1) / panelCols
				columns = last*p.CPanel + p.Cols - last*panelCols
			}
			c := guarded(t, r, span([2]int{p.Reps, p.CRep}, [2]int{p.Rows, p.CRow}, [2]int{columns, 1}))
			var init []float32
			switch r.IntN(3) {
			case 0:
				init, p.IRep, p.IRow = c, p.CRep, p.CRow
			case 1:
				if p.CPanel > 0 { // a row in panels is as far apart as C's
					break
				}
				init, p.IRep, p.IRow = guarded(t, r, p.Cols), 0, 0
			}
			before, start := slices.Clone(c), slices.Clone(init)
			if p.BSeg == p.Depth*p.BDepth && path.packs && p.Cols > panelCols {
				packed, panel, depth := path.Panels(nil, b, p.Segs*p.Depth, p.Cols, p.BDepth)
				q := p
				q.BPanel, q.BDepth, q.BSeg = panel, depth, p.Depth*depth
				held := guarded(t, r, len(packed))
				copy(held, packed)
				q.Run(path, a, held, c, init)
			} else {
				p.Run(path, a, b, c, init)
			}
			written := make([]bool, len(c))
			for rep := range p.Reps {
				for i := range p.Rows {
					for j := range p.Cols {
						var want, size float64
						column := j
						if p.CPanel > 0 {
							column = j/panelCols*p.CPanel + j%panelCols
						}
						if init != nil {
							want = float64(start[rep*p.IRep+i*p.IRow+column])
						}
						for s := range p.Segs {
							for k := range p.Depth {
								v := float64(a[rep*p.ARep+i*p.ARow+s*p.ASeg+k*p.ADepth]) * float64(b[s*p.BSeg+k*p.BDepth+j])
								want += v
								size += math.Abs(v)
							}
						}
						at := rep*p.CRep + i*p.CRow + column
						written[at] = true
						if got := float64(c[at]); math.Abs(got-want) > 1e-6*(1+size) {
							t.Fatalf("%+v: C[%d][%d][%d] = %v, want %v", p, rep, i, j, got, want)
						}
					}
				}
			}
			for i := range c {
				if !written[i] && c[i] != before[i] {
					t.Fatalf("%+v: wrote outside of C at %d", p, i)
				}
			}
		}
	})
}

func BenchmarkProduct(b *testing.B) {
	for _, path := range available {
		if !path.SIMD() {
			continue
		}
		// Of the dense layer 4096 to 128 the backward products are those of a sweep,
		// 256 inputs at a time.
		const inputs, pad, outputs, batch, sweep = 4096, 272, 128, 64, 256
		dx := Product{Reps: 1, Rows: sweep, Cols: batch, Segs: 1, Depth: outputs, ARow: outputs, ADepth: 1, BDepth: batch, CRow: batch}
		dw := Product{Reps: 1, Rows: sweep, Cols: outputs, Segs: 1, Depth: batch, ARow: 1, ADepth: inputs + pad, BDepth: outputs, CRow: outputs}
		if c := path.PanelCols(); c > 0 { // the weights are in panels
			dx.Segs, dx.Depth, dx.ARow, dx.ASeg, dx.BSeg = outputs/c, c, c, inputs*c, c*batch
			dw.CRow, dw.CPanel = c, sweep*c
		}
		for _, c := range []struct {
			name  string
			p     Product
			parts int
		}{
			{"conv2", Product{Reps: 16, Rows: 16, Cols: 64, Segs: 3, Depth: 96, ARep: 18 * 32, ARow: 32, ASeg: 18 * 32, ADepth: 1, BSeg: 96 * 64, BDepth: 64, CRep: 16 * 64, CRow: 64}, 1},
			{"conv1", Product{Reps: 32, Rows: 32, Cols: 32, Segs: 3, Depth: 9, ARep: 34 * 3, ARow: 3, ASeg: 34 * 3, ADepth: 1, BSeg: 9 * 32, BDepth: 32, CRep: 32 * 32, CRow: 32}, 1},
			{"fc1", Product{Reps: 1, Rows: batch, Cols: outputs, Segs: 1, Depth: inputs, ARow: inputs + pad, ADepth: 1, BDepth: outputs, CRow: outputs}, 1},
			{"fc1-batch-10", Product{Reps: 1, Rows: 10, Cols: outputs, Segs: 1, Depth: inputs, ARow: inputs + pad, ADepth: 1, BDepth: outputs, CRow: outputs}, 1},
			{"fc1-dX", dx, inputs / sweep},
			{"fc1-dW", dw, inputs / sweep},
			{"conv2-dW", Product{Reps: 3, Rows: 96, Cols: 64, Segs: 16, Depth: 16, ARep: 18 * 32, ARow: 1, ASeg: 18 * 32, ADepth: 32, BSeg: 16 * 64, BDepth: 64, CRep: 96 * 64, CRow: 64}, 1},
			{"dp1", Product{Reps: 14, Rows: 14, Cols: 16, Segs: 8, Depth: 8, ARep: 2 * 34, ARow: 2, ASeg: 34, ADepth: 1, BSeg: 8 * 16, BDepth: 16, CRep: 14 * 16, CRow: 16}, 1},
		} {
			b.Run(fmt.Sprintf("%s/%s", path.name, c.name), func(b *testing.B) {
				p := c.p
				r := rand.New(rand.NewPCG(1, 1))
				part := p.Rows * p.ARow
				data := random(r, (c.parts-1)*part+span([2]int{p.Reps, p.ARep}, [2]int{p.Rows, p.ARow}, [2]int{p.Segs, p.ASeg}, [2]int{p.Depth, p.ADepth}))
				// On huge pages, as a network's activations.
				x := Alloc(max(hugePage/4, len(data)))
				copy(x, data)
				w := random(r, span([2]int{p.Segs, p.BSeg}, [2]int{p.Depth, p.BDepth}, [2]int{p.Cols, 1}))
				if c.name != "conv2-dW" { // what is read often is put in panels once a batch
					w, p.BPanel, p.BDepth = path.Panels(nil, w, p.Segs*p.Depth, p.Cols, p.Cols)
					p.BSeg = p.Depth * p.BDepth
				}
				y := Alloc(p.Reps*p.CRep + max(p.Rows*p.CRow, p.Rows*p.Cols))
				// Several products a sample: the clock of the thread takes a while to read.
				flop := 2 * float64(c.parts*p.Reps*p.Rows*p.Cols*p.Segs*p.Depth)
				calls := int(1 + 5e6/flop)
				m := meter.New(func() float64 { return path.Peak(3) })
				m.Watch(path.Slots)
				for b.Loop() {
					m.Time(func() {
						for range calls {
							for i := range c.parts {
								p.Run(path, x[i*part:], w, y, nil)
							}
						}
					})
				}
				m.Stop()
				g := func(d time.Duration) float64 { return flop * float64(calls) / float64(d.Nanoseconds()) }
				b.ReportMetric(g(m.CPU()), "GFLOP/s")
				b.ReportMetric(100*g(m.CPU())/m.Peak(), "%peak")
				b.ReportMetric(100*g(m.Least())/m.Peak(), "%peak-best")
				if alone, share := m.Alone(); share > 0 {
					b.ReportMetric(100*g(alone)/m.Peak(), "%peak-alone")
					b.ReportMetric(100*share, "%alone")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func TestProductRefuses(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		good := Product{Reps: 2, Rows: 3, Cols: 4, Segs: 2, Depth: 5, ARep: 20, ARow: 6, ASeg: 5, ADepth: 1, BSeg: 20, BDepth: 4, CRep: 12, CRow: 4}
		run := func(p Product, na, nb, nc int) (panicked bool) {
			defer func() { panicked = recover() != nil }()
			p.Run(path, make([]float32, na), make([]float32, nb), make([]float32, nc), nil)
			return false
		}
		if run(good, 42, 40, 24) {
			t.Fatal("the base of the cases is refused")
		}
		negative, empty, apart := good, good, good
		apart.CPanel = 1000
		negative.ARow, empty.Depth = -1, 0
		if !run(good, 41, 40, 24) || !run(good, 42, 39, 24) || !run(good, 42, 40, 23) || !run(negative, 42, 40, 24) || !run(empty, 42, 40, 24) || path.packs != !run(apart, 42, 40, 24) {
			t.Error("a product outside of its slices was computed")
		}
	})
}

// FuzzProduct checks one element of products of any shape and stride, and that
// nothing outside of C is written.
func FuzzProduct(f *testing.F) {
	f.Add(uint64(1), uint8(7), uint8(5), uint8(33), uint8(2), uint8(9), uint8(1), uint8(3))
	f.Add(uint64(2), uint8(1), uint8(14), uint8(16), uint8(8), uint8(8), uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, draw uint64, reps, rows, cols, segs, depth, arow, adepth uint8) {
		r := rand.New(rand.NewPCG(draw, 1))
		p := Product{
			Reps: 1 + int(reps)%4, Rows: 1 + int(rows)%40, Cols: 1 + int(cols)%150, Segs: 1 + int(segs)%5, Depth: 1 + int(depth)%60,
			ARow: int(arow), ADepth: int(adepth), ASeg: r.IntN(50), ARep: r.IntN(50), BSeg: r.IntN(50),
		}
		p.BDepth, p.CRow = p.Cols, p.Cols
		p.CRep = p.Rows * p.CRow
		a := random(r, span([2]int{p.Reps, p.ARep}, [2]int{p.Rows, p.ARow}, [2]int{p.Segs, p.ASeg}, [2]int{p.Depth, p.ADepth}))
		b := random(r, span([2]int{p.Segs, p.BSeg}, [2]int{p.Depth, p.BDepth}, [2]int{p.Cols, 1}))
		for _, path := range available {
			if !path.SIMD() {
				continue
			}
			c := make([]float32, p.Reps*p.CRep+2)
			c[0], c[len(c)-1] = 7, 7
			p.Run(path, a, b, c[1:len(c)-1], nil)
			i, j, rep := r.IntN(p.Rows), r.IntN(p.Cols), r.IntN(p.Reps)
			var want, size float64
			for s := range p.Segs {
				for k := range p.Depth {
					v := float64(a[rep*p.ARep+i*p.ARow+s*p.ASeg+k*p.ADepth]) * float64(b[s*p.BSeg+k*p.BDepth+j])
					want, size = want+v, size+math.Abs(v)
				}
			}
			if got := float64(c[1+rep*p.CRep+i*p.CRow+j]); math.Abs(got-want) > 1e-6*(1+size) || c[0] != 7 || c[len(c)-1] != 7 {
				t.Fatalf("%s %+v: C[%d][%d][%d] is %v, want %v", path.name, p, rep, i, j, got, want)
			}
		}
	})
}

func TestPanels(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		r := rand.New(rand.NewPCG(7, 8))
		for range 300 {
			rows, cols := 1+r.IntN(40), 1+r.IntN(70)
			step := cols + r.IntN(20)
			src := guarded(t, r, span([2]int{rows, step}, [2]int{cols, 1}))
			stale := make([]float32, r.IntN(5000))
			for i := range stale {
				stale[i] = 7
			}
			b, panel, depth := path.Panels(stale, src, rows, cols, step)
			for i := range rows {
				for j := range (cols + panelCols - 1) / panelCols * panelCols {
					if panel == 0 && j >= cols {
						continue
					}
					at, want := i*depth+j, float32(0)
					if panel > 0 {
						at = j/panelCols*panel + i*depth + j%panelCols
					}
					if j < cols {
						want = src[i*step+j]
					}
					if b[at] != want {
						t.Fatalf("%d by %d, row stride %d: element (%d, %d) is %v, want %v", rows, cols, step, i, j, b[at], want)
					}
				}
			}
		}
	})
}
