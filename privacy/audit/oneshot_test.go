package audit

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

// The integral by roots against one by steps, for narrow, wide, equal and far distributions.
func TestHockeyStick(t *testing.T) {
	for _, c := range []struct{ mu, sigma, epsilon float64 }{
		{0.3, 1, 0.5}, {-0.3, 1, 0.5}, {0.3, 1.1, 0.2}, {0.3, 0.9, 0.2}, {2, 0.5, 1}, {2, 2, 1}, {0, 1.5, 0.1}, {0, 0.7, 0.1}, {0, 1, 0.1}, {0, 0.99, 3}, {0.2, 1, 0},
	} {
		p, q := distuv.Normal{Mu: c.mu, Sigma: c.sigma}, distuv.Normal{Sigma: 1}
		for range 2 {
			want, h := 0.0, 1e-3
			for x := -15.0; x < 15; x += h {
				want += h * max(p.Prob(x+h/2)-math.Exp(c.epsilon)*q.Prob(x+h/2), 0)
			}
			if got := hockeyStick(p, q, c.epsilon); math.Abs(got-want) > 1e-6 {
				t.Errorf("%+v: %.9f, want %.9f", c, got, want)
			}
			p, q = q, p
		}
	}
}

func TestOneShot(t *testing.T) {
	const dims, mu, delta = 10_000, 1.5, 1e-2
	rng := rand.New(rand.NewPCG(1, 1))
	cosines := make([]float64, 20_000)
	for i := range cosines {
		cosines[i] = (mu + rng.NormFloat64()) / math.Sqrt(dims)
	}
	e, err := OneShot(cosines, dims, delta)
	want := accountant.GaussianEpsilon(mu, delta)
	if err != nil || math.Abs(e.Epsilon/want-1) > 0.05 || math.Abs(e.Shift/want-1) > 0.03 {
		t.Errorf("%+v, %v, want %g", e, err, want)
	}
	for i := range cosines {
		cosines[i] = 0.5
	}
	if e, err := OneShot(cosines, dims, delta); err != nil || e.Epsilon < 50 || e.Shift < 50 {
		t.Errorf("canaries in plain sight: %+v, %v", e, err)
	}
	cosines[7] = math.NaN()
	if _, err := OneShot(cosines, dims, delta); err == nil {
		t.Error("a cosine that is not a number was taken")
	}
	if _, err := OneShot(cosines[:5], dims, delta); err == nil {
		t.Error("five canaries were taken")
	}
}
