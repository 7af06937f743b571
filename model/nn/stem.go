package nn

import (
	"fmt"
	"math"
)

// fixed says that nothing in a layer is trained, nor carries gradients.
func (l Layer) fixed() bool { return l.Kind == Scattering || l.Kind == Standardize }

// Stem is the layers of an architecture that are never trained: what they make of an example is
// the same in every round, so that whoever trains on it again and again may keep it. It is not
// safe for concurrent use.
type Stem struct {
	in, out Shape
	layers  []fixedLayer
	buffers [2][]float32
}

// fixedLayer turns one example into another; both are (channel, height, width).
type fixedLayer interface{ apply(x, y []float32) }

// Split parts an architecture into its stem and the rest, whose input is what the stem
// makes. Parameters are those of the rest, in the same order. Without such layers the stem
// is nil and the rest everything.
func (a Architecture) Split() (*Stem, Architecture, error) {
	p, err := a.plan()
	if err != nil || !a.Layers[0].fixed() {
		return nil, a, err
	}
	s := &Stem{in: a.Input}
	widest := 0
	for i, t := range p.steps {
		if !t.fixed() {
			a.Layers = a.Layers[i:]
			break
		}
		switch t.Kind {
		case Scattering:
			s.layers = append(s.layers, newScatter(t))
		default:
			s.layers = append(s.layers, standardize{t})
		}
		s.out = t.out
		widest = max(widest, t.out.Size())
	}
	for i := range s.buffers {
		s.buffers[i] = make([]float32, widest)
	}
	a.Input = s.out
	return s, a, nil
}

// Out is the shape of what the stem makes of an example.
func (s *Stem) Out() Shape { return s.out }

// Apply writes the features of batch examples to dst: (batch, C, H, W) of In and Out. It panics on
// other lengths.
func (s *Stem) Apply(dst, x []float32, batch int) {
	in, out := s.in.Size(), s.out.Size()
	if len(x) != batch*in || len(dst) != batch*out {
		panic(fmt.Sprintf("nn: features of %d values into %d, want a batch of %d examples of %v and %v", len(x), len(dst), batch, s.in, s.out))
	}
	for e := range batch {
		h := x[e*in : (e+1)*in]
		for i, l := range s.layers {
			to := dst[e*out : (e+1)*out]
			if i < len(s.layers)-1 {
				to = s.buffers[i%2]
			}
			l.apply(h, to)
			h = to
		}
	}
}

// standardize makes each group of channels of each example mean 0 and variance 1, as group_norm does, with
// nothing to train.
type standardize struct{ step }

func (l standardize) apply(x, y []float32) {
	n := l.in.Size() / l.Groups
	for g := range l.Groups {
		from, to := x[g*n:(g+1)*n], y[g*n:(g+1)*n]
		var sum, squares float64
		for _, v := range from {
			sum += float64(v)
		}
		mean := sum / float64(n)
		for _, v := range from {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		inverse := 1 / math.Sqrt(squares/float64(n)+normEpsilon)
		for i, v := range from {
			to[i] = float32((float64(v) - mean) * inverse)
		}
	}
}
