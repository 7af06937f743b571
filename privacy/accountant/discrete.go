package accountant

import (
	"fmt"
	"math"
)

// SmoothingScale is the t of the certificate: a discrete Gaussian of scale s is charged as a continuous one of
// scale sqrt(s^2 - t^2). With t = 2 the price is 5e-34 a coordinate.
const SmoothingScale = 2.0

// smoothing is the relative error a coordinate of the certificate: 4 exp(-2 pi^2 t^2).
func smoothing(t float64) float64 { return 4 * math.Exp(-2*math.Pi*math.Pi*t*t) }

// CouplingDelta is the delta to add when steps discrete Gaussians on dims coordinates are certified as continuous ones
// at epsilon, with smoothing scale t: (1 + e^epsilon) steps dims 4 exp(-2 pi^2 t^2). docs/privacy.md, proof 1.
func CouplingDelta(epsilon float64, steps, dims int64, t float64) float64 {
	return (1 + math.Exp(epsilon)) * float64(steps) * float64(dims) * smoothing(t)
}

// Tau is the price of a sum of shares discrete Gaussians of scale sigma not being a discrete Gaussian:
// 10 sum_{k=1}^{shares-1} exp(-2 pi^2 sigma^2 k/(k+1)), twice the largest absolute log ratio of the two a coordinate.
// Kairouz, Liu, Steinke 2021, arXiv:2102.06387; docs/privacy.md, proof 2.
func Tau(sigma float64, shares int64) float64 {
	c := -2 * math.Pi * math.Pi * sigma * sigma
	const direct = 1 << 16
	sum := 0.0
	for k := int64(1); k < shares; k++ {
		if k == direct {
			// Terms fall with k, so this one bounds each of the rest.
			sum += float64(shares-k) * math.Exp(c*float64(k)/float64(k+1))
			break
		}
		sum += math.Exp(c * float64(k) / float64(k+1))
	}
	return 10 * sum
}

// RoundedNorm bounds the L2 norm of a vector of dims coordinates after conditional stochastic rounding to integers, when
// it was at most clip (in integer units) before: rounding is repeated until the norm is below this, and each try
// succeeds with probability at least 1 - beta. Kairouz, Liu, Steinke 2021, arXiv:2102.06387.
func RoundedNorm(clip, beta float64, dims int64) float64 {
	root := math.Sqrt(float64(dims))
	always := clip + root
	if beta == 0 {
		return always
	}
	likely := clip*clip + float64(dims)/4 + math.Sqrt(2*math.Log(1/beta))*(clip+root/2)
	return math.Min(always, math.Sqrt(likely))
}

// DistributedGaussianRDP bounds the Rényi divergence of one distributed discrete Gaussian sum: sensitivity l2 in integer units, shares of
// scale sigma, dims coordinates. Kairouz, Liu, Steinke 2021, Proposition 14. For one share it is the discrete Gaussian's own, order l2^2/(2 sigma^2).
func DistributedGaussianRDP(order, l2, sigma float64, shares, dims int64) float64 {
	return discreteRDP(order, l2, sigma*math.Sqrt(float64(shares)), sigma, shares, dims)
}

// discreteRDP is the same where the scale charged may be less than the shares give.
func discreteRDP(order, l2, scale, sigma float64, shares, dims int64) float64 {
	d := float64(dims)
	tau := Tau(sigma, shares)
	s2 := l2 / scale
	s1 := l2 * math.Min(math.Sqrt(d), l2) / scale
	return min(
		order/2*s2*s2+tau*d,
		order/2*(s2*s2+2*s1*tau+tau*tau*d),
		order/2*(s2+math.Sqrt(d)*tau)*(s2+math.Sqrt(d)*tau))
}

// discreteMu is the epsilon for which the sum is epsilon^2/2-zCDP. Kairouz, Liu, Steinke 2021, Theorem 1.
func discreteMu(l2, scale, sigma float64, shares, dims int64) float64 {
	d, tau, s2 := float64(dims), Tau(sigma, shares), l2/scale
	return math.Min(math.Sqrt(s2*s2+2*tau*d), s2+tau*math.Sqrt(d))
}

