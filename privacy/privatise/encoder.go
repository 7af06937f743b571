package privatise

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/privacy/noise"
)

// ErrNotFinite reports a sum with a NaN or an infinity: some record was neither clipped nor
// set to zero.
var ErrNotFinite = errors.New("value is not finite")

// Sampler draws the noise of many fields at once, as noise.Gaussian and noise.Skellam do.
type Sampler interface {
	Fill32(dst []int32, rng *noise.DRBG)
	// Bound is the largest magnitude drawn.
	Bound() int64
}

// MaxClamp bounds a clamp, so that a clamped value and its noise fit in 32 bits.
const MaxClamp = 1 << 29

// MaxGrid bounds the grid: squares of norms stay far inside int64.
const MaxGrid = 1 << 24

// maxTries bounds the roundings of one vector. Each is accepted with probability at least
// 1 - exp(-1/2) = 0.39, nearly always far more; after 64 the vector is rounded towards zero, which
// no bound can refuse.
const maxTries = 64

// Encoder makes the integers of one owner. It holds no secret between calls but the last
// vector's scratch; it is not safe for concurrent use. It allocates only in NewEncoder.
type Encoder struct {
	rotation *Rotation
	grid     int64
	bound    int64 // of the square of an update's or record's integer norm
	share    Sampler
	rotated  []float64
	noise    [Block]int32
	dither   [4 * Block]byte
}

// NewEncoder makes an encoder for vectors of the rotation's length. grid is C/gamma, the units that make
// up the clip norm, 1 to MaxGrid; share draws this owner's noise share.
func NewEncoder(rotation *Rotation, grid int64, share Sampler) (*Encoder, error) {
	if grid < 1 || grid > MaxGrid {
		return nil, fmt.Errorf("grid is %d, want 1 to %d", grid, MaxGrid)
	}
	if share.Bound() > math.MaxInt32-MaxClamp {
		return nil, fmt.Errorf("noise share reaches %d units, want at most %d: use a coarser grid", share.Bound(), math.MaxInt32-MaxClamp)
	}
	return &Encoder{
		rotation: rotation, grid: grid, bound: NormBound(grid, rotation.Fields()), share: share,
		rotated: make([]float64, rotation.Fields()),
	}, nil
}

// Outcome says what happened to a vector. It depends on private data: it never leaves the owner
// outside the accounted vector.
type Outcome struct {
	Norm    float64 // L2, before clipping; NaN or infinite if the vector was not finite
	Clipped bool    // the norm was above the clip norm
	Zeroed  bool    // the vector was not finite and contributes zero
	Tries   int     // roundings until the integer norm was within its bound
}

// Update encodes one client's update (d long, not changed) into dst (Fields long): clipped to norm clip > 0,
// rotated, rounded with an integer norm that is checked, clamped to +-clamp, noise share added. rng
// is this client's for this round and for nothing else.
func (e *Encoder) Update(dst []int32, update []float32, clip float64, clamp int32, rng *noise.DRBG) (Outcome, error) {
	if err := e.check(len(dst), len(update), clip, clamp); err != nil {
		return Outcome{}, err
	}
	out := e.roundVector(dst, update, clip, clamp, rng)
	e.addNoise(dst, rng)
	return out, nil
}

// Record rounds one record's (or group's) gradient as Update does an update and adds it to
// sum (Fields long), which starts at zero for a round. The gradient is clipped here, whether or not it
// was before. scratch has the length of sum. Finish turns the sum into what is sent.
func (e *Encoder) Record(sum []int64, scratch []int32, gradient []float32, clip float64, rng *noise.DRBG) (Outcome, error) {
	if err := e.check(len(scratch), len(gradient), clip, MaxClamp); err != nil {
		return Outcome{}, err
	}
	if len(sum) != len(scratch) {
		return Outcome{}, fmt.Errorf("sum has %d fields, want %d: %w", len(sum), len(scratch), ErrLength)
	}
	out := e.roundVector(scratch, gradient, clip, MaxClamp, rng)
	for i, v := range scratch {
		sum[i] += int64(v)
	}
	return out, nil
}

// Finish clamps a sum of rounded records to +-clamp, adds the noise share and writes the result to dst.
func (e *Encoder) Finish(dst []int32, sum []int64, clamp int32, rng *noise.DRBG) error {
	if err := e.check(len(dst), e.rotation.d, 1, clamp); err != nil {
		return err
	}
	if len(sum) != len(dst) {
		return fmt.Errorf("sum has %d fields, want %d: %w", len(sum), len(dst), ErrLength)
	}
	limit := int64(clamp)
	for i, v := range sum {
		dst[i] = int32(min(max(v, -limit), limit))
	}
	e.addNoise(dst, rng)
	return nil
}

