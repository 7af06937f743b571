package kahe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

// Public is the sequence of uniform polynomials a_0, a_1, ... that all uploads of
// one round share: a function of a seed and of the ring, expanded on demand. It
// holds no polynomial and is safe for concurrent use.
//
// Residues of a_j modulo the prime number i are drawn from AES-256 in counter
// mode, the key being
//
//	SHA-256("sotto/kahe/v1 public\x00" || N || number of primes || primes || seed)
//
// with integers of 64 bits, big-endian, and the first counter block i || j || 0 of
// 32, 32 and 64 bits, big-endian. The stream is cut in words of 64 bits,
// little-endian; a word counts in its lowest bitlen(q_i) bits, and is skipped when
// these are not below q_i. Word after word gives the transform of a_j (see the
// order of values in ntt.go), so that expanding costs no transform.
type Public struct {
	ring  *Ring
	block cipher.Block
}

const publicLabel = "sotto/kahe/v1 public\x00"

// NewPublic returns the polynomials of one seed.
func NewPublic(p Params, seed [32]byte) *Public { return newPublic(p.ring, seed) }

func newPublic(r *Ring, seed [32]byte) *Public {
	b := append(make([]byte, 0, 128), publicLabel...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.n))
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.moduli)))
	for _, m := range r.moduli {
		b = binary.BigEndian.AppendUint64(b, m.q)
	}
	key := sha256.Sum256(append(b, seed[:]...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return &Public{ring: r, block: block}
}

// expander draws polynomials of one Public into a buffer of its own.
type expander struct {
	*Public
	words []byte
}

func (p *Public) expander() *expander { return &expander{p, make([]byte, 8*p.ring.n)} }

// stream starts the words of a_j modulo prime i.
func (e *expander) stream(i, j int) cipher.Stream {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint32(iv[0:], uint32(i))
	binary.BigEndian.PutUint32(iv[4:], uint32(j))
	return cipher.NewCTR(e.block, iv[:])
}

// times writes a_j*key modulo prime i to dst, transformed and below 2q. key has a
// residue and its companion for every position.
func (e *expander) times(dst []uint64, key []uint64, i, j int) {
	m := e.ring.moduli[i]
	q, mask := m.q, m.mask
	ctr := e.stream(i, j)
	clear(e.words)
	ctr.XORKeyStream(e.words, e.words)

	words, k := e.words, key[:2*len(dst)]
	var above uint64
	for x := range dst {
		if len(words) < 8 || len(k) < 2 {
			panic("kahe: key of the wrong length")
		}
		a := binary.LittleEndian.Uint64(words) & mask
		above |= q - 1 - a
		dst[x] = mulLazy(a, k[0], k[1], q)
		words, k = words[8:], k[2:]
	}
	if above>>63 != 0 { // a_j is public
		e.uniform(dst, i, j)
		for x, a := range dst {
			dst[x] = mulLazy(a, key[2*x], key[2*x+1], q)
		}
	}
}

// uniform writes a_j modulo prime i to dst: times without the key, and the slow
// path where a word is skipped.
func (e *expander) uniform(dst []uint64, i, j int) {
	m := e.ring.moduli[i]
	ctr := e.stream(i, j)
	var word [8]byte
	for x := 0; x < len(dst); {
		clear(word[:])
		ctr.XORKeyStream(word[:], word[:])
		if a := binary.LittleEndian.Uint64(word[:]) & m.mask; a < m.q {
			dst[x] = a
			x++
		}
	}
}
