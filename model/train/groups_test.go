package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A group's gradients are added, then clipped as one; groups add up; and what fits no batch is
// refused.
func TestClippedGroups(t *testing.T) {
	cfg := testConfig()
	trainer, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	data := synthetic(t, 40, "north")
	m, err := cfg.Architecture.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	clipped := func(clip float64, groups ...[]int32) []float64 {
		t.Helper()
		sum := make([]float64, len(m.Params))
		if err := trainer.ClippedGroups(t.Context(), m.Params, data, groups, clip, nil, sum); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	norm := func(v []float64) float64 {
		s := 0.0
		for _, x := range v {
			s += x * x
		}
		return math.Sqrt(s)
	}
	near := func(name string, got, want []float64) {
		t.Helper()
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-5*(1+norm(want)) {
				t.Fatalf("%s: value %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
	const free = 1e6
	group, other := []int32{3, 9, 4, 31, 3}, []int32{7, 8}
	want := make([]float64, len(m.Params))
	for _, i := range group {
		for j, x := range clipped(free, []int32{i}) {
			want[j] += x
		}
	}
	near("a group within the clip", clipped(free, group), want)
	for j := range want {
		want[j] *= 0.01 / norm(want)
	}
	got := clipped(0.01, group)
	if n := norm(got); n > 0.01 || n < 0.0099 {
		t.Errorf("a clipped group has the norm %g, want 0.01", n)
	}
	scale := 0.01 / norm(clipped(free, group))
	want = clipped(free, group)
	for j := range want {
		want[j] *= scale
	}
	near("a clipped group", got, want)
	two := clipped(0.01, group, other)
	for j, x := range clipped(0.01, other) {
		got[j] += x
	}
	near("two groups", two, got)
	// More groups than one batch holds.
	var many [][]int32
	sum := make([]float64, len(m.Params))
	for i := range int32(12) {
		g := []int32{i, i + 1, i + 2}
		many = append(many, g)
		for j, x := range clipped(0.01, g) {
			sum[j] += x
		}
	}
	near("twelve groups", clipped(0.01, many...), sum)
	if slices.ContainsFunc(clipped(0.01), func(x float64) bool { return x != 0 }) {
		t.Error("no groups give something")
	}
	for _, g := range [][]int32{{}, {0, 1, 2, 3, 4, 5, 6, 7, 8}} {
		if err := trainer.ClippedGroups(t.Context(), m.Params, data, [][]int32{g}, 1, nil, sum); err == nil || !strings.Contains(err.Error(), "want 1 to 8") {
			t.Errorf("a group of %d: got %v", len(g), err)
		}
	}
}

// The mean gradient of an image's varied copies is clipped as one: never longer than the clip, equal to the
// mean when it is shorter, and another stream gives other copies.
func TestCopies(t *testing.T) {
	cfg := testConfig()
	cfg.Augmentation.Shift, cfg.Copies = 1, 4
	trainer, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Copies = 0
	single, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	data := synthetic(t, 40, "north")
	m, err := cfg.Architecture.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	step := func(tr *Trainer, clip float64, stream uint64, index ...int32) []float64 {
		t.Helper()
		sum := make([]float64, len(m.Params))
		if err := tr.Clipped(t.Context(), m.Params, data, index, clip, rand.New(rand.NewPCG(stream, 1)), sum); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	got, want := step(trainer, 1e6, 7, 3, 5), step(single, 1e6, 7, 3, 3, 3, 3, 5, 5, 5, 5)
	for i := range got {
		if math.Abs(got[i]-want[i]/4) > 1e-5 {
			t.Fatalf("value %d is %g, want the mean %g of the copies", i, got[i], want[i]/4)
		}
	}
	long := 0.0
	for _, x := range step(trainer, 0.01, 7, 3) {
		long += x * x
	}
	if n := math.Sqrt(long); n > 0.01 || n < 0.0099 {
		t.Errorf("a clipped mean has the norm %g, want 0.01", n)
	}
	if slices.Equal(got, step(trainer, 1e6, 8, 3, 5)) {
		t.Error("another stream gives the same copies")
	}
	if err := trainer.Clipped(t.Context(), m.Params, data, []int32{1}, 1, nil, got); err == nil {
		t.Error("images were varied without a stream")
	}
}
