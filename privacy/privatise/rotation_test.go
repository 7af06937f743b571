package privatise

import (
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func TestPadded(t *testing.T) {
	for d, want := range map[int]int{1: 1, 2: 2, 3: 4, 5: 8, 4095: 4096, 4096: 4096, 4097: 4097, 4098: 4098, 4099: 4100, 26010: 26624, 545098: 545098/4096*4096 + 512} {
		if got := Padded(d); got != want {
			t.Errorf("Padded(%d) is %d, want %d", d, got, want)
		}
	}
}

var lengths = []int{1, 2, 3, 8, 100, 2048, 4095, 4096, 4097, 9001, 26010}

func TestRotationKeepsLengthsAndInverts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, d := range lengths {
		for _, magnitude := range []float64{1, 1e-30, 1e30} {
			r := NewRotation(d, [32]byte{byte(d)})
			v := make([]float64, d)
			for i := range v {
				v[i] = rng.NormFloat64() * magnitude
			}
			rotated := make([]float64, r.Fields())
			forward(r, rotated, v, 2)
			if a, b := norm(rotated), 2*norm(v); math.Abs(a/b-1) > 1e-14 {
				t.Errorf("d %d: length %g became %g", d, b, a)
			}
			back := make([]float64, d)
			if err := r.Inverse(back, rotated, 0.5); err != nil {
				t.Fatal(err)
			}
			for i := range v {
				if math.Abs(back[i]-v[i]) > 1e-13*magnitude {
					t.Fatalf("d %d: coordinate %d is %g, want %g", d, i, back[i], v[i])
				}
			}
		}
	}
}

// The transform is the matrix of signs (-1)^popcount(i&j), in any power of two.
func TestHadamardMatrix(t *testing.T) {
	for n := 1; n <= 256; n *= 2 {
		for j := range n {
			x := make([]float64, n)
			x[j] = 1
			hadamard(x)
			for i, got := range x {
				if want := float64(1 - 2*(bits.OnesCount(uint(i&j))&1)); got != want {
					t.Fatalf("n %d: entry %d, %d is %g, want %g", n, i, j, got, want)
				}
			}
		}
	}
}

// One large coordinate is spread evenly over its block, another seed gives other signs, and
// float32 and float64 input rotate alike.
func TestRotationSpreads(t *testing.T) {
	const d = 5000
	a, b := NewRotation(d, [32]byte{1}), NewRotation(d, [32]byte{2})
	spike, single := make([]float64, d), make([]float32, d)
	spike[17], single[17] = 64, 64
	x, y, z := make([]float64, a.Fields()), make([]float64, a.Fields()), make([]float64, a.Fields())
	forward(a, x, spike, 1)
	for i, v := range x[:Block] {
		if math.Abs(v) != 1 {
			t.Fatalf("field %d is %g, want 1 in magnitude", i, v)
		}
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range spike {
		single[i] = float32(rng.NormFloat64())
		spike[i] = float64(single[i])
	}
	forward(a, x, spike, 1)
	forward(a, y, single, 1)
	forward(b, z, spike, 1)
	same := 0
	for i := range x {
		if x[i] != y[i] {
			t.Fatalf("field %d: %g from float64, %g from float32", i, x[i], y[i])
		}
		if math.Abs(x[i]-z[i]) < 1e-12 {
			same++
		}
	}
	if same > 10 {
		t.Errorf("%d fields do not depend on the seed", same)
	}
	if err := a.Inverse(spike[:10], x, 1); !errors.Is(err, ErrLength) {
		t.Errorf("got %v, want ErrLength", err)
	}
}
