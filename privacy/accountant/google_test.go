package accountant

import (
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"
)

// Google's library sizes Gaussian noise by the same exact condition (Balle and Wang,
// 2018, arXiv:1805.06530), searched to 0.1 % above. Two implementations that agree
// leave little room for a slip in either.
func TestGaussianAgreesWithGoogle(t *testing.T) {
	for _, epsilon := range []float64{0.1, 0.5, 1, 3, 8} {
		for _, delta := range []float64{1e-3, 1e-5, 1e-9} {
			sigma := noise.SigmaForGaussian(1, 1, epsilon, delta)
			got := GaussianEpsilon(1/sigma, delta)
			if got > epsilon*(1+1e-9) {
				t.Errorf("sigma %g is sized for epsilon %g at %g, ours is %g: more than it promises", sigma, epsilon, delta, got)
			}
			looser := GaussianEpsilon(1.002/sigma, delta)
			if looser < epsilon {
				t.Errorf("sigma %g for epsilon %g at %g is more than 0.2 %% too large by ours (%g)", sigma, epsilon, delta, got)
			}
		}
	}
}
