package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/sotto-fl/sotto/model/dataset"
)

// Clipped adds up the gradients of the images at index, each clipped to an L2 norm
// of clip, at the parameters params: one step of DP-SGD before its noise. sum, of
// the parameters' length and in their canonical order, is overwritten; an empty
// index gives zeros. params is not modified. Images whose gradient is not finite
// add nothing.
//
// Under the task's augmentation every image is varied by vary, which may be nil without
// one; with Copies above 1 it is the mean gradient of so many varied copies of an
// image that is clipped: the image stays the unit (De et al. 2022, arXiv:2204.13650).
//
// The sum is private: it must leave the owner with noise only. Its value is a
// function of the arguments and the kernel path; how long the call takes is not
// hidden, and tells the number of images.
func (t *Trainer) Clipped(ctx context.Context, params []float32, data *dataset.Set, index []int32, clip float64, vary *rand.Rand, sum []float64) error {
	copies := max(t.cfg.Copies, 1)
	if copies == 1 {
		if err := t.startSum(params, data, vary, sum); err != nil {
			return err
		}
		for len(index) > 0 {
			n := min(len(index), t.cfg.Batch)
			if err := t.addClipped(ctx, data, index[:n], nil, clip, vary); err != nil {
				return err
			}
			index = index[n:]
		}
		return t.net.ExportSum(sum, t.sum)
	}
	groups := make([][]int32, len(index))
	for i, at := range index {
		groups[i] = make([]int32, copies)
		for j := range copies {
			groups[i][j] = at
		}
	}
	// The sum over an image's copies is so many times its mean.
	if err := t.ClippedGroups(ctx, params, data, groups, clip*float64(copies), vary, sum); err != nil {
		return err
	}
	for i := range sum {
		sum[i] /= float64(copies)
	}
	return nil
}

// ClippedGroups is Clipped with a whole group of images as the unit: the gradient of the sum of
// a group's losses is clipped as one. A group has 1 to Batch images, given by their
// positions in data; Copies does not matter.
func (t *Trainer) ClippedGroups(ctx context.Context, params []float32, data *dataset.Set, groups [][]int32, clip float64, vary *rand.Rand, sum []float64) error {
	if err := t.startSum(params, data, vary, sum); err != nil {
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
			if err := t.addClipped(ctx, data, index, ends, clip, vary); err != nil {
				return err
			}
			index, ends = index[:0], ends[:0]
		}
	}
	return t.net.ExportSum(sum, t.sum)
}

// Batch is the task's batch: the most images of a group.
func (t *Trainer) Batch() int { return t.cfg.Batch }

func (t *Trainer) startSum(params []float32, data *dataset.Set, vary *rand.Rand, sum []float64) error {
	if vary == nil && t.cfg.Augmentation.Enabled() {
		return errors.New("the task varies its images, and no source of randomness was given")
	}
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
func (t *Trainer) addClipped(ctx context.Context, data *dataset.Set, index []int32, ends []int, clip float64, vary *rand.Rand) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.index = t.index[:0]
	for _, i := range index {
		t.index = append(t.index, int(i))
	}
	x, labels := t.varied(data, t.index, vary)
	_, err := t.net.ClippedSum(x, labels, ends, clip, t.sum)
	return err
}
