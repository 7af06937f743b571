package dataset

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/seed"
)

// TestMotion checks both ways of moving pixels against pictures one can read.
func TestMotion(t *testing.T) {
	src := []float32{
		1, 2, 3,
		4, 5, 6,
		7, 8, 9,
	}
	for _, c := range []struct {
		name string
		m    motion
		want []float32
	}{
		{"flip", motion{flip: true}, []float32{3, 2, 1, 6, 5, 4, 9, 8, 7}},
		{"right and down", motion{dx: 1, dy: 1}, []float32{0, 0, 0, 0, 1, 2, 0, 4, 5}},
		{"left and up by two", motion{dx: -2, dy: -2}, []float32{9, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"flip, then right", motion{flip: true, dx: 1}, []float32{0, 3, 2, 0, 6, 5, 0, 9, 8}},
		{"quarter turn clockwise", motion{angle: math.Pi / 2}, []float32{7, 4, 1, 8, 5, 2, 9, 6, 3}},
		{"flip, quarter turn, down", motion{flip: true, angle: math.Pi / 2, dy: 1}, []float32{0, 0, 0, 9, 6, 3, 8, 5, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			turned := make([]float32, 9)
			c.m.turn(turned, src, 3, 3, 0)
			for i := range turned {
				if math.Abs(float64(turned[i]-c.want[i])) > 1e-5 {
					t.Fatalf("turn: got %v, want %v", turned, c.want)
				}
			}
			if c.m.angle != 0 {
				return
			}
			moved := make([]float32, 9)
			c.m.move(moved, src, 3, 3, 0)
			if diff := cmp.Diff(c.want, moved); diff != "" {
				t.Fatalf("move (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTurnIsBilinear: a plane a*x + b*y rotates into a plane, exactly, wherever
// all four samples are inside.
func TestTurnIsBilinear(t *testing.T) {
	const n = 21
	src, dst := make([]float32, n*n), make([]float32, n*n)
	for i := range src {
		src[i] = float32(3*(i%n-10) - 2*(i/n-10))
	}
	a := 30 * math.Pi / 180
	motion{angle: a}.turn(dst, src, n, n, 0)
	for y := -6; y <= 6; y++ {
		for x := -6; x <= 6; x++ {
			u := math.Cos(a)*float64(x) + math.Sin(a)*float64(y)
			v := math.Cos(a)*float64(y) - math.Sin(a)*float64(x)
			if got, want := float64(dst[(y+10)*n+x+10]), 3*u-2*v; math.Abs(got-want) > 1e-4 {
				t.Fatalf("at (%d, %d): got %v, want %v", x, y, got, want)
			}
		}
	}
}

func TestApply(t *testing.T) {
	s := Shape{2, 6, 5}
	n := Normalization{Mean: []float64{0.25, 0.5}, Std: []float64{0.5}}
	rapid.Check(t, func(t *rapid.T) {
		a := Augmentation{
			Flip:   rapid.Bool().Draw(t, "flip"),
			Shift:  rapid.IntRange(0, 4).Draw(t, "shift"),
			Rotate: rapid.SampledFrom([]float64{0, 1e-9, 15, 180}).Draw(t, "rotate"),
		}
		if err := a.Validate(s); err != nil {
			t.Fatal(err)
		}
		root := rapid.Uint64().Draw(t, "seed")
		// A black image stays black: what comes in from outside is the same.
		img, scratch := make([]float32, 60), make([]float32, 60)
		for i := range img {
			img[i] = n.Value(i/30, 0)
		}
		black := slices.Clone(img)
		a.Apply(img, scratch, s, n, seed.New(root, "augment", 0, ""))
		if diff := cmp.Diff(black, img); diff != "" {
			t.Fatalf("black changed:\n%s", diff)
		}
		// The result depends on image and stream only, and stays in range.
		for i := range img {
			img[i] = n.Value(i/30, float64(i%30)/29)
		}
		again, dirty := slices.Clone(img), slices.Repeat([]float32{99}, 70)
		a.Apply(img, scratch, s, n, seed.New(root, "augment", 1, ""))
		a.Apply(again, dirty, s, n, seed.New(root, "augment", 1, ""))
		if diff := cmp.Diff(img, again); diff != "" {
			t.Fatalf("two results for one stream:\n%s", diff)
		}
		for i, v := range img {
			if lo, hi := n.Value(i/30, 0), n.Value(i/30, 1); v < lo-1e-5 || v > hi+1e-5 {
				t.Fatalf("value %v outside [%v, %v]", v, lo, hi)
			}
		}
	})
}

// TestApplyReachesEverything: all nine shifts of one pixel and both
// orientations occur. A set of 400 draws misses one of 18 with probability
// below 18*(17/18)^400 < 1e-8.
func TestApplyReachesEverything(t *testing.T) {
	a, s := Augmentation{Flip: true, Shift: 1}, Shape{1, 3, 4}
	rng := seed.New(1, "augment", 0, "")
	seen := map[[12]float32]bool{}
	for range 400 {
		img := [12]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		a.Apply(img[:], make([]float32, 12), s, Normalization{}, rng)
		seen[img] = true
	}
	if len(seen) != 18 {
		t.Errorf("%d different images, want 18", len(seen))
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	a, s := Augmentation{Flip: true, Shift: 2, Rotate: 10}, Shape{3, 32, 32}
	img, scratch, rng := make([]float32, s.Size()), make([]float32, s.Size()), seed.New(1, "augment", 0, "")
	n := Normalization{Mean: []float64{0.5}, Std: []float64{0.5}}
	if got := testing.AllocsPerRun(20, func() { a.Apply(img, scratch, s, n, rng) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestAugmentationValidate(t *testing.T) {
	s := Shape{1, 28, 20}
	for _, a := range []Augmentation{{Shift: -1}, {Shift: 20}, {Rotate: -1}, {Rotate: 181}, {Rotate: math.NaN()}, {Rotate: math.Inf(1)}} {
		if a.Validate(s) == nil {
			t.Errorf("%+v was taken", a)
		}
	}
	for _, a := range []Augmentation{{}, {Flip: true, Shift: 19, Rotate: 180}} {
		if err := a.Validate(s); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for name, a := range map[string]Augmentation{"shift": {Flip: true, Shift: 2}, "rotate": {Shift: 2, Rotate: 10}} {
		b.Run(name, func(b *testing.B) {
			s := Shape{1, 28, 28}
			img, scratch, rng := make([]float32, s.Size()), make([]float32, s.Size()), seed.New(1, "augment", 0, "")
			b.ReportAllocs()
			for b.Loop() {
				a.Apply(img, scratch, s, Normalization{}, rng)
			}
		})
	}
}
