package audit

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func gaussian(rng *rand.Rand, n int, sigma, mean float64) []int64 {
	x := make([]int64, n)
	for i := range x {
		x[i] = int64(math.Round(mean + sigma*rng.NormFloat64()))
	}
	return x
}

// Samples 3 % off in variance, or 3 % of a standard deviation off in mean, do not pass.
func TestVariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, sigma = 65_536, 1000
	for name, c := range map[string]struct {
		x  []int64
		ok bool
	}{
		"right":      {gaussian(rng, n, sigma, 0), true},
		"off":        {make([]int64, n), false},
		"too little": {gaussian(rng, n, sigma*math.Sqrt(0.95), 0), false},
		"too much":   {gaussian(rng, n, sigma*math.Sqrt(1.05), 0), false},
		"shifted":    {gaussian(rng, n, sigma, 30), false},
	} {
		err := Variance(name, c.x, sigma*sigma)
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrNonconforming) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Variance("few", make([]int64, 1000), 1); err == nil || errors.Is(err, ErrNonconforming) {
		t.Errorf("few values: %v, want an error of use", err)
	}
}

// The quantile is that of the stated rate, and 300 correct samples pass, which a far too small variance formula would not let them.
func TestFalseAlarms(t *testing.T) {
	if z := sigmas(1); math.Abs(math.Erfc(z/math.Sqrt2)/FalseAlarm-1) > 1e-6 {
		t.Errorf("quantile %g has rate %g", z, math.Erfc(z/math.Sqrt2))
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		if err := Batches("correct", poisson(rng, 150, 200, 0.2), 200, 0.2); err != nil {
			t.Fatal(err)
		}
	}
}

func poisson(rng *rand.Rand, rounds, n int, q float64) [][]int32 {
	batches := make([][]int32, rounds)
	for i := range batches {
		for j := range n {
			if rng.Float64() < q {
				batches[i] = append(batches[i], int32(j))
			}
		}
	}
	return batches
}

func TestBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for name, b := range map[string][][]int32{
		"rate 10 % up":   poisson(rng, 400, 600, 0.11),
		"rate 10 % down": poisson(rng, 400, 600, 0.09),
		"empty":          make([][]int32, 400),
		"an index twice": append(poisson(rng, 400, 600, 0.1), []int32{3, 3}),
		"out of range":   append(poisson(rng, 400, 600, 0.1), []int32{600}),
	} {
		if err := Batches(name, b, 600, 0.1); !errors.Is(err, ErrNonconforming) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIndependent(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var x [][]int64
	for range 20 {
		x = append(x, gaussian(rng, 8192, 100, 0))
	}
	if err := Independent("right", x); err != nil {
		t.Error(err)
	}
	half := gaussian(rng, 8192, 100, 0)
	for i := range half {
		half[i] += x[3][i] / 4
	}
	if err := Independent("a quarter shared", append(x, half)); !errors.Is(err, ErrNonconforming) {
		t.Errorf("a quarter shared: %v", err)
	}
	if err := Independent("off", [][]int64{make([]int64, 8192), make([]int64, 8192)}); !errors.Is(err, ErrNonconforming) {
		t.Errorf("zeros: %v", err)
	}
}

func TestDistinct(t *testing.T) {
	streams := make([][16]byte, 1000)
	for i := range streams {
		streams[i][15], streams[i][14] = byte(i), byte(i>>8)
	}
	if err := Distinct("right", streams); err != nil {
		t.Error(err)
	}
	streams[999] = streams[5]
	if err := Distinct("one twice", streams); !errors.Is(err, ErrNonconforming) {
		t.Errorf("one twice: %v", err)
	}
}

func TestDistance(t *testing.T) {
	a, b := []int32{math.MaxInt32, 0}, []int32{math.MinInt32, 0}
	if err := Distance("far", a, b, math.MaxInt32); !errors.Is(err, ErrNonconforming) {
		t.Errorf("far: %v", err)
	}
	if err := Distance("at the limit", a, b, math.MaxUint32); err != nil {
		t.Error(err)
	}
	if err := Distance("lengths", a, b[:1], 1); err == nil {
		t.Error("other lengths were taken")
	}
}
