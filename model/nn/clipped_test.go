package nn

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPerExampleGradients(t *testing.T) { onEachPath(t, testPerExampleGradients) }

func testPerExampleGradients(t *testing.T) {
	g := readGolden(t, "testdata/cnn_pytorch.json")
	n, _, x, labels := goldenNetwork(t, g)
	n.Gradient(x, labels)
	batch := slices.Clone(n.grads)
	sum := make([]float64, len(batch))
	if _, err := n.ClippedUnits(x, labels, nil, 1e9, func(e int, grad []float32) error {
		if got := l2(grad); math.Abs(got-g.PerExample[e]) > 1e-4*g.PerExample[e] {
			t.Errorf("gradient of example %d has norm %v, want %v", e, got, g.PerExample[e])
		}
		n.path.AXPY64(sum, grad, 1/float64(len(labels)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range batch {
		if math.Abs(sum[i]-float64(want)) > 2e-6 {
			t.Fatalf("examples' gradients sum to %v at %d, the batch's is %v", sum[i], i, want)
		}
	}
}

// random draws a network, a batch and the ends of units.
func randomTask(t testing.TB, r *rand.Rand, a Architecture, batch int) (n *Network, x []float32, labels []int32, ends []int) {
	t.Helper()
	n, err := New(a, batch)
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Init(r.Uint64())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Import(m.Params); err != nil {
		t.Fatal(err)
	}
	x, labels = make([]float32, batch*a.Input.Size()), make([]int32, batch)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for e := range labels {
		labels[e] = int32(r.IntN(a.Classes()))
		if e == batch-1 || r.IntN(2) == 0 {
			ends = append(ends, e+1)
		}
	}
	return n, x, labels, ends
}

// Every way to the clipped sum agrees with gradients of single examples, which
// come from Gradient on a batch of one.
func TestClippedSum(t *testing.T) { onEachPath(t, testClippedSum) }

func testClippedSum(t *testing.T) {
	r := rand.New(rand.NewPCG(30, 1))
	var cases []Architecture
	for _, kind := range []Kind{Conv2D, MaxPool, AvgPool, Dense, GroupNorm, ReLU, Tanh, Flatten} {
		for range 6 {
			cases = append(cases, randomArchitecture(r, kind))
		}
	}
	cases = append(cases, named[1], named[2])
	for _, a := range cases {
		batch := 1 + r.IntN(20)
		n, x, labels, ends := randomTask(t, r, a, batch)
		size := a.Input.Size()
		single := make([][]float32, batch)
		norms := make([]float64, batch)
		for e := range batch {
			n.Gradient(x[e*size:(e+1)*size], labels[e:e+1])
			single[e] = slices.Clone(n.Grads())
			norms[e] = l2(single[e])
		}
		// About half of the units are clipped.
		clip := slices.Sorted(slices.Values(norms))[batch/2]
		for _, ends := range [][]int{nil, ends} {
			want := make([]float64, len(n.Grads()))
			clipped := 0
			for at := 0; at < batch; {
				end := at + 1
				if ends != nil {
					end = ends[slices.IndexFunc(ends, func(v int) bool { return v > at })]
				}
				unit := make([]float64, len(want))
				for ; at < end; at++ {
					for i, v := range single[at] {
						unit[i] += float64(v)
					}
				}
				var norm float64
				for _, v := range unit {
					norm += v * v
				}
				norm = math.Sqrt(norm)
				if norm > clip {
					clipped++
				}
				for i, v := range unit {
					want[i] += v * min(1, clip/norm)
				}
			}
			got := make([]float64, len(want))
			s, err := n.ClippedSum(x, labels, ends, clip, got)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if math.Abs(got[i]-want[i]) > 2e-5*clip {
					t.Fatalf("%+v, units %v: sum at %d is %v, want %v (clip %v)", a, ends, i, got[i], want[i], clip)
				}
			}
			if s.Clipped < clipped-1 || s.Clipped > clipped+1 || s.NonFinite != 0 {
				t.Errorf("%+v: %+v, want %d clipped", a, s, clipped)
			}
			if _, err := n.ClippedUnits(x, labels, ends, clip, func(unit int, grad []float32) error {
				if norm := l2(grad); norm > clip {
					t.Errorf("%+v: unit %d has norm %v after clipping to %v", a, unit, norm, clip)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One broken record leaves the others' sum as it is.
func TestClippedSumDropsWhatIsNotFinite(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for _, a := range named {
			r := rand.New(rand.NewPCG(31, 1))
			n, x, labels, _ := randomTask(t, r, a, 9)
			size := a.Input.Size()
			want, got := make([]float64, len(n.Grads())), make([]float64, len(n.Grads()))
			if _, err := n.ClippedSum(append(slices.Clone(x[:4*size]), x[5*size:]...), append(slices.Clone(labels[:4]), labels[5:]...), nil, 0.1, want); err != nil {
				t.Fatal(err)
			}
			x[4*size+7] = float32(math.Inf(1))
			x[4*size+9] = float32(math.NaN())
			s, err := n.ClippedSum(x, labels, nil, 0.1, got)
			if err != nil {
				t.Fatal(err)
			}
			if s.NonFinite != 1 || s.Units != 9 {
				t.Errorf("%s: %+v, want one unit of nine not finite", a.Name, s)
			}
			for i := range want {
				if math.Abs(got[i]-want[i]) > 1e-6 {
					t.Fatalf("%s: sum at %d is %v, want %v", a.Name, i, got[i], want[i])
				}
			}
		}
	})
}

func TestClippedSumRefuses(t *testing.T) {
	n, x, labels, _ := randomTask(t, rand.New(rand.NewPCG(32, 1)), named[2], 4)
	sum := make([]float64, len(n.Weights()))
	for name, f := range map[string]func() error{
		"clip of zero":     func() error { _, err := n.ClippedSum(x, labels, nil, 0, sum); return err },
		"clip of NaN":      func() error { _, err := n.ClippedSum(x, labels, nil, math.NaN(), sum); return err },
		"short sum":        func() error { _, err := n.ClippedSum(x, labels, nil, 1, sum[1:]); return err },
		"short input":      func() error { _, err := n.ClippedSum(x[1:], labels, nil, 1, sum); return err },
		"label":            func() error { _, err := n.ClippedSum(x, []int32{0, 1, 2, 10}, nil, 1, sum); return err },
		"empty unit":       func() error { _, err := n.ClippedSum(x, labels, []int{2, 2, 4}, 1, sum); return err },
		"units do not end": func() error { _, err := n.ClippedSum(x, labels, []int{2, 3}, 1, sum); return err },
	} {
		if err := f(); !errors.Is(err, ErrClip) {
			t.Errorf("%s: error is %v, want ErrClip", name, err)
		}
	}
	if slices.ContainsFunc(sum, func(v float64) bool { return v != 0 }) {
		t.Error("a refused call changed the sum")
	}
}

func TestExportSum(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for _, a := range named {
			n, _, _, _ := randomTask(t, rand.New(rand.NewPCG(33, 1)), a, 1)
			sum, got, want := make([]float64, len(n.Weights())), make([]float64, len(n.Weights())), make([]float32, len(n.Weights()))
			n.path.AXPY64(sum, n.Weights(), 1)
			if err := n.ExportVector(want, n.Weights()); err != nil {
				t.Fatal(err)
			}
			if err := n.ExportSum(got, sum); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != float64(want[i]) {
					t.Fatalf("%s: element %d is %v, want %v", a.Name, i, got[i], want[i])
				}
			}
		}
	})
}
