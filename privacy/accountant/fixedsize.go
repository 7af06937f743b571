package accountant

import "math"

// fixedSizeCurve bounds the Rényi divergence of the Gaussian on a fixed-size sample under replace-one neighbours: Wang,
// Balle, Kasiviswanathan 2019, arXiv:1808.00087, Theorem 27, with q the sampled fraction and z over the replace-one sensitivity.
func fixedSizeCurve(q, z float64, orders []float64) []float64 {
	if q == 1 {
		out := make([]float64, len(orders))
		for i, a := range orders {
			out[i] = a / (2 * z * z)
		}
		return out
	}
	// Above this the ternary bound is left out: its moments cost more than they save.
	const ternary = 256
	even := map[int]float64{}
	moment := func(l int) float64 {
		v, ok := even[l]
		if !ok {
			v = logCentralMoment(l, z)
			even[l] = v
		}
		return v
	}
	logQ := math.Log(q)
	return interpolate(orders, func(a int) float64 {
		logA, logC := 0.0, 0.0 // of the sum so far, and of C(a, j)
		for j := 1; j <= a; j++ {
			logC += math.Log(float64(a-j+1) / float64(j))
			if j == 1 {
				continue
			}
			x := float64(j)
			s := math.Ln2 + x*(x-1)/(2*z*z)
			switch {
			case j == 2:
				s = math.Min(s, math.Log(4)+logExpm1(1/(z*z)))
			case a <= ternary:
				s = math.Min(s, math.Log(4)+(moment(j/2*2)+moment((j+1)/2*2))/2)
			}
			logA = logAdd(logA, s+x*logQ+logC)
		}
		return logA
	})
}

// logCentralMoment is log E[(e^u - 1)^l] for even l, u the log ratio of N(1, z^2) to N(0, z^2) under the latter.
func logCentralMoment(l int, z float64) float64 {
	n := float64(l)
	reach := (math.Sqrt(n) + 10) * z
	step := 0.35 * z
	sum, peak := 0.0, math.Inf(-1)
	for x := -reach; x < n+reach; x += step {
		u := (2*x - 1) / (2 * z * z)
		t := -x * x / (2 * z * z)
		if u > 0 {
			t += n * logExpm1(u)
		} else {
			t += n * math.Log(-math.Expm1(u))
		}
		if t > peak {
			sum = sum*math.Exp(peak-t) + 1
			peak = t
		} else {
			sum += math.Exp(t - peak)
		}
	}
	return peak + math.Log(sum) - logSqrt2Pi + math.Log(step/z)
}

func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}