// ratioShift bounds twice the log ratio of densities whose per-coordinate factors lie within 1 +- eta, sum of eta being kappa.
func ratioShift(kappa float64) float64 { return 2 * kappa * (1 + 1e-9) }

// certify charges n releases of e and returns the multiplier of the continuous Gaussian that stands for one of them.
func (r *reduced) certify(e DiscreteGaussian, n float64) (float64, error) {
	if e.Sigma < 2*SmoothingScale {
		return 0, fmt.Errorf("%s of sigma %v: %w: below %v the certificate as a Gaussian gives too much away", e.kind(), e.Sigma, ErrUnsupported, 2*SmoothingScale)
	}
	d := float64(e.Dims)
	r.kappa += n * d * smoothing(SmoothingScale)
	if e.Shares > 1 {
		if e.ShareSigma < 0.75 {
			return 0, fmt.Errorf("%s with shares of scale %v: %w: below 0.75 their sum is not close to a discrete Gaussian", e.kind(), e.ShareSigma, ErrUnsupported)
		}
		r.shift += n * d * Tau(e.ShareSigma, e.Shares)
		r.assume("at least the charged number of shares of discrete Gaussian noise is in every sum")
	}
	r.assume("integer vectors meet their norm bound exactly; noise comes from an exact sampler")
	return math.Sqrt(e.Sigma*e.Sigma-SmoothingScale*SmoothingScale) / e.Sensitivity, nil
}

// discreteExact sums the one-dimensional discrete Gaussian of scale sigma against its shift by k.
type discreteExact struct{ sigma, shift, total float64 }

// maxSummed bounds the scale and the shift that are summed, in a second or so.
const maxSummed = 1e5

func newDiscreteExact(sigma, shift float64) discreteExact {
	g := discreteExact{sigma: sigma, shift: shift, total: math.Sqrt(2*math.Pi) * sigma}
	if sigma < 10 { // else the two differ by less than e^-1900
		g.total = 2*g.tail(0, 0) + 1
	}
	return g
}

// tail is the unnormalised weight of integers above x for a discrete Gaussian centred on c.
func (g discreteExact) tail(x, c float64) float64 {
	s2 := 2 * g.sigma * g.sigma
	sum := 0.0
	for i := math.Floor(x) + 1; ; i++ {
		w := math.Exp(-(i - c) * (i - c) / s2)
		sum += w
		if i > c && (w < 1e-18*sum || w < 1e-300) {
			return sum
		}
	}
}

func (g discreteExact) delta(epsilon float64) (Bound, float64, error) {
	if g.sigma > maxSummed || g.shift > maxSummed {
		return Bound{}, 0, fmt.Errorf("discrete Gaussian of sigma %v and shift %v: %w: too wide to sum, at most 1e5; accountant gdp certifies it as a Gaussian", g.sigma, g.shift, ErrUnsupported)
	}
	s2 := 2 * g.sigma * g.sigma
	// P is centred on the shift, Q on 0: the loss (2 i k - k^2)/s2 exceeds epsilon above this point.
	from := (epsilon*s2 + g.shift*g.shift) / (2 * g.shift)
	sum := 0.0
	for i := math.Floor(from) + 1; ; i++ {
		p := math.Exp(-(i - g.shift) * (i - g.shift) / s2)
		sum += p * -math.Expm1(epsilon-(2*i*g.shift-g.shift*g.shift)/s2)
		if i > g.shift && (p < 1e-18*sum || p < 1e-300) {
			break
		}
	}
	return exactly(math.Max(0, sum/g.total)), 0, nil
}

func (g discreteExact) epsilon(delta float64) (Bound, float64, error) {
	lo, hi := 0.0, 1.0
	at := func(e float64) (float64, error) { b, _, err := g.delta(e); return b.Upper, err }
	if d, err := at(0); err != nil || d <= delta {
		return Bound{}, 0, err
	}
	for d, _ := at(hi); d > delta; d, _ = at(hi) {
		hi *= 2
	}
	for range 200 {
		mid := (lo + hi) / 2
		if hi-lo <= 2*ulp*hi {
			break
		}
		if d, _ := at(mid); d > delta {
			lo = mid
		} else {
			hi = mid
		}
	}
	return Bound{lo, hi, hi}, 0, nil
}
