package pack

import (
	"fmt"
	"math/bits"
)

// Field widths: two bits hold {-1, 0, 1}; 48 leave a sum far inside int64.
const (
	MinWidth = 2
	MaxWidth = 48
)

// Fields says how values share a coefficient: value f of a coefficient counts
// 2^(f*Width) in it, and is signed. Adding two coefficients adds their values as
// long as every sum stays within Width bits; a negative value borrows from its
// upper neighbours, and Split gives the loan back.
type Fields struct {
	Count int // values in one coefficient, at least 1
	Width int // bits of one value of the sum, sign included
	Limbs int // words of a coefficient, 1, 2 or 4
}

// Validate reports fields that do not fit their limbs.
func (f Fields) Validate() error {
	switch {
	case f.Limbs != 1 && f.Limbs != 2 && f.Limbs != 4:
		return fmt.Errorf("coefficient of %d limbs, want 1, 2 or 4", f.Limbs)
	case f.Width < MinWidth || f.Width > MaxWidth:
		return fmt.Errorf("field of %d bits, want %d to %d", f.Width, MinWidth, MaxWidth)
	case f.Count < 1 || f.Count*f.Width >= 64*f.Limbs:
		return fmt.Errorf("%d fields of %d bits do not fit %d limbs", f.Count, f.Width, f.Limbs)
	}
	return nil
}

// Coefficients is how many coefficients hold n values.
func (f Fields) Coefficients(n int) int { return (n + f.Count - 1) / f.Count }

// Max is the largest value of a field; the least is -Max.
func (f Fields) Max() int64 { return int64(1)<<(f.Width-1) - 1 }

// Join writes the coefficients of values to dst: Limbs words each, two's
// complement. Values missing from the last coefficient, and coefficients of dst
// beyond the last value, are zero. dst holds at least Coefficients(len(values))
// coefficients, else Join panics: its size is the programmer's.
//
// A value outside [-Max, Max] is [ErrRange]; dst is then undefined. The time does
// not depend on the values.
func (f Fields) Join(dst []uint64, values []int32) error {
	count := f.Coefficients(len(values))
	if len(dst) < count*f.Limbs {
		panic(fmt.Sprintf("pack: %d words for %d coefficients of %d limbs", len(dst), count, f.Limbs))
	}
	clear(dst[count*f.Limbs:])
	full := len(values) / f.Count

	limit := uint64(f.Max())
	var bad uint64
	switch {
	case f.Limbs == 1 && f.Count == 2:
		bad = f.joinPairs(dst[:full], values[:2*full], limit)
	case f.Limbs == 1:
		bad = f.joinOne(dst[:full], values[:full*f.Count], limit)
	case f.Limbs == 2 && f.Count == 4 && f.Width <= 31:
		bad = f.joinQuads(dst[:2*full], values[:4*full], limit)
	case f.Limbs == 2:
		bad = f.joinTwo(dst[:2*full], values[:full*f.Count], limit)
	default:
		bad = f.joinMany(dst[:f.Limbs*full], values[:full*f.Count], limit)
	}
	if rest := values[full*f.Count:]; len(rest) > 0 {
		padded := make([]int32, f.Count)
		copy(padded, rest)
		bad |= f.joinMany(dst[f.Limbs*full:f.Limbs*(full+1)], padded, limit)
		clear(padded)
	}
	if bad>>63 != 0 {
		return fmt.Errorf("some value is outside [-%d, %d]: %w", limit, limit, ErrRange)
	}
	return nil
}

func (f Fields) joinPairs(dst []uint64, values []int32, limit uint64) (bad uint64) {
	width := uint(f.Width) & 63
	for i := range dst {
		lo, hi := uint64(int64(values[2*i])), uint64(int64(values[2*i+1]))
		bad |= (limit - lo) | (limit + lo) | (limit - hi) | (limit + hi)
		dst[i] = hi<<width + lo
	}
	return bad
}

func (f Fields) joinOne(dst []uint64, values []int32, limit uint64) (bad uint64) {
	width := uint(f.Width) & 63
	for i := range dst {
		var c uint64
		for j := f.Count - 1; j >= 0; j-- {
			v := uint64(int64(values[j]))
			bad |= (limit - v) | (limit + v)
			c = c<<width + v
		}
		dst[i] = c
		values = values[f.Count:]
	}
	return bad
}

// joinQuads is joinTwo for four fields, two in a word.
func (f Fields) joinQuads(dst []uint64, values []int32, limit uint64) (bad uint64) {
	width := uint(f.Width) & 31
	shift := 2 * width
	for i := 0; i < len(dst)-1 && len(values) >= 4; i += 2 {
		v0, v1 := uint64(int64(values[0])), uint64(int64(values[1]))
		v2, v3 := uint64(int64(values[2])), uint64(int64(values[3]))
		values = values[4:]
		bad |= (limit - v0) | (limit + v0) | (limit - v1) | (limit + v1)
		bad |= (limit - v2) | (limit + v2) | (limit - v3) | (limit + v3)
		lo, hi := v1<<width+v0, v3<<width+v2
		var carry uint64
		dst[i], carry = bits.Add64(lo, hi<<shift, 0)
		dst[i+1], _ = bits.Add64(uint64(int64(lo)>>63), uint64(int64(hi)>>(64-shift&63)), carry)
	}
	return bad
}

