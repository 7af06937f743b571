package dataset

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ramp is n images of the shape s with pixels 0, 1, 2, ... and labels in turn.
func ramp(t testing.TB, s Shape, n, classes int) *Set {
	t.Helper()
	pix, labels := make([]uint8, n*s.Size()), make([]int32, n)
	for i := range pix {
		pix[i] = uint8(i)
	}
	for i := range labels {
		labels[i] = int32(i % classes)
	}
	set, err := New(s, pix, labels, Digits()[:classes])
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestFillNormalizes(t *testing.T) {
	n := Normalization{Mean: []float64{0.1, 0.2, 0.3}, Std: []float64{0.5, 0.25, 2}}
	set, err := New(Shape{3, 1, 2}, []uint8{0, 255, 51, 102, 153, 204}, []int32{1}, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{-0.2, 1.8, 0, 0.8, 0.15, 0.25}
	got := make([]float32, 6)
	set.Fill(got, nil, []int{0}, n)
	deep, err := New16(Shape{3, 1, 2}, []uint16{0, 65535, 13107, 26214, 39321, 52428}, []int32{1}, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	got16 := make([]float32, 6)
	deep.Fill(got16, nil, []int{0}, n)
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-6 {
			t.Errorf("8 bit: value %d is %v, want %v", i, got[i], want[i])
		}
	}
	if diff := cmp.Diff(got, got16); diff != "" {
		t.Errorf("8 bit v and 16 bit 257v differ (-8 +16):\n%s", diff)
	}
}

// TestFillMatchesValue: the fast path equals the definition, for every pixel
// value, whichever normalisation came before it, through any subset.
func TestFillMatchesValue(t *testing.T) {
	set := ramp(t, Shape{3, 5, 7}, 20, 4)
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.SampledFrom([]int{1, 3}).Draw(t, "entries")
		n := Normalization{
			Mean: rapid.SliceOfN(rapid.Float64Range(-2, 2), channels, channels).Draw(t, "mean"),
			Std:  rapid.SliceOfN(rapid.Float64Range(0.01, 3), channels, channels).Draw(t, "std"),
		}
		index := rapid.SliceOfN(rapid.IntRange(0, 19), 1, 30).Draw(t, "index")
		x, labels := make([]float32, len(index)*105), make([]int32, len(index))
		sub := set.Subset(index)
		all := make([]int, len(index))
		for i := range all {
			all[i] = i
		}
		sub.Fill(x, labels, all, n)
		for b, i := range index {
			if labels[b] != int32(i%4) {
				t.Fatalf("label of image %d is %d", i, labels[b])
			}
			for j := range 105 {
				if want := n.Value(j/35, float64(uint8(i*105+j))/255); x[b*105+j] != want {
					t.Fatalf("image %d value %d is %v, want %v", i, j, x[b*105+j], want)
				}
			}
		}
	})
}

func TestFillDoesNotAllocate(t *testing.T) {
	set := ramp(t, Shape{1, 28, 28}, 32, 10)
	n := Normalization{Mean: []float64{0.1307}, Std: []float64{0.3081}}
	x, labels, index := make([]float32, 32*784), make([]int32, 32), make([]int, 32)
	if got := testing.AllocsPerRun(10, func() { set.Fill(x, labels, index, n) }); got != 0 {
		t.Errorf("%v allocations a batch", got)
	}
}

// TestFillConcurrently is for the race detector: two readers with different
// normalisations share one table slot.
func TestFillConcurrently(t *testing.T) {
	set := ramp(t, Shape{1, 4, 4}, 8, 2)
	var wait sync.WaitGroup
	for _, mean := range []float64{0, 0.25, 0.5} {
		wait.Go(func() {
			n := Normalization{Mean: []float64{mean}, Std: []float64{1}}
			x := make([]float32, 16)
			for k := range 200 {
				set.Fill(x, nil, []int{k % 8}, n)
				if want := n.Value(0, float64(k%8*16)/255); x[0] != want {
					t.Errorf("got %v, want %v", x[0], want)
				}
			}
		})
	}
	wait.Wait()
}

func TestNormalizationValidate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name string
		n    Normalization
		says string // empty: valid
	}{
		{"none", Normalization{}, ""},
		{"one entry", Normalization{[]float64{0.5}, []float64{0.5}}, ""},
		{"one a channel", Normalization{[]float64{0, 1, 2}, []float64{1, 2, 3}}, ""},
		{"mixed", Normalization{[]float64{0, 1, 2}, []float64{1}}, ""},
		{"two entries", Normalization{[]float64{0, 1}, []float64{1}}, "mean has 2 entries"},
		{"no std", Normalization{[]float64{0}, nil}, "std has 0 entries"},
		{"no mean", Normalization{nil, []float64{1}}, "mean has 0 entries"},
		{"zero std", Normalization{[]float64{0}, []float64{0}}, "std[0]"},
		{"negative std", Normalization{[]float64{0}, []float64{1, -1, 1}}, "std[1]"},
		{"denormal std", Normalization{[]float64{0}, []float64{5e-324}}, "std[0]"},
		{"NaN", Normalization{[]float64{nan}, []float64{1}}, "mean[0]"},
		{"NaN std", Normalization{[]float64{0}, []float64{nan}}, "std[0]"},
		{"infinite", Normalization{[]float64{0}, []float64{inf}}, "std[0]"},
	} {
		err := c.n.Validate(3)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.says)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	for _, c := range []struct {
		name  string
		shape Shape
		batch int
	}{{"1x28x28/1", Shape{1, 28, 28}, 1}, {"1x28x28/32", Shape{1, 28, 28}, 32}, {"3x32x32/32", Shape{3, 32, 32}, 32}} {
		b.Run(c.name, func(b *testing.B) {
			set := ramp(b, c.shape, 64, 10)
			n := Normalization{Mean: []float64{0.1307}, Std: []float64{0.3081}}
			x, labels, index := make([]float32, c.batch*c.shape.Size()), make([]int32, c.batch), make([]int, c.batch)
			for i := range index {
				index[i] = i * 7 % 64
			}
			b.ReportAllocs()
			for b.Loop() {
				set.Fill(x, labels, index, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.batch), "ns/image")
		})
	}
}
