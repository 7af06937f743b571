package privatise

import (
	"fmt"

	"github.com/sotto-fl/sotto/privacy/noise"
)

// Client encodes all that one client sends in a round under unit client: its update as Update does, and,
// where height is positive, its clip bit in one more field. An update of nil is that of a client that takes no part, because
// its coin says so: zero, the bit as well, under the same noise. As much is drawn from rng for it as for any
// other zero.
func (e *Encoder) Client(dst []int32, update []float32, clip float64, clamp, height int32, rng *noise.DRBG) error {
	fields := e.rotation.Fields()
	want := fields
	if height > 0 {
		want++
	}
	if len(dst) != want {
		return fmt.Errorf("encode a client into %d fields, want %d: %w", len(dst), want, ErrLength)
	}
	absent := update == nil
	if absent {
		update = make([]float32, e.rotation.d)
	}
	out, err := e.Update(dst[:fields], update, clip, clamp, rng)
	if err != nil {
		return err
	}
	if height > 0 {
		out.Zeroed = out.Zeroed || absent
		dst[fields] = e.Bit(out, height, rng)
	}
	return nil
}
