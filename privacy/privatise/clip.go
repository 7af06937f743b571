package privatise

import (
	"fmt"
	"math"
)

// Adaptive clipping by a private quantile (Andrew, Thakkar, McMahan, Ramaswamy 2021, arXiv:1905.03871): every client adds
// one bit, +-1/2, whether its norm was within the clip norm, in a field of its own.

// Bounds of a clip norm.
const (
	MinClip = 1e-30
	MaxClip = 1e30
)

// ClipBit returns the integer of a client's bit: height units if its norm was within the clip norm,
// -height if not, 0 if its vector was left out.
func (o Outcome) ClipBit(height int32) int32 {
	switch {
	case o.Zeroed:
		return 0
	case o.Clipped:
		return -height
	}
	return height
}

// NextClip returns the clip norm of the next round from the opened sum of the clip bits: it falls when more than
// the quantile of the cohort was within it. cohort is the public planned number of clients, rate the
// geometric step (0.2 is usual). Privacy does not depend on it: it works on released numbers.
func NextClip(clip float64, opened int64, height int32, cohort, quantile, rate float64) (float64, error) {
	if !(clip > 0) || height < 1 || !(cohort > 0) || !(quantile > 0 && quantile < 1) || !(rate > 0 && rate <= 1) {
		return 0, fmt.Errorf("next clip norm from clip %g, bit height %d, cohort %g, quantile %g, rate %g: want all positive, quantile below 1, rate at most 1", clip, height, cohort, quantile, rate)
	}
	within := min(max(float64(opened)/(2*float64(height)*cohort)+0.5, 0), 1)
	return min(max(clip*math.Exp(-rate*(within-quantile)), MinClip), MaxClip), nil
}
