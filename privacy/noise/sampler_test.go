package noise

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// False alarms: the seeds are fixed, so a test passes or fails for ever. Had they been
// drawn afresh, each of the tests of this file would reject a correct
// sampler with probability alarm, all (fewer than 100) together below 1e-5.
const alarm = 1e-7

const draws = 400_000

type sampler interface {
	Fill32([]int32, *DRBG)
	Fill64([]int64, *DRBG)
	Bound() int64
}

// pmf is an independent float64 computation on -n..n, n in the middle.
type pmf []float64

func (p pmf) at(x int) float64 { return p[len(p)/2+x] }

func gaussianPMF(sigma float64) pmf {
	n := int(12*sigma) + 2
	p, sum := make(pmf, 2*n+1), 0.0
	for i := range p {
		x := float64(i-n) / sigma
		p[i] = math.Exp(-x * x / 2)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// skellamPMF convolves two Poisson distributions.
func skellamPMF(variance float64) pmf {
	mean := variance / 2
	m := int(mean+14*math.Sqrt(mean)) + 30
	poisson := make([]float64, m)
	for i := range poisson {
		l, _ := math.Lgamma(float64(i + 1))
		poisson[i] = math.Exp(float64(i)*math.Log(mean) - mean - l)
	}
	n := int(12*math.Sqrt(variance)) + 12
	p := make(pmf, 2*n+1)
	for i := range p {
		for j := range poisson {
			if k := j + i - n; k >= 0 && k < m {
				p[i] += poisson[k] * poisson[j]
			}
		}
	}
	return p
}

func gaussian(t testing.TB, num, den int64) *Gaussian {
	t.Helper()
	g, err := NewGaussian(big.NewRat(num, den))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func skellam(t testing.TB, num, den int64) *Skellam {
	t.Helper()
	s, err := NewSkellam(big.NewRat(num, den))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type fact struct {
	Accountant, Mechanism string
	Sigma                 json.RawMessage `json:"noise_multiplier"`
	Expected              json.RawMessage
}

// golden reads the pmf facts of one mechanism from ../shared/golden.
func golden(t *testing.T, mechanism string) map[float64]map[string]float64 {
	t.Helper()
	b, err := os.ReadFile("../../../shared/golden/dp_accounting.json")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("../shared/golden is absent")
	}
	if err != nil {
		t.Fatal(err)
	}
	var facts []fact
	if err := json.Unmarshal(b, &facts); err != nil {
		t.Fatal(err)
	}
	out := map[float64]map[string]float64{}
	for _, f := range facts {
		if f.Accountant == "pmf" && f.Mechanism == mechanism {
			var (
				sigma  float64
				values map[string]float64
			)
			if err := errors.Join(json.Unmarshal(f.Sigma, &sigma), json.Unmarshal(f.Expected, &values)); err != nil {
				t.Fatal(err)
			}
			out[sigma] = values
		}
	}
	if len(out) < 3 {
		t.Fatalf("%d pmf facts about %s, want at least 3", len(out), mechanism)
	}
	return out
}

// probability of a magnitude in a table, without its sign.
func (t *table) probability(x int) float64 {
	scale := math.Ldexp(1, -highBits)
	p := 1.0
	if x < len(t.high) {
		p = float64(t.high[x]) * scale
	}
	if x > 0 {
		p -= float64(t.high[x-1]) * scale
	}
	return p
}

func TestGaussianTableHasGoldenProbabilities(t *testing.T) {
	for sigma, want := range golden(t, "discrete gaussian") {
		p := gaussianPMF(sigma)
		got := map[string]float64{"p0": p.at(0), "p1": p.at(1), "p2": p.at(2)}
		g, err := NewGaussian(new(big.Rat).SetFloat64(sigma * sigma))
		if err != nil {
			t.Fatal(err)
		}
		if g.log2k == 0 {
			got = map[string]float64{"p0": g.probability(0), "p1": g.probability(1) / 2, "p2": g.probability(2) / 2}
		}
		for name, v := range got {
			if math.Abs(v-want[name]) > 1e-10 {
				t.Errorf("sigma %g: %s is %.15f, want %.15f", sigma, name, v, want[name])
			}
		}
	}
}

func TestSkellamTableHasGoldenProbabilities(t *testing.T) {
	for sigma, want := range golden(t, "skellam") {
		s := skellam(t, int64(math.Round(sigma*sigma)), 1)
		for name, v := range map[string]float64{"p0": s.probability(0), "p1": s.probability(1) / 2, "p5": s.probability(5) / 2} {
			if math.Abs(v-want[name]) > 1e-9 {
				t.Errorf("variance %g: %s is %.15f, want %.15f", sigma*sigma, name, v, want[name])
			}
		}
	}
}

// chiSquare compares counts of values with their probabilities; neighbours are
// put together until 20 are expected.
func chiSquare(t *testing.T, name string, x []int32, p pmf) {
	t.Helper()
	n := len(p) / 2
	count := make([]int, len(p))
	outside := 0
	for _, v := range x {
		if i := int(v) + n; i >= 0 && i < len(p) {
			count[i]++
		} else {
			outside++
		}
	}
	if outside > 0 {
		t.Errorf("%s: %d draws beyond 12 sigma", name, outside)
	}
	statistic, cells := 0.0, 0
	var got, want, left float64
	for i := range p {
		got += float64(count[i])
		want += p[i] * float64(len(x))
		if left = left + p[i]; want >= 20 && (1-left)*float64(len(x)) >= 20 || i == len(p)-1 {
			statistic += (got - want) * (got - want) / want
			cells++
			got, want = 0, 0
		}
	}
	if cells < 3 {
		t.Fatalf("%s: %d cells", name, cells)
	}
	if p := (distuv.ChiSquared{K: float64(cells - 1)}).Survival(statistic); p < alarm {
		t.Errorf("%s: chi-square %.1f over %d cells, p = %.2g", name, statistic, cells, p)
	}
}

func fill(s sampler, seed byte, n int) []int32 {
	x := make([]int32, n)
	rng := NewDRBG(Seed{seed})
	for part := range slices.Chunk(x, block) {
		s.Fill32(part, rng)
	}
	return x
}

func TestGaussianDistribution(t *testing.T) {
	for i, v := range [][2]int64{{9, 100}, {1, 4}, {1, 1}, {2, 1}, {4, 1}, {31, 2}, {16, 1}, {2001, 100}, {63, 1}, {64, 1}, {100, 1}, {512 * 512, 1}, {36_000_001, 6}} {
		x := fill(gaussian(t, v[0], v[1]), byte(i), draws)
		chiSquare(t, big.NewRat(v[0], v[1]).String(), x, gaussianPMF(math.Sqrt(float64(v[0])/float64(v[1]))))
	}
}

func TestSkellamDistribution(t *testing.T) {
	for i, v := range [][2]int64{{1, 10}, {2, 1}, {10, 1}, {16, 1}, {50, 3}, {100, 1}, {1 << 12, 1}} {
		x := fill(skellam(t, v[0], v[1]), byte(100+i), draws)
		chiSquare(t, big.NewRat(v[0], v[1]).String(), x, skellamPMF(float64(v[0])/float64(v[1])))
	}
}

// A Skellam of large variance is a Gaussian but for a kurtosis of 1/variance; at 2^16 that is far below
// what 400,000 draws can see. The same for the sum of draws.
func TestLargeSkellamDistribution(t *testing.T) {
	for i, v := range []int64{1 << 16, 1 << 20, 3 << 20} {
		x := fill(skellam(t, v, 1), byte(110+i), draws)
		chiSquare(t, big.NewRat(v, 1).String(), x, gaussianPMF(math.Sqrt(float64(v))))
	}
}

// Where a chi-square over all values is too coarse: moments, the lowest bits (each
// is fair but for exp(-2 pi^2 sigma^2/4)) and the correlation of neighbours.
func TestMomentsAndLowBits(t *testing.T) {
	for i, s := range []struct {
		sampler
		variance, kurtosis float64
	}{
		{gaussian(t, 100, 1), 100, 3},
		{gaussian(t, 36_000_000, 1), 36e6, 3},
		{gaussian(t, 1<<52, 1), 1 << 52, 3},
		{skellam(t, 100, 1), 100, 3.01},
		{skellam(t, 1<<16, 1), 1 << 16, 3},
		{skellam(t, 5<<20, 1), 5 << 20, 3},
	} {
		x := fill(s.sampler, byte(200+i), draws)
		var mean, second, fourth, lag float64
		var low [8]float64
		var negative float64
		for j, v := range x {
			f := float64(v)
			mean += f
			second += f * f
			fourth += f * f * f * f
			if j > 0 {
				lag += f * float64(x[j-1])
			}
			low[v&7]++
			if v < 0 {
				negative++
			} else if v == 0 {
				negative += 0.5
			}
		}
		n, sd := float64(draws), math.Sqrt(s.variance)
		quantile := -distuv.UnitNormal.Quantile(alarm / 2)
		for name, z := range map[string]float64{
			"mean":     mean / n / sd * math.Sqrt(n),
			"variance": (second/n/s.variance - 1) * math.Sqrt(n/2),
			"kurtosis": (fourth/n/(s.variance*s.variance) - s.kurtosis) * math.Sqrt(n/96),
			"lag 1":    lag / n / s.variance * math.Sqrt(n),
			"sign":     (negative/n - 0.5) * math.Sqrt(4*n),
		} {
			if math.Abs(z) > quantile {
				t.Errorf("case %d, variance %g: %s is off by %.2f standard deviations", i, s.variance, name, z)
			}
		}
		statistic := 0.0
		for _, c := range low {
			statistic += (c - n/8) * (c - n/8) / (n / 8)
		}
		if p := (distuv.ChiSquared{K: 7}).Survival(statistic); p < alarm {
			t.Errorf("case %d, variance %g: low bits %v, p = %.2g", i, s.variance, low, p)
		}
	}
}

// The very test above must be able to fail: 2 % too little noise is seen.
func TestChiSquareSeesASmallError(t *testing.T) {
	x := fill(gaussian(t, 98*98, 1), 1, draws)
	p := gaussianPMF(100)
	inner := new(testing.T)
	done := make(chan struct{})
	go func() { defer close(done); chiSquare(inner, "", x, p) }()
	<-done
	if !inner.Failed() {
		t.Error("sigma 98 passes for 100")
	}
}
