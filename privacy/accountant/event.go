package accountant

import (
	"fmt"
	"math"
)

// Event describes one or more releases. The set of kinds is closed and append-only: a kind never changes its meaning,
// for ledgers written years ago must still be read as they were meant.
type Event interface {
	kind() string
	validate() error
}

// MaxCount bounds how often an event may be repeated, all nesting multiplied out.
const MaxCount = 1 << 40

type (
	// NoOp releases nothing that depends on private data.
	NoOp struct{}

	// NonPrivate releases private data without protection: epsilon is infinite.
	NonPrivate struct{}

	// Gaussian adds continuous Gaussian noise.
	Gaussian struct {
		NoiseMultiplier float64 `json:"noise_multiplier"`
	}

	// DiscreteGaussian adds to an integer vector a sum of Shares discrete Gaussians of scale ShareSigma a coordinate.
	// Sigma is the scale that is charged; Shares * ShareSigma^2 must reach Sigma^2. Lengths are in integer units.
	DiscreteGaussian struct {
		Sigma       float64 `json:"sigma"`
		Sensitivity float64 `json:"sensitivity"` // L2
		Dims        int64   `json:"dims"`
		Shares      int64   `json:"shares"`
		ShareSigma  float64 `json:"share_sigma"`
	}

	// Skellam adds to an integer vector the difference of two Poisson variables a coordinate, of variance Variance
	// in all. L1 and L2 bound the integer sensitivity in both norms.
	Skellam struct {
		Variance float64 `json:"variance"`
		L1       float64 `json:"l1"`
		L2       float64 `json:"l2"`
	}

	// Concentrated is any mechanism proven (Xi, Rho)-zCDP: its Rényi divergence of order a is at most Xi + Rho a.
	Concentrated struct {
		Rho float64 `json:"rho"`
		Xi  float64 `json:"xi"`
	}

	// EpsilonDelta is any mechanism proven (Epsilon, Delta)-DP.
	EpsilonDelta struct {
		Epsilon float64 `json:"epsilon"`
		Delta   float64 `json:"delta"`
	}

	// Laplace adds Laplace noise to one number; NoiseMultiplier is its scale over the L1 sensitivity.
	Laplace struct {
		NoiseMultiplier float64 `json:"noise_multiplier"`
	}

	// PoissonSampled applies Event to a sample that every unit enters by its own secret coin of probability Q.
	PoissonSampled struct {
		Q     float64 `json:"q"`
		Event Event   `json:"event"`
	}

	// TruncatedPoisson is a Gaussian sum over a Poisson sample out of Records units, cut at random to Cap units when it is larger.
	TruncatedPoisson struct {
		Records         int64   `json:"records"`
		Q               float64 `json:"q"`
		Cap             int64   `json:"cap"`
		NoiseMultiplier float64 `json:"noise_multiplier"`
	}

	// FixedSize applies Event to a uniform sample of exactly Batch out of Records units. It is accounted under
	// ReplaceOne alone, and the multiplier inside is over the replace-one sensitivity, 2C for clip C.
	FixedSize struct {
		Records int64 `json:"records"`
		Batch   int64 `json:"batch"`
		Event   Event `json:"event"`
	}

	// Tree is binary-tree aggregation of Steps sums in which every unit takes part at most once.
	Tree struct {
		NoiseMultiplier float64 `json:"noise_multiplier"`
		Steps           int64   `json:"steps"`
	}

	// Matrix is the matrix mechanism on a sum over Steps: noise of NoiseMultiplier, in clips, times the inverse of a lower triangular
	// Toeplitz strategy whose first column is Coefficients. A unit takes part in at most Participations steps, any two of them at least
	// Separation apart; the strategy has at most so many bands.
	Matrix struct {
		NoiseMultiplier float64   `json:"noise_multiplier"`
		Coefficients    []float64 `json:"coefficients"`
		Steps           int64     `json:"steps"`
		Separation      int64     `json:"separation"`
		Participations  int64     `json:"participations"`
	}

	// Exponential is the exponential mechanism with probabilities in proportion to e^(epsilon quality / 2 sensitivity): it is
	// Epsilon-DP, and more, for its losses lie in an interval of length Epsilon.
	Exponential struct {
		Epsilon float64 `json:"epsilon"`
	}

	// RandomizedResponse reports a unit's own value out of K, or, with probability P, one drawn uniformly from all K. Under ZeroOut the
	// neighbour's report is uniform.
	RandomizedResponse struct {
		P float64 `json:"p"`
		K int64   `json:"k"`
	}

	// Composed is all Events in turn, each free to depend on the outputs before it, their parameters fixed in advance.
	Composed struct {
		Events []Event `json:"events"`
	}

	// SelfComposed is Event Count times over.
	SelfComposed struct {
		Event Event `json:"event"`
		Count int64 `json:"count"`
	}
)

func (NoOp) kind() string               { return "no-op" }
func (NonPrivate) kind() string         { return "non-private" }
func (Gaussian) kind() string           { return "gaussian" }
func (DiscreteGaussian) kind() string   { return "discrete-gaussian" }
func (Skellam) kind() string            { return "skellam" }
func (Concentrated) kind() string       { return "zcdp" }
func (EpsilonDelta) kind() string       { return "epsilon-delta" }
func (Laplace) kind() string            { return "laplace" }
func (PoissonSampled) kind() string     { return "poisson-sampled" }
func (TruncatedPoisson) kind() string   { return "truncated-poisson" }
func (FixedSize) kind() string          { return "fixed-size" }
func (Tree) kind() string               { return "tree" }
func (Matrix) kind() string             { return "matrix" }
func (Exponential) kind() string        { return "exponential" }
func (RandomizedResponse) kind() string { return "randomized-response" }
func (Composed) kind() string           { return "composed" }
func (SelfComposed) kind() string       { return "self-composed" }

