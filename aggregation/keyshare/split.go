package keyshare

import (
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// SeedSize is the size in bytes of a share that is sent as a seed.
const SeedSize = 32

// Share is the value at Point of the polynomials that hide a key: residues, or the
// seed from which [Ring.Expand] makes them.
type Share struct {
	Point    int
	Seed     *[SeedSize]byte // nil if Residues is set
	Residues []uint64
}

// Split shares secret, an element of the ring, among points 1 to m so that any t
// shares determine it and t-1 tell nothing. The shares of points 1 to t-1 are seeds
// read from rand; the others are what the polynomial of degree t-1 through them and
// the secret at 0 gives. rand must be crypto/rand.Reader outside tests. secret is
// not kept.
//
// The time taken does not depend on the secret.
func Split(ring Ring, t, m int, secret []uint64, rand io.Reader) ([]Share, error) {
	if t < 1 || t > m || m > MaxMembers {
		return nil, fmt.Errorf("split a key: %d of %d shares, want 1 <= t <= m <= %d", t, m, MaxMembers)
	}
	if err := ring.checkResidues(secret); err != nil {
		return nil, fmt.Errorf("split a key: %w", err)
	}
	shares := make([]Share, m)
	nodes, values := make([]int, t), make([][]uint64, t)
	values[0] = secret // at point 0
	buffer := make([]uint64, (t-1)*ring.Len())
	for i := 1; i < t; i++ {
		seed := new([SeedSize]byte)
		if _, err := io.ReadFull(rand, seed[:]); err != nil {
			return nil, fmt.Errorf("split a key: read randomness: %w", err)
		}
		shares[i-1] = Share{Point: i, Seed: seed}
		nodes[i], values[i] = i, buffer[(i-1)*ring.Len():i*ring.Len()]
		ring.Expand(values[i], seed)
	}
	for point := t; point <= m; point++ {
		v := make([]uint64, ring.Len())
		ring.evaluate(v, nodes, values, point)
		shares[point-1] = Share{Point: point, Residues: v}
	}
	clear(buffer)
	return shares, nil
}

// Expand fills dst, of Len residues, with the share that seed stands for. For the
// prime of index j, SHAKE256 (FIPS 202) of label, seed and the byte j gives a stream
// of words of as many bytes as the prime has, little-endian; each is cut to the bits
// of the prime, and is the next coefficient if it is below the prime.
func (r Ring) Expand(dst []uint64, seed *[SeedSize]byte) {
	for j, p := range r.Primes {
		h := sha3.NewSHAKE256()
		h.Write([]byte("sotto/share/v1\x00"))
		h.Write(seed[:])
		h.Write([]byte{byte(j)})
		width := bits.Len64(p)
		size, mask := (width+7)/8, uint64(1)<<width-1
		var buffer [128 * 8]byte
		words := buffer[:128*size] // 128 whole words
		left := words[:0]
		out := dst[j*r.N : (j+1)*r.N]
		for i := 0; i < len(out); {
			if len(left) == 0 {
				h.Read(words)
				left = words
			}
			var word [8]byte
			copy(word[:], left[:size])
			left = left[size:]
			if v := binary.LittleEndian.Uint64(word[:]) & mask; v < p {
				out[i] = v
				i++
			}
		}
	}
}
