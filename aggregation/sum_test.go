package aggregation

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The sum equals the one in unbounded integers, in every order.
func TestSumIsExactAndOrderIndependent(t *testing.T) {
	value := rapid.OneOf(rapid.SampledFrom([]int32{0, 1, -1, math.MaxInt32, math.MinInt32, 1<<23 - 1, 1 - 1<<23}), rapid.Int32())
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(t, "length")
		vectors := rapid.SliceOf(rapid.SliceOfN(value, n, n)).Draw(t, "vectors")
		sum, permuted := NewSum(n), NewSum(n)
		want := make([]*big.Int, n)
		for i := range want {
			want[i] = new(big.Int)
		}
		for _, v := range vectors {
			if err := sum.Add(v); err != nil {
				t.Fatal(err)
			}
			for i, x := range v {
				want[i].Add(want[i], big.NewInt(int64(x)))
			}
		}
		for _, v := range rapid.Permutation(vectors).Draw(t, "order") {
			if err := permuted.Add(v); err != nil {
				t.Fatal(err)
			}
		}
		if !cmp.Equal(sum.Values(), permuted.Values()) || sum.Count() != len(vectors) {
			t.Fatalf("order changed the sum: %v and %v", sum.Values(), permuted.Values())
		}
		for i, w := range want {
			if w.Cmp(big.NewInt(sum.Values()[i])) != 0 {
				t.Fatalf("sum is %d at %d, want %v", sum.Values()[i], i, w)
			}
		}
	})
}

func TestAddRefusesWithoutChange(t *testing.T) {
	s := NewSum(2)
	if err := s.Add([]int32{1, -2}); err != nil {
		t.Fatal(err)
	}
	for _, v := range [][]int32{nil, {1}, {1, 2, 3}} {
		if err := s.Add(v); !errors.Is(err, ErrLength) {
			t.Errorf("%v: got %v, want ErrLength", v, err)
		}
	}
	s.count = maxCount
	if err := s.Add([]int32{5, 5}); err == nil {
		t.Error("addition 2^31+1 was accepted")
	}
	if diff := cmp.Diff([]int64{1, -2}, s.Values()); diff != "" {
		t.Errorf("a refused vector changed the sum:\n%s", diff)
	}
}

func BenchmarkSumAdd(b *testing.B) {
	const d = 545_098
	s, v := NewSum(d), make([]int32, d)
	for i := range v {
		v[i] = int32(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Add(v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/d, "ns/value")
}
