package nn

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/model/kernel"
)

// Gradients and clipped sums have the same bits for any number of goroutines.
func TestIndependentOfWorkers(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		if kernel.Name() == "go" {
			t.Skip("the portable path has one worker")
		}
		testIndependentOfWorkers(t)
	})
}

func testIndependentOfWorkers(t *testing.T) {
	processors(t, 4) // even on fewer cores
	r := rand.New(rand.NewPCG(40, 1))
	cases := slices.Clone(named)
	for _, kind := range []Kind{MaxPool, GroupNorm} {
		cases = append(cases, randomArchitecture(r, kind))
	}
	for _, a := range cases {
		batch := 5 + r.IntN(80)
		n, x, labels, _ := randomTask(t, r, a, batch)
		run := func() (plain, clipped, scores []float32) {
			n.Gradient(x, labels)
			plain = slices.Clone(n.Grads())
			n.ClippedGradient(x, labels, 0.5, 1, nil)
			return plain, slices.Clone(n.Grads()), slices.Clone(n.Forward(x, batch))
		}
		plain, clipped, scores := run()
		for _, workers := range []int{2, 3, 4} {
			n.SetWorkers(workers)
			p, c, s := run()
			if !slices.Equal(p, plain) || !slices.Equal(c, clipped) || !slices.Equal(s, scores) {
				t.Errorf("%s, batch %d: results differ with %d workers", a.Name, batch, workers)
			}
		}
	}
}