// Sum encodes an owner's sum of clipped gradients (float64, d long, not changed), each of norm at most
// clip*(1+ClipSlack), into dst (Fields long): rotated, rounded once, clamped to +-clamp, noise
// share added. An empty batch is a sum of zeros and is encoded like any other. As much is drawn from
// rng for every sum. A sum that is not finite is ErrNotFinite: records whose gradient is not finite
// must have been left out.
func (e *Encoder) Sum(dst []int32, sum []float64, clip float64, clamp int32, rng *noise.DRBG) error {
	if err := e.check(len(dst), len(sum), clip, clamp); err != nil {
		return err
	}
	if n := norm(sum); math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("sum of gradients has norm %g: leave out records whose gradient is not finite: %w", n, ErrNotFinite)
	}
	forward(e.rotation, e.rotated, sum, float64(e.grid)/clip)
	e.round(dst, clamp, rng)
	e.addNoise(dst, rng)
	return nil
}

func (e *Encoder) check(fields, d int, clip float64, clamp int32) error {
	switch {
	case fields != e.rotation.Fields() || d != e.rotation.d:
		return fmt.Errorf("encode %d parameters into %d fields, want %d and %d: %w", d, fields, e.rotation.d, e.rotation.Fields(), ErrLength)
	case !(clip >= MinClip && clip <= MaxClip):
		return fmt.Errorf("clip norm is %g, want %g to %g", clip, MinClip, MaxClip)
	case clamp < 1 || clamp > MaxClamp:
		return fmt.Errorf("clamp is %d, want 1 to %d", clamp, MaxClamp)
	}
	return nil
}

// roundVector clips, rotates and rounds with the integer norm within the bound.
func (e *Encoder) roundVector(dst []int32, v []float32, clip float64, clamp int32, rng *noise.DRBG) Outcome {
	out := Outcome{Norm: norm(v)}
	factor := float64(e.grid) / clip
	switch {
	case math.IsNaN(out.Norm) || math.IsInf(out.Norm, 0):
		// A zero vector takes the same way as any other.
		out.Zeroed = true
		clear(e.rotated)
	case out.Norm > clip:
		out.Clipped = true
		factor = float64(e.grid) / out.Norm
		fallthrough
	default:
		forward(e.rotation, e.rotated, v, factor)
	}
	for out.Tries = 1; out.Tries <= maxTries; out.Tries++ {
		if e.round(dst, clamp, rng) <= e.bound {
			return out
		}
	}
	for i, y := range e.rotated {
		// A hair shorter than clip, in case the float norm erred.
		y = min(max(y*(1-1e-9), -float64(clamp)), float64(clamp))
		dst[i] = int32(y)
	}
	return out
}

// Bit returns what the field of the clip bit holds: the outcome's bit and its noise share.
func (e *Encoder) Bit(o Outcome, height int32, rng *noise.DRBG) int32 {
	e.share.Fill32(e.noise[:1], rng)
	return o.ClipBit(height) + e.noise[0]
}

// round writes floor(y+u) of the rotated vector to dst, u uniform on [0, 1) with 32 bits, and
// returns the square of its norm. The expectation is y to within 2^-31. Before that y is
// clamped, which moves no two values apart.
func (e *Encoder) round(dst []int32, clamp int32, rng *noise.DRBG) (square int64) {
	limit := float64(clamp)
	for start := 0; start < len(dst); start += Block {
		y := e.rotated[start:min(start+Block, len(dst))]
		out := dst[start : start+len(y)]
		dither := e.dither[:4*len(y)]
		rng.Fill(dither)
		for i, v := range y {
			v = min(max(v, -limit), limit)
			n := (int64(v*(1<<32)) + int64(binary.LittleEndian.Uint32(dither[4*i:]))) >> 32
			square += n * n
			out[i] = int32(n)
		}
	}
	return square
}

// addNoise adds a fresh noise share to every field.
func (e *Encoder) addNoise(dst []int32, rng *noise.DRBG) {
	for start := 0; start < len(dst); start += Block {
		part := dst[start:min(start+Block, len(dst))]
		share := e.noise[:len(part)]
		e.share.Fill32(share, rng)
		for i, v := range share {
			part[i] += v
		}
	}
}

// norm returns the L2 norm, NaN or infinite if v is not finite. Squares of float32 never overflow in float64; those
// of float64 overflow above 1e154, where a sum of clipped gradients never is.
func norm[T float32 | float64](v []T) float64 {
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(v); i += 4 {
		a, b, c, d := float64(v[i]), float64(v[i+1]), float64(v[i+2]), float64(v[i+3])
		s0 += float64(a * a)
		s1 += float64(b * b)
		s2 += float64(c * c)
		s3 += float64(d * d)
	}
	for ; i < len(v); i++ {
		s0 += float64(float64(v[i]) * float64(v[i]))
	}
	return math.Sqrt(s0 + s1 + s2 + s3)
}
