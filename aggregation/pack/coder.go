package pack

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Coder is the wire form of unsigned coefficients: coefficient i takes bits
// i*Bits to (i+1)*Bits-1 of a little-endian bit string, the bits after the last
// one are zero up to a whole byte, and none is above Max. Hence a vector has one
// encoding, and every other string of bytes is refused.
//
// A Coder is read only and safe for concurrent use.
type Coder struct {
	limbs, bits int
	max         [MaxLimbs]uint64
	lanes       *lanes2 // nil without vector instructions
}

// NewCoder returns the coder of coefficients from 0 to max, given in limbs words
// (1, 2 or 4), least significant first. One limb has at
// most 57 bits, what a word loaded from any byte still covers; two have 64 to 113,
// four 64 to 249.
func NewCoder(limbs int, max []uint64) (Coder, error) {
	if limbs != 1 && limbs != 2 && limbs != 4 || len(max) != limbs {
		return Coder{}, fmt.Errorf("coder of %d limbs with a maximum of %d, want 1, 2 or 4", limbs, len(max))
	}
	c := Coder{limbs: limbs}
	copy(c.max[:], max)
	for l, m := range max {
		if m != 0 {
			c.bits = 64*l + bits.Len64(m)
		}
	}
	if c.bits < []int{1: 1, 2: 64, 4: 64}[limbs] || c.bits > MaxBits(limbs) {
		return Coder{}, fmt.Errorf("coefficients of %d bits do not fit %d limbs", c.bits, limbs)
	}
	c.lanes = newLanes2(&c)
	return c, nil
}

// MaxBits is the widest coefficient of some limbs.
func MaxBits(limbs int) int {
	if limbs == 2 {
		return 56 + 57 // see check2
	}
	return 64*limbs - 7
}

// Bits is the width of one coefficient.
func (c Coder) Bits() int { return c.bits }

// Size is the number of bytes of n coefficients.
func (c Coder) Size(n int) int { return int((uint64(n)*uint64(c.bits) + 7) / 8) }

// Append appends the wire form of the coefficients in words. Coefficients above
// the maximum are the programmer's error and give bytes that Check refuses. Up to 32
// bytes of dst's capacity behind the result are overwritten: it stores whole words.
// The time does not depend on the coefficients.
func (c Coder) Append(dst []byte, words []uint64) []byte {
	n := len(words) / c.limbs
	start, size := len(dst), c.Size(n)
	// Whole words are stored at every step, so the buffer is longer meanwhile.
	dst = grow(dst, size+8*MaxLimbs)
	out := dst[start : start+size+8*MaxLimbs]

	var pending uint64 // the low have bits of the byte at out[0]
	var have uint
	step := uint(c.bits)
	switch c.limbs {
	case 1:
		for _, w := range words {
			w = pending | w<<(have&7)
			binary.LittleEndian.PutUint64(out, w)
			have += step
			whole := have >> 3
			pending = w >> (8 * whole & 63) & -(uint64(whole-8) >> 63)
			out = out[whole:]
			have &= 7
		}
	case 2:
		for i := 0; i+1 < len(words); i += 2 {
			lo := pending | words[i]<<(have&7)
			hi := words[i+1]<<(have&7) | words[i]>>1>>(63-have&63)
			binary.LittleEndian.PutUint64(out, lo)
			binary.LittleEndian.PutUint64(out[8:], hi)
			have += step
			whole := have >> 3
			if whole >= 8 { // depends on the width alone
				pending = hi >> (8 * (whole - 8) & 63) & -(uint64(whole-16) >> 63)
			} else {
				pending = lo>>(8*whole&63) | hi<<1<<(63-8*whole&63)
			}
			out = out[whole:]
			have &= 7
		}
	default:
		pos := 0
		clear(out)
		for i := range n {
			for l := range c.limbs {
				w := words[i*c.limbs+l]
				width := min(64, c.bits-64*l)
				if width <= 0 {
					break
				}
				orBits(out, pos+64*l, w)
			}
			pos += c.bits
		}
	}
	return dst[:start+size]
}

func orBits(out []byte, pos int, w uint64) {
	at, shift := pos>>3, uint(pos&7)
	binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[at:])|w<<shift)
	out[at+8] |= byte(w >> 1 >> (63 - shift))
}

