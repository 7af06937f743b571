package serveropt

import "github.com/sotto-fl/sotto/internal/costcurve"

// MeanProgress is the weighted mean of how far the clients' local steps took them
// (costcurve.Progress), over how far reference steps do: by that FedNova moves the model
// along the weighted mean of updates that were scaled to reference steps (Wang et al. 2020,
// "Tackling the Objective Inconsistency Problem", arXiv:2007.07481). It is summed as
// deviations from reference, so that it is exactly 1 when all did that many. weights are
// positive and as many as steps; without any it is 1.
func MeanProgress(weights []float64, steps []int64, reference int64) float64 {
	unit := costcurve.Progress(reference)
	var total, deviation float64
	for i, w := range weights {
		total += w
		deviation += float64(w * (costcurve.Progress(steps[i]) - unit))
	}
	if total == 0 {
		return 1
	}
	return 1 + deviation/(total*unit)
}

// Rescale multiplies mean by factor in place; by 1 it changes no bit.
func Rescale(mean []float64, factor float64) {
	if factor == 1 {
		return
	}
	for i := range mean {
		mean[i] *= factor
	}
}
