package privatise

import (
	"fmt"
	"math"
)

// Decoder turns opened sums back into numbers. It is not safe for concurrent use and allocates
// only in NewDecoder.
type Decoder struct {
	rotation *Rotation
	grid     int64
	fields   []float64
}

// NewDecoder makes the inverse of the encoders with the same rotation and grid.
func NewDecoder(rotation *Rotation, grid int64) (*Decoder, error) {
	if grid < 1 || grid > MaxGrid {
		return nil, fmt.Errorf("grid is %d, want 1 to %d", grid, MaxGrid)
	}
	return &Decoder{rotation: rotation, grid: grid, fields: make([]float64, rotation.Fields())}, nil
}

// Decode writes the opened sum (Fields long) times clip/grid, rotated back and divided by divisor, to dst (d
// long). divisor is a public constant of the contract, such as q*n, never a count of
// what happened in the round.
func (d *Decoder) Decode(dst []float64, opened []int64, clip, divisor float64) error {
	if len(opened) != len(d.fields) {
		return fmt.Errorf("opened sum has %d fields, want %d: %w", len(opened), len(d.fields), ErrLength)
	}
	factor := clip / float64(d.grid) / divisor
	if !(factor > 0) || math.IsInf(factor, 0) {
		return fmt.Errorf("decode with clip norm %g and divisor %g, want both positive and finite", clip, divisor)
	}
	for i, v := range opened {
		d.fields[i] = float64(v)
	}
	return d.rotation.Inverse(dst, d.fields, factor)
}
