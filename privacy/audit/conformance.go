package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// FalseAlarm is the largest probability that one test accuses a correct build. The samples of a conformance run
	// follow from its seeds, so a run that passes once always does.
	FalseAlarm = 1e-7
	// MinCoordinates is the least sample of noise: the relative standard deviation of a variance is then 0.6 %.
	MinCoordinates = 60_000
)

// ErrNonconforming is what every Failure is.
var ErrNonconforming = errors.New("the build does not do what its contract says")

// Failure says what a test saw and what it would have let pass.
type Failure struct {
	Check    string
	Got      float64
	Low, Top float64 // inclusive; NaN got is outside
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s: got %.6g, want %.6g to %.6g", f.Check, f.Got, f.Low, f.Top)
}

// Is makes every Failure an ErrNonconforming.
func (f *Failure) Is(target error) bool { return target == ErrNonconforming }

func within(check string, got, low, top float64) error {
	if got >= low && got <= top {
		return nil
	}
	return &Failure{check, got, low, top}
}

// sigmas is the two-sided quantile of a normal for one test among tests.
func sigmas(tests int) float64 {
	return -distuv.UnitNormal.Quantile(FalseAlarm / 2 / float64(max(tests, 1)))
}

// Variance tests that noise, in integer units, has mean 0 and the planned variance, neither less nor more. The quantiles are those of a
// Gaussian: for wide integer noise the difference is far below FalseAlarm. It wants at least MinCoordinates values.
func Variance(check string, noise []int64, planned float64) error {
	n := float64(len(noise))
	if len(noise) < MinCoordinates || !(planned > 0) {
		return fmt.Errorf("audit: variance of %d values against %g, want at least %d values and a positive variance", len(noise), planned, MinCoordinates)
	}
	mean, square := 0.0, 0.0
	for _, v := range noise {
		mean += float64(v) / n
		square += float64(v) * float64(v) / n
	}
	chi := distuv.ChiSquared{K: n}
	if err := within(check+": variance over the planned one", square/planned, chi.Quantile(FalseAlarm/4)/n, chi.Quantile(1-FalseAlarm/4)/n); err != nil {
		return err
	}
	limit := sigmas(2)
	return within(check+": mean in standard errors", mean*math.Sqrt(n/planned), -limit, limit)
}

// Independent tests that no two of the samples, of equal length and mean 0, are correlated. Together the pairs
// accuse independent samples with probability at most FalseAlarm.
func Independent(check string, samples [][]int64) error {
	k := len(samples)
	if k < 2 || len(samples[0]) < 1000 {
		return fmt.Errorf("audit: correlation of %d samples, want at least 2 of at least 1000 values", k)
	}
	n := len(samples[0])
	limit := sigmas(k * (k - 1) / 2)
	for i, a := range samples {
		if len(a) != n {
			return fmt.Errorf("audit: samples of %d and %d values, want equal lengths", n, len(a))
		}
		for j, b := range samples[:i] {
			ab, aa, bb := 0.0, 0.0, 0.0
			for x := range a {
				u, v := float64(a[x]), float64(b[x])
				ab += u * v
				aa += u * u
				bb += v * v
			}
			z := ab / math.Sqrt(aa*bb) * math.Sqrt(float64(n))
			if err := within(fmt.Sprintf("%s: correlation of samples %d and %d in standard errors", check, j, i), z, -limit, limit); err != nil {
				return err
			}
		}
	}
	return nil
}

// Batches tests that batches, one a round, of indices into n records are independent Poisson samples of rate q: how many
// records enter, how their number varies between rounds, and how many enter twice in a row. Fixed sizes and epochs
// of a shuffled order fail. Batches must be ascending and within 0 to n-1, q in (0, 1).
func Batches(check string, batches [][]int32, n int, q float64) error {
	t := float64(len(batches))
	if len(batches) < 100 || !(q > 0 && q < 1) || float64(n)*q < 5 {
		return fmt.Errorf("audit: %d batches at rate %g of %d records, want at least 100 batches of at least 5 records and a rate below 1", len(batches), q, n)
	}
	mean := float64(n) * q
	spread := mean * (1 - q)
	total, square, twice := 0.0, 0.0, 0.0
	var before []int32
	for i, b := range batches {
		for j, v := range b {
			if v < 0 || int(v) >= n || j > 0 && v <= b[j-1] {
				low := 0.0
				if j > 0 {
					low = float64(b[j-1]) + 1
				}
				return &Failure{fmt.Sprintf("%s: index %d of batch %d", check, j, i), float64(v), low, float64(n - 1)}
			}
			if _, ok := slices.BinarySearch(before, v); ok {
				twice++
			}
		}
		size := float64(len(b))
		total += size
		square += (size - mean) * (size - mean)
		before = b
	}
	limit := sigmas(3)
	if err := within(check+": records drawn in standard errors", (total-t*mean)/math.Sqrt(t*spread), -limit, limit); err != nil {
		return err
	}
	// A Wilson-Hilferty cube root of a chi-square; the binomial's excess kurtosis widens its variance by 1 + 1/(2 spread).
	w := 2 / (9 * t)
	z := (math.Cbrt(square/(t*spread)) - (1 - w)) / math.Sqrt(w*(1+1/(2*spread)))
	if err := within(check+": variance of batch sizes in standard errors", z, -limit, limit); err != nil {
		return err
	}
	// Neighbouring pairs of rounds share a batch, which adds a covariance of q^3 (1-q) a record twice over.
	pairs := (t - 1) * float64(n)
	deviation := math.Sqrt(pairs * (q*q*(1-q*q) + 2*q*q*q*(1-q)))
	return within(check+": records that enter twice in a row, in standard errors", (twice-pairs*q*q)/deviation, -limit, limit)
}

// Distance tests that the integer vectors made of two neighbouring inputs, with equal coins, dither and noise, are
// at most sensitivity apart.
func Distance(check string, a, b []int32, sensitivity float64) error {
	if len(a) != len(b) {
		return fmt.Errorf("audit: vectors of %d and %d fields, want equal lengths", len(a), len(b))
	}
	return within(check+": distance of neighbours over the charged sensitivity", Norm(a, b)/sensitivity, 0, 1)
}

// Norm is the L2 distance of two integer vectors of equal length.
func Norm(a, b []int32) float64 {
	square := 0.0
	for i, v := range a {
		d := float64(int64(v) - int64(b[i]))
		square += d * d
	}
	return math.Sqrt(square)
}

// Distinct tests that no two of the first 16 bytes of generators' streams, or of seeds, are equal. Among n of them, seeds
// of b bits anywhere on the way leave n^2/2^(b+1) equal pairs on average: 18 for 3*2^17 and 32 bits. Those of 40 bits or more cannot
// be told from long ones in this way. streams is sorted in place.
func Distinct(check string, streams [][16]byte) error {
	slices.SortFunc(streams, func(a, b [16]byte) int {
		x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])
		if x == y {
			x, y = binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:])
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	equal := 0
	for i := 1; i < len(streams); i++ {
		if streams[i] == streams[i-1] {
			equal++
		}
	}
	return within(fmt.Sprintf("%s: equal among %d streams", check, len(streams)), float64(equal), 0, 0)
}
