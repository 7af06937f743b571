package nn

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/model/optim"
)

// The measurements behind docs/performance.md's decision not to store bf16.

// toBF16 rounds to nearest, ties to even, two values of a word at a time; the
// inputs are finite.
func toBF16(dst []uint16, src []float32) {
	for i, v := range words(src) {
		v += 0x00007fff_00007fff + v>>16&0x00000001_00000001
		dst[2*i], dst[2*i+1] = uint16(v>>16), uint16(v>>48)
	}
}

func fromBF16(dst []float32, src []uint16) {
	for i := range words(dst) {
		words(dst)[i] = uint64(src[2*i])<<16 | uint64(src[2*i+1])<<48
	}
}

func words(s []float32) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(s))), len(s)/2)
}

func roundBF16(s []float32) {
	for i, v := range s {
		b := math.Float32bits(v)
		s[i] = math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
	}
}

func TestBF16RoundsToNearestEven(t *testing.T) {
	// 1+2^-8 is half way between 1 and 1+2^-7, 1+3*2^-8 between 1+2^-7 and 1+2^-6.
	src := []float32{1, 1 + 1./256, 1 + 3./256, -1.0001, 0, 3e-39}
	want := []float32{1, 1, 1 + 1./64, -1, 0, 3e-39}
	want[5] = math.Float32frombits(math.Float32bits(3e-39) + 0x7fff&^0xffff)
	half, got := make([]uint16, len(src)), make([]float32, len(src))
	toBF16(half, src)
	fromBF16(got, half)
	rounded := append([]float32(nil), src...)
	roundBF16(rounded)
	for i := range src[:5] {
		if got[i] != want[i] || rounded[i] != want[i] {
			t.Errorf("%v becomes %v and %v, want %v", src[i], got[i], rounded[i], want[i])
		}
	}
	if got[5] != rounded[5] {
		t.Errorf("%v becomes %v and %v", src[5], got[5], rounded[5])
	}
}

// BenchmarkBF16Convert is what it costs to keep the saved activations of one
// example of cifar-cnn as bf16: once to bf16, once back, with the buffers of a batch
// of 64. "floor" is the cheapest vector pass of the kernels over as many floats.
func BenchmarkBF16Convert(b *testing.B) {
	const batch = 64
	a, err := Named("cifar-cnn")
	if err != nil {
		b.Fatal(err)
	}
	n, err := New(a, batch)
	if err != nil {
		b.Fatal(err)
	}
	if n.simd == nil {
		b.Skip("needs a vector path")
	}
	size := 0
	for _, f := range n.simd.frames {
		size += f.stride
	}
	r := rand.New(rand.NewPCG(1, 1))
	acts, half := kernel.Alloc(batch*size), make([]uint16, batch*size)
	for i := range acts {
		acts[i] = float32(r.NormFloat64())
	}
	scratch := kernel.Alloc(size)
	per := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch/1e3, "us/sample")
		b.ReportMetric(float64(2*batch*size)/1e6, "MB-saved")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("both", func(b *testing.B) {
		for b.Loop() {
			for e := range batch {
				toBF16(half[e*size:][:size], acts[e*size:][:size])
			}
			for e := range batch {
				fromBF16(scratch, half[e*size:][:size])
			}
		}
		per(b)
	})
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			for range 2 {
				for e := range batch {
					n.simd.path.ReLU(acts[e*size:][:size])
				}
			}
		}
		per(b)
	})
}

// BenchmarkBF16Accuracy trains mnist-cnn on Fashion-MNIST for three epochs (Adam
// 1e-3, batches of 64, three seeds) with some of its tensors rounded to bf16, and
// reports the test accuracy. Run it with -benchtime 1x.
func BenchmarkBF16Accuracy(b *testing.B) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "fashion-mnist")
	open := func(split string) *dataset.Set {
		s, _, err := dataset.Open(dir, dataset.Options{Split: split})
		if err != nil {
			b.Skipf("needs ../shared/data/fashion-mnist beside the repository: %v", err)
		}
		return s
	}
	data, test := open("train"), open("test")
	for _, c := range []struct {
		name                   string
		acts, weights, masters bool
	}{
		{name: "float32"},
		{name: "activations", acts: true},
		{name: "weights-with-float32-master", weights: true, masters: true},
		{name: "weights", weights: true},
		{name: "activations-and-weights-with-master", acts: true, weights: true, masters: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				var sum, low, high float64
				start := time.Now()
				for seed := range uint64(3) {
					v := trainBF16(b, data, test, seed, c.acts, c.weights, c.masters)
					sum += v
					if low == 0 || v < low {
						low = v
					}
					high = max(high, v)
				}
				b.ReportMetric(sum/3, "%accuracy")
				b.ReportMetric(low, "%lowest")
				b.ReportMetric(high, "%highest")
				b.ReportMetric(time.Since(start).Seconds(), "s")
			}
		})
	}
}

func trainBF16(b *testing.B, data, test *dataset.Set, seed uint64, acts, weights, masters bool) float64 {
	const batch, epochs = 64, 3
	a, err := Named("mnist-cnn")
	if err != nil {
		b.Fatal(err)
	}
	m, err := a.Init(seed)
	if err != nil {
		b.Fatal(err)
	}
	n, err := New(a, batch)
	if err != nil {
		b.Fatal(err)
	}
	if n.simd == nil {
		b.Skip("needs a vector path")
	}
	if err := n.Import(m.Params); err != nil {
		b.Fatal(err)
	}
	opt, err := optim.New(optim.Config{Name: optim.Adam, LR: 1e-3}, len(n.weights))
	if err != nil {
		b.Fatal(err)
	}
	master := append([]float32(nil), n.weights...)
	r := rand.New(rand.NewPCG(seed, 1))
	x, labels := make([]float32, batch*a.Input.Size()), make([]int32, batch)
	norm := dataset.Normalization{Mean: []float64{0.286}, Std: []float64{0.353}}
	for range epochs {
		order := r.Perm(data.Len())
		for len(order) >= batch {
			data.Fill(x, labels, order[:batch], norm)
			order = order[batch:]
			if weights {
				copy(n.weights, master)
				roundBF16(n.weights)
			}
			logits := n.Forward(x, batch)
			if acts {
				for _, s := range n.simd.acts {
					roundBF16(s)
				}
			}
			crossEntropy(n.simd.dlogits[:len(logits)], logits, labels, n.classes, 1./batch)
			n.simd.gradient(batch)
			if !weights {
				opt.Step(n.weights, n.grads, 1e-3)
				continue
			}
			opt.Step(master, n.grads, 1e-3)
			if !masters {
				roundBF16(master)
			}
		}
	}
	if weights {
		copy(n.weights, master)
		roundBF16(n.weights)
	}
	right := 0
	for lo := 0; lo < test.Len(); lo += batch {
		index := make([]int, 0, batch)
		for i := lo; i < min(lo+batch, test.Len()); i++ {
			index = append(index, i)
		}
		k := len(index)
		test.Fill(x[:k*a.Input.Size()], labels[:k], index, norm)
		_, correct := n.Evaluate(x[:k*a.Input.Size()], labels[:k])
		right += correct
	}
	return 100 * float64(right) / float64(test.Len())
}
