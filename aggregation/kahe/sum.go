package kahe

import (
	"fmt"
	"math/bits"
)

// Sum is the sum of uploads, as plain integers below 2^64 or 2^128 or 2^256; it is
// reduced only when it is opened. It does not depend on the order of additions and
// is not safe for concurrent use.
type Sum struct {
	params Params
	words  []uint64
	count  int
}

// NewSum returns the empty sum.
func NewSum(p Params) *Sum {
	return &Sum{params: p, words: make([]uint64, p.coefficients*p.ring.limbs)}
}

// Check reports whether body is the one wire form of some upload: exact length,
// every coefficient below the largest, zero padding; [pack.ErrLength] or
// [pack.ErrMalformed] if not. It changes nothing, allocates nothing that depends on
// body, and may run concurrently.
func (s *Sum) Check(body []byte) error { return s.params.coder.Check(body, s.params.coefficients) }

// Add adds one upload, which it does not keep. It checks what Check checks on the
// way, and an upload that is refused, also with [ErrFull], leaves the sum as it was.
func (s *Sum) Add(body []byte) error {
	if s.count >= s.params.spec.Uploads {
		return fmt.Errorf("sum holds %d uploads: %w", s.count, ErrFull)
	}
	if err := s.params.coder.Add(s.words, body); err != nil {
		return err
	}
	s.count++
	return nil
}

// Count is the number of uploads added.
func (s *Sum) Count() int { return s.count }

// Merge adds the uploads of another sum under the same parameters, which stays as
// it is. The two must have been filled from different uploads.
func (s *Sum) Merge(other *Sum) error {
	if s.params.spec != other.params.spec {
		return fmt.Errorf("sums under %v and %v: %w", s.params, other.params, ErrParams)
	}
	if other.count > s.params.spec.Uploads-s.count {
		return fmt.Errorf("sums of %d and %d uploads, at most %d fit: %w", s.count, other.count, s.params.spec.Uploads, ErrFull)
	}
	limbs := s.params.ring.limbs
	for i := 0; i < len(s.words); i += limbs {
		var carry uint64
		for l := range limbs {
			s.words[i+l], carry = bits.Add64(s.words[i+l], other.words[i+l], carry)
		}
	}
	s.count += other.count
	return nil
}