// Check reports whether src is the wire form of n coefficients: [ErrLength] or
// [ErrMalformed]. It allocates nothing.
func (c Coder) Check(src []byte, n int) error {
	if want := c.Size(n); n < 0 || len(src) != want {
		return fmt.Errorf("%d coefficients of %d bits take %d bytes, got %d: %w", n, c.bits, want, len(src), ErrLength)
	}
	if used := uint(n*c.bits) & 7; used != 0 && src[len(src)-1]>>used != 0 {
		return fmt.Errorf("padding after %d coefficients is not zero: %w", n, ErrMalformed)
	}
	var bad uint64
	c.walk(src, n, func(part []byte, from, to int) {
		switch c.limbs {
		case 1:
			bad |= c.check1(part, to-from)
		case 2:
			bad |= c.check2(part, to-from)
		default:
			bad |= c.check4(part, to-from)
		}
	})
	if bad>>63 != 0 {
		return fmt.Errorf("some coefficient is above the largest one: %w", ErrMalformed)
	}
	return nil
}

// Add adds the coefficients of src to acc, limb by limb with carries. It refuses
// what Check refuses, and acc is then as before: what was added is taken off
// again. acc has Limbs words for each coefficient and room for the sum; the
// caller bounds the number of additions.
func (c Coder) Add(acc []uint64, src []byte) error {
	n := len(acc) / c.limbs
	if want := c.Size(n); len(src) != want {
		return fmt.Errorf("%d coefficients of %d bits take %d bytes, got %d: %w", n, c.bits, want, len(src), ErrLength)
	}
	if used := uint(n*c.bits) & 7; used != 0 && src[len(src)-1]>>used != 0 {
		return fmt.Errorf("padding after %d coefficients is not zero: %w", n, ErrMalformed)
	}
	var bad uint64
	c.walk(src, n, func(part []byte, from, to int) {
		to, from = to*c.limbs, from*c.limbs
		switch c.limbs {
		case 1:
			bad |= c.add1(acc[from:to], part)
		case 2:
			bad |= c.add2(acc[from:to], part)
		default:
			bad |= c.add4(acc[from:to], part)
		}
	})
	if bad>>63 == 0 {
		return nil
	}
	words := make([]uint64, c.limbs)
	for i := range n {
		c.at(words, src, i)
		var borrow uint64
		for l, w := range words {
			acc[i*c.limbs+l], borrow = bits.Sub64(acc[i*c.limbs+l], w, borrow)
		}
	}
	return fmt.Errorf("some coefficient is above the largest one: %w", ErrMalformed)
}

// Decode writes the coefficients of src, which Check accepts, to words.
func (c Coder) Decode(words []uint64, src []byte) {
	for i := range len(words) / c.limbs {
		c.at(words[i*c.limbs:(i+1)*c.limbs], src, i)
	}
}

// at reads coefficient i, byte by byte at the end of src.
func (c Coder) at(words []uint64, src []byte, i int) {
	pos := i * c.bits
	var buf [8*MaxLimbs + 8]byte
	copy(buf[:], src[pos>>3:])
	shift := uint(pos & 7)
	for l := range words {
		w := binary.LittleEndian.Uint64(buf[8*l:])>>shift | binary.LittleEndian.Uint64(buf[8*l+8:])<<1<<(63-shift)
		words[l] = w & c.mask(l)
	}
}

func (c Coder) mask(l int) uint64 {
	switch width := c.bits - 64*l; {
	case width >= 64:
		return ^uint64(0)
	case width <= 0:
		return 0
	default:
		return 1<<width - 1
	}
}

// walk calls f on the coefficients of src in two parts, the second with padded
// bytes, so that f may load whole words behind every coefficient. Both parts
// begin at a whole byte.
func (c Coder) walk(src []byte, n int, f func(part []byte, from, to int)) {
	const slack = 8 * MaxLimbs
	var room [24*8*MaxLimbs + 2*slack]byte
	head := max(0, n-16) &^ 7 // 8 coefficients are Bits whole bytes
	at := head / 8 * c.bits
	if head > 0 {
		// The last bytes of the head are followed by those of the tail, at least
		// 16 coefficients or, where one is narrow, by a copy.
		if len(src)-at >= slack {
			f(src[:at+slack], 0, head)
		} else {
			padded := make([]byte, at+slack)
			copy(padded, src)
			f(padded, 0, head)
		}
	}
	copy(room[:], src[at:])
	f(room[:], head, n)
}

func (c Coder) check1(src []byte, n int) (bad uint64) {
	mask, limit, step := c.mask(0), c.max[0], uint(c.bits)
	pos := uint(0)
	for range n {
		at := pos >> 3
		w := binary.LittleEndian.Uint64(src[at:at+8:at+8]) >> (pos & 7) & mask
		bad |= limit - w
		pos += step
	}
	return bad
}

