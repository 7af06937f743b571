package partition

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/seed"
)

// tenClasses is 100 examples of each of ten labels, interleaved.
func tenClasses() []int32 {
	labels := make([]int32, 1000)
	for i := range labels {
		labels[i] = int32(i % 10)
	}
	return labels
}

// TestDirichletGolden pins the dealing of one seed, so that published figures
// keep their meaning. The numbers are this package's own, recorded once.
func TestDirichletGolden(t *testing.T) {
	for name, c := range map[string]struct {
		config DirichletConfig
		want   [][]int
	}{
		"unbalanced": {DirichletConfig{Clients: 4, Alpha: 0.5, Min: 10}, goldenUnbalanced},
		"balanced":   {DirichletConfig{Clients: 4, Alpha: 0.5, Balanced: true}, goldenBalanced},
	} {
		out, err := Dirichlet(tenClasses(), c.config, seed.New(42, "partition", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, Counts(out, tenClasses(), 10)); diff != "" {
			t.Errorf("%s: label counts (-want +got):\n%s", name, diff)
		}
	}
}

// TestLogGammaMoments compares mean and variance of the variates, both equal
// to a, and for small a the mean of the logarithm, the digamma function, with
// variance the trigamma function. With n = 200,000 draws a mean is within 6
// standard errors with a false-alarm rate of 2e-9; the standard error of the
// variance is sqrt((m4 - a^2)/n) with m4 = 3a^2 + 6a.
func TestLogGammaMoments(t *testing.T) {
	const n = 200_000
	for _, a := range []float64{0.5, 1, 3.7, 50} {
		rng := seed.New(1, "gamma", int(10*a), "")
		var sum, square float64
		for range n {
			g := math.Exp(logGamma(a, rng))
			sum += g
			square += (g - a) * (g - a)
		}
		if mean := sum / n; math.Abs(mean-a) > 6*math.Sqrt(a/n) {
			t.Errorf("a = %v: mean %v", a, mean)
		}
		if v := square / n; math.Abs(v-a) > 6*math.Sqrt((2*a*a+6*a)/n) {
			t.Errorf("a = %v: variance %v", a, v)
		}
	}
	// digamma(0.01) and trigamma(0.01) to 6 digits, from digamma(x) =
	// digamma(1+x) - 1/x and trigamma(x) = trigamma(1+x) + 1/x^2 with
	// digamma(1.01) = -0.560885 and trigamma(1.01) = 1.621213.
	const mean, variance = -100.560885, 10001.621213
	rng, sum := seed.New(1, "gamma", 0, ""), 0.0
	for range n {
		sum += logGamma(0.01, rng)
	}
	if got := sum / n; math.Abs(got-mean) > 6*math.Sqrt(variance/n) {
		t.Errorf("a = 0.01: mean logarithm %v, want %v", got, mean)
	}
}

// TestAlphaMeansSkew: a huge alpha is nearly IID and a tiny one gives nearly
// pure clients (balanced) or classes that go to one client (unbalanced).
func TestAlphaMeansSkew(t *testing.T) {
	labels := tenClasses()
	for _, balanced := range []bool{false, true} {
		deal := func(alpha float64) [][]int {
			out, err := Dirichlet(labels, DirichletConfig{Clients: 5, Alpha: alpha, Balanced: balanced}, seed.New(3, "partition", 0, ""))
			if err != nil {
				t.Fatal(err)
			}
			return Counts(out, labels, 10)
		}
		for i, row := range deal(1e6) {
			for l, n := range row {
				// Unbalanced cuts are within two of 20. Balanced counts have
				// a standard deviation of sqrt(200*0.1*0.9*0.8) = 3.8.
				tolerance := 2
				if balanced {
					tolerance = 13
				}
				if n < 20-tolerance || n > 20+tolerance {
					t.Errorf("alpha 1e6, balanced %v: client %d has %d of label %d, want about 20", balanced, i, n, l)
				}
			}
		}
		// Ten classes over five clients: at least half are with one client.
		held := 0
		for _, row := range deal(1e-3) {
			for _, n := range row {
				if n > 0 {
					held++
				}
			}
		}
		if held > 25 { // clients that prefer the same class end up sharing it
			t.Errorf("alpha 0.001, balanced %v: clients hold %d labels in all, want far below 50", balanced, held)
		}
	}
}

func TestApportion(t *testing.T) {
	for _, c := range []struct {
		n    int
		p    []float64
		want []int
	}{
		{10, []float64{0.5, 0.5}, []int{5, 5}},
		{3, []float64{0.5, 0.5}, []int{2, 1}},
		{7, []float64{0.1, 0.2, 0.7}, []int{1, 1, 5}},
		{0, []float64{0.3, 0.7}, []int{0, 0}},
		{5, []float64{1, 0}, []int{5, 0}},
	} {
		if diff := cmp.Diff(c.want, apportion(c.n, c.p)); diff != "" {
			t.Errorf("%d by %v (-want +got):\n%s", c.n, c.p, diff)
		}
	}
}

func BenchmarkDirichlet(b *testing.B) {
	labels := make([]int32, 60_000)
	for i := range labels {
		labels[i] = int32(i % 10)
	}
	for name, balanced := range map[string]bool{"balanced": true, "unbalanced": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Dirichlet(labels, DirichletConfig{Clients: 100, Alpha: 0.5, Min: 10, Balanced: balanced}, seed.New(1, "p", 0, "")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var goldenUnbalanced = [][]int{
	{47, 44, 75, 40, 6, 29, 10, 11, 31, 27},
	{52, 3, 5, 1, 1, 31, 44, 60, 0, 0},
	{0, 34, 1, 55, 36, 38, 18, 5, 66, 33},
	{1, 19, 19, 4, 57, 2, 28, 24, 3, 40},
}

var goldenBalanced = [][]int{
	{74, 70, 0, 23, 7, 2, 18, 25, 29, 2},
	{4, 7, 55, 22, 53, 23, 16, 13, 30, 27},
	{12, 11, 25, 23, 10, 59, 18, 55, 9, 28},
	{10, 12, 20, 32, 30, 16, 48, 7, 32, 43},
}