// Validate checks every parameter of e and of the events inside it.
func Validate(e Event) error {
	if e == nil {
		return fmt.Errorf("event is nil: %w", ErrInvalid)
	}
	return e.validate()
}

func (NoOp) validate() error       { return nil }
func (NonPrivate) validate() error { return nil }

func (e Gaussian) validate() error {
	return positive(e, "noise_multiplier", e.NoiseMultiplier)
}

func (e DiscreteGaussian) validate() error {
	if err := first(positive(e, "sigma", e.Sigma), positive(e, "sensitivity", e.Sensitivity), positive(e, "share_sigma", e.ShareSigma),
		count(e, "dims", e.Dims), count(e, "shares", e.Shares)); err != nil {
		return err
	}
	if float64(e.Shares)*e.ShareSigma*e.ShareSigma < e.Sigma*e.Sigma*(1-1e-12) {
		return fmt.Errorf("%s: %w: %d shares of scale %v do not reach sigma %v", e.kind(), ErrInvalid, e.Shares, e.ShareSigma, e.Sigma)
	}
	return nil
}

func (e Skellam) validate() error {
	return first(positive(e, "variance", e.Variance), positive(e, "l1", e.L1), positive(e, "l2", e.L2))
}

func (e Concentrated) validate() error {
	return first(nonNegative(e, "rho", e.Rho), nonNegative(e, "xi", e.Xi))
}

func (e EpsilonDelta) validate() error {
	if err := first(nonNegative(e, "epsilon", e.Epsilon), nonNegative(e, "delta", e.Delta)); err != nil {
		return err
	}
	if e.Delta > 1 {
		return fmt.Errorf("%s: %w: delta %v, at most 1 is a probability", e.kind(), ErrInvalid, e.Delta)
	}
	return nil
}

func (e Laplace) validate() error { return positive(e, "noise_multiplier", e.NoiseMultiplier) }

func (e PoissonSampled) validate() error { return first(rate(e, e.Q), inner(e, e.Event)) }

func (e TruncatedPoisson) validate() error {
	return first(count(e, "records", e.Records), count(e, "cap", e.Cap), rate(e, e.Q), positive(e, "noise_multiplier", e.NoiseMultiplier))
}

func (e FixedSize) validate() error {
	if err := first(count(e, "records", e.Records), count(e, "batch", e.Batch), inner(e, e.Event)); err != nil {
		return err
	}
	if e.Batch > e.Records {
		return fmt.Errorf("%s: %w: a batch of %d out of %d records", e.kind(), ErrInvalid, e.Batch, e.Records)
	}
	return nil
}

func (e Tree) validate() error {
	return first(positive(e, "noise_multiplier", e.NoiseMultiplier), count(e, "steps", e.Steps))
}

func (e Matrix) validate() error {
	if err := first(positive(e, "noise_multiplier", e.NoiseMultiplier), count(e, "steps", e.Steps), count(e, "separation", e.Separation),
		count(e, "participations", e.Participations)); err != nil {
		return err
	}
	if n := len(e.Coefficients); n < 1 || n > maxBands {
		return fmt.Errorf("%s: %w: %d coefficients, must be 1 to %d", e.kind(), ErrInvalid, n, maxBands)
	}
	for i, c := range e.Coefficients {
		if !(math.Abs(c) <= 1e6) || i == 0 && !(c >= 1e-6) {
			return fmt.Errorf("%s: %w: coefficient %v, the first must be positive and all at most a million", e.kind(), ErrInvalid, c)
		}
	}
	return nil
}

func (e Exponential) validate() error { return nonNegative(e, "epsilon", e.Epsilon) }

func (e RandomizedResponse) validate() error {
	if !(e.P > 0 && e.P <= 1) {
		return fmt.Errorf("%s: %w: p %v, must lie in (0, 1]", e.kind(), ErrInvalid, e.P)
	}
	return count(e, "k", e.K)
}

func (e Composed) validate() error {
	for _, x := range e.Events {
		if err := inner(e, x); err != nil {
			return err
		}
	}
	return nil
}

func (e SelfComposed) validate() error { return first(count(e, "count", e.Count), inner(e, e.Event)) }

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func inner(e, x Event) error {
	if x == nil {
		return fmt.Errorf("%s: %w: the event inside is missing", e.kind(), ErrInvalid)
	}
	if err := x.validate(); err != nil {
		return fmt.Errorf("%s: %w", e.kind(), err)
	}
	return nil
}

// Magnitudes outside [1e-150, 1e150] would overflow when squared; no mechanism needs them.
func positive(e Event, name string, v float64) error {
	if !(v >= 1e-150 && v <= 1e150) {
		return fmt.Errorf("%s: %w: %s %v, must be positive and finite", e.kind(), ErrInvalid, name, v)
	}
	return nil
}

func nonNegative(e Event, name string, v float64) error {
	if !(v >= 0 && v <= 1e150) || math.Signbit(v) {
		return fmt.Errorf("%s: %w: %s %v, must be finite and at least 0", e.kind(), ErrInvalid, name, v)
	}
	return nil
}

func rate(e Event, q float64) error {
	if !(q >= 0 && q <= 1) || math.Signbit(q) {
		return fmt.Errorf("%s: %w: q %v, must lie in [0, 1]", e.kind(), ErrInvalid, q)
	}
	return nil
}

func count(e Event, name string, n int64) error {
	if n < 1 || n > MaxCount {
		return fmt.Errorf("%s: %w: %s %d, must lie in 1 to 2^40", e.kind(), ErrInvalid, name, n)
	}
	return nil
}
