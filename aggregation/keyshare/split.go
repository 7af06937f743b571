package keyshare

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sotto-fl/sotto/internal/statement"
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

// expandWords is how many words one nonce gives.
const expandWords = 512

var zeros [8 * expandWords]byte

// Expand fills dst, of Len residues, with the share that seed stands for. For the
// prime of index j, SHA-256 of label, seed and the byte j is a key of ChaCha20 (RFC
// 8439), and the nonces 0, 1, 2 and so on, of 12 bytes, little-endian, give 512 words
// each: the key stream from block 1 on, cut in pieces of as many bytes as the prime
// has, little-endian. Each word is cut to the bits of the prime, and is the next
// coefficient if it is below the prime.
//
// ChaCha20 because a seed is secret, and it takes the same time for every key also on
// boards without AES instructions.
func (r Ring) Expand(dst []uint64, seed *[SeedSize]byte) {
	room := make([]byte, 0, len(zeros)+chacha20poly1305.Overhead)
	for j, p := range r.Primes {
		key := statement.Hash(append(append([]byte("sotto/share/v1\x00"), seed[:]...), byte(j)))
		// The AEAD is the implementation with vector instructions: a message of zeros
		// comes out as the key stream, and its tag is not used.
		stream, err := chacha20poly1305.New(key[:])
		if err != nil {
			panic(err) // the key has 32 bytes
		}
		width := bits.Len64(p)
		size, mask := (width+7)/8, uint64(1)<<width-1
		var nonce [chacha20poly1305.NonceSize]byte
		out := dst[j*r.N : (j+1)*r.N]
		for n := uint64(0); len(out) > 0; n++ {
			binary.LittleEndian.PutUint64(nonce[:], n)
			words := stream.Seal(room, nonce[:], zeros[:size*expandWords], nil)
			for range expandWords {
				var word [8]byte
				copy(word[:], words[:size])
				words = words[size:]
				v := binary.LittleEndian.Uint64(word[:]) & mask
				if v >= p {
					continue
				}
				out[0] = v
				if out = out[1:]; len(out) == 0 {
					break
				}
			}
		}
		clear(key[:])
	}
	clear(room[:cap(room)])
}
