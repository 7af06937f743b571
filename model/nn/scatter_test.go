package nn

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func scattering(t testing.TB, in Shape, scales, angles int) *Stem {
	t.Helper()
	a := Architecture{Name: "s", Input: in, Layers: []Layer{{Kind: Scattering, Scales: scales, Angles: angles}, {Kind: Flatten}, {Kind: Dense, Out: 2}}}
	s, _, err := a.Split()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// definition computes one feature from the formulas: the modulus of the image's product with a Morlet wavelet
// at every pixel of the scale, and its mean under a Gaussian window.
func definition(image []float64, h, w, scales, angles, j, angle, row, col int) float64 {
	at := func(y, x int) float64 { return image[fold(y, h)*w+fold(x, w)] }
	window := func(centre, y float64) float64 {
		d := (y - centre) / (0.8 * math.Ldexp(1, scales-1))
		if math.Abs(d) > 4 {
			return 0
		}
		return math.Exp(-d * d / 2)
	}
	stride, step := 1, 1<<scales
	value := func(y, x int) float64 { return at(y, x) }
	if j >= 0 {
		stride = 1 << j
		sigma, xi := 0.8*math.Ldexp(1, j), 3*math.Pi/4*math.Ldexp(1, -j)
		across := sigma * float64(angles) / 4
		radius := int(math.Ceil(3 * max(sigma, across)))
		sin, cos := math.Sincos(math.Pi * float64(angle) / float64(angles))
		envelope := func(u, v float64) float64 {
			a, b := (u*cos+v*sin)/sigma, (v*cos-u*sin)/across
			return math.Exp(-(a*a + b*b) / 2)
		}
		// The middle of an output's own pixels; kernels reach radius to both sides.
		shift := float64(stride-1) / 2
		lo, hi := -radius, radius
		if stride > 1 {
			lo, hi = stride/2-radius, stride/2+radius-1
		}
		each := func(f func(y, x int, u, v float64)) {
			for y := lo; y <= hi; y++ {
				for x := lo; x <= hi; x++ {
					f(y, x, float64(x)-shift, float64(y)-shift)
				}
			}
		}
		var total float64
		var bias complex128
		each(func(_, _ int, u, v float64) {
			e := envelope(u, v)
			total += e
			bias += complex(e, 0) * cmplx.Rect(1, xi*(u*cos+v*sin))
		})
		bias = complex(real(bias)/total, 0)
		wave := func(u, v float64) complex128 {
			return complex(envelope(u, v), 0) * (cmplx.Rect(1, xi*(u*cos+v*sin)) - bias)
		}
		var norm float64
		each(func(_, _ int, u, v float64) { norm += cmplx.Abs(wave(u, v)) })
		value = func(y, x int) float64 {
			var sum complex128
			each(func(dy, dx int, u, v float64) {
				sum += complex(at(y*stride+dy, x*stride+dx), 0) * wave(u, v)
			})
			return cmplx.Abs(sum) / norm
		}
	}
	cy, cx := float64(row*step)+float64(step-1)/2, float64(col*step)+float64(step-1)/2
	var sum, weight float64
	for y := range h / stride {
		for x := range w / stride {
			g := window(cy, float64(y*stride)+float64(stride-1)/2) * window(cx, float64(x*stride)+float64(stride-1)/2)
			if g > 0 {
				sum += g * value(y, x)
				weight += g
			}
		}
	}
	return sum / weight
}

func TestScattering(t *testing.T) { onEachPath(t, testScattering) }

func testScattering(t *testing.T) {
	const h, w, scales, angles = 12, 8, 2, 4
	s := scattering(t, Shape{C: 2, H: h, W: w}, scales, angles)
	rng := rand.New(rand.NewPCG(1, 5))
	x := make([]float32, 2*h*w)
	image := make([]float64, h*w) // the second channel
	for i := range x {
		x[i] = float32(rng.NormFloat64())
		if i >= h*w {
			image[i-h*w] = float64(x[i])
		}
	}
	y := make([]float32, s.Out().Size())
	s.Apply(y, x, 1)
	if want := (Shape{C: 2 * (1 + scales*angles), H: 3, W: 2}); s.Out() != want {
		t.Fatalf("out is %v, want %v", s.Out(), want)
	}
	second := y[len(y)/2:]
	for channel := range 1 + scales*angles {
		j, angle := -1, 0
		if channel > 0 {
			j, angle = (channel-1)/angles, (channel-1)%angles
		}
		for cell := range 6 {
			want := definition(image, h, w, scales, angles, j, angle, cell/2, cell%2)
			if got := float64(second[channel*6+cell]); math.Abs(got-want) > 2e-6 {
				t.Errorf("scale %d, angle %d, cell %d: %g, want %g", j, angle, cell, got, want)
			}
		}
	}
}

// A constant image has a mean and no waves; shifting an image by a pixel changes little.
func TestScatteringIsStable(t *testing.T) {
	s := scattering(t, Shape{C: 1, H: 28, W: 28}, 2, 8)
	x, y := make([]float32, 784), make([]float32, s.Out().Size())
	for i := range x {
		x[i] = 3
	}
	s.Apply(y, x, 1)
	for i, v := range y {
		if want := float32(0); i < 49 {
			want = 3
			if math.Abs(float64(v-want)) > 1e-5 {
				t.Fatalf("mean %d is %g, want 3", i, v)
			}
		} else if math.Abs(float64(v)) > 1e-5 {
			t.Fatalf("feature %d of a constant image is %g", i, v)
		}
	}
	rng := rand.New(rand.NewPCG(1, 6))
	clear(x)
	for range 40 {
		x[(8+rng.IntN(12))*28+8+rng.IntN(12)] = 1
	}
	shifted, z := make([]float32, 784), make([]float32, len(y))
	copy(shifted[1:], x)
	s.Apply(y, x, 1)
	s.Apply(z, shifted, 1)
	distance := func(a, b []float32) (d, n float64) {
		for i := range a {
			d += float64(a[i]-b[i]) * float64(a[i]-b[i])
			n += float64(a[i]) * float64(a[i])
		}
		return math.Sqrt(d), math.Sqrt(n)
	}
	pixels, all := distance(x, shifted)
	features, norm := distance(y, z)
	if features/norm > 0.35*pixels/all {
		t.Errorf("a shift moves features by %.2f of their norm, pixels by %.2f", features/norm, pixels/all)
	}
}

// A network with a stem is the rest of it on the stem's features, bit for bit.
func TestSplit(t *testing.T) { onEachPath(t, testSplit) }

func testSplit(t *testing.T) {
	a, err := Named("scatter-linear")
	if err != nil {
		t.Fatal(err)
	}
	s, rest, err := a.Split()
	if err != nil {
		t.Fatal(err)
	}
	n, x, labels, _ := randomTask(t, rand.New(rand.NewPCG(2, 2)), a, 5)
	m, err := New(rest, 5)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(n.Layout().Tensors(), m.Layout().Tensors()) {
		t.Fatal("the layouts differ")
	}
	weights := make([]float32, n.Layout().Size())
	if err := n.Export(weights); err != nil {
		t.Fatal(err)
	}
	if err := m.Import(weights); err != nil {
		t.Fatal(err)
	}
	features := make([]float32, len(labels)*s.Out().Size())
	s.Apply(features, x, len(labels))
	n.Gradient(x, labels)
	m.Gradient(features, labels)
	if !cmp.Equal(n.Grads(), m.Grads()) {
		t.Error("the gradients differ")
	}
	plain, err := Named("mnist-cnn")
	if err != nil {
		t.Fatal(err)
	}
	if s, rest, err := plain.Split(); s != nil || err != nil || !cmp.Equal(rest, plain) {
		t.Errorf("an architecture without a stem was split: %v, %v", s, err)
	}
}

func TestStemRefused(t *testing.T) {
	for name, layers := range map[string][]Layer{
		"after a convolution": {{Kind: Conv2D, Out: 4, Kernel: 1}, {Kind: Scattering, Scales: 1, Angles: 4}, {Kind: Flatten}, {Kind: Dense, Out: 2}},
		"odd size":            {{Kind: Scattering, Scales: 3, Angles: 4}, {Kind: Flatten}, {Kind: Dense, Out: 2}},
		"groups":              {{Kind: Scattering, Scales: 1, Angles: 4}, {Kind: Standardize, Groups: 2}, {Kind: Flatten}, {Kind: Dense, Out: 2}},
		"no angles":           {{Kind: Scattering, Scales: 1}, {Kind: Flatten}, {Kind: Dense, Out: 2}},
		"other field":         {{Kind: Standardize, Groups: 1, Out: 3}, {Kind: Flatten}, {Kind: Dense, Out: 2}},
	} {
		a := Architecture{Name: "s", Input: Shape{C: 1, H: 12, W: 12}, Layers: layers}
		if a.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// One MNIST image: what a client pays once for each image.
func BenchmarkScattering(b *testing.B) {
	s := scattering(b, Shape{C: 1, H: 28, W: 28}, 2, 8)
	x, y := make([]float32, 784), make([]float32, s.Out().Size())
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Apply(y, x, 1)
	}
}
