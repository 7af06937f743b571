package aggregation

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The packed wire form: value i occupies bits i*b to (i+1)*b-1 of a
// little-endian bit string, in two's complement, with the symmetric range of
// [Codec] (the bit pattern of -2^(b-1) is invalid). The bits after the last
// value are zero up to a whole byte. Hence one vector has one encoding.

// ErrMalformed reports bytes that no encoder of this package wrote.
var ErrMalformed = errors.New("malformed packed vector")

// PackedLen is the number of bytes of n packed values. It panics if n is
// negative or bits is out of range; see [AppendPacked].
func PackedLen(n, bits int) int {
	if n < 0 {
		panic(fmt.Sprintf("aggregation: packed length of %d values", n))
	}
	mustBits(bits)
	return int((uint64(n)*uint64(bits) + 7) / 8)
}

// AppendPacked appends the packed form of v to dst. bits outside MinBits to
// MaxBits, or a value that does not fit, is a programmer's error and panics:
// what [Codec.Quantize] writes always fits.
func AppendPacked(dst []byte, v []int32, bits int) []byte {
	size := PackedLen(len(v), bits)
	mask, limit := uint64(1)<<bits-1, int32(1)<<(bits-1)-1

	var acc uint64 // holds fewer than 32 pending bits between values, so 24 more fit
	var have uint
	start := len(dst)
	for i, x := range v {
		if x > limit || x < -limit {
			panic(fmt.Sprintf("aggregation: value %d at index %d does not fit in %d bits", x, i, bits))
		}
		acc |= (uint64(x) & mask) << have
		have += uint(bits)
		if have >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			have -= 32
		}
	}
	for len(dst)-start < size {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// Unpack decodes len(dst) values from src. It refuses, with [ErrLength] or
// [ErrMalformed], any src that [AppendPacked] would not have written: wrong
// length, padding that is not zero, a value of -2^(bits-1). On an error the
// contents of dst are undefined. It allocates nothing.
func Unpack(dst []int32, src []byte, bits int) error {
	if bits < MinBits || bits > MaxBits {
		return fmt.Errorf("packed vector of %d bits a value, want %d to %d: %w", bits, MinBits, MaxBits, ErrMalformed)
	}
	if want := PackedLen(len(dst), bits); len(src) != want {
		return fmt.Errorf("packed vector has %d bytes, want %d: %w", len(src), want, ErrLength)
	}
	shift := 64 - uint(bits)
	lowest := int32(-1) << (bits - 1)

	var acc uint64
	var have uint
	least := int32(0)
	for i := range dst {
		if have < uint(bits) {
			if len(src) >= 4 {
				acc |= uint64(binary.LittleEndian.Uint32(src)) << have
				src = src[4:]
				have += 32
			} else {
				for _, b := range src {
					acc |= uint64(b) << have
					have += 8
				}
				src = nil
			}
		}
		x := int32(int64(acc<<shift) >> shift)
		acc >>= uint(bits)
		have -= uint(bits)
		dst[i] = x
		least = min(least, x)
	}
	if least == lowest {
		return fmt.Errorf("packed vector has the value %d, want at least %d: %w", lowest, lowest+1, ErrMalformed)
	}
	// Every byte is loaded by now, and what is left of the last one is padding.
	if acc != 0 {
		return fmt.Errorf("packed vector has padding bits that are not zero: %w", ErrMalformed)
	}
	return nil
}

func mustBits(bits int) {
	if bits < MinBits || bits > MaxBits {
		panic(fmt.Sprintf("aggregation: %d bits a value, want %d to %d", bits, MinBits, MaxBits))
	}
}