func (c Coder) add1(acc []uint64, src []byte) (bad uint64) {
	mask, limit, step := c.mask(0), c.max[0], uint(c.bits)
	pos := uint(0)
	for i := range acc {
		at := pos >> 3
		w := binary.LittleEndian.Uint64(src[at:at+8:at+8]) >> (pos & 7) & mask
		bad |= limit - w
		acc[i] += w
		pos += step
	}
	return bad
}

// Two limbs are read as bits 0 to 63-shift of one load and the rest of a second
// one 7 bytes on; where the two overlap they have the same bits.

// check2 looks at the top bits alone first, as add2 does: honest coefficients rarely reach
// those of the maximum.
func (c Coder) check2(src []byte, n int) (bad uint64) {
	rest, left, doubt := src, n, false
	if c.lanes != nil && n >= 8 {
		doubt = c.lanes.doubt(src, n/8)
		rest, left = src[n/8*c.bits:], n%8
	}
	if doubt || doubt2(rest, left, 255|c.mask(1)<<8, c.max[0]>>56|c.max[1]<<8, uint(c.bits)) {
		return c.above2(src, n)
	}
	return 0
}

func doubt2(src []byte, n int, high, limit uint64, step uint) bool {
	pos := uint(0)
	var doubt uint64
	for range n {
		at := pos>>3 + 7
		doubt |= limit - 1 - binary.LittleEndian.Uint64(src[at:at+8:at+8])>>(pos&7)&high
		pos += step
	}
	return doubt>>63 != 0
}

func (c Coder) above2(src []byte, n int) (bad uint64) {
	high, limit0, limit1, step := 255|c.mask(1)<<8, c.max[0], c.max[1], uint(c.bits)
	pos := uint(0)
	for range n {
		at := pos >> 3
		part := src[at : at+15 : at+15]
		top := binary.LittleEndian.Uint64(part[7:]) >> (pos & 7) & high
		lo := binary.LittleEndian.Uint64(part)>>(pos&7) | top<<56
		_, borrow := bits.Sub64(limit0, lo, 0)
		_, borrow = bits.Sub64(limit1, top>>8, borrow)
		bad |= borrow
		pos += step
	}
	return -bad
}

// add2 looks at the top bits alone: what reaches those of the maximum may be too
// large and is looked at again.
func (c Coder) add2(acc []uint64, src []byte) (bad uint64) {
	rest, left, doubt := acc, src, false
	if c.lanes != nil && len(acc) >= 16 {
		groups := len(acc) / 16
		doubt = c.lanes.add(acc, src)
		rest, left = acc[16*groups:], src[groups*c.bits:]
	}
	if add2(rest, left, 255|c.mask(1)<<8, c.max[0]>>56|c.max[1]<<8, uint(c.bits)) || doubt {
		return c.above2(src, len(acc)/2)
	}
	return 0
}

func add2(acc []uint64, src []byte, high, limit uint64, step uint) bool {
	pos := uint(0)
	var doubt uint64
	for i := 0; i < len(acc)-1; i += 2 {
		at := pos >> 3
		part := src[at : at+15 : at+15]
		top := binary.LittleEndian.Uint64(part[7:]) >> (pos & 7) & high
		lo := binary.LittleEndian.Uint64(part)>>(pos&7) | top<<56
		pos += step
		doubt |= limit - 1 - top
		var carry uint64
		acc[i], carry = bits.Add64(acc[i], lo, 0)
		acc[i+1], _ = bits.Add64(acc[i+1], top>>8, carry)
	}
	return doubt>>63 != 0
}

func (c Coder) check4(src []byte, n int) (bad uint64) {
	words := make([]uint64, c.limbs)
	for i := range n {
		c.at(words, src, i)
		bad |= c.above(words)
	}
	return bad
}

func (c Coder) add4(acc []uint64, src []byte) (bad uint64) {
	words := make([]uint64, c.limbs)
	for i := range len(acc) / c.limbs {
		c.at(words, src, i)
		bad |= c.above(words)
		var carry uint64
		for l, w := range words {
			acc[i*c.limbs+l], carry = bits.Add64(acc[i*c.limbs+l], w, carry)
		}
	}
	return bad
}

// above has its highest bit set if words is more than the maximum.
func (c Coder) above(words []uint64) uint64 {
	var borrow uint64
	for l, w := range words {
		_, borrow = bits.Sub64(c.max[l], w, borrow)
	}
	return -borrow
}

func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		next := make([]byte, len(dst), len(dst)+n)
		copy(next, dst)
		dst = next
	}
	return dst[:len(dst)+n]
}
