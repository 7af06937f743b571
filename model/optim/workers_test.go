package optim

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestIndependentOfWorkersAndAllocationFree(t *testing.T) {
	const size = 3*part + 17
	for _, c := range []Config{{Name: Adam, LR: 0.01}, {Name: AdamW, LR: 0.01, WeightDecay: 0.1}, {Name: SGD, LR: 0.1, Momentum: 0.9}, {Name: SGD, LR: 0.1}} {
		var want []float32
		for _, workers := range []int{1, 2, 5} {
			o, err := New(c, size)
			if err != nil {
				t.Fatal(err)
			}
			o.SetWorkers(workers)
			r := rand.New(rand.NewPCG(1, 1))
			w, g := make([]float32, size), make([]float32, size)
			for range 3 {
				for i := range g {
					g[i] = float32(r.NormFloat64())
				}
				o.Step(w, g, 0.01)
			}
			if want == nil {
				want = slices.Clone(w)
			} else if !slices.Equal(w, want) {
				t.Errorf("%+v: weights differ with %d workers", c, workers)
			}
			if workers == 1 {
				if allocs := testing.AllocsPerRun(3, func() { o.Step(w, g, 0.01) }); allocs != 0 {
					t.Errorf("%+v: %v allocations a step, want 0", c, allocs)
				}
			}
		}
	}
}
