package privacy

import "math"

// BatchCap is the cap of the Poisson batches out of n records at rate q: room for any one record
// beside all but CapMiss of the batches that the others draw, so that one more than the least b with
// Pr[Bin(n-1, q) > b] <= CapMiss. It is also exceeded with probability at most CapMiss. docs/privacy.md, "Mechanism",
// says why the others' batch is what counts.
func BatchCap(n int, q float64) int {
	if q >= 1 || n <= 1 {
		return max(n, 1)
	}
	lo, hi := int(float64(n-1)*q), n-1
	for lo < hi {
		if mid := lo + (hi-lo)/2; BatchExcess(n-1, q, mid) <= CapMiss {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo + 1
}

// BatchExcess bounds Pr[Bin(n, q) > b] from above, within 1e-6 relative, for b at or above the mean.
func BatchExcess(n int, q float64, b int) float64 {
	if b >= n {
		return 0
	}
	if q >= 1 {
		return 1
	}
	k := float64(b + 1)
	term := math.Exp(logBinomial(float64(n), k) + k*math.Log(q) + (float64(n)-k)*math.Log1p(-q))
	sum := 0.0
	for odds := q / (1 - q); k <= float64(n) && term > 1e-18*sum; k++ {
		sum += term
		term *= (float64(n) - k) / (k + 1) * odds
	}
	return math.Min(sum*(1+1e-6), 1)
}

func logBinomial(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}
