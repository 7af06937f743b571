package noise

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

// Seed is the 256-bit secret that all noise of one owner, or one purpose of it, comes
// from. Deployments fill it from crypto/rand and keep it in a file of mode 0600;
// only simulations derive one from a scenario's seed.
type Seed [32]byte

// Derive returns the seed for one purpose in one round: SHA-256 of an injective
// encoding. Equal arguments give equal seeds, so that a repeated attempt repeats its
// noise and coins exactly; whoever lacks s learns nothing of one from another.
func (s Seed) Derive(purpose string, round int) Seed {
	b := make([]byte, 0, 64+len(purpose))
	b = append(b, "sotto/noise/v1\x00"...)
	b = append(b, s[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(int64(round)))
	b = append(b, purpose...)
	return sha256.Sum256(b)
}

// DRBG is a deterministic random bit generator: AES-256 in counter mode under a seed
// that must not be used for anything else. Equal seeds and equal calls give equal
// streams on every platform. It is not safe for concurrent use.
type DRBG struct {
	stream cipher.Stream
	block  [16 * candidates]byte // what next returns parts of
}

// NewDRBG starts the stream of seed.
func NewDRBG(seed Seed) *DRBG {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic("noise: " + err.Error()) // impossible: the key has 32 bytes
	}
	return &DRBG{stream: cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

// Fill overwrites p with the next len(p) bytes of the stream.
func (r *DRBG) Fill(p []byte) {
	clear(p)
	r.stream.XORKeyStream(p, p)
}

// next returns the next n <= 16*candidates bytes of the stream, valid until the next call
// of any method.
func (r *DRBG) next(n int) []byte {
	r.Fill(r.block[:n])
	return r.block[:n]
}

// Uint64 returns the next 8 bytes. For many, Fill is several times faster.
func (r *DRBG) Uint64() uint64 {
	var b [8]byte
	r.Fill(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
