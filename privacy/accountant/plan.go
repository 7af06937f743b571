package accountant

import (
	"fmt"
	"math"
)

// PlanRequest asks what a run of Steps Poisson-sampled Gaussian sums costs, or how much noise it needs.
type PlanRequest struct {
	Method          Method
	Q               float64 // sampling rate in (0, 1]; 1 means that everyone takes part in every step
	NoiseMultiplier float64 // ignored when TargetEpsilon is set
	Steps           int64
	Delta           float64
	TargetEpsilon   float64 // 0: answer for NoiseMultiplier; else find the least multiplier whose upper bound is at most this
}

// PlanResult answers a PlanRequest; its JSON form is what `server epsilon -json` prints.
type PlanResult struct {
	Accountant      Method   `json:"accountant"`
	Q               float64  `json:"q"`
	NoiseMultiplier float64  `json:"noise_multiplier"`
	Steps           int64    `json:"steps"`
	Delta           float64  `json:"delta"`
	TargetEpsilon   float64  `json:"target_epsilon,omitempty"`
	Lower           float64  `json:"lower"`
	Estimate        float64  `json:"estimate"`
	Upper           float64  `json:"upper"`
	Method          string   `json:"method"`
	Order           float64  `json:"order,omitempty"`
	Assumptions     []string `json:"assumptions"`
}

// Plan answers r. It is ErrInvalid for parameters out of range and ErrUnsupported where the accountant has no proof, as
// for zcdp, gdp and exact with Q < 1.
func Plan(r PlanRequest) (PlanResult, error) {
	if _, err := ParseMethod(string(r.Method)); err != nil {
		return PlanResult{}, err
	}
	switch {
	case !(r.Q > 0 && r.Q <= 1):
		return PlanResult{}, fmt.Errorf("sampling rate %v: %w: must lie in (0, 1]", r.Q, ErrInvalid)
	case r.Steps < 1 || r.Steps > MaxCount:
		return PlanResult{}, fmt.Errorf("steps %d: %w: must lie in 1 to 2^40", r.Steps, ErrInvalid)
	case !(r.TargetEpsilon >= 0) || math.IsInf(r.TargetEpsilon, 1):
		return PlanResult{}, fmt.Errorf("target epsilon %v: %w: must be positive and finite", r.TargetEpsilon, ErrInvalid)
	}
	a := Accountant{Method: r.Method}
	build := func(z float64) Event {
		return SelfComposed{PoissonSampled{r.Q, Gaussian{z}}, r.Steps}
	}
	z := r.NoiseMultiplier
	var res Result
	var err error
	switch {
	case r.TargetEpsilon == 0:
		res, err = a.Epsilon(build(z), r.Delta)
	case r.Q == 1 && (r.Method == Exact || r.Method == GDP):
		var mu float64
		if mu, err = GaussianMu(r.TargetEpsilon, r.Delta); err == nil {
			z = math.Sqrt(float64(r.Steps)) / mu
			res, err = a.Epsilon(build(z), r.Delta)
		}
	default:
		tolerance, start := 1e-7, 1.0
		if r.Method == PLD {
			tolerance = 2e-5 // finer than its bounds means nothing
			if z, _, err := (Accountant{Method: RDP}).Calibrate(build, r.TargetEpsilon, r.Delta, 1e-3); err == nil {
				start = z // a little more than it needs, found in a few milliseconds
			}
		}
		z, res, err = a.calibrate(build, r.TargetEpsilon, r.Delta, tolerance, start)
	}
	if err != nil {
		return PlanResult{}, err
	}
	return PlanResult{
		Accountant: r.Method, Q: r.Q, NoiseMultiplier: z, Steps: r.Steps, Delta: r.Delta, TargetEpsilon: r.TargetEpsilon,
		Lower: res.Lower, Estimate: res.Estimate, Upper: res.Upper, Method: res.Method, Order: res.Order, Assumptions: res.Assumptions,
	}, nil
}
