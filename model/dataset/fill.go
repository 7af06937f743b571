package dataset

import (
	"fmt"
	"math"
	"slices"
)

// Normalization maps a pixel in [0, 1] to (pixel - Mean) / Std. Both have one
// entry for all channels or one entry a channel. The zero value changes
// nothing: pixels stay in [0, 1].
type Normalization struct {
	Mean []float64 `yaml:"mean" json:"mean"`
	Std  []float64 `yaml:"std" json:"std"`
}

// Validate says whether n can be used with images of that many channels.
func (n Normalization) Validate(channels int) error {
	if len(n.Mean) == 0 && len(n.Std) == 0 {
		return nil
	}
	for _, f := range []struct {
		name string
		v    []float64
	}{{"mean", n.Mean}, {"std", n.Std}} {
		if len(f.v) != 1 && len(f.v) != channels {
			return fmt.Errorf("normalization %s has %d entries, want 1 or %d (one a channel)", f.name, len(f.v), channels)
		}
		for i, x := range f.v {
			// Beyond these bounds a pixel no longer fits a float32 usefully.
			if math.IsNaN(x) || math.Abs(x) > 1e6 {
				return fmt.Errorf("normalization %s[%d] is %v, want a finite number of at most 1e6", f.name, i, x)
			}
		}
	}
	for i, x := range n.Std {
		if x < 1e-6 {
			return fmt.Errorf("normalization std[%d] is %v, want at least 1e-6", i, x)
		}
	}
	return nil
}

// at gives mean and standard deviation of channel c.
func (n Normalization) at(c int) (mean, std float64) {
	if len(n.Mean) == 0 {
		return 0, 1
	}
	return n.Mean[min(c, len(n.Mean)-1)], n.Std[min(c, len(n.Std)-1)]
}

// Value is what a pixel of channel c, in [0, 1], becomes.
func (n Normalization) Value(c int, pixel float64) float32 {
	mean, std := n.at(c)
	return float32((pixel - mean) / std)
}

// table holds Value for each 8-bit pixel of each channel.
type table struct {
	n       Normalization
	channel [][256]float32
}

// tableFor returns the table of n, from the last call if that used the same n.
// Sets and subsets are nearly always read with one normalisation, so one slot
// is enough; two readers with different ones only cost each other time.
func (p *pixels) tableFor(n Normalization) *table {
	if t := p.table.Load(); t != nil && slices.Equal(t.n.Mean, n.Mean) && slices.Equal(t.n.Std, n.Std) {
		return t
	}
	t := &table{
		n:       Normalization{Mean: slices.Clone(n.Mean), Std: slices.Clone(n.Std)},
		channel: make([][256]float32, p.shape.C),
	}
	for c := range t.channel {
		for v := range t.channel[c] {
			t.channel[c][v] = n.Value(c, float64(v)/255)
		}
	}
	p.table.Store(t)
	return t
}

// Fill writes the images at the given positions to dst as (B, C, H, W),
// normalised by n, and their labels to labels, which may be nil. A stored
// pixel v becomes (v/max - mean)/std with max 255 or 65535, computed in
// float64 and rounded once, so the result is the same on every machine.
//
// It does not allocate, except for one small table when n differs from the
// last call's. It panics if n does not pass Validate, if dst or labels is
// shorter than the batch, or if a position is outside [0, Len()): all of them
// are the caller's to check once, before training.
func (s *Set) Fill(dst []float32, labels []int32, index []int, n Normalization) {
	p, size := s.pixels, s.pixels.shape.Size()
	plane := p.shape.H * p.shape.W
	dst = dst[:len(index)*size]
	if p.p16 == nil {
		t := p.tableFor(n)
		for b, i := range index {
			src := p.p8[int(s.index[i])*size:][:size]
			out := dst[b*size:][:size]
			for c := range t.channel {
				lookup(out[c*plane:][:plane], src[c*plane:][:plane], &t.channel[c])
			}
		}
	} else {
		for b, i := range index {
			src := p.p16[int(s.index[i])*size:][:size]
			out := dst[b*size:][:size]
			for c := range p.shape.C {
				mean, std := n.at(c)
				o := out[c*plane:][:plane]
				for j, v := range src[c*plane:][:plane] {
					o[j] = float32((float64(v)/65535 - mean) / std)
				}
			}
		}
	}
	if labels == nil {
		return
	}
	labels = labels[:len(index)]
	for b, i := range index {
		labels[b] = s.labels[i]
	}
}

func lookup(dst []float32, src []uint8, t *[256]float32) {
	dst = dst[:len(src)]
	for len(src) >= 4 && len(dst) >= 4 {
		dst[0], dst[1], dst[2], dst[3] = t[src[0]], t[src[1]], t[src[2]], t[src[3]]
		dst, src = dst[4:], src[4:]
	}
	for j, v := range src {
		dst[j] = t[v]
	}
}
