package kahe

import (
	"fmt"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

// Requirement is what a run needs of its encryption.
type Requirement struct {
	Values   int    // length of a vector
	Width    int    // bits that hold the *sum* of one value, sign included; see pack.SumWidth
	Uploads  int    // most uploads in a sum
	Security string // Classical128 or Conservative
	// Shares is how many shares of the key travel in full with an upload, which
	// weighs against large rings: of m holders with threshold t, m-t+1. Zero stands
	// for 2, the default committee's (m, t) = (4, 3).
	Shares int
}

// Plan chooses the parameters with the smallest upload, shares included: over all
// presets of the level, numbers of fields and bits rounded off, with the fewest
// noise bits that [New] accepts. Ties go to the smaller ring, then to less
// rounding. Equal requirements give equal parameters.
//
// It refuses, with [ErrParams], what no preset holds.
func Plan(r Requirement) (Params, error) {
	if _, ok := mostBits[r.Security]; !ok {
		return Params{}, fmt.Errorf("security %q, want %q or %q: %w", r.Security, Classical128, Conservative, ErrParams)
	}
	if r.Width < pack.MinWidth || r.Width > pack.MaxWidth {
		return Params{}, fmt.Errorf("field of %d bits, want %d to %d: %w", r.Width, pack.MinWidth, pack.MaxWidth, ErrParams)
	}
	if r.Values < 1 || r.Values > MaxValues || r.Uploads < 1 || r.Uploads > MaxUploads || r.Shares < 0 {
		return Params{}, fmt.Errorf("%d values, %d uploads, %d shares, want 1 to %d, 1 to %d and none negative: %w",
			r.Values, r.Uploads, r.Shares, MaxValues, MaxUploads, ErrParams)
	}
	shares := r.Shares
	if shares == 0 {
		shares = 2
	}
	var best Spec
	least := -1
	for _, preset := range Presets() {
		if !preset.Allowed(r.Security) {
			continue
		}
		for drop := 0; drop <= maxDrop; drop++ {
			s := Spec{Preset: preset.Name, Values: r.Values, Width: r.Width, DropBits: drop, Uploads: r.Uploads}
			if !fill(&s, preset) {
				continue
			}
			size := (coefficients(s.Values, s.Fields, preset.N)*(preset.Bits-drop)+7)/8 + shares*(preset.N*preset.Bits+7)/8
			if least < 0 || size < least {
				if _, err := newParams(s, shape(preset)); err != nil {
					continue
				}
				least, best = size, s
			}
		}
	}
	if least < 0 {
		return Params{}, fmt.Errorf("no %s preset holds a field of %d bits and the noise of %d uploads; use fewer bits a value: %w",
			r.Security, r.Width, r.Uploads, ErrParams)
	}
	return New(best)
}

// fill chooses the fewest noise bits and the most fields that fit the preset.
func fill(s *Spec, preset Preset) bool {
	for s.NoiseBits = 1; s.NoiseBits < preset.Bits; s.NoiseBits++ {
		s.Fields = (preset.Bits - 1 - s.NoiseBits) / s.Width
		if s.Fields < 1 {
			return false
		}
		if _, err := noiseBound(*s, coefficients(s.Values, s.Fields, preset.N)); err == nil {
			return true
		}
	}
	return false
}
