package noise

import (
	"math/big"
	"math/bits"
)

func newFloat() *big.Float { return new(big.Float).SetPrec(prec) }

// expNeg returns exp(-num/den), num and den not negative and den not zero, to within 2^-300 relative.
func expNeg(num, den *big.Int) *big.Float {
	x := newFloat().Quo(newFloat().SetInt(num), newFloat().SetInt(den))
	// Halve until x < 2^-16: then 20 terms leave 2^-320, and the squarings lose as many bits as there are.
	halvings := max(0, x.MantExp(nil)+16)
	if x.Sign() == 0 {
		return x.SetInt64(1)
	}
	const guard = 64
	y := new(big.Float).SetPrec(prec+guard).SetMantExp(x, -halvings)
	sum := new(big.Float).SetPrec(prec + guard).SetInt64(1)
	term := new(big.Float).SetPrec(prec + guard).SetInt64(1)
	for i := int64(1); i <= 20; i++ {
		term.Mul(term, y)
		term.Quo(term, new(big.Float).SetInt64(-i))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return newFloat().Set(sum)
}

// log2e is log2(e) to 320 bits.
var log2e = func() *big.Float {
	f, _, err := big.ParseFloat("1.4426950408889634073599246810018921374266459541529859341354494069311092191811850798855266228935063444969975183", 10, prec, big.ToNearestEven)
	if err != nil {
		panic(err)
	}
	return f
}()

// expError bounds |exp2Neg(t) - 2^64 * 2^(-t')| for |t - t'| <= 2*2^-57: 2^-46 by
// interpolation (ln(2)^10/10! * 2^-19 at Chebyshev nodes), the rest by truncation.
const expError = 1 << 20

// exp2Neg returns 2^64 * 2^(-t/2^57) to within expError, for t < 2^62. The
// polynomial of degree 9 interpolates 2^-f on [0, 1) at the ten Chebyshev nodes.
func exp2Neg(t uint64) uint64 {
	f := t << 7
	h := uint64(0x135f411eb9d)
	h, _ = bits.Mul64(h, f)
	h, _ = bits.Mul64(0x152dbec68781-h, f)
	h, _ = bits.Mul64(0xfec3c68c698e-h, f)
	h, _ = bits.Mul64(0xa177dde656a7c-h, f)
	h, _ = bits.Mul64(0x5761a768ff12c7-h, f)
	h, _ = bits.Mul64(0x276555683440eb9-h, f)
	h, _ = bits.Mul64(0xe358467eb21995b-h, f)
	h, _ = bits.Mul64(0x3d7f7bfebdf43169-h, f)
	h, _ = bits.Mul64(0xb17217f7cfa50580-h, f)
	return (0xfffffffffffd3a87 - h) >> (t >> 57 & 63)
}
