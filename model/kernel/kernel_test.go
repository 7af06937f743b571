package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

func random(r *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = r.Float32() - 0.5
		if r.IntN(4) == 0 {
			out[i] = 0
		}
	}
	return out
}

// element reads (i, j) of a row-major matrix or of its transpose.
func element(a []float32, ld, i, j int, trans bool) float64 {
	if trans {
		i, j = j, i
	}
	return float64(a[i*ld+j])
}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dim := []int{1, 2, 3, 7, 25, 63, 64, 65, 130, 193, 200}
	for trial := range 120 {
		m, n, k := dim[r.IntN(len(dim))], dim[r.IntN(len(dim))], dim[r.IntN(len(dim))]
		if trial%20 == 0 {
			k = maxDepth + 37
		}
		for _, v := range []struct {
			name           string
			f              func(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int)
			ta, tb, addend bool
		}{{"NT", NT, false, true, false}, {"NN", NN, false, false, false}, {"TN", TN, true, false, true}} {
			rowsA, colsA, rowsB, colsB := m, k, k, n
			if v.ta {
				rowsA, colsA = k, m
			}
			if v.tb {
				rowsB, colsB = n, k
			}
			pad := r.IntN(3)
			lda, ldb, ldc := colsA+pad, colsB+r.IntN(3), n+r.IntN(3)
			a, b, c := random(r, rowsA*lda), random(r, rowsB*ldb), random(r, m*ldc)
			before := slices.Clone(c)
			v.f(m, n, k, a, lda, b, ldb, c, ldc)
			for i := range m {
				for j := range ldc {
					got := float64(c[i*ldc+j])
					if j >= n {
						if c[i*ldc+j] != before[i*ldc+j] {
							t.Fatalf("%s %dx%dx%d wrote past column %d", v.name, m, n, k, n)
						}
						continue
					}
					var want float64
					if v.addend {
						want = float64(before[i*ldc+j])
					}
					for l := range k {
						want += element(a, lda, i, l, v.ta) * element(b, ldb, l, j, v.tb)
					}
					if math.Abs(got-want) > 1e-6*math.Sqrt(float64(k))+1e-6 {
						t.Fatalf("%s %dx%dx%d at (%d,%d) = %v, want %v", v.name, m, n, k, i, j, got, want)
					}
				}
			}
		}
	}
}

// Large enough that gonum itself would start goroutines.
func TestIndependentOfGOMAXPROCSAndAllocationFree(t *testing.T) {
	const m, n, k = 300, 300, 300
	r := rand.New(rand.NewPCG(3, 4))
	a, b := random(r, m*k), random(r, k*n)
	var first []float32
	for _, procs := range []int{1, 2, 4} {
		old := runtime.GOMAXPROCS(procs)
		c := make([]float32, m*n)
		NT(m, n, k, a, k, b, k, c, n)
		TN(m, n, k, a, m, b, n, c, n)
		runtime.GOMAXPROCS(old)
		if first == nil {
			first = c
		} else if !slices.Equal(first, c) {
			t.Fatalf("result differs at GOMAXPROCS=%d", procs)
		}
	}
	c := make([]float32, m*n)
	if allocs := testing.AllocsPerRun(3, func() {
		NT(m, n, k, a, k, b, k, c, n)
		NN(m, n, k, a, k, b, n, c, n)
		TN(m, n, k, a, m, b, n, c, n)
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestAllocIsAligned(t *testing.T) {
	for n := range 200 {
		s := Alloc(n)
		if len(s) != n || cap(s) != n {
			t.Fatalf("Alloc(%d) has length %d and capacity %d", n, len(s), cap(s))
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(s))); at%64 != 0 {
			t.Fatalf("Alloc(%d) starts at %#x, want a multiple of 64", n, at)
		}
	}
	for _, n := range []int{hugePage / 4, hugePage/4 + 5, 3 * hugePage / 4} {
		s := Alloc(n)
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(s))); at%hugePage != 0 || len(s) != n || cap(s) != n {
			t.Errorf("Alloc(%d) has length %d, capacity %d and starts at %#x, want a multiple of %#x", n, len(s), cap(s), at, hugePage)
		}
		if i := slices.IndexFunc(s, func(v float32) bool { return v != 0 }); i >= 0 {
			t.Errorf("Alloc(%d) has %v at %d, want zeros", n, s[i], i)
		}
	}
}

// Gradients and activations may lie anywhere: only B in NT may matter.
func TestIndependentOfAddresses(t *testing.T) {
	const m, n, k = 9, 11, 37
	r := rand.New(rand.NewPCG(5, 6))
	a, b := random(r, m*k), random(r, k*n)
	at := func(v []float32, shift int) []float32 {
		s := Alloc(len(v) + shift)[shift:]
		copy(s, v)
		return s
	}
	products := func(shiftA, shiftB, shiftC int) (out []float32) {
		fixed, a, b, c := at(b, 0), at(a, shiftA), at(b, shiftB), Alloc(m*n + shiftC)[shiftC:]
		NT(m, n, k, a, k, fixed, k, c, n)
		out = append(out, c...)
		NN(m, n, k, a, k, b, n, c, n)
		out = append(out, c...)
		TN(m, n, k, a, m, b, n, c, n)
		return append(out, c...)
	}
	want := products(0, 0, 0)
	for shift := range 64 {
		if got := products(shift%4, shift/4%4, shift/16); !slices.Equal(got, want) {
			t.Fatalf("results differ with A, B, C shifted by %d, %d, %d floats", shift%4, shift/4%4, shift/16)
		}
	}
}

func BenchmarkProducts(b *testing.B) {
	for _, s := range [][3]int{{64, 8, 25}, {1024, 64, 288}, {64, 128, 4096}} {
		m, n, k := s[0], s[1], s[2]
		r := rand.New(rand.NewPCG(1, 1))
		x, y, c := random(r, m*k), random(r, k*n), make([]float32, m*n)
		b.Run(fmt.Sprintf("NT/%dx%dx%d", m, n, k), func(b *testing.B) {
			for b.Loop() {
				NT(m, n, k, x, k, y, k, c, n)
			}
			b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
