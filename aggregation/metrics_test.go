package aggregation

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Counters of many clients, summed field by field, read back as their sum.
func TestCountersAddUp(t *testing.T) {
	counter := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 1<<CounterBits - 1}), rapid.Uint64Range(0, 1<<CounterBits-1))
	rapid.Check(t, func(t *rapid.T) {
		c := Codec{Bits: rapid.IntRange(MinBits, MaxBits).Draw(t, "bits"), Range: 1}
		counters := rapid.SliceOf(counter).Draw(t, "counters")
		sum := NewSum(c.CounterLen() + 1)
		var want uint64
		for _, v := range counters {
			fields, err := c.AppendCounter(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, limb := range fields {
				if limb < 0 || limb > c.Max() {
					t.Fatalf("limb %d is no value of %d bits", limb, c.Bits)
				}
			}
			if err := sum.Add(append(fields, -7)); err != nil {
				t.Fatal(err)
			}
			want += v
		}
		for _, v := range sum.Values() {
			if width := c.SumBits(len(counters)); v >= 1<<(width-1) {
				t.Fatalf("summed limb %d leaves %d bits", v, width)
			}
		}
		got, rest, err := c.ReadCounter(sum.Values())
		if err != nil || got != want {
			t.Fatalf("got %d, %v, want %d", got, err, want)
		}
		if diff := cmp.Diff([]int64{int64(-7 * len(counters))}, rest); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCounterRefusals(t *testing.T) {
	c := Codec{Bits: 20, Range: 1}
	dst := []int32{9}
	if got, err := c.AppendCounter(dst, 1<<CounterBits); !errors.Is(err, ErrCounter) || len(got) != 1 {
		t.Errorf("too large: got %v, %v", got, err)
	}
	for name, test := range map[string]struct {
		sum  []int64
		want error
	}{
		"negative": {[]int64{0, -1, 0}, ErrCounter},
		"short":    {[]int64{0, 0}, ErrLength},
		"overflow": {[]int64{0, 0, 1 << 40}, ErrCounter},
		"carry":    {[]int64{1 << 62, 1 << 44, 1<<26 - 1}, ErrCounter},
	} {
		if _, _, err := c.ReadCounter(test.sum); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestMetricsAddUp(t *testing.T) {
	c := Codec{Bits: 13, Range: 1}
	a := Metrics{Examples: 600, TrainExamples: 1200, TrainLoss: 1234.5, TrainCorrect: 1000, ValExamples: 60, ValLoss: 0.25, ValCorrect: 59, Steps: 38}
	b := Metrics{Examples: 1, TrainExamples: 1, TrainLoss: 2.5, ValLoss: 1e6, Steps: 1}
	sum := NewSum(c.MetricsLen())
	for _, m := range []Metrics{a, b} {
		fields, err := c.EncodeMetrics(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if err := sum.Add(fields); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.DecodeMetrics(sum.Values())
	if err != nil {
		t.Fatal(err)
	}
	want := Metrics{Examples: 601, TrainExamples: 1201, TrainLoss: 1237, TrainCorrect: 1000, ValExamples: 60, ValLoss: 1e6 + 0.25, ValCorrect: 59, Steps: 39}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := c.DecodeMetrics(sum.Values()[1:]); !errors.Is(err, ErrLength) {
		t.Errorf("got %v, want ErrLength", err)
	}
}

func TestMetricsRefuseNonsense(t *testing.T) {
	c := Codec{Bits: 20, Range: 1}
	for name, test := range map[string]struct {
		m    Metrics
		want error
	}{
		"nan":      {Metrics{TrainLoss: math.NaN()}, ErrNotFinite},
		"inf":      {Metrics{ValLoss: math.Inf(1)}, ErrNotFinite},
		"negative": {Metrics{ValLoss: -1}, ErrCounter},
		"huge":     {Metrics{TrainLoss: 1e300}, ErrCounter},
		"count":    {Metrics{Steps: 1 << 63}, ErrCounter},
	} {
		if got, err := c.EncodeMetrics(nil, test.m); !errors.Is(err, test.want) || got != nil {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, test.want)
		}
	}
}
