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

// Updates of parts, in any order, are the step, whatever the rule.
func TestUpdatesMakeTheStep(t *testing.T) {
	const size = 1000
	r := rand.New(rand.NewPCG(2, 1))
	for name, c := range configs {
		whole, err := New(c, size)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := New(c, size)
		if err != nil {
			t.Fatal(err)
		}
		w, g, anchor := make([]float32, size), make([]float32, size), make([]float32, size)
		for i := range w {
			w[i], anchor[i] = r.Float32(), r.Float32()
		}
		whole.SetAnchor(anchor)
		parts.SetAnchor(anchor)
		v := slices.Clone(w)
		for range 3 {
			for i := range g {
				g[i] = r.Float32() - 0.5
			}
			h := slices.Clone(g)
			whole.Step(w, g, 0.01)
			parts.Begin(0.01)
			for _, at := range [][2]int{{333, 1000}, {0, 17}, {18, 333}, {17, 18}} {
				parts.Update(v[at[0]:at[1]], h[at[0]:at[1]], at[0])
			}
			if !slices.Equal(v, w) {
				t.Fatalf("%s: updates of parts differ from the step", name)
			}
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	o, err := New(Config{Name: SGD, LR: 0.1}, 10)
	if err != nil {
		t.Fatal(err)
	}
	o.Begin(0.1)
	for _, c := range [][3]int{{3, 3, 8}, {3, 2, 0}, {3, 3, -1}, {11, 11, 0}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d weights, %d gradients from %d on: no panic", c[0], c[1], c[2])
				}
			}()
			o.Update(make([]float32, c[0]), make([]float32, c[1]), c[2])
		}()
	}
	o.Update(make([]float32, 10), make([]float32, 10), 0)
}
