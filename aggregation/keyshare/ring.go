package keyshare

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
)

// Bounds of a ring that any preset stays below; they bound memory on foreign
// input.
const (
	maxDegree = 1 << 15
	maxPrimes = 8
	maxBits   = 61 // so that sums of two residues and Shoup's method fit 64 bits
)

// Ring is where keys live: N coefficients modulo each prime. A key, a share and a
// sum of shares are flat []uint64 of Len residues in coefficient form, the N of
// the first prime first. Keyshare needs the primes to be prime, not more: no
// transform happens here.
type Ring struct {
	N      int
	Primes []uint64
}

// Validate reports, as ErrRing, what makes the ring unusable.
func (r Ring) Validate() error {
	if r.N < 1 || r.N > maxDegree || r.N&(r.N-1) != 0 {
		return fmt.Errorf("%w: degree %d, want a power of two of at most %d", ErrRing, r.N, maxDegree)
	}
	if len(r.Primes) < 1 || len(r.Primes) > maxPrimes {
		return fmt.Errorf("%w: %d primes, want 1 to %d", ErrRing, len(r.Primes), maxPrimes)
	}
	for i, p := range r.Primes {
		// Above MaxMembers all points and their differences have inverses.
		if p <= MaxMembers || bits.Len64(p) > maxBits || !new(big.Int).SetUint64(p).ProbablyPrime(0) {
			return fmt.Errorf("%w: modulus %d is not a prime between %d and 2^%d", ErrRing, p, MaxMembers, maxBits)
		}
		if slices.Contains(r.Primes[:i], p) {
			return fmt.Errorf("%w: prime %d is listed twice", ErrRing, p)
		}
	}
	return nil
}

// Len is the number of residues of a key or share.
func (r Ring) Len() int { return r.N * len(r.Primes) }

// PackedSize is the length in bytes of Len residues, each at the bits of its
// prime.
func (r Ring) PackedSize() int {
	n := 0
	for _, p := range r.Primes {
		n += r.N * bits.Len64(p)
	}
	return (n + 7) / 8
}

// checkResidues says whether v is an element of the ring.
func (r Ring) checkResidues(v []uint64) error {
	if len(v) != r.Len() {
		return fmt.Errorf("%d residues, want %d", len(v), r.Len())
	}
	for j, p := range r.Primes {
		for i, x := range v[j*r.N : (j+1)*r.N] {
			if x >= p {
				return fmt.Errorf("residue %d modulo prime %d is too large", i, j)
			}
		}
	}
	return nil
}

// add adds b to a in place. Both are elements of the ring.
func (r Ring) add(a, b []uint64) {
	for j, p := range r.Primes {
		lo, hi := j*r.N, (j+1)*r.N
		x, y := a[lo:hi:hi], b[lo:hi:hi]
		for i := range x {
			s := x[i] + y[i] - p
			x[i] = s + p&uint64(int64(s)>>63)
		}
	}
}

// pack appends the residues of v to dst, little-endian bit by bit, without gaps
// between primes; the last byte is filled with zeros.
func (r Ring) pack(dst []byte, v []uint64) []byte {
	var acc uint64 // its n low bits are not yet written
	var n uint
	for j, p := range r.Primes {
		width := uint(bits.Len64(p))
		for _, x := range v[j*r.N : (j+1)*r.N] {
			acc |= x << n
			if n += width; n >= 64 {
				dst = binary.LittleEndian.AppendUint64(dst, acc)
				n -= 64
				acc = x >> (width - n)
			}
		}
	}
	for ; n > 0; n -= min(n, 8) {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// unpack fills dst, of Len residues, from exactly PackedSize bytes. It refuses
// residues that are not reduced and padding that is not zero, so that pack and
// unpack are inverse to each other.
func (r Ring) unpack(dst []uint64, b []byte) error {
	if len(b) != r.PackedSize() {
		return fmt.Errorf("%d bytes, want %d", len(b), r.PackedSize())
	}
	at := 0 // in bits
	for j, p := range r.Primes {
		width := bits.Len64(p)
		mask := uint64(1)<<width - 1
		out := dst[j*r.N : (j+1)*r.N]
		for i := range out {
			k, shift := at>>3, at&7
			var x uint64
			if k+9 <= len(b) {
				// Where shift + width is above 64, the rest is in the ninth byte.
				x = binary.LittleEndian.Uint64(b[k:])>>shift | uint64(b[k+8])<<(64-shift)
			} else {
				var tail [9]byte
				copy(tail[:], b[k:])
				x = binary.LittleEndian.Uint64(tail[:])>>shift | uint64(tail[8])<<(64-shift)
			}
			if x &= mask; x >= p {
				return fmt.Errorf("residue %d modulo prime %d is too large", i, j)
			}
			out[i] = x
			at += width
		}
	}
	if used := at & 7; used > 0 && b[at>>3]>>used != 0 {
		return errors.New("padding is not zero")
	}
	return nil
}
