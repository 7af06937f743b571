package model

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func layout(t *testing.T, tensors ...Tensor) Layout {
	t.Helper()
	l, err := NewLayout(tensors)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLayout(t *testing.T) {
	l := layout(t, Tensor{Name: "a", Shape: []int{2, 3}}, Tensor{Name: "b", Shape: []int{4}})
	want := []Tensor{{Name: "a", Shape: []int{2, 3}, Size: 6}, {Name: "b", Shape: []int{4}, Offset: 6, Size: 4}}
	if diff := cmp.Diff(want, l.Tensors()); diff != "" {
		t.Errorf("tensors (-want +got):\n%s", diff)
	}
	if l.Size() != 10 {
		t.Errorf("size is %d, want 10", l.Size())
	}
	l.Tensors()[0].Shape[0] = 99
	if b, _ := l.Lookup("a"); b.Shape[0] != 2 {
		t.Error("a caller changed the layout through Tensors")
	}
	if _, ok := l.Lookup("c"); ok {
		t.Error("found a tensor that is not there")
	}
	if !l.Equal(layout(t, l.Tensors()...)) {
		t.Error("equal layouts differ")
	}
	for name, o := range map[string]Layout{
		"shape": layout(t, Tensor{Name: "a", Shape: []int{3, 2}}, Tensor{Name: "b", Shape: []int{4}}),
		"name":  layout(t, Tensor{Name: "x", Shape: []int{2, 3}}, Tensor{Name: "b", Shape: []int{4}}),
		"order": layout(t, Tensor{Name: "b", Shape: []int{4}}, Tensor{Name: "a", Shape: []int{2, 3}}),
		"fewer": layout(t, Tensor{Name: "a", Shape: []int{2, 3}}),
	} {
		if l.Equal(o) {
			t.Errorf("layouts of different %s are equal", name)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	for name, tensors := range map[string][]Tensor{
		"no name":   {{Shape: []int{1}}},
		"twice":     {{Name: "a", Shape: []int{1}}, {Name: "a", Shape: []int{2}}},
		"no shape":  {{Name: "a"}},
		"zero":      {{Name: "a", Shape: []int{3, 0}}},
		"negative":  {{Name: "a", Shape: []int{-1, -1}}},
		"too large": {{Name: "a", Shape: []int{MaxSize, 2}}},
		"overflow":  {{Name: "a", Shape: []int{math.MaxInt, math.MaxInt}}},
		"sum":       {{Name: "a", Shape: []int{MaxSize}}, {Name: "b", Shape: []int{1}}},
	} {
		if _, err := NewLayout(tensors); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestModel(t *testing.T) {
	m := New(layout(t, Tensor{Name: "a", Shape: []int{2}}, Tensor{Name: "b", Shape: []int{3}}))
	b := m.View("b")
	b[0] = 7
	if m.Params[2] != 7 {
		t.Error("View does not share memory with the model")
	}
	if a := m.View("a"); len(a) != 2 || cap(a) != 2 {
		t.Error("appending to a view can reach the next tensor")
	}
	if m.View("c") != nil {
		t.Error("a tensor that is not there has a view")
	}
	c := m.Clone()
	c.Params[2] = 8
	if m.Params[2] != 7 {
		t.Error("Clone shares memory with the model")
	}
}

// The hash is the id of a checkpoint on the wire and in published summaries,
// so its encoding is pinned.
func TestSHA256(t *testing.T) {
	m := New(layout(t, Tensor{Name: "a", Shape: []int{2}}, Tensor{Name: "b", Shape: []int{1, 2}}))
	copy(m.Params, []float32{1, -2, 0.5, 3})
	base := m.SHA256()
	const want = "4cf92c6494cf0544841c0758d85e7b4871fffaac8eef46e06cfaffbc25b159b3" // computed with Python's hashlib
	if got := hex.EncodeToString(base[:]); got != want {
		t.Errorf("hash is %s, want %s", got, want)
	}
	for name, change := range map[string]func() *Model{
		"value": func() *Model { c := m.Clone(); c.Params[3] = 4; return c },
		"sign of zero": func() *Model {
			c := m.Clone()
			c.Params[3] = 0
			d := c.Clone()
			d.Params[3] = float32(math.Copysign(0, -1))
			if c.SHA256() == d.SHA256() {
				t.Error("+0 and -0 hash alike")
			}
			return d
		},
		"name": func() *Model {
			c := m.Clone()
			c.Layout = layout(t, Tensor{Name: "a", Shape: []int{2}}, Tensor{Name: "c", Shape: []int{1, 2}})
			return c
		},
		"shape": func() *Model {
			c := m.Clone()
			c.Layout = layout(t, Tensor{Name: "a", Shape: []int{2}}, Tensor{Name: "b", Shape: []int{2, 1}})
			return c
		},
	} {
		if change().SHA256() == base {
			t.Errorf("changing the %s left the hash unchanged", name)
		}
	}
}

// A model larger than one write buffer is hashed to its last parameter.
func TestSHA256CoversEverything(t *testing.T) {
	m := New(layout(t, Tensor{Name: "a", Shape: []int{5000}}))
	seen := map[[32]byte]int{m.SHA256(): -1}
	for _, i := range []int{0, 1000, 1023, 1024, 4999} {
		c := m.Clone()
		c.Params[i] = 1
		if at, ok := seen[c.SHA256()]; ok {
			t.Errorf("a change at %d gives the hash of a change at %d", i, at)
		}
		seen[c.SHA256()] = i
	}
}
