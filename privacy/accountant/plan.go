package accountant

import (
	"encoding/json"
	"fmt"
	"math"
)

// PlanRequest asks what a run of Steps Poisson-sampled releases costs, or how much noise it needs.
type PlanRequest struct {
	Method    Method
	Adjacency Adjacency
	Orders    []float64 // Rényi orders for RDP; nil: DefaultOrders
	Tightest  bool      // as of Accountant

	// Step is what one step releases to its sample, as a function of the noise multiplier; nil: a Gaussian sum. One that does not depend on it
	// cannot be calibrated.
	Step            func(noiseMultiplier float64) Event
	Q               float64 // sampling rate in (0, 1]; 1 means that everyone takes part in every step
	NoiseMultiplier float64 // ignored when TargetEpsilon is set
	Steps           int64
	Delta           float64
	TargetEpsilon   float64 // 0: answer for NoiseMultiplier; else find the least multiplier whose upper bound is at most this
}

// PlanResult answers a PlanRequest; its JSON form is what `server epsilon -json` prints.
type PlanResult struct {
	Accountant      Method          `json:"accountant"`
	Adjacency       string          `json:"adjacency,omitempty"` // absent: zero-out
	Event           json.RawMessage `json:"event,omitempty"`     // what one step releases; absent: a Gaussian sum
	Q               float64         `json:"q"`
	NoiseMultiplier float64         `json:"noise_multiplier,omitempty"` // absent: the event has none
	Steps           int64           `json:"steps"`
	Delta           float64         `json:"delta"`
	TargetEpsilon   float64         `json:"target_epsilon,omitempty"`
	Lower           float64         `json:"lower"`
	Estimate        float64         `json:"estimate"`
	Upper           float64         `json:"upper"`
	// Tightest is the upper bound without what is published above it to agree with references; absent where they are the same.
	Tightest float64      `json:"tightest,omitempty"`
	Method   string       `json:"method"`
	Order    float64      `json:"order,omitempty"`
	Curve    []Divergence `json:"curve,omitempty"` // of all steps, at the orders asked for; those of no finite bound are left out
	// Tau and CouplingDelta are the prices of a discrete Gaussian's certificate: Tau a coordinate and step, CouplingDelta what
	// all of them would add to delta at Upper.
	Tau           float64  `json:"tau,omitempty"`
	CouplingDelta float64  `json:"coupling_delta,omitempty"`
	Assumptions   []string `json:"assumptions"`
}

// Divergence is a Rényi divergence of one order.
type Divergence struct {
	Order float64 `json:"order"`
	RDP   float64 `json:"rdp"`
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
	a := Accountant{Method: r.Method, Adjacency: r.Adjacency, Orders: r.Orders, Tightest: r.Tightest}
	step := r.Step
	if step == nil {
		step = func(z float64) Event { return Gaussian{z} }
	}
	build := func(z float64) Event { return SelfComposed{PoissonSampled{r.Q, step(z)}, r.Steps} }
	z := r.NoiseMultiplier
	var res Result
	var err error
	switch {
	case r.TargetEpsilon == 0:
		res, err = a.Epsilon(build(z), r.Delta)
	case r.Q == 1 && r.Step == nil && r.Adjacency == ZeroOut && (r.Method == Exact || r.Method == GDP):
		var mu float64
		if mu, err = GaussianMu(r.TargetEpsilon, r.Delta); err == nil {
			z = math.Sqrt(float64(r.Steps)) / mu
			res, err = a.Epsilon(build(z), r.Delta)
		}
	default:
		tolerance, start := 1e-7, 1.0
		if r.Method == PLD {
			tolerance = 2e-5 // finer than its bounds means nothing
			if z, _, err := (Accountant{Method: RDP, Adjacency: r.Adjacency}).Calibrate(build, r.TargetEpsilon, r.Delta, 1e-3); err == nil {
				start = z // a little more than it needs, found in a few milliseconds
			}
		}
		z, res, err = a.calibrate(build, r.TargetEpsilon, r.Delta, tolerance, start)
	}
	if err != nil {
		return PlanResult{}, err
	}
	out := PlanResult{
		Accountant: r.Method, Q: r.Q, NoiseMultiplier: z, Steps: r.Steps, Delta: r.Delta, TargetEpsilon: r.TargetEpsilon,
		Lower: res.Lower, Estimate: res.Estimate, Upper: res.Upper, Method: res.Method, Order: res.Order, Assumptions: res.Assumptions,
	}
	if r.Adjacency != ZeroOut {
		out.Adjacency = r.Adjacency.String()
	}
	if r.Step != nil {
		if out.Event, err = Encode(step(z)); err != nil {
			return PlanResult{}, err
		}
		if d, ok := step(z).(DiscreteGaussian); ok {
			out.Tau, out.CouplingDelta = Tau(d.ShareSigma, d.Shares), CouplingDelta(out.Upper, r.Steps, d.Dims, SmoothingScale)
		}
	}
	if r.Method == PLD && !r.Tightest {
		a.Tightest = true
		tight, err := a.Epsilon(build(z), r.Delta)
		if err != nil {
			return PlanResult{}, err
		}
		if tight.Upper < out.Upper {
			out.Tightest = tight.Upper
		}
	}
	if r.Method == RDP && r.Orders != nil {
		curve, err := a.Curve(build(z))
		if err != nil {
			return PlanResult{}, err
		}
		for i, v := range curve {
			if !math.IsInf(v, 1) && !math.IsInf(r.Orders[i], 1) {
				out.Curve = append(out.Curve, Divergence{r.Orders[i], v})
			}
		}
	}
	return out, nil
}
