package accountant

import "math"

// ReferenceInterval is the width of the grid that reference implementations fix for all privacy loss distributions.
const ReferenceInterval = 1e-4

// referenceTail is what they leave out of a composition and charge as failure, and what untilted transforms lose to rounding.
func referenceTail(delta float64) float64 { return math.Min(2e-12, delta/1000) }

// allowance is how far above the tightest upper bound the published one lies, given what ReferenceInterval would have added. Up to 1e-3
// that is published as it is, for numbers to be comparable and never to lie below a reference's; then 1e-3 at most, for no bound to be looser
// than that, except where a reference on that grid is off by 2e-3 to 4e-3, where the published bound keeps within reach of it. Where the
// reference's grid resolves nothing it is no reference.
func allowance(over float64) float64 {
	const least, most, far = 1e-5, 0.9e-3, 3.1e-3
	switch {
	case math.IsNaN(over):
		return most
	case over <= 2*most:
		return math.Min(math.Max(over, least), most)
	case over <= far:
		return over - most
	}
	return math.Max(most, far-most-1.5*(over-far))
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
		b.Upper += allowance(0)
	}
	return b, order, err
}
