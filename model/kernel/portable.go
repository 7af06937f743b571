package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// The portable path is gonum's pure-Go Sgemm on row-major matrices.
//
// Determinism: a result depends on the values of the arguments and, in NT, on
// the address of B modulo 16, because gonum's dot product begins its four-way
// split at an aligned address. With B at a fixed offset in a slice from Alloc,
// equal values give equal bits in every process.
//
// Sgemm hands 64 by 64
// blocks of C to goroutines once there are four or more of them. That would
// not change the result (each block is one goroutine's, and its sum over k is
// in a fixed order, whatever GOMAXPROCS is), but it allocates, and it competes
// with the workers of a simulation, of which there is one per core already. So
// every call made here stays at three blocks or fewer: it runs in the
// caller's goroutine and allocates nothing. Sums over k are in ascending order
// in NN and TN; in NT they are dot products over spans of at most maxDepth,
// added in ascending order, each dot product with gonum's fixed four-way split.
//
// Zeros: gonum skips a zero element of A in NN and TN. nn puts gradients
// there, which max-pool and ReLU leave mostly zero, so the work falls with
// them; the price is that 0*NaN counts as 0 in these two.
const (
	maxRows  = 64   // one of gonum's blocks
	maxCols  = 192  // three of gonum's blocks: one below the number at which it goes parallel
	maxDepth = 1024 // keeps a panel of B (64 rows in NT) at 256 KB, within L2
)

var impl gonum.Implementation

// NT computes C = A*Bᵀ: A is m by k, B is n by k, C is m by n, each row-major
// with its own row stride. C is overwritten and must not overlap A or B. It is
// the fastest variant of the three (dot products), and the forward pass uses it.
// For repeatable bits B must come from Alloc; the address of A does not matter.
// It panics if a slice is too short.
func NT(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int) {
	for j := 0; j < n; j += maxRows {
		nj := min(maxRows, n-j)
		for l := 0; l < k; l += maxDepth {
			kl := min(maxDepth, k-l)
			beta := float32(1)
			if l == 0 {
				beta = 0
			}
			for i := 0; i < m; i += maxRows {
				mi := min(maxRows, m-i)
				impl.Sgemm(blas.NoTrans, blas.Trans, mi, nj, kl, 1, a[i*lda+l:], lda, b[j*ldb+l:], ldb, beta, c[i*ldc+j:], ldc)
			}
		}
	}
}

// NN computes C = A*B: A is m by k, B is k by n, C is m by n, each row-major
// with its own row stride. C is overwritten and must not overlap A or B. It
// panics if a slice is too short.
func NN(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int) {
	cols := parts(n)
	for j := 0; j < n; j += cols {
		nj := min(cols, n-j)
		for i := 0; i < m; i += maxRows {
			mi := min(maxRows, m-i)
			impl.Sgemm(blas.NoTrans, blas.NoTrans, mi, nj, k, 1, a[i*lda:], lda, b[j:], ldb, 0, c[i*ldc+j:], ldc)
		}
	}
}

// TN computes C += Aᵀ*B: A is k by m, B is k by n, C is m by n, each row-major
// with its own row stride. C must not overlap A or B. It panics if a slice is
// too short.
func TN(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int) {
	cols := parts(n)
	for i := 0; i < m; i += maxRows {
		mi := min(maxRows, m-i)
		for j := 0; j < n; j += cols {
			nj := min(cols, n-j)
			impl.Sgemm(blas.Trans, blas.NoTrans, mi, nj, k, 1, a[i:], lda, b[j:], ldb, 1, c[i*ldc+j:], ldc)
		}
	}
}

// parts splits n columns into equal parts of at most maxCols.
func parts(n int) int {
	count := max(1, (n+maxCols-1)/maxCols)
	return max(1, (n+count-1)/count)
}
