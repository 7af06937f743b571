package serveropt

import (
	"math"
	"testing"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"pgregory.net/rapid"
)

// The whole of FedNova against its definition, and equal work against federated
// averaging bit for bit.
func TestFedNova(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "clients")
		reference := rapid.Int64Range(1, 1000).Draw(t, "reference")
		equal := rapid.Bool().Draw(t, "equal")
		weights, steps, deltas := make([]float64, n), make([]int64, n), make([]float64, n)
		var total float64
		for i := range n {
			weights[i] = rapid.SampledFrom([]float64{1, 0.3, 1e-3, 1.0 / 3}).Draw(t, "weight")
			total += weights[i]
			deltas[i] = rapid.SampledFrom([]float64{0, 1, -0.1, 1e-30, 3e8, math.Copysign(0, -1)}).Draw(t, "delta")
			steps[i] = reference
			if !equal {
				steps[i] = rapid.Int64Range(1, 1000).Draw(t, "steps")
			}
		}
		// As it runs: clients scale, the weighted mean is taken, the server rescales.
		var averaged, scaled, normalised, effective float64
		for i := range n {
			averaged += weights[i] * deltas[i]
			scaled += weights[i] * (costcurve.Progress(reference) / costcurve.Progress(steps[i])) * deltas[i]
			normalised += weights[i] / total * deltas[i] / costcurve.Progress(steps[i])
			effective += weights[i] / total * costcurve.Progress(steps[i])
		}
		mean := []float64{scaled / total}
		Rescale(mean, MeanProgress(weights, steps, reference))
		if equal && math.Float64bits(mean[0]) != math.Float64bits(averaged/total) {
			t.Fatalf("equal work gives %v, federated averaging %v", mean[0], averaged/total)
		}
		size := 0.0
		for i := range n {
			size = max(size, math.Abs(deltas[i])*effective/costcurve.Progress(steps[i]))
		}
		if want := effective * normalised; math.Abs(mean[0]-want) > 1e-12*size {
			t.Fatalf("got %v, FedNova is %v", mean[0], want)
		}
	})
}

func TestMeanProgressOfNobody(t *testing.T) {
	if got := MeanProgress(nil, nil, 7); got != 1 {
		t.Errorf("got %v, want 1", got)
	}
}
