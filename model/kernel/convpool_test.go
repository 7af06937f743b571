package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The fused kernel gives the bits of a product and a pool, and its padding of nothing
// but what it is given is read and written.
func TestConvPoolIsProductAndPool(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		if !path.HasConvPool(9, 32) {
			t.Skip("no such kernels")
		}
		r := rand.New(rand.NewPCG(30, 1))
		for range 300 {
			g := ConvPool{Runs: 1 + r.IntN(6), Depth: []int{3, 5, 9, 15}[r.IntN(4)], Out: 16 * (1 + r.IntN(4))}
			pixels := 1 + r.IntN(20)
			g.Right, g.Step = 1+r.IntN(9), 1+r.IntN(20)
			g.Run = (pixels-1)*g.Step + g.Right + g.Depth + r.IntN(9)
			g.Below = g.Run * (1 + r.IntN(2))
			rows := g.Runs * g.Depth
			x := guarded(t, r, span([2]int{pixels, g.Step}, [2]int{2, g.Right}, [2]int{2, g.Below}, [2]int{g.Runs, g.Run}, [2]int{g.Depth, 1}))
			bias := guarded(t, r, g.Out)
			w, panel, step := path.Panels(nil, random(r, rows*g.Out), rows, g.Out, g.Out)
			g.Panel = rows * panelCols
			held := guarded(t, r, len(w))
			copy(held, w)
			switch r.IntN(4) {
			case 0: // ties
				for i := range x {
					x[i] = float32(r.IntN(2))
				}
				for i := range held {
					held[i] = float32(r.IntN(3) - 1)
				}
				clear(bias)
			case 1:
				x[r.IntN(len(x))] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[r.IntN(3)]
			}
			relu := r.IntN(2) == 0
			y, arg := guarded(t, r, pixels*g.Out), make([]uint8, pixels*g.Out+Slack)
			g.MaxPool(path, x, held, bias, y, arg, pixels, relu)

			full := make([]float32, 4*pixels*g.Out) // (tap, pixel, channel)
			for tap := range 4 {
				p := Product{
					Reps: 1, Rows: pixels, Cols: g.Out, Segs: g.Runs, Depth: g.Depth,
					ARow: g.Step, ASeg: g.Run, ADepth: 1, BSeg: g.Depth * step, BDepth: step, BPanel: panel, CRow: g.Out,
				}
				p.Run(path, x[tap/2*g.Below+tap%2*g.Right:], held, full[tap*pixels*g.Out:], bias)
			}
			taps := make([]int64, 4)
			for tap := range taps {
				taps[tap] = int64(4 * tap * pixels * g.Out)
			}
			want, wantArg := make([]float32, pixels*g.Out), make([]uint8, pixels*g.Out+Slack)
			path.MaxPool(full, taps, want, wantArg, g.Out, pixels, g.Out, relu)
			for i := range want {
				if math.Float32bits(y[i]) != math.Float32bits(want[i]) && !(y[i] != y[i] && want[i] != want[i]) || arg[i] != wantArg[i] {
					t.Fatalf("%+v, %d pixels: output %d is %v of tap %d, want %v of %d", g, pixels, i, y[i], arg[i], want[i], wantArg[i])
				}
			}
		}
	})
}

func TestConvPoolRefuses(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		if !path.HasConvPool(9, 32) {
			t.Skip("no such kernels")
		}
		good := ConvPool{Runs: 3, Depth: 9, Out: 32, Run: 40, Right: 3, Below: 40, Step: 6, Panel: 27 * 16}
		run := func(g ConvPool, nx, nw, ny, narg int) (panicked bool) {
			defer func() { panicked = recover() != nil }()
			g.MaxPool(path, make([]float32, nx), make([]float32, nw), make([]float32, 32), make([]float32, ny), make([]uint8, narg), 4, true)
			return false
		}
		nx := 3*6 + 3 + 40 + 2*40 + 9
		if run(good, nx, 864, 128, 128+Slack) {
			t.Fatal("refused what fits")
		}
		for name, refused := range map[string]bool{
			"x": run(good, nx-1, 864, 128, 128+Slack), "w": run(good, nx, 863, 128, 128+Slack),
			"y": run(good, nx, 864, 127, 128+Slack), "arg": run(good, nx, 864, 128, 127+Slack),
		} {
			if !refused {
				t.Errorf("took a short %s", name)
			}
		}
		for _, change := range []func(g *ConvPool){
			func(g *ConvPool) { g.Depth = 8 }, func(g *ConvPool) { g.Out = 24 }, func(g *ConvPool) { g.Right = -1 }, func(g *ConvPool) { g.Panel = -1 },
		} {
			g := good
			change(&g)
			if !run(g, 1000, 1000, 1000, 1000) {
				t.Errorf("took %+v", g)
			}
		}
	})
}
