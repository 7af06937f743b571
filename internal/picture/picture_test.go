package picture

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Differences between pixels one, two, four and eight apart tell white noise, whose
// are alike, from pictures, whose grow.
func TestNeighboursAreAlike(t *testing.T) {
	const side, count = 32, 200
	x := make([]float32, count*3*side*side)
	Fill(x, 3, side, side, rand.New(rand.NewPCG(1, 1)))
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(len(x))
	if mean, variance := sum/n, squares/n; math.Abs(mean) > 0.1 || math.Abs(variance-1) > 0.1 {
		t.Errorf("mean %.3f, variance %.3f, want 0 and 1", mean, variance)
	}
	last := 0.0
	for _, d := range []int{1, 2, 4, 8} {
		var difference, pairs float64
		for i := range x {
			if i%side+d < side {
				v := float64(x[i+d] - x[i])
				difference += v * v
				pairs++
			}
		}
		difference /= pairs
		if difference < 1.2*last || difference > 2 {
			t.Errorf("mean squared difference %.3f at a distance of %d, %.3f at half of it", difference, d, last)
		}
		last = difference
	}
	again := make([]float32, len(x))
	Fill(again, 3, side, side, rand.New(rand.NewPCG(1, 1)))
	if !slices.Equal(x, again) {
		t.Error("the same seed gave other pictures")
	}
}
