package pack

import (
	"fmt"
	"math"
	"math/bits"
)

// Bound describes the sum of one field over all uploads: a part that is bounded
// for certain and a part that is bounded but for a small probability.
type Bound struct {
	// Uploads is the most uploads in the sum, at least 1.
	Uploads int
	// Max bounds the certain part of one upload's value, in magnitude: for a codec
	// of b bits it is 2^(b-1)-1, times the largest weight if values are weighted.
	Max int64
	// Sigma is the sub-Gaussian parameter of the rest of the *sum*: noise shares
	// that are not part of Max, for instance. Zero where there is none.
	Sigma float64
	// Values is the number of fields over which the failure probability holds jointly.
	Values int
}

// SumWidth is the least field width, sign included, that the sum stays within:
// for certain where Sigma is zero, else jointly for all Values fields but for a
// probability of 2^-40.
//
// Derivation. Write a field's sum as c + g with |c| <= Uploads*Max, always, and g
// sub-Gaussian with parameter Sigma, that is E[exp(t*g)] <= exp(t^2*Sigma^2/2)
// for all t. Chernoff's bound gives P(|g| >= z*Sigma) <= 2*exp(-z^2/2), and the
// union bound over the fields Values*2*exp(-z^2/2) = 2^-40 for
//
//	z = sqrt(2*ln(2^41*Values)),
//
// 9.13 at 545,098 values. A field of w bits holds |sum| <= 2^(w-1)-1; hence w is
// the least with Uploads*Max + z*Sigma <= 2^(w-1)-1. The discrete Gaussian is
// sub-Gaussian with its own sigma (Canonne, Kamath and Steinke, arXiv 2004.00010,
// fact 18), and n independent ones have sqrt(n) times that parameter together.
//
// It refuses, with [ErrRange], a sum that no field holds: the budget of bits is
// checked before a run, not discovered in it.
func SumWidth(b Bound) (int, error) {
	if b.Uploads < 1 || b.Max < 0 || b.Values < 1 || !(b.Sigma >= 0) || math.IsInf(b.Sigma, 0) {
		return 0, fmt.Errorf("sum of %d uploads of %d values up to %d with sigma %g: want positive counts and finite sizes: %w",
			b.Uploads, b.Values, b.Max, b.Sigma, ErrRange)
	}
	high, certain := bits.Mul64(uint64(b.Uploads), uint64(b.Max))
	tail := 0.0
	if b.Sigma > 0 {
		tail = math.Ceil(TailFactor(b.Values) * b.Sigma)
	}
	const most = 1<<(MaxWidth-1) - 1
	if high != 0 || certain > most || tail > float64(most-certain) {
		return 0, fmt.Errorf("sum of %d uploads up to %d each, and %.0f of noise, needs a field of more than %d bits; use fewer bits a value: %w",
			b.Uploads, b.Max, tail, MaxWidth, ErrRange)
	}
	return max(MinWidth, 1+bits.Len64(certain+uint64(tail))), nil
}

// TailFactor is z such that n sub-Gaussian variables all stay within z times
// their parameter but for a probability of 2^-40: sqrt(2*ln(2^41*n)).
func TailFactor(n int) float64 {
	return math.Sqrt(2 * (41*math.Ln2 + math.Log(float64(n))))
}
