package kahe

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
)

// stream is the key stream of AES-256 in counter mode.
type stream struct {
	ctr   cipher.Stream
	bytes []byte
}

var zeros [1 << 15]byte

func newStream(block cipher.Block, iv [aes.BlockSize]byte) *stream {
	return &stream{ctr: cipher.NewCTR(block, iv[:])}
}

// next returns the next n bytes, valid until the next call.
func (s *stream) next(n int) []byte {
	if cap(s.bytes) < n {
		s.bytes = make([]byte, n)
	}
	out := s.bytes[:n]
	for at := 0; at < n; {
		end := min(n, at+len(zeros))
		s.ctr.XORKeyStream(out[at:end], zeros[:end-at])
		at = end
	}
	return out
}

// wipe forgets the bytes last returned.
func (s *stream) wipe() { clear(s.bytes[:cap(s.bytes)]) }

// newGenerator is a deterministic generator of secret words, keyed with 32 bytes of
// rand: an upload takes megabytes, of which the operating system gives the key.
func newGenerator(rand io.Reader) (*stream, error) {
	var key [32]byte
	defer clear(key[:])
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return nil, fmt.Errorf("draw a key for the noise: %w", err)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return newStream(block, [aes.BlockSize]byte{}), nil
}
