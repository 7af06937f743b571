package privatise

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
)

// Block is the length of a rotated block. Blocks keep a vector within 10 % of its
// length, where one transform over all of it could double it.
const Block = 4096

// ErrLength reports a vector of the wrong length.
var ErrLength = errors.New("wrong length")

// Padded is the number of fields that d parameters take: whole blocks, and a last
// one that is the least power of two that holds the rest.
func Padded(d int) int {
	whole := d / Block * Block
	if d == whole {
		return d
	}
	return whole + 1<<bits.Len(uint(d-whole-1))
}

// Rotation is a block-wise random rotation H D / sqrt(block): D has random signs from a public
// seed, H is the Hadamard matrix. It spreads what a few large coordinates hold over
// their block, so that a clamp that is public and equal for all hardly ever cuts. It
// preserves lengths and protects nothing by itself.
type Rotation struct {
	d     int
	signs []uint64 // bit i: coordinate i changes sign
}

// NewRotation makes the rotation of d >= 1 parameters for a public seed. Equal seeds give
// equal rotations on every platform.
func NewRotation(d int, seed [32]byte) *Rotation {
	r := &Rotation{d: d, signs: make([]uint64, (Padded(d)+63)/64)}
	r.Reseed(seed)
	return r
}

// Reseed changes the signs.
func (r *Rotation) Reseed(seed [32]byte) {
	rng := rand.NewChaCha8(seed)
	for i := range r.signs {
		r.signs[i] = rng.Uint64()
	}
}

// Fields is the length of a rotated vector.
func (r *Rotation) Fields() int { return Padded(r.d) }

// sign is 0 or the sign bit of a float64.
func (r *Rotation) sign(i int) uint64 { return r.signs[i/64] >> (i % 64) << 63 }

// block returns the length of the block that starts at i.
func (r *Rotation) block(i int) int { return min(Block, r.Fields()-i) }

// forward overwrites dst (Fields long) with the rotation of factor*src (d long).
func forward[T float32 | float64](r *Rotation, dst []float64, src []T, factor float64) {
	for start := 0; start < len(dst); start += Block {
		b := dst[start : start+r.block(start)]
		// Lengths are divided out at once; sqrt(4096) is exact.
		f := factor / math.Sqrt(float64(len(b)))
		n := min(len(b), r.d-start)
		for i, x := range src[start : start+n] {
			b[i] = math.Float64frombits(math.Float64bits(float64(x)*f) ^ r.sign(start+i))
		}
		clear(b[n:])
		hadamard(b)
	}
}

// Inverse overwrites src (Fields long) and writes factor times the vector whose rotation it
// is to dst (d long).
func (r *Rotation) Inverse(dst, src []float64, factor float64) error {
	if len(dst) != r.d || len(src) != r.Fields() {
		return fmt.Errorf("rotate back %d fields into %d parameters, want %d and %d: %w", len(src), len(dst), r.Fields(), r.d, ErrLength)
	}
	for start := 0; start < len(src); start += Block {
		b := src[start : start+r.block(start)]
		hadamard(b)
		f := factor / math.Sqrt(float64(len(b)))
		for i := range min(len(b), r.d-start) {
			dst[start+i] = math.Float64frombits(math.Float64bits(b[i]*f) ^ r.sign(start+i))
		}
	}
	return nil
}

// hadamard multiplies x by the Hadamard matrix of its length, a power of two. Sums
// and differences only: the same bits on every platform. Two levels a pass halve the memory traffic.
func hadamard(x []float64) {
	h := 1
	if bits.TrailingZeros(uint(len(x)))%2 == 1 {
		for i := 0; i+1 < len(x); i += 2 {
			x[i], x[i+1] = x[i]+x[i+1], x[i]-x[i+1]
		}
		h = 2
	}
	for ; h < len(x); h *= 4 {
		for i := 0; i < len(x); i += 4 * h {
			a, b, c, d := x[i:i+h], x[i+h:i+2*h], x[i+2*h:i+3*h], x[i+3*h:i+4*h]
			b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
			for j, v := range a {
				p, q := v+b[j], v-b[j]
				s, t := c[j]+d[j], c[j]-d[j]
				a[j], b[j], c[j], d[j] = p+s, q+t, p-s, q-t
			}
		}
	}
}
