package nn

import (
	"fmt"
	"math"
)

// crossEntropy returns the sum over rows of -log softmax(logits)[label], and
// how many rows have their largest score at the label (the first one wins a
// tie; a row with a NaN is wrong). If grad is not nil it is overwritten with
// the gradient of scale times the summed loss. Sums are in float64.
func crossEntropy(grad, logits []float32, labels []int32, classes int, scale float64) (lossSum float64, correct int) {
	var room [64]float64 // exponentials, where they fit
	for r, label := range labels {
		if label < 0 || int(label) >= classes {
			panic(fmt.Sprintf("nn: label %d, want 0 to %d", label, classes-1))
		}
		row := logits[r*classes : (r+1)*classes]
		best, isNaN := 0, false
		for j, v := range row {
			if v > row[best] {
				best = j
			}
			isNaN = isNaN || v != v
		}
		if best == int(label) && !isNaN {
			correct++
		}
		top := float64(row[best])
		var sum float64
		for j, v := range row {
			e := math.Exp(float64(v) - top)
			room[j%len(room)] = e
			sum += e
		}
		lossSum += top + math.Log(sum) - float64(row[label])
		if grad == nil {
			continue
		}
		for j, v := range row {
			e := room[j%len(room)]
			if len(row) > len(room) {
				e = math.Exp(float64(v) - top)
			}
			p := e / sum
			if j == int(label) {
				p--
			}
			grad[r*classes+j] = float32(p * scale)
		}
	}
	return lossSum, correct
}
