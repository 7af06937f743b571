package serveropt

// EffectiveSteps is the weighted mean of the clients' local steps: what FedNova moves the
// model by, along the weighted mean of their updates of one step each (Wang et al. 2020,
// "Tackling the Objective Inconsistency Problem", arXiv:2007.07481, with plain steps in
// place of the norms of momentum, which let a client of few steps outweigh the rest). It is
// summed as deviations from reference, so that it is exactly reference when all did that
// many. weights are positive and as many as steps; without any it is reference.
func EffectiveSteps(weights []float64, steps []int64, reference int64) float64 {
	var total, deviation float64
	for i, w := range weights {
		total += w
		deviation += float64(w * float64(steps[i]-reference))
	}
	if total == 0 {
		return float64(reference)
	}
	return float64(reference) + deviation/total
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
