package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Filters of three taps over rows of pixels, by factors and products, against
// float64 sums: each output, and the pool of four of them.
func TestWinograd(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		if !path.HasWinograd() {
			t.Skip("the path computes convolutions directly")
		}
		r := rand.New(rand.NewPCG(80, 1))
		for range 200 {
			tiles, channels, out, relu := 1+r.IntN(9), 1+r.IntN(40), 1+r.IntN(40), r.IntN(2) == 0
			width := 2*tiles + 2
			in := [2][]float32{guarded(t, r, width*channels), guarded(t, r, width*channels)}
			w := guarded(t, r, 3*channels*out) // (tap, channel, out), one kernel row
			var g [WinogradPlanes][]float32
			for i := range g {
				g[i] = guarded(t, r, channels*out)
			}
			path.WinogradWeights(&g, w, 1)
			plane, product, row := tiles*channels+r.IntN(5), 2*tiles*out+r.IntN(5), tiles*out
			m := guarded(t, r, 3*product+2*row)
			for y := range in {
				d := guarded(t, r, 3*plane+tiles*channels)
				path.WinogradIn(d, in[y], tiles, channels, plane)
				for f := range WinogradPlanes {
					for i := range tiles {
						for o := range out {
							var sum float32
							for c := range channels {
								sum += d[f*plane+i*channels+c] * g[f][c*out+o]
							}
							m[f*product+y*row+i*out+o] = sum
						}
					}
				}
			}
			pooled, arg := guarded(t, r, row), make([]uint8, row+Slack)
			path.WinogradPool(pooled, arg, m, out, tiles, product, row, relu)
			for i := range tiles {
				for o := range out {
					var want [4]float64
					var size float64
					for k := range want {
						for tap := range 3 {
							for c := range channels {
								v := float64(in[k/2][(2*i+k%2+tap)*channels+c]) * float64(w[(tap*channels+c)*out+o])
								want[k] += v
								size += math.Abs(v)
							}
						}
					}
					at, top := i*out+o, slices.Max(want[:])
					if relu {
						top = max(top, 0)
					}
					if got := float64(pooled[at]); math.Abs(got-top) > 1e-6*(1+size) {
						t.Fatalf("%d tiles, %d to %d channels: pool %d of %d is %v, want %v", tiles, channels, out, i, o, got, top)
					}
					if chosen := want[arg[at]]; math.Abs(chosen-slices.Max(want[:])) > 1e-6*(1+size) {
						t.Fatalf("%d tiles, %d to %d channels: the pool took %v of %v", tiles, channels, out, chosen, want)
					}
				}
			}
		}
	})
}

// What is pooled follows the rules of MaxPool: the first of equals, and NaN.
func TestWinogradPoolTies(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		if !path.HasWinograd() {
			t.Skip("the path computes convolutions directly")
		}
		const channels = 11
		nan := float32(math.NaN())
		for _, c := range []struct {
			y    [4]float32 // two rows of two outputs
			want uint8
		}{{[4]float32{5, 5, 5, 5}, 0}, {[4]float32{1, 5, 5, 5}, 1}, {[4]float32{1, 2, 5, 5}, 2}, {[4]float32{1, 2, 3, 5}, 3}, {[4]float32{9, nan, 9, 9}, 1}, {[4]float32{9, nan, 9, nan}, 3}, {[4]float32{-2, -1, -1, -3}, 1}} {
			m := make([]float32, 8*channels) // plane, row
			for i := range channels {
				for row := range 2 { // y0 = m0, y1 = -m3
					m[0*2*channels+row*channels+i] = c.y[2*row]
					m[3*2*channels+row*channels+i] = -c.y[2*row+1]
				}
			}
			y, arg := make([]float32, channels), make([]uint8, channels+Slack)
			path.WinogradPool(y, arg, m, channels, 1, 2*channels, channels, false)
			for i := range channels {
				if best := c.y[c.want]; arg[i] != c.want || y[i] != best && !(y[i] != y[i] && best != best) {
					t.Fatalf("%v: channel %d took %d, %v, want %d", c.y, i, arg[i], y[i], c.want)
				}
			}
		}
	})
}

func TestWinogradRefuses(t *testing.T) {
	onEachPath(t, func(t *testing.T, path *Path) {
		if !path.HasWinograd() {
			t.Skip("the path computes convolutions directly")
		}
		refused := func(f func()) (refused bool) {
			defer func() { refused = recover() != nil }()
			f()
			return false
		}
		in := func(d, x, plane int) func() {
			return func() { path.WinogradIn(make([]float32, d), make([]float32, x), 2, 3, plane) }
		}
		pool := func(y, arg, m, row int) func() {
			return func() {
				path.WinogradPool(make([]float32, y), make([]uint8, arg), make([]float32, m), 3, 2, 12, row, true)
			}
		}
		if refused(in(24, 18, 6)) || refused(pool(6, 6+Slack, 48, 6)) {
			t.Fatal("the base of the cases is refused")
		}
		for i, f := range []func(){in(23, 18, 6), in(24, 17, 6), in(24, 18, 5), pool(5, 6+Slack, 48, 6), pool(6, 5+Slack, 48, 6), pool(6, 6+Slack, 47, 6), pool(6, 6+Slack, 48, -1)} {
			if !refused(f) {
				t.Errorf("case %d reads or writes outside of its slices", i)
			}
		}
	})
}
