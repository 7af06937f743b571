package costcurve

import "math"

// Decay is by how much each step of local training turns a client away from the gradient
// that it began with: measured on the comparison's owners (simulations/compare,
// TestProgressIsMeasured), with momentum, for 4 to 16 steps.
const Decay = 0.3

// Progress is how far so many tasks take a client along its first gradient, in units of
// the first step: (1 - (1-Decay)^tasks) / Decay. It is FedNova's norm of local progress for
// steps whose effect decays (Wang et al. 2020, arXiv:2007.07481, section 4; there the decay
// is that of a proximal term, here that of the gradient itself): updates of unequal work
// are divided by it, so that owners of fast devices do not pull the model to their own
// data. The number of tasks, which is the norm without decay, would overdo it: sixteen
// steps go 1.3 times as far as four, not four times, and a client of few steps, scaled
// up, would outweigh the rest.
//
// It is a public function of public work, and 1 for one task. tasks below 1 count as 1.
func Progress(tasks int64) float64 {
	return -math.Expm1(float64(max(1, tasks))*math.Log1p(-Decay)) / Decay
}
