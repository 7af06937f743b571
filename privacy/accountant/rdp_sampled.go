package accountant

import "math"

// sampledGaussianCurve bounds the Rényi divergence of the Poisson-sampled Gaussian between (1-q) N(0, z^2) + q N(1, z^2)
// and N(0, z^2), which is the larger direction: Mironov, Talwar, Zhang 2019, arXiv:1908.10530, Theorem 5. Integer
// orders by the binomial sum, exactly; others by their series of Section 3.3.
func sampledGaussianCurve(q, z float64, orders []float64) []float64 {
	out := make([]float64, len(orders))
	sum := binomial(q, orders, func(i float64) float64 { return i * (i - 1) / (2 * z * z) })
	s := series{q: q, z: z, z0: z*z*math.Log(1/q-1) + 0.5, byFraction: map[int64]*fraction{}}
	for i, a := range orders {
		switch {
		case math.IsInf(a, 1), a == 1:
			out[i] = math.Inf(1)
		case a == math.Trunc(a):
			out[i] = sum(int(a)) / (a - 1)
		default:
			out[i] = s.logMoment(a) / (a - 1)
		}
	}
	return out
}

// binomial returns a -> log sum_{i=0}^a C(a,i) (1-q)^(a-i) q^i exp(g(i)) for g(0) = g(1) = 0 and g >= 0, for integers up
// to the largest of orders and one more. It sums the excess over 1, all of whose terms are positive: nothing cancels, however small q is.
func binomial(q float64, orders []float64, g func(i float64) float64) func(a int) float64 {
	top := 2
	for _, a := range orders {
		if !math.IsInf(a, 1) {
			top = max(top, int(a)+1)
		}
	}
	logFact := make([]float64, top+1)
	for i := 2; i <= top; i++ {
		logFact[i] = logFact[i-1] + math.Log(float64(i))
	}
	excess := make([]float64, top+1) // log(exp(g(i)) - 1) - log i!, filled as far as needed
	filled := 1
	logQ, logNot := math.Log(q), math.Log1p(-q)
	return func(a int) float64 {
		for filled < a {
			filled++
			excess[filled] = logExpm1(g(float64(filled))) - logFact[filled]
		}
		// The largest term is divided out, so nothing overflows.
		peak, sum := math.Inf(-1), 0.0
		for i := 2; i <= a; i++ {
			t := excess[i] - logFact[a-i] + float64(a-i)*logNot + float64(i)*logQ
			switch {
			case t <= peak-45:
			case t <= peak:
				sum += math.Exp(t - peak)
			default:
				sum = sum*math.Exp(peak-t) + 1
				peak = t
			}
		}
		if sum == 0 {
			return 0
		}
		return log1pExp(peak + logFact[a] + math.Log(sum))
	}
}

// logExpm1 is log(e^x - 1) for x >= 0.
func logExpm1(x float64) float64 {
	if x > 37 {
		return x
	}
	return math.Log(math.Expm1(x))
}

// log1pExp is log(1 + e^x).
func log1pExp(x float64) float64 {
	if x > 37 {
		return x
	}
	return math.Log1p(math.Exp(x))
}

// series evaluates E[m^a] for fractional a as two binomial series, one for each side of the point z0 where both
// parts of the density m weigh the same. Terms beyond a alternate; their absolute values are summed, as reference
// implementations do, so that the result is an upper bound and equals theirs. Orders that 1000 terms do not settle are +Inf.
type series struct {
	q, z, z0   float64
	left       []float64 // at i: log of the normal tail at (i - z0)/z, plus (i^2 - i)/(2 z^2), minus log i!
	byFraction map[int64]*fraction
}

// fraction holds what orders with the same fractional part share, at top, top-1, top-2, ...
type fraction struct {
	top   float64
	right []float64 // at j: log of the normal tail at (z0 - j)/z, plus (j^2 - j)/(2 z^2)
	gamma []float64 // at j: log |Gamma(j + 1)|
}

func (s *series) logMoment(a float64) float64 {
	const terms = 1000
	key := int64(math.Round((a - math.Floor(a)) * 1e9))
	f := s.byFraction[key]
	if f == nil || f.top < a-0.5 {
		f = &fraction{top: a + 16}
		s.byFraction[key] = f
	}
	skip := int(math.Round(f.top - a))
	logQ, logNot := math.Log(s.q), math.Log1p(-s.q)
	v := 2 * s.z * s.z
	sum, peak := 0.0, math.Inf(-1)
	last0, last1 := math.Inf(-1), math.Inf(-1)
	for i := range terms {
		x, j := float64(i), a-float64(i)
		if i == len(s.left) {
			fact, _ := math.Lgamma(x + 1)
			s.left = append(s.left, logTail((x-s.z0)/s.z)+x*(x-1)/v-fact)
		}
		for k := len(f.right); k <= i+skip; k++ {
			j := f.top - float64(k)
			g, _ := math.Lgamma(j + 1)
			f.right = append(f.right, logTail((s.z0-j)/s.z)+j*(j-1)/v)
			f.gamma = append(f.gamma, g)
		}
		c := f.gamma[skip] - f.gamma[i+skip]
		s0 := c + x*logQ + j*logNot + s.left[i]
		s1 := c + j*logQ + x*logNot + f.right[i+skip] - logFactorial(i)
		if t := math.Max(s0, s1); t > peak {
			sum *= math.Exp(peak - t)
			peak = t
		}
		// Less than e^-40 of a sum that is at least 1 is lost in rounding.
		if s0-peak > -40 {
			sum += math.Exp(s0 - peak)
		}
		if s1-peak > -40 {
			sum += math.Exp(s1 - peak)
		}
		// The sum is below e^8, so that most terms need no logarithm to be known as too large.
		if m := math.Max(s0, s1) - peak; m < -22 && s0 < last0 && s1 < last1 && m < math.Log(sum)-30 {
			return peak + math.Log(sum)
		}
		last0, last1 = s0, s1
	}
	return math.Inf(1)
}

func logFactorial(i int) float64 { v, _ := math.Lgamma(float64(i) + 1); return v }

// logTail is the log of the upper tail of the standard normal at t.
func logTail(t float64) float64 {
	if t < 25 {
		return math.Log(0.5 * math.Erfc(t/math.Sqrt2))
	}
	f := t
	for k := 12.0; k >= 1; k-- {
		f = t + k/f
	}
	return -t*t/2 - logSqrt2Pi - math.Log(f)
}
