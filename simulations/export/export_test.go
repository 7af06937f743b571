package export

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model/dataset"
)

// pixels gives all images and labels of s.
func pixels(s *dataset.Set) ([]float32, []int32) {
	c, h, w := s.Shape()
	x, labels, index := make([]float32, s.Len()*c*h*w), make([]int32, s.Len()), make([]int, s.Len())
	for i := range index {
		index[i] = i
	}
	s.Fill(x, labels, index, dataset.Normalization{})
	return x, labels
}

// TestRoundTrip: what WriteFolder writes, OpenFolder reads, to the last bit.
func TestRoundTrip(t *testing.T) {
	classes := []string{"cat", "dog", "never seen"}
	labels := []int32{0, 0, 0, 1, 1} // sorted, the order in which they come back
	for _, shape := range []dataset.Shape{{C: 1, H: 5, W: 4}, {C: 3, H: 2, W: 7}} {
		for _, bits := range []int{8, 16} {
			for _, groups := range [][]int32{nil, {4, 4, 9, 4, 9}} {
				var s *dataset.Set
				var err error
				if n := len(labels) * shape.Size(); bits == 8 {
					p := make([]uint8, n)
					for i := range p {
						p[i] = uint8(i * 37)
					}
					s, err = dataset.New(shape, p, labels, classes)
				} else {
					p := make([]uint16, n)
					for i := range p {
						p[i] = uint16(i * 9973)
					}
					s, err = dataset.New16(shape, p, labels, classes)
				}
				if err != nil {
					t.Fatal(err)
				}
				if groups != nil {
					if s, err = s.WithGroups(groups); err != nil {
						t.Fatal(err)
					}
				}
				dir := filepath.Join(t.TempDir(), "new")
				if err := WriteFolder(dir, s); err != nil {
					t.Fatal(err)
				}
				got, problems, err := dataset.OpenFolder(dir, dataset.Options{Shape: shape, Classes: classes})
				if err != nil || problems != nil {
					t.Fatal(err, problems)
				}
				wantX, wantL := pixels(s)
				gotX, gotL := pixels(got)
				if diff := cmp.Diff(wantX, gotX); diff != "" || got.Bits() != bits {
					t.Errorf("%v, %d bits (got %d): pixels (-want +got):\n%s", shape, bits, got.Bits(), diff)
				}
				if diff := cmp.Diff(wantL, gotL); diff != "" {
					t.Errorf("labels (-want +got):\n%s", diff)
				}
				if got.HasGroups() != s.HasGroups() {
					t.Errorf("groups: %v, want %v", got.HasGroups(), s.HasGroups())
				}
				for i := range s.Len() {
					for j := range s.Len() {
						if (got.Group(i) == got.Group(j)) != (s.Group(i) == s.Group(j)) {
							t.Errorf("images %d and %d: same group before or after, not both", i, j)
						}
					}
				}
			}
		}
	}
}

func TestWriteFolderRefuses(t *testing.T) {
	set := func(c int, name string) *dataset.Set {
		s, err := dataset.New(dataset.Shape{C: c, H: 1, W: 1}, make([]uint8, c), []int32{0}, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, ".hidden"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteFolder(full, set(1, "a")); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), full) {
		t.Errorf("a folder with a file in it: %v", err)
	}
	if err := WriteFolder(filepath.Join(full, ".hidden"), set(1, "a")); err == nil {
		t.Error("a file in place of the folder was taken")
	}
	if err := WriteFolder(t.TempDir(), set(2, "a")); !errors.Is(err, dataset.ErrShape) {
		t.Errorf("two channels: %v", err)
	}
	for _, name := range []string{"..", "../a", "a/b", `a\b`, "/a", ".a"} {
		dir := t.TempDir()
		if err := WriteFolder(dir, set(1, name)); err == nil {
			t.Errorf("class name %q was taken", name)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("class name %q: %v was written before it was refused", name, left)
		}
	}
}

func TestFilesAreReadable(t *testing.T) {
	s, err := dataset.New(dataset.Shape{C: 1, H: 1, W: 1}, []uint8{1}, []int32{0}, []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteFolder(dir, s); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "a", "00000.png"))
	if err != nil {
		t.Fatal(err)
	}
	// The process's mask may take bits away and never adds any.
	if p := info.Mode().Perm(); p&^0o644 != 0 || p&0o400 == 0 {
		t.Errorf("mode %v, want 0644", p)
	}
}

func BenchmarkWriteFolder(b *testing.B) {
	const n = 1000
	pix, labels := make([]uint8, n*784), make([]int32, n)
	for i := range pix {
		pix[i] = uint8(max(0, i*i%401-200))
	}
	s, err := dataset.New(dataset.Shape{C: 1, H: 28, W: 28}, pix, labels, dataset.Digits())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := WriteFolder(b.TempDir(), s); err != nil {
			b.Fatal(err)
		}
	}
}
