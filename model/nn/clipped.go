package nn

import (
	"errors"
	"fmt"
	"math"
)

// ClipStats describes a clipped sum. Every field depends on private data: it must
// not leave the data's owner except as the privacy contract accounts for it.
type ClipStats struct {
	Units     int
	Clipped   int // units whose gradient was longer than the clip norm
	NonFinite int // units whose gradient was infinite or NaN; they add nothing
	LossSum   float64
	Correct   int
}

func (s *ClipStats) add(o ClipStats) {
	s.Units += o.Units
	s.Clipped += o.Clipped
	s.NonFinite += o.NonFinite
	s.LossSum += o.LossSum
	s.Correct += o.Correct
}

// ErrClip marks a call with arguments that no gradient can be clipped by.
var ErrClip = errors.New("clipped sum")

// margin keeps a clipped gradient within the clip norm although its length is
// measured, and it is scaled and added up, in floating point.
const margin = 1 - 1.0/(1<<20)

// factor scales a unit whose squared norm is squares.
func factor(squares, clip float64, s *ClipStats) float64 {
	s.Units++
	norm := math.Sqrt(squares)
	switch {
	case math.IsNaN(norm) || math.IsInf(norm, 0):
		s.NonFinite++
		return 0
	case norm*margin > clip:
		s.Clipped++
		return clip / norm * margin
	default:
		return margin
	}
}

// ClippedSum adds to sum, for each unit of examples, the gradient of the sum of
// the unit's losses, scaled down to an L2 norm of at most clip. sum is in the
// network's order (see ExportSum). ends says where units end: unit i is examples
// ends[i-1] to ends[i]-1, and the last end is len(labels); nil makes every example
// a unit, which is also much the fastest. Any number of examples may be given; a
// unit has at most maxBatch.
//
// A unit whose gradient is not finite adds nothing, so that one broken record
// spoils no sum. Gradients are added in float32 within a batch of maxBatch
// examples and in float64 beyond, in an order that does not depend on the number
// of workers: the sum is exact to about batch*2^-24 of batch*clip. Grads is
// overwritten.
//
// Abadi et al., "Deep Learning with Differential Privacy", 2016, arXiv:1607.00133.
func (n *Network) ClippedSum(x []float32, labels []int32, ends []int, clip float64, sum []float64) (ClipStats, error) {
	if len(sum) != len(n.weights) {
		return ClipStats{}, fmt.Errorf("%w: room for %d values, want %d", ErrClip, len(sum), len(n.weights))
	}
	if ends != nil || n.simd == nil {
		return n.ClippedUnits(x, labels, ends, clip, func(_ int, grad []float32) error {
			n.path.AXPY64(sum, grad, 1)
			return nil
		})
	}
	if err := n.checkClip(x, labels, nil, clip); err != nil {
		return ClipStats{}, err
	}
	defer n.rest()
	var total ClipStats
	n.sum = sum
	for lo := 0; lo < len(labels); lo += n.maxBatch {
		hi := min(lo+n.maxBatch, len(labels))
		total.add(n.clippedBatch(x[lo*n.input.Size():hi*n.input.Size()], labels[lo:hi], clip, 1, n.addToSum))
	}
	n.sum = nil
	return total, nil
}

// ClippedGradient is ClippedSum for one batch with every example a unit, and
// leaves scale times the sum in Grads or, if rule is not nil, hands it over as Train
// does. It panics as Gradient does, and if clip is not a positive number.
func (n *Network) ClippedGradient(x []float32, labels []int32, clip, scale float64, rule Rule) ClipStats {
	if !(clip > 0 && clip <= math.MaxFloat64) {
		panic(fmt.Sprintf("nn: clip norm %g", clip))
	}
	if n.simd == nil {
		total := make([]float32, len(n.grads))
		s, err := n.ClippedUnits(x, labels, nil, clip, func(_ int, grad []float32) error {
			n.path.AXPY(total, grad, float32(scale))
			return nil
		})
		if err != nil {
			panic("nn: " + err.Error())
		}
		copy(n.grads, total)
		if rule != nil {
			rule(n.weights, n.grads, 0)
		}
		return s
	}
	defer n.rest()
	return n.clippedBatch(x, labels, clip, scale, rule)
}

// clippedBatch is ClippedGradient on a vector path, and leaves the goroutines that help
// to the next batch.
func (n *Network) clippedBatch(x []float32, labels []int32, clip, scale float64, rule Rule) ClipStats {
	logits := n.forward(x, len(labels))
	var s ClipStats
	s.LossSum, s.Correct = crossEntropy(n.simd.dlogits[:len(logits)], logits, labels, n.classes, 1)
	n.simd.clippedGradient(len(labels), clip, scale, &s, rule)
	return s
}

