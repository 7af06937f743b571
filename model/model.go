// Package model holds what every other part of training passes around: the
// parameters of one network as a single flat []float32, and a Layout that says
// which span belongs to which named tensor.
//
// It knows nothing of layers, training or files; see nn, optim and checkpoint.
//
// Invariants: the tensors of a Layout lie one after another without gaps, in
// the order in which they were given, and len(Model.Params) == Layout.Size().
// Names and shapes follow PyTorch: convolution weights are (out, in, height,
// width), dense weights (out, in), all row-major. This is the canonical order:
// files, the wire and hashes use it and no other.
package model

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Model is one set of parameters. Params is in the canonical order of Layout
// and is owned by the Model; callers may change its elements, not its length.
// A Model is not safe for concurrent mutation.
type Model struct {
	Params []float32
	Layout Layout
}

// New returns a model of zeros.
func New(l Layout) *Model {
	return &Model{Params: make([]float32, l.Size()), Layout: l}
}

// View returns the elements of one tensor, row-major, sharing memory with the
// model; nil if the layout has no such tensor.
func (m *Model) View(name string) []float32 {
	t, ok := m.Layout.Lookup(name)
	if !ok {
		return nil
	}
	return m.Params[t.Offset : t.Offset+t.Size : t.Offset+t.Size]
}

// Clone returns a copy that shares no parameters with m.
func (m *Model) Clone() *Model {
	return &Model{Params: append([]float32(nil), m.Params...), Layout: m.Layout}
}

// SHA256 identifies the model: a hash of the names, the shapes and the
// little-endian IEEE 754 bits of every parameter, so +0 and -0 differ, as do
// two NaNs with different payloads. The encoding is injective: counts and
// lengths precede what they count.
func (m *Model) SHA256() [32]byte {
	h := sha256.New()
	b := append(make([]byte, 0, 4096), "sotto/model/v1\x00"...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(m.Layout.tensors)))
	for _, t := range m.Layout.tensors {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(t.Name)))
		b = append(b, t.Name...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(t.Shape)))
		for _, d := range t.Shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(d))
		}
	}
	for _, v := range m.Params {
		if len(b)+4 > cap(b) {
			h.Write(b)
			b = b[:0]
		}
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	h.Write(b)
	return [32]byte(h.Sum(nil))
}
