package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

func integers(s []float32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

func bytesOf(s []float32) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s))
}

// The first maximum wins, a NaN wins over numbers and the last NaN over others.
func TestMaxPool(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(21, 1))
		for range 300 {
			channels, pixels, count := 1+r.IntN(40), 1+r.IntN(6), 1+r.IntN(10)
			step := r.IntN(2 * channels)
			taps, last := make([]int64, count), 0
			for i := range taps {
				at := r.IntN(60)
				taps[i], last = int64(4*at), max(last, at)
			}
			n := pixels * channels
			x := sprinkled(t, r, last+(pixels-1)*step+channels, 0.2, r.IntN(2) == 0)
			if r.IntN(2) == 0 { // many ties
				for i := range x {
					x[i] = float32(r.IntN(3))
				}
			}
			y, arg, relu := guarded(t, r, n), bytesOf(guarded(t, r, (n+Slack+3)/4))[:n+Slack], r.IntN(2) == 0
			p.MaxPool(x, taps, y, arg, channels, pixels, step, relu)
			for i := range pixels {
				for c := range channels {
					best, tap := x[int(taps[0])/4+i*step+c], 0
					for k, at := range taps {
						if v := x[int(at)/4+i*step+c]; k > 0 && (v > best || v != v) {
							best, tap = v, k
						}
					}
					if relu && best < 0 {
						best = 0
					}
					got := y[i*channels+c]
					if got != best && !(got != got && best != best) || int(arg[i*channels+c]) != tap {
						t.Fatalf("pixel %d channel %d: %v from tap %d, want %v from %d", i, c, got, arg[i*channels+c], best, tap)
					}
				}
			}
			dy := guarded(t, r, n)
			dx := guarded(t, r, len(x))
			want := make([]float64, len(dx))
			for i, v := range dx {
				want[i] = float64(v)
			}
			for i := range n {
				want[int(taps[arg[i]])/4+i/channels*step+i%channels] += float64(dy[i])
			}
			p.MaxPoolBack(dy, arg, taps, dx, channels, pixels, step)
			for i := range dx {
				if math.Abs(float64(dx[i])-want[i]) > 1e-5 {
					t.Fatalf("gradient at %d is %v, want %v", i, dx[i], want[i])
				}
			}
		}
	})
}

func TestActivations(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(22, 1))
		for range 200 {
			n := 1 + r.IntN(100)
			x := sprinkled(t, r, n, 0.1, r.IntN(2) == 0)
			for i := range x {
				x[i] *= float32(math.Exp(r.NormFloat64() * 3))
			}
			dy := guarded(t, r, n)
			for _, f := range []struct {
				name          string
				forward       func([]float32)
				back          func(dy, y []float32)
				value, slope  func(x float64) float64
				tolerance     float64
				undefinedNaNs bool
			}{
				{"relu", p.ReLU, p.ReLUBack, func(x float64) float64 { return math.Max(x, 0) }, func(y float64) float64 {
					if y > 0 || y != y {
						return 1
					}
					return 0
				}, 0, false},
				{"tanh", p.Tanh, p.TanhBack, math.Tanh, func(y float64) float64 { return 1 - y*y }, 3e-7, true},
			} {
				y, dx := guarded(t, r, n), guarded(t, r, n)
				copy(y, x)
				copy(dx, dy)
				f.forward(y)
				for i := range y {
					want := f.value(float64(x[i]))
					if got := float64(y[i]); math.Abs(got-want) > f.tolerance*math.Abs(want) && !(want != want && got != got) && got != want {
						t.Fatalf("%s(%v) is %v, want %v", f.name, x[i], got, want)
					}
				}
				f.back(dx, y)
				for i := range y {
					want := float64(dy[i]) * f.slope(float64(y[i]))
					if got := float64(dx[i]); math.Abs(got-want) > 1e-6 && !(want != want && got != got) {
						t.Fatalf("%s: gradient at output %v is %v, want %v", f.name, y[i], got, want)
					}
				}
			}
		}
	})
}

// Tanh has the same bits on every path.
func TestTanhPathsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 1))
	x := make([]float32, 5000)
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()*4))
	}
	var want []float32
	onEachPath(t, func(t *testing.T, p *Path) {
		y := slices.Clone(x)
		p.Tanh(y)
		if want == nil {
			want = y
		}
		for i := range y {
			if !same32(y[i], want[i]) {
				t.Fatalf("tanh(%v) is %v, on another path %v", x[i], y[i], want[i])
			}
		}
	})
}

func TestVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 1))
	for _, p := range available {
		for range 200 {
			n := r.IntN(200)
			if r.IntN(20) == 0 {
				n += maxRun
			}
			x, y := guarded(t, r, n+1)[:n], guarded(t, r, n+1)[:n]
			wide := make([]float64, n)
			for i, v := range y {
				wide[i] = float64(v)
			}
			before := slices.Clone(y)
			c := r.Float32() - 0.5
			p.AXPY64(wide, x, float64(c))
			p.AXPY(y, x, c)
			moved, taken := guarded(t, r, n+1)[1:], guarded(t, r, n+1)[1:]
			copy(moved, before)
			copy(taken, x)
			p.AXPYClear(moved, taken, c)
			if !slices.Equal(moved, y) || slices.ContainsFunc(taken, func(v float32) bool { return v != 0 }) {
				t.Fatalf("%s: AXPYClear of %d is not AXPY and zeros", p.name, n)
			}
			squares := 0.0
			for i := range n {
				want := float64(before[i]) + float64(c)*float64(x[i])
				squares += float64(x[i]) * float64(x[i])
				if math.Abs(wide[i]-want) > 1e-15 || math.Abs(float64(y[i])-want) > 1e-7 {
					t.Fatalf("%s axpy of %d at %d: %v and %v, want %v", p.name, n, i, wide[i], y[i], want)
				}
			}
			if got := p.SumSquares(x); math.Abs(got-squares) > 1e-12*(1+squares) {
				t.Fatalf("%s: squares of %d sum to %v, want %v", p.name, n, got, squares)
			}
			p.Scale(x, 2)
			p.AXPY(x, x, -0.5)
			p.Scale(x, 0)
			if i := slices.IndexFunc(x, func(v float32) bool { return v != 0 }); i >= 0 {
				t.Fatalf("%s: scale of %d by zero left element %d", p.name, n, i)
			}
		}
	}
}

func TestOptimisers(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(25, 1))
		for range 100 {
			n := 1 + r.IntN(100)
			w, g, m, u := guarded(t, r, n), guarded(t, r, n), guarded(t, r, n), guarded(t, r, n)
			for i := range u {
				u[i] *= u[i]
			}
			w0, m0, u0 := slices.Clone(w), slices.Clone(m), slices.Clone(u)
			s := &[6]float32{0.1, 0.999, 0.001, 0.01, 1.5, 1e-8}
			p.Adam(w, g, m, u, s)
			for i := range w {
				mean := float64(m0[i]) + float64(s[0])*(float64(g[i])-float64(m0[i]))
				square := float64(s[1])*float64(u0[i]) + float64(s[2])*float64(g[i])*float64(g[i])
				want := float64(w0[i]) - float64(s[3])*mean/(math.Sqrt(square)*float64(s[4])+float64(s[5]))
				if math.Abs(float64(m[i])-mean) > 1e-6 || math.Abs(float64(u[i])-square) > 1e-6 || math.Abs(float64(w[i])-want) > 1e-6*(1+math.Abs(want)) {
					t.Fatalf("adam at %d: %v %v %v, want %v %v %v", i, w[i], m[i], u[i], want, mean, square)
				}
			}
			copy(w0, w)
			copy(m0, m)
			p.Momentum(w, g, m, &[2]float32{0.9, 0.1})
			for i := range w {
				mean := 0.9*float64(m0[i]) + float64(g[i])
				if want := float64(w0[i]) - 0.1*mean; math.Abs(float64(m[i])-mean) > 1e-6 || math.Abs(float64(w[i])-want) > 1e-6*(1+math.Abs(want)) {
					t.Fatalf("momentum at %d: %v %v, want %v %v", i, w[i], m[i], want, mean)
				}
			}
		}
	})
}

func TestInterleave3(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(26, 1))
		for range 100 {
			n := 1 + r.IntN(50)
			plane := n + r.IntN(5)
			src, dst := guarded(t, r, 2*plane+n), guarded(t, r, 3*n)
			p.Interleave3(dst, src, plane, n)
			for i, v := range dst {
				if want := src[i%3*plane+i/3]; v != want {
					t.Fatalf("%d pixels, planes %d apart: channel %d of pixel %d is %v, want %v", n, plane, i%3, i/3, v, want)
				}
			}
		}
	})
}