// ClippedUnits calls each with the clipped gradient of every unit, in order, so
// that it can be quantised or noised by itself. grad is in the network's order
// (see ExportVector), may be changed, and is valid until each returns. An error
// of each ends the call. Otherwise it is as ClippedSum; a unit whose gradient is
// not finite gives zeros.
func (n *Network) ClippedUnits(x []float32, labels []int32, ends []int, clip float64, each func(unit int, grad []float32) error) (ClipStats, error) {
	if err := n.checkClip(x, labels, ends, clip); err != nil {
		return ClipStats{}, err
	}
	defer n.rest()
	units := len(labels)
	if ends != nil {
		units = len(ends)
	}
	end := func(unit int) int {
		if ends == nil {
			return unit + 1
		}
		return ends[unit]
	}
	var total ClipStats
	for unit, lo := 0, 0; unit < units; {
		// As many whole units as one batch holds; one at a time where the
		// layers cannot tell examples apart.
		last := unit
		for last+1 < units && n.simd != nil && end(last+1)-lo <= n.maxBatch {
			last++
		}
		hi := end(last)
		batch := labels[lo:hi]
		logits := n.forward(x[lo*n.input.Size():hi*n.input.Size()], len(batch))
		if n.simd != nil {
			loss, correct := crossEntropy(n.simd.dlogits[:len(logits)], logits, batch, n.classes, 1)
			total.LossSum, total.Correct = total.LossSum+loss, total.Correct+correct
			n.simd.startUnits(len(batch))
		} else {
			clear(n.grads)
			loss, correct := n.backprop(logits, batch, 1)
			total.LossSum, total.Correct = total.LossSum+loss, total.Correct+correct
		}
		for at := lo; unit <= last; unit++ {
			if n.simd != nil {
				n.simd.unitGradient(at-lo, end(unit)-lo)
			}
			at = end(unit)
			if c := factor(n.path.SumSquares(n.grads), clip, &total); c == 0 {
				clear(n.grads)
			} else {
				n.path.Scale(n.grads, float32(c))
			}
			if err := each(unit, n.grads); err != nil {
				return total, err
			}
		}
		lo = hi
	}
	return total, nil
}

func (n *Network) checkClip(x []float32, labels []int32, ends []int, clip float64) error {
	if !(clip > 0 && clip <= math.MaxFloat64) {
		return fmt.Errorf("%w: clip norm is %g, want a positive number", ErrClip, clip)
	}
	if len(x) != len(labels)*n.input.Size() {
		return fmt.Errorf("%w: %d values for %d examples of %v", ErrClip, len(x), len(labels), n.input)
	}
	for _, l := range labels {
		if l < 0 || int(l) >= n.classes {
			return fmt.Errorf("%w: label %d, want 0 to %d", ErrClip, l, n.classes-1)
		}
	}
	if ends == nil {
		return nil
	}
	lo := 0
	for i, hi := range ends {
		if hi <= lo || hi-lo > n.maxBatch {
			return fmt.Errorf("%w: unit %d has %d examples, want 1 to %d", ErrClip, i, hi-lo, n.maxBatch)
		}
		lo = hi
	}
	if lo != len(labels) {
		return fmt.Errorf("%w: units hold %d examples, want %d", ErrClip, lo, len(labels))
	}
	return nil
}

// ExportVector copies a vector in the network's order, such as a gradient, to
// dst in canonical order.
func (n *Network) ExportVector(dst, src []float32) error {
	if len(dst) != len(n.weights) || len(src) != len(n.weights) {
		return fmt.Errorf("export: vectors of %d and %d values, want %d", len(dst), len(src), len(n.weights))
	}
	n.reorder(dst, src, false)
	return nil
}

// ExportSum copies a sum of ClippedSum to dst in canonical order.
func (n *Network) ExportSum(dst, sum []float64) error {
	if len(dst) != len(n.weights) || len(sum) != len(n.weights) {
		return fmt.Errorf("export: sums of %d and %d values, want %d", len(dst), len(sum), len(n.weights))
	}
	at := 0
	for index, q := range n.plan.params {
		// The canonical order is (rows, a, b).
		panels, rows := 1, q.rows
		row, i, j := q.a*q.b, 1, q.a // portable: (rows, b, a)
		if n.simd != nil {
			panels = max(1, n.simd.panels[index])
			rows /= panels
			row, i, j = 1, rows, q.a*rows // (panel, b, a, rows of the panel)
		}
		for range panels {
			to := at
			for r := range rows {
				for a := range q.a {
					from := at + r*row + a*i
					for range q.b {
						dst[to] = sum[from]
						to++
						from += j
					}
				}
			}
			at = to
		}
	}
	return nil
}
