package model

import (
	"fmt"
	"slices"
)

// MaxSize bounds the elements of a Layout: 256 MiB of float32. Nothing that
// trains on a client comes near; a size read from a file or a configuration is
// refused above it, before anything is allocated.
const MaxSize = 1 << 26

const (
	maxTensors  = 4096
	maxNameLen  = 256
	maxShapeLen = 8
)

// Tensor names one span of a flat parameter vector: Size elements from Offset,
// row-major in Shape. NewLayout fills Offset and Size.
type Tensor struct {
	Name         string
	Shape        []int
	Offset, Size int
}

// Layout maps tensor names to spans of a flat parameter vector. It is
// immutable and safe for concurrent use. The zero Layout has no tensors.
type Layout struct {
	tensors []Tensor
	index   map[string]int
	size    int
}

// NewLayout places tensors one after another in the given order. It reads
// Name and Shape and ignores Offset and Size. Names must be non-empty and
// unique and dimensions positive; the total is at most MaxSize elements.
func NewLayout(tensors []Tensor) (Layout, error) {
	if len(tensors) > maxTensors {
		return Layout{}, fmt.Errorf("layout has %d tensors, at most %d are allowed", len(tensors), maxTensors)
	}
	l := Layout{tensors: make([]Tensor, 0, len(tensors)), index: make(map[string]int, len(tensors))}
	for i, t := range tensors {
		if t.Name == "" || len(t.Name) > maxNameLen {
			return Layout{}, fmt.Errorf("tensor %d has a name of %d bytes, want 1 to %d", i, len(t.Name), maxNameLen)
		}
		if _, ok := l.index[t.Name]; ok {
			return Layout{}, fmt.Errorf("tensor %q occurs twice", t.Name)
		}
		if len(t.Shape) == 0 || len(t.Shape) > maxShapeLen {
			return Layout{}, fmt.Errorf("tensor %q has %d dimensions, want 1 to %d", t.Name, len(t.Shape), maxShapeLen)
		}
		size := 1
		for _, d := range t.Shape {
			if d < 1 || d > MaxSize/size {
				return Layout{}, fmt.Errorf("tensor %q has shape %v, want dimensions >= 1 and at most %d elements", t.Name, t.Shape, MaxSize)
			}
			size *= d
		}
		if size > MaxSize-l.size {
			return Layout{}, fmt.Errorf("tensor %q takes the layout past %d elements", t.Name, MaxSize)
		}
		l.index[t.Name] = i
		l.tensors = append(l.tensors, Tensor{Name: t.Name, Shape: slices.Clone(t.Shape), Offset: l.size, Size: size})
		l.size += size
	}
	return l, nil
}

// Tensors returns the tensors in order. The result is the caller's.
func (l Layout) Tensors() []Tensor {
	out := slices.Clone(l.tensors)
	for i := range out {
		out[i].Shape = slices.Clone(out[i].Shape)
	}
	return out
}

// Size is the number of elements of all tensors together.
func (l Layout) Size() int { return l.size }

// Lookup finds a tensor by name. The result is the caller's.
func (l Layout) Lookup(name string) (Tensor, bool) {
	i, ok := l.index[name]
	if !ok {
		return Tensor{}, false
	}
	t := l.tensors[i]
	t.Shape = slices.Clone(t.Shape)
	return t, true
}

// Equal reports whether both layouts have the same names and shapes in the
// same order.
func (l Layout) Equal(o Layout) bool {
	return slices.EqualFunc(l.tensors, o.tensors, func(a, b Tensor) bool {
		return a.Name == b.Name && slices.Equal(a.Shape, b.Shape)
	})
}
