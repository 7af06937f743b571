package privacy

import (
	"errors"
	"math"
	"testing"

	"github.com/sotto-fl/sotto/privacy/noise"
)

// The noise of K owners has the planned variance for K = min_cohort - f and for more. 60,000 coordinates, so
// that the relative standard deviation of a variance is 0.58 %; 5.3 of them would be a false alarm of 1e-7
// for a fresh seed. Halved or doubled noise is 86 of them.
func TestSharesAddUpToThePlan(t *testing.T) {
	const coordinates = 60_000
	limit := 5.3 * math.Sqrt(2.0/coordinates)
	for name, c := range valid() {
		if c.MinCohort > 10 {
			c.MinCohort, c.MaxCohort = 7, 10
		}
		d, err := c.Derive()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		share, err := d.Sampler()
		if err != nil {
			t.Fatal(err)
		}
		sum, one := make([]int64, coordinates), make([]int32, coordinates)
		for k := 1; k <= c.MaxCohort; k++ {
			share.Fill32(one, noise.NewDRBG(noise.Seed{byte(k)}))
			variance := 0.0
			for i, v := range one {
				sum[i] += int64(v)
				variance += float64(sum[i]) * float64(sum[i]) / coordinates
			}
			if k < d.Shares {
				continue
			}
			if r := variance / (float64(k) * float64(d.ShareVariance)); math.Abs(r-1) > limit {
				t.Errorf("%s: %d shares have %.4f of their planned variance", name, k, r)
			}
			if r := variance / (d.Sigma * d.Sigma); r < 1-limit {
				t.Errorf("%s: %d shares reach %.4f of the charged variance", name, k, r)
			}
		}
	}
}

// The default scenario costs what it promises, and half the noise does not pass.
func TestCertify(t *testing.T) {
	rows, err := examples().Certify()
	if err != nil {
		t.Fatal(err)
	}
	for i, claimed := range []bool{true, true, true, false} {
		r := rows[i]
		if r.Claimed != claimed || claimed && (r.Upper > 4 || r.Lower < 3.9) || !claimed && r.Upper < 40 {
			t.Errorf("%s: claimed %v, epsilon %g to %g", r.Adversary, r.Claimed, r.Lower, r.Upper)
		}
	}
	if _, err := changed(examples(), func(c *Contract) { c.Noise /= 2 }).Certify(); !errors.Is(err, ErrOverBudget) {
		t.Errorf("half the noise: got %v, want ErrOverBudget", err)
	}
	if rows, err := clients().Certify(); err != nil || rows[0].Upper > 8 || rows[0].Lower < 7.9 {
		t.Errorf("clients: %+v, %v", rows, err)
	}
	laneB := valid()["lane B"]
	rows, err = laneB.Certify()
	if err != nil {
		t.Fatal(err)
	}
	if !rows[0].Claimed || rows[1].Claimed || rows[2].Claimed || rows[2].Lower <= rows[0].Upper {
		t.Errorf("lane B claims %+v", rows)
	}
}
