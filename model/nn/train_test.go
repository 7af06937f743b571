package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// Train gives the weights that a rule applied to Gradient's result gives, hands
// over each weight once, and allocates nothing.
func TestTrainIsGradientAndRule(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(70, 1))
		cases := slices.Clone(named)
		for _, kind := range []Kind{Conv2D, MaxPool, Dense, GroupNorm, Tanh} {
			cases = append(cases, randomArchitecture(r, kind))
		}
		// Large dense layers: in panels and not, first and behind others.
		for _, l := range []string{
			"{kind: flatten}, {kind: dense, out: 176}, {kind: relu}, {kind: dense, out: 400}, {kind: tanh}, {kind: dense, out: 7}",
			"{kind: conv2d, out: 3, kernel: 2}, {kind: flatten}, {kind: dense, out: 75}, {kind: relu}, {kind: dense, out: 6}",
		} {
			a, err := ParseArchitecture([]byte("name: x\ninput: {channels: 3, height: 19, width: 21}\nlayers: [" + l + "]"))
			if err != nil {
				t.Fatal(err)
			}
			cases = append(cases, a)
		}
		for _, a := range cases {
			n, x, labels, _ := randomTask(t, r, a, 1+r.IntN(30))
			start := slices.Clone(n.Weights())
			loss, correct := n.Gradient(x, labels)
			want := slices.Clone(n.Weights())
			update := func(w, g []float32, _ int) {
				for i := range w {
					w[i] -= 0.1 * g[i]
				}
			}
			update(want, n.Grads(), 0)
			for _, workers := range []int{1, 3} {
				n.SetWorkers(workers)
				copy(n.Weights(), start)
				var mu sync.Mutex
				seen := make([]int, len(want))
				l, c := n.Train(x, labels, func(w, g []float32, lo int) {
					mu.Lock()
					defer mu.Unlock()
					if len(w) != len(g) || &w[0] != &n.Weights()[lo] {
						t.Errorf("%s: %d gradients for %d weights from %d on", a.Name, len(g), len(w), lo)
					}
					for i := range w {
						seen[lo+i]++
					}
					update(w, g, lo)
				})
				if l != loss || c != correct || !slices.Equal(n.Weights(), want) {
					t.Errorf("%s, %d workers: Train differs from Gradient and rule", a.Name, workers)
				}
				if i := slices.IndexFunc(seen, func(k int) bool { return k != 1 }); i >= 0 {
					t.Errorf("%s, %d workers: weight %d was updated %d times", a.Name, workers, i, seen[i])
				}
			}
			n.SetWorkers(1)
			// Clipped gradients are handed over in the same way.
			copy(n.Weights(), start)
			n.ClippedGradient(x, labels, 0.5, 0.25, nil)
			want = slices.Clone(start)
			update(want, n.Grads(), 0)
			n.ClippedGradient(x, labels, 0.5, 0.25, update)
			if !slices.Equal(n.Weights(), want) {
				t.Errorf("%s: a clipped gradient and rule differ from both in one", a.Name)
			}
			if allocs := testing.AllocsPerRun(2, func() { n.Train(x, labels, update) }); allocs != 0 {
				t.Errorf("%s: %v allocations a step, want 0", a.Name, allocs)
			}
		}
	})
}

func TestTrainLeavesWeightsOnBadLoss(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		n, x, labels, _ := randomTask(t, rand.New(rand.NewPCG(71, 1)), named[0], 3)
		x[5] = float32(math.NaN())
		loss, _ := n.Train(x, labels, func(w, g []float32, _ int) { t.Error("the rule was called") })
		if !math.IsNaN(loss) {
			t.Errorf("loss is %v, want NaN", loss)
		}
	})
}

// Networks of different batches share the order of their weights, and orders
// convert both ways.
func TestOrderIsIndependentOfBatch(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for _, a := range named {
			small, err := New(a, 1)
			if err != nil {
				t.Fatal(err)
			}
			large, err := New(a, 20)
			if err != nil {
				t.Fatal(err)
			}
			params, back := make([]float32, len(small.Weights())), make([]float32, len(small.Weights()))
			sum, out := make([]float64, len(params)), make([]float64, len(params))
			for i := range params {
				params[i] = float32(i)
			}
			if err := small.Import(params); err != nil {
				t.Fatal(err)
			}
			if err := large.Import(params); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(small.Weights(), large.Weights()) {
				t.Errorf("%s: the order depends on the batch", a.Name)
			}
			for i, w := range small.Weights() {
				sum[i] = float64(w)
			}
			if err := small.Export(back); err != nil {
				t.Fatal(err)
			}
			if err := small.ExportSum(out, sum); err != nil {
				t.Fatal(err)
			}
			for i := range params {
				if back[i] != params[i] || out[i] != float64(params[i]) {
					t.Fatalf("%s: parameter %d comes back as %v and %v", a.Name, i, back[i], out[i])
				}
			}
		}
	})
}
