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
	for len(index) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(index), t.cfg.Batch)
		t.index = t.index[:0]
		for _, i := range index[:n] {
			t.index = append(t.index, int(i))
		}
		index = index[n:]
		x, labels := t.fill(data, t.index)
		if _, err := t.net.ClippedSum(x, labels, nil, clip, t.sum); err != nil {
			return err
		}
	}
	return t.net.ExportSum(sum, t.sum)
}
