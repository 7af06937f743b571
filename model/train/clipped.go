package train

import (
	"context"
	"fmt"

	"github.com/sotto-fl/sotto/model/dataset"
)

// Clipped adds up the gradients of the images at index, each clipped to an L2 norm
// of clip, at the parameters params: one step of DP-SGD before its noise. sum, of
// the parameters' length and in their canonical order, is overwritten; an empty
// index gives zeros. params is not modified. Images whose gradient is not finite
// add nothing.
//
// The sum is private: it must leave the owner with noise only. Its value is a
// function of the arguments and the kernel path; how long the call takes is not
// hidden, and tells the number of images.
func (t *Trainer) Clipped(ctx context.Context, params []float32, data *dataset.Set, index []int32, clip float64, sum []float64) error {
	if err := t.startSum(params, data, sum); err != nil {
		return err
	}
	for len(index) > 0 {
		n := min(len(index), t.cfg.Batch)
		if err := t.addClipped(ctx, data, index[:n], nil, clip); err != nil {
			return err
		}
		index = index[n:]
	}
	return t.net.ExportSum(sum, t.sum)
}

// ClippedGroups is Clipped with a whole group of images as the unit: the gradient of the sum of
// a group's losses is clipped as one. A group has 1 to Batch images, given by their
// positions in data.
func (t *Trainer) ClippedGroups(ctx context.Context, params []float32, data *dataset.Set, groups [][]int32, clip float64, sum []float64) error {
	if err := t.startSum(params, data, sum); err != nil {
		return err
	}
	var index []int32
	var ends []int
	for i, g := range groups {
		if len(g) < 1 || len(g) > t.cfg.Batch {
			return fmt.Errorf("group %d has %d images, want 1 to %d", i, len(g), t.cfg.Batch)
		}
		index = append(index, g...)
		ends = append(ends, len(index))
		if i+1 == len(groups) || len(index)+len(groups[i+1]) > t.cfg.Batch {
			if err := t.addClipped(ctx, data, index, ends, clip); err != nil {
				return err
			}
			index, ends = index[:0], ends[:0]
		}
	}
	return t.net.ExportSum(sum, t.sum)
}

// Batch is the task's batch: the most images of a group.
func (t *Trainer) Batch() int { return t.cfg.Batch }

func (t *Trainer) startSum(params []float32, data *dataset.Set, sum []float64) error {
	if err := t.check(data); err != nil {
		return err
	}
	if len(sum) != len(params) {
		return fmt.Errorf("clipped sum has room for %d values, want %d", len(sum), len(params))
	}
	if err := t.net.Import(params); err != nil {
		return err
	}
	if len(t.sum) != len(sum) {
		t.sum = make([]float64, len(sum))
	}
	clear(t.sum)
	return nil
}

// addClipped adds the clipped gradients of at most a batch of images, whose units end at ends.
func (t *Trainer) addClipped(ctx context.Context, data *dataset.Set, index []int32, ends []int, clip float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.index = t.index[:0]
	for _, i := range index {
		t.index = append(t.index, int(i))
	}
	x, labels := t.fill(data, t.index)
	_, err := t.net.ClippedSum(x, labels, ends, clip, t.sum)
	return err
}
