package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/model/optim"
)

// onEachPath runs f on networks of every kernel path, and says which paths the
// processor lacks.
func onEachPath(t *testing.T, f func(t *testing.T)) {
	for _, name := range []string{"avx512", "avx2", "go"} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(kernel.Available(), name) {
				t.Skip("this processor has no ", name)
			}
			old := kernel.Name()
			if err := kernel.SetDefault(name); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = kernel.SetDefault(old) }()
			f(t)
		})
	}
}

// Gradients and scores of all paths agree to 1e-4 of their norm.
func TestPathsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(50, 1))
	cases := slices.Clone(named)
	for _, kind := range []Kind{Conv2D, MaxPool, AvgPool, Dense, GroupNorm, ReLU, Tanh, Flatten} {
		for range 4 {
			cases = append(cases, randomArchitecture(r, kind))
		}
	}
	// Wider than the kernels' tiles, and with shapes that fill none of them.
	for _, l := range []string{
		"{kind: conv2d, out: 70, kernel: 5, stride: 2, padding: 3}, {kind: relu}, {kind: conv2d, out: 37, kernel: 3}, {kind: max_pool, window: 2}, {kind: relu}",
		"{kind: conv2d, out: 33, kernel: 7, padding: 2}, {kind: relu}, {kind: max_pool, window: 2}, {kind: conv2d, out: 19, kernel: 3, stride: 2, padding: 1}, {kind: relu}",
		"{kind: conv2d, out: 24, kernel: 3, padding: 1}, {kind: group_norm, groups: 4}, {kind: relu}, {kind: max_pool, window: 3}, {kind: conv2d, out: 130, kernel: 1}, {kind: tanh}, {kind: avg_pool, window: 2}",
		"{kind: relu}, {kind: max_pool, window: 2, stride: 3}, {kind: conv2d, out: 9, kernel: 2}, {kind: max_pool, window: 2, stride: 2}, {kind: tanh}, {kind: tanh}",
		"{kind: conv2d, out: 3, kernel: 2}, {kind: max_pool, window: 17, stride: 1}",
		"{kind: conv2d, out: 40, kernel: 3, padding: 1}, {kind: relu}, {kind: max_pool, window: 2, stride: 3}",
		"{kind: conv2d, out: 48, kernel: 3, padding: 1}, {kind: relu}, {kind: max_pool, window: 2, stride: 3}",
		"{kind: conv2d, out: 16, kernel: 2, stride: 2}, {kind: max_pool, window: 2}, {kind: relu}, {kind: conv2d, out: 80, kernel: 1}, {kind: max_pool, window: 2}",
		"{kind: conv2d, out: 21, kernel: 3, padding: 2}, {kind: max_pool, window: 2}, {kind: conv2d, out: 27, kernel: 3, padding: 1}, {kind: relu}, {kind: max_pool, window: 2, stride: 2}",
	} {
		a, err := ParseArchitecture([]byte("name: x\ninput: {channels: 5, height: 21, width: 19}\nlayers: [" + l + ", {kind: flatten}, {kind: dense, out: 100}, {kind: tanh}, {kind: group_norm, groups: 5}, {kind: dense, out: 6}]"))
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, a)
	}
	for _, a := range cases {
		batch, draw := 1+r.IntN(20), r.Uint64()
		var want, scores []float32
		onEachPath(t, func(t *testing.T) {
			n, x, labels, _ := randomTask(t, rand.New(rand.NewPCG(draw, 1)), a, batch)
			n.Gradient(x, labels)
			got := make([]float32, len(n.Grads()))
			if err := n.ExportGrads(got); err != nil {
				t.Fatal(err)
			}
			s := slices.Clone(n.Forward(x, batch))
			if want == nil {
				want, scores = got, s
			}
			for _, tensor := range n.Layout().Tensors() {
				span := func(v []float32) []float32 { return v[tensor.Offset : tensor.Offset+tensor.Size] }
				if d := distance(span(got), span(want)); d > 1e-4*max(l2(span(want)), 1e-2*l2(want)) {
					t.Errorf("%+v: gradients of %s are %v apart, their norm is %v", a, tensor.Name, d, l2(span(want)))
				}
			}
			if d := distance(s, scores); d > 1e-4*l2(scores) {
				t.Errorf("%+v: scores are %v apart, their norm is %v", a, d, l2(scores))
			}
		})
	}
}

func distance(a, b []float32) float64 {
	var s float64
	for i := range a {
		s += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
	}
	return math.Sqrt(s)
}

// Networks that take the same steps of Adam on different paths move to the same
// weights: within 0.2 % of the way, since Adam's first steps turn what rounding leaves
// of a gradient near zero into a whole step.
func TestTrainedWeightsAgree(t *testing.T) {
	cases := slices.Clone(named)
	// Large dense layers, in panels and not.
	a, err := ParseArchitecture([]byte("name: x\ninput: {channels: 3, height: 19, width: 21}\nlayers: [{kind: conv2d, out: 3, kernel: 2}, {kind: flatten}, {kind: dense, out: 176}, {kind: relu}, {kind: dense, out: 400}, {kind: tanh}, {kind: dense, out: 7}]"))
	if err != nil {
		t.Fatal(err)
	}
	cases = append(cases, a)
	for i, a := range cases {
		var want []float32
		onEachPath(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(51, uint64(i)))
			n, x, labels, _ := randomTask(t, r, a, 1+r.IntN(10))
			opt, err := optim.New(optim.Config{Name: optim.Adam, LR: 1e-3}, len(n.Weights()))
			if err != nil {
				t.Fatal(err)
			}
			start, got := make([]float32, len(n.Weights())), make([]float32, len(n.Weights()))
			if err := n.Export(start); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				opt.Begin(1e-3)
				n.Train(x, labels, opt.Update)
				for j := range x {
					x[j] = float32(r.NormFloat64())
				}
			}
			if err := n.Export(got); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
			}
			way, apart := distance(want, start), distance(got, want)
			t.Logf("%s: %.1e of the way apart", a.Name, apart/way)
			if !(way > 0) || !(apart <= 2e-3*way) {
				t.Errorf("%s: weights are %v apart after a way of %v", a.Name, apart, way)
			}
		})
	}
}