// joinTwo joins the lower and the upper fields in a word each, and the two words.
func (f Fields) joinTwo(dst []uint64, values []int32, limit uint64) (bad uint64) {
	width := uint(f.Width) & 63
	lower := min(f.Count, 63/f.Width)
	if (f.Count-lower)*f.Width > 63 {
		return f.joinMany(dst, values, limit)
	}
	shift := uint(lower*f.Width) & 63
	for i := 0; i < len(dst)-1; i += 2 {
		row := values[:f.Count:f.Count]
		values = values[f.Count:]
		var lo, hi uint64
		for j := len(row) - 1; j >= lower; j-- {
			v := uint64(int64(row[j]))
			bad |= (limit - v) | (limit + v)
			hi = hi<<width + v
		}
		for j := lower - 1; j >= 0; j-- {
			v := uint64(int64(row[j]))
			bad |= (limit - v) | (limit + v)
			lo = lo<<width + v
		}
		var carry uint64
		dst[i], carry = bits.Add64(lo, hi<<shift, 0)
		dst[i+1], _ = bits.Add64(uint64(int64(lo)>>63), uint64(int64(hi)>>(64-shift&63)), carry)
	}
	return bad
}

func (f Fields) joinMany(dst []uint64, values []int32, limit uint64) (bad uint64) {
	for len(dst) > 0 {
		var c [MaxLimbs]uint64
		for j := f.Count - 1; j >= 0; j-- {
			v := uint64(int64(values[j]))
			bad |= (limit - v) | (limit + v)
			sign := uint64(int64(v) >> 63)
			shiftLeft(&c, f.Width)
			var carry uint64
			c[0], carry = bits.Add64(c[0], v, 0)
			for l := 1; l < MaxLimbs; l++ {
				c[l], carry = bits.Add64(c[l], sign, carry)
			}
		}
		copy(dst[:f.Limbs], c[:])
		dst, values = dst[f.Limbs:], values[f.Count:]
	}
	return bad
}

// Split is the inverse of Join on sums: it peels len(dst) signed values off the
// coefficients in src, from the low end. It reports whether every coefficient was
// used up, that is, whether no sum can have left its field through the top one; a
// sum that leaves a lower field is not seen, it shifts its neighbour by one.
func (f Fields) Split(dst []int64, src []uint64) (exact bool) {
	count := f.Coefficients(len(dst))
	if len(src) < count*f.Limbs {
		panic(fmt.Sprintf("pack: %d words for %d coefficients of %d limbs", len(src), count, f.Limbs))
	}
	up := uint(64-f.Width) & 63
	width := uint(f.Width) & 63
	var left uint64
	switch f.Limbs {
	case 1:
		for i := range count {
			c := int64(src[i])
			row := dst[i*f.Count : min((i+1)*f.Count, len(dst))]
			for j := range row {
				v := c << up >> up
				c = (c - v) >> width
				row[j] = v
			}
			left |= uint64(c)
		}
	case 2:
		down := uint(64-f.Width) & 63
		for i := range count {
			lo, hi := src[2*i], src[2*i+1]
			row := dst[i*f.Count : min((i+1)*f.Count, len(dst))]
			for j := range row {
				v := int64(lo) << up >> up
				var borrow uint64
				lo, borrow = bits.Sub64(lo, uint64(v), 0)
				hi, _ = bits.Sub64(hi, uint64(v>>63), borrow)
				lo = lo>>width | hi<<down
				hi = uint64(int64(hi) >> width)
				row[j] = v
			}
			left |= lo | hi
		}
	default:
		for i := range count {
			var c [MaxLimbs]uint64
			copy(c[:], src[i*f.Limbs:(i+1)*f.Limbs])
			row := dst[i*f.Count : min((i+1)*f.Count, len(dst))]
			for j := range row {
				v := int64(c[0]) << up >> up
				var borrow uint64
				c[0], borrow = bits.Sub64(c[0], uint64(v), 0)
				for l := 1; l < MaxLimbs; l++ {
					c[l], borrow = bits.Sub64(c[l], uint64(v>>63), borrow)
				}
				shiftRight(&c, f.Width)
				row[j] = v
			}
			left |= c[0] | c[1] | c[2] | c[3]
		}
	}
	return left == 0
}

// shiftLeft and shiftRight (arithmetic) move by 1 to 63 bits.
func shiftLeft(c *[MaxLimbs]uint64, by int) {
	for l := MaxLimbs - 1; l > 0; l-- {
		c[l] = c[l]<<by | c[l-1]>>(64-by)
	}
	c[0] <<= by
}

func shiftRight(c *[MaxLimbs]uint64, by int) {
	for l := range MaxLimbs - 1 {
		c[l] = c[l]>>by | c[l+1]<<(64-by)
	}
	c[MaxLimbs-1] = uint64(int64(c[MaxLimbs-1]) >> by)
}
