package dataset

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/seed"
)

// labelled is a set of 1x1x1 images with the given labels; image i's stored
// position is i, which identifies it in parts.
func labelled(t rapid.TB, labels []int32, classes int) *Set {
	s, err := New(Shape{1, 1, 1}, make([]uint8, len(labels)), slices.Clone(labels), Digits()[:classes])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.Int32Range(0, 4), 0, 120).Draw(t, "labels")
		f := rapid.Float64Range(0, 1).Draw(t, "fraction")
		root := rapid.Uint64().Draw(t, "seed")
		s := labelled(t, labels, 5)
		parts, err := s.Split([]float64{f, 1 - f}, seed.New(root, "split", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		var all []int32
		for j, p := range parts {
			all = append(all, p.index...)
			if !slices.IsSorted(p.index) {
				t.Fatal("a part is out of order")
			}
			share := []float64{f, 1 - f}[j]
			if got, want := float64(p.Len()), share*float64(len(labels)); math.Abs(got-want) > 0.5+1e-9 {
				t.Fatalf("part %d has %v images, want %v", j, got, want)
			}
			whole := s.Counts()
			for c, n := range p.Counts() {
				if math.Abs(float64(n)-share*float64(whole[c])) > 1+1e-9 {
					t.Fatalf("part %d has %d of the %d images of class %d, share %v", j, n, whole[c], c, share)
				}
			}
			for i := range p.Len() {
				if p.Label(i) != int(labels[p.index[i]]) {
					t.Fatal("a label lost its image")
				}
			}
		}
		slices.Sort(all)
		if diff := cmp.Diff(s.index, slices.Clip(all)); len(labels) > 0 && diff != "" {
			t.Fatalf("parts are not a partition:\n%s", diff)
		}
		again, _ := s.Split([]float64{f, 1 - f}, seed.New(root, "split", 0, ""))
		if !slices.Equal(again[0].index, parts[0].index) {
			t.Fatal("the same stream split differently")
		}
	})
}

func TestSplitIsRandom(t *testing.T) {
	s := labelled(t, make([]int32, 100), 1)
	a, _ := s.Split([]float64{0.5, 0.5}, seed.New(1, "split", 0, ""))
	b, _ := s.Split([]float64{0.5, 0.5}, seed.New(2, "split", 0, ""))
	if slices.Equal(a[0].index, b[0].index) {
		t.Error("two streams gave the same half of 100 images")
	}
}

func TestSplitKeepsGroupsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.Int32Range(0, 2), 1, 80).Draw(t, "labels")
		groups := rapid.SliceOfN(rapid.Int32Range(0, 15), len(labels), len(labels)).Draw(t, "groups")
		s, err := labelled(t, labels, 3).WithGroups(groups)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := s.Split([]float64{0.7, 0.2, 0.1}, seed.New(rapid.Uint64().Draw(t, "seed"), "split", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		where, n := map[int32]int{}, 0
		for j, p := range parts {
			n += p.Len()
			for i := range p.Len() {
				if k, ok := where[p.Group(i)]; ok && k != j {
					t.Fatalf("group %d is in parts %d and %d", p.Group(i), k, j)
				}
				where[p.Group(i)] = j
			}
		}
		if n != len(labels) {
			t.Fatalf("%d images in parts, want %d", n, len(labels))
		}
	})
}

func TestSplitRefuses(t *testing.T) {
	s := labelled(t, make([]int32, 10), 1)
	for _, f := range [][]float64{nil, {0.5}, {0.5, 0.6}, {1.5, -0.5}, {math.NaN(), 1}, {math.Inf(1)}} {
		if _, err := s.Split(f, seed.New(1, "split", 0, "")); err == nil {
			t.Errorf("fractions %v were taken", f)
		}
	}
}

func TestSubsetSharesPixels(t *testing.T) {
	s := ramp(t, Shape{1, 2, 2}, 6, 3)
	sub := s.Subset([]int{5, 1, 5}).Subset([]int{2, 1})
	if sub.pixels != s.pixels {
		t.Error("a subset copied pixels")
	}
	if sub.Len() != 2 || sub.Label(0) != 2 || sub.Label(1) != 1 {
		t.Errorf("labels %v, want [2 1]", sub.Labels())
	}
	x := make([]float32, 8)
	sub.Fill(x, nil, []int{0, 1}, Normalization{})
	if x[0] != 20./255 || x[4] != 4./255 {
		t.Errorf("pixels %v are not those of images 5 and 1", x)
	}
	if diff := cmp.Diff([]int{0, 1, 1}, sub.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
