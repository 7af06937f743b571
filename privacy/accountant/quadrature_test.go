package accountant

import "math"

// quadrature is the independent evaluation of fractional orders: it integrates against N(0, z^2) by the trapezoid rule, whose error falls exponentially for functions analytic in
// a strip about the real line. Nodes are shared by all orders.
type quadrature struct {
	y, logm, logw []float64 // density ratio minus 1, log of the ratio, log of the weight
}

func newQuadrature(q, z, top float64) quadrature {
	// The ratio 1 - q + q exp((2x-1)/(2 z^2)) has its nearest zeros at height pi z^2 above the real line, which limits the
	// step for small z; the Gaussian limits it for large z. Both leave less than 1e-13.
	step := math.Min(0.4*z*z, 0.6*z)
	lo, hi := -10*z, top+10*z
	n := int((hi-lo)/step) + 1
	if n > 1<<15 {
		n = 1 << 15
		step = (hi - lo) / float64(n)
	}
	var g quadrature
	for i := 0; i <= n; i++ {
		x := lo + float64(i)*step
		u := (2*x - 1) / (2 * z * z)
		logw := -x*x/(2*z*z) - logSqrt2Pi + math.Log(step/z)
		var y, logm float64
		if u < 600 {
			y = q * math.Expm1(u)
			logm = math.Log1p(y)
		} else {
			y, logm = math.Inf(1), u+math.Log(q)
		}
		g.y = append(g.y, y)
		g.logm = append(g.logm, logm)
		g.logw = append(g.logw, logw)
	}
	return g
}

// logMoment is log E[m^a]. It integrates m^a - 1 - a (m - 1), which is nonnegative and has the same mean as m^a - 1, so that tiny divergences keep their digits.
func (g quadrature) logMoment(a float64) float64 {
	c2 := a * (a - 1) / 2
	c3 := c2 * (a - 2) / 3
	c4 := c3 * (a - 3) / 4
	c5 := c4 * (a - 4) / 5
	peak := 0.0
	for i, l := range g.logm {
		peak = math.Max(peak, a*l+g.logw[i])
	}
	sum := 0.0
	for i, y := range g.y {
		switch l := a * g.logm[i]; {
		case math.Abs(y) < 1e-3:
			sum += y * y * (c2 + y*(c3+y*(c4+y*c5))) * math.Exp(g.logw[i]-peak)
		case l < 500:
			sum += (math.Expm1(l) - a*y) * math.Exp(g.logw[i]-peak)
		default:
			sum += math.Exp(l + g.logw[i] - peak)
		}
	}
	return log1pExp(math.Log(sum) + peak)
}
