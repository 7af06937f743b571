package audit

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// maxEpsilon bounds the search of lower bounds and estimates.
const maxEpsilon = 100

// Guesses is the outcome of a one-run audit: of Canaries records, each included by a fair coin of its own, an adversary who saw
// the output guessed Made coins, of which Right were right.
type Guesses struct{ Canaries, Made, Right int }

// LowerBound returns the largest epsilon that the guesses refute, at the given confidence, for an (epsilon, delta)-DP mechanism;
// 0 if they refute none. One audit of an (epsilon, delta)-DP mechanism returns more than epsilon with
// probability at most 1 - confidence. Steinke, Nasr, Jagielski 2023, theorem 5.2.
func LowerBound(g Guesses, delta, confidence float64) (float64, error) {
	if g.Right < 0 || g.Right > g.Made || g.Made > g.Canaries || g.Canaries > 1<<24 {
		return 0, fmt.Errorf("audit: %d right of %d guesses on %d canaries, want 0 <= right <= guesses <= canaries <= 2^24", g.Right, g.Made, g.Canaries)
	}
	if !(delta >= 0 && delta < 1 && confidence > 0 && confidence < 1) {
		return 0, fmt.Errorf("audit: delta %g and confidence %g, want delta from 0 to below 1 and confidence between 0 and 1", delta, confidence)
	}
	limit := 1 - confidence
	if g.Made == 0 || pValue(g, 0, delta) > limit {
		return 0, nil
	}
	// The p-value rises with epsilon.
	lo, hi := 0.0, float64(maxEpsilon)
	for range 60 {
		if mid := (lo + hi) / 2; pValue(g, mid, delta) <= limit {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// pValue bounds the probability of at least so many right guesses.
func pValue(g Guesses, epsilon, delta float64) float64 {
	q := 1 / (1 + math.Exp(-epsilon))
	beta := binomialTail(g.Made, q, g.Right)
	if delta == 0 {
		return beta
	}
	alpha := 0.0
	for i := 1; i <= g.Right; i++ {
		alpha = max(alpha, (binomialTail(g.Made, q, g.Right-i)-beta)/float64(i))
		if alpha >= 1/float64(i) {
			break // no later term is larger: probabilities are at most 1
		}
	}
	return min(1, beta+2*float64(g.Canaries)*delta*alpha)
}

// binomialTail is P[Bin(n, q) >= k].
func binomialTail(n int, q float64, k int) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n:
		return 0
	case q >= 1:
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), q)
}
