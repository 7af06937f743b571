package aggregation

import "fmt"

// maxCount is the most vectors a Sum takes: 2^31 int32 values of the largest
// magnitude, 2^31, add up to 2^62.
const maxCount = 1 << 31

// Sum is the exact sum of integer vectors of one length. It is the same for
// every order of the additions. It is not safe for concurrent use.
type Sum struct {
	values []int64
	count  int64
}

// NewSum returns the empty sum of vectors of length n. A negative n is a
// programmer's error and panics.
func NewSum(n int) *Sum { return &Sum{values: make([]int64, n)} }

// Add adds v, which it does not keep. It refuses, and leaves the sum as it was,
// a vector of another length ([ErrLength]) or one too many for int64.
func (s *Sum) Add(v []int32) error {
	if len(v) != len(s.values) {
		return fmt.Errorf("update has %d values, want %d: %w", len(v), len(s.values), ErrLength)
	}
	if s.count >= maxCount {
		return fmt.Errorf("sum already holds %d updates, the most it takes", s.count)
	}
	values := s.values[:len(v)]
	for i, x := range v {
		values[i] += int64(x)
	}
	s.count++
	return nil
}

// Count is the number of vectors added.
func (s *Sum) Count() int { return int(s.count) }

// Values is the sum itself; it stays owned by s and changes with the next Add.
func (s *Sum) Values() []int64 { return s.values }
