package kahe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

// The storage form of a sum: storeLabel, the hash of the parameters (32 bytes), the
// number of uploads and every word of the coefficients, as integers of 64 bits,
// big-endian the one, little-endian the others. A sum has one form, and a form that
// no sum of that many uploads can have is refused.
const storeLabel = "sotto/kahe/v1 sum\x00"

const storeHeader = len(storeLabel) + 32 + 8

// MarshalBinary returns the storage form. It has the ciphertexts' sum and no secret.
func (s *Sum) MarshalBinary() ([]byte, error) {
	hash := s.params.Hash()
	out := make([]byte, 0, storeHeader+8*len(s.words))
	out = append(append(out, storeLabel...), hash[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(s.count))
	for _, w := range s.words {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out, nil
}

// UnmarshalBinary replaces a sum made by [NewSum] by the one in data. It refuses,
// with [ErrMalformed] and without changing the sum, a form of other parameters or of
// another length, a count above the parameters' uploads, and coefficients larger
// than that many uploads can give.
func (s *Sum) UnmarshalBinary(data []byte) error {
	if want := storeHeader + 8*len(s.words); len(data) != want {
		return fmt.Errorf("stored sum has %d bytes, want %d: %w", len(data), want, ErrMalformed)
	}
	hash := s.params.Hash()
	if want := append([]byte(storeLabel), hash[:]...); !bytes.Equal(data[:len(want)], want) {
		return fmt.Errorf("stored sum is of another version or other parameters: %w", ErrMalformed)
	}
	count := binary.BigEndian.Uint64(data[storeHeader-8:])
	if count > uint64(s.params.spec.Uploads) {
		return fmt.Errorf("stored sum of %d uploads, want at most %d: %w", count, s.params.spec.Uploads, ErrMalformed)
	}
	var most [pack.MaxLimbs]uint64
	copy(most[:], s.params.largest())
	multiplyAdd(&most, count, 0)

	body, limbs := data[storeHeader:], s.params.ring.limbs
	for at := 0; at < len(body); at += 8 * limbs {
		var borrow uint64
		for l := range limbs {
			_, borrow = bits.Sub64(most[l], binary.LittleEndian.Uint64(body[at+8*l:]), borrow)
		}
		if borrow != 0 {
			return fmt.Errorf("stored sum has a coefficient that %d uploads cannot give: %w", count, ErrMalformed)
		}
	}
	for i := range s.words {
		s.words[i] = binary.LittleEndian.Uint64(body[8*i:])
	}
	s.count = int(count)
	return nil
}
