package accountant

import "math"

// ReferenceInterval is the width of the grid that reference implementations fix for all privacy loss distributions.
const ReferenceInterval = 1e-4

// referenceTail is what they leave out of a composition and charge as failure, and what untilted transforms lose to rounding.
func referenceTail(delta float64) float64 { return math.Min(2e-12, delta/1000) }

// usualAllowance is the most that is published above the tightest bound, as a rule.
const usualAllowance = 0.9e-3

// allowance is how far above the tightest upper bound, tight, the published one lies, given what ReferenceInterval would have added. Up to
// 0.9e-3 that is published as it is, for numbers to be comparable and never to lie below a reference's; then 0.9e-3, for no bound to be
// looser than 1e-3. A reference on that grid that is itself off by more than 1.9e-3 cannot be met and the truth kept at once; where it
// still means something, because epsilon is small and the reference within a tenth of it, the published bound keeps within 1e-3 of the
// reference, up to 2.05e-3 above the tightest.
func allowance(over, tight float64) float64 {
	const least, within, far = 1e-5, 0.95e-3, 3e-3
	if math.IsNaN(over) {
		return usualAllowance
	}
	a := math.Min(math.Max(over, least), usualAllowance)
	if beyond := math.Min(over, far) - within - usualAllowance - 1.5*math.Max(0, over-far); beyond > 0 && tight > 0 {
		a += beyond * fade(over/tight, 0.1, 0.14) * fade(tight, 0.05, 0.08)
	}
	return a
}

// fade falls from 1 at from to 0 at to.
func fade(x, from, to float64) float64 {
	return math.Min(math.Max((to-x)/(to-from), 0), 1)
}

// onGrid is delta at epsilon, exact at multiples of ReferenceInterval and linear in e^epsilon between them: what connecting the dots does to one release.
func onGrid(delta func(float64) Bound, epsilon float64) float64 {
	lo := math.Floor(epsilon/ReferenceInterval) * ReferenceInterval
	hi := lo + ReferenceInterval
	w := math.Min(math.Max(math.Expm1(epsilon-lo)/math.Expm1(hi-lo), 0), 1)
	return (1-w)*delta(lo).Upper + w*delta(hi).Upper
}

// closedForm is the Gaussian itself, published like other compositions.
type closedForm struct {
	gaussianEngine
	tightest bool
}

func (e closedForm) epsilon(delta float64) (Bound, float64, error) {
	b, order, err := e.gaussianEngine.epsilon(delta)
	if !e.tightest {
		b.Upper += allowance(0, b.Upper)
	}
	return b, order, err
}
