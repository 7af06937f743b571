// Package serveropt applies the opened mean of a round's updates to the global
// model: FedAvg, FedAvgM, FedAdam and FedYogi.
//
// With x the model, D the mean update (w_local - w_global), and every product
// taken element by element:
//
//	fedavg    x += lr D
//	fedavgm   m = momentum m + D;                              x += lr m
//	fedadam   m = beta1 m + (1-beta1) D;
//	          v = beta2 v + (1-beta2) D^2;                     x += lr m / (sqrt(v) + tau)
//	fedyogi   m as above;
//	          v = v - (1-beta2) D^2 sign(v - D^2);             x += lr m / (sqrt(v) + tau)
//
// m starts at zero and v at tau^2. There is no bias correction: the paper's
// Algorithm 2 has none, unlike Adam in package optim.
//
// FedAdam and FedYogi: Reddi et al., "Adaptive Federated Optimization", 2021,
// arXiv:2003.00295, Algorithm 2. FedAvg: McMahan et al., 2017, arXiv:1602.05629.
// FedAvgM: Hsu, Qi, Brown, 2019, arXiv:1909.06335.
//
// Beside the model an exponential average of the models of all rounds can be kept,
// a_t = w a_{t-1} + (1-w) x_t with w = min(average, t/(t+9)) in round t, so that early rounds are
// forgotten at first. It follows from released models alone and costs no privacy; it takes
// out of them what noise moves from round to round (Polyak, Juditsky 1992).
//
// State is float64 and every product is rounded before it is added, so that a
// round gives the same bits on processors with and without fused
// multiply-add. This is not local training (package optim), and it neither sums
// nor divides: the mean is exact integers over a public constant by then.
package serveropt

import (
	"errors"
	"fmt"
	"math"
)

var (
	// ErrNotFinite reports a mean update that no sum of integers can give.
	ErrNotFinite = errors.New("update is not finite")
	// ErrLength reports a vector of another length than the model.
	ErrLength = errors.New("wrong length")
	// ErrState reports bytes that State did not write, or wrote for another run.
	ErrState = errors.New("unusable server optimiser state")
)

// Optimizer holds the state of one run. It is not safe for concurrent use.
type Optimizer struct {
	config Config
	size   int
	m, v   []float64 // nil where the rule has none
	a      []float64 // nil without an average
	rounds uint64    // in the average
}

// New returns the optimiser of a model with size parameters in its initial
// state. Fields of c that are zero take the defaults of c.Name.
func New(c Config, size int) (*Optimizer, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if size <= 0 {
		return nil, fmt.Errorf("server optimiser for %d parameters, want at least 1", size)
	}
	o := &Optimizer{config: c, size: size}
	if c.Name != FedAvg {
		o.m = make([]float64, size)
	}
	if c.adaptive() {
		o.v = make([]float64, size)
		for i := range o.v {
			o.v[i] = c.Tau * c.Tau
		}
	}
	if c.Average > 0 {
		o.a = make([]float64, size)
	}
	return o, nil
}

// Average is the average of the models that Apply gave, in canonical order, or nil if none is
// kept. It is the caller's.
func (o *Optimizer) Average() []float32 {
	if o.a == nil {
		return nil
	}
	params := make([]float32, o.size)
	for i, x := range o.a {
		params[i] = float32(x)
	}
	return params
}

func (o *Optimizer) average(params []float32) {
	if o.a == nil {
		return
	}
	o.rounds++
	t := float64(o.rounds)
	w := min(o.config.Average, (t-1)/(t+9))
	for i, x := range params {
		o.a[i] = float64(w*o.a[i]) + float64((1-w)*float64(x))
	}
}

// Apply moves params by one round's mean update, in place, and advances the
// state. params and meanDelta have the model's length and are not kept. It
// refuses, before anything changes, a wrong length ([ErrLength]) and an update
// that is NaN, infinite or beyond float32 ([ErrNotFinite]). It is deterministic
// and allocates nothing.
func (o *Optimizer) Apply(params []float32, meanDelta []float64) error {
	if len(params) != o.size || len(meanDelta) != o.size {
		return fmt.Errorf("model has %d parameters and update %d, want %d: %w", len(params), len(meanDelta), o.size, ErrLength)
	}
	for i, d := range meanDelta {
		if !(math.Abs(d) <= math.MaxFloat32) {
			return fmt.Errorf("mean update is %g at index %d: %w", d, i, ErrNotFinite)
		}
	}
	lr := o.config.LR
	switch o.config.Name {
	case FedAvg:
		for i, d := range meanDelta {
			params[i] = float32(float64(params[i]) + float64(lr*d))
		}
	case FedAvgM:
		for i, d := range meanDelta {
			o.m[i] = float64(o.config.Momentum*o.m[i]) + d
			params[i] = float32(float64(params[i]) + float64(lr*o.m[i]))
		}
	case FedAdam, FedYogi:
		o.adaptive(params, meanDelta)
	}
	o.average(params)
	return nil
}

func (o *Optimizer) adaptive(params []float32, meanDelta []float64) {
	c := o.config
	yogi := c.Name == FedYogi
	for i, d := range meanDelta {
		square := float64(d * d)
		grow := float64((1 - c.Beta2) * square)
		switch v := o.v[i]; {
		case !yogi:
			o.v[i] = float64(c.Beta2*v) + grow
		case v > square:
			o.v[i] = v - grow
		case v < square:
			o.v[i] = v + grow
		}
		o.m[i] = float64(c.Beta1*o.m[i]) + float64((1-c.Beta1)*d)
		params[i] = float32(float64(params[i]) + float64(c.LR*o.m[i])/(math.Sqrt(o.v[i])+c.Tau))
	}
}
