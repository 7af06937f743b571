package accountant

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Limits of Decode: enough for any plan, too little to hurt.
const (
	MaxEncoded = 1 << 20
	maxDepth   = 16
)

// Encode returns the canonical JSON of e: the field "kind" first, then the fields in the order of the Go struct, no
// white space, numbers as encoding/json writes them. Equal events have equal bytes.
func Encode(e Event) ([]byte, error) {
	if err := Validate(e); err != nil {
		return nil, err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %s event: %w", e.kind(), err)
	}
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("encode %s event: %w: %d bytes, at most %d", e.kind(), ErrInvalid, len(b), MaxEncoded)
	}
	return b, nil
}

// Decode reads what Encode wrote and nothing else: any other spelling of the same event is refused, as are unknown
// kinds, unknown fields, parameters out of range, nesting deeper than 16 and more than MaxEncoded bytes. On error the event is nil.
func Decode(b []byte) (Event, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode event: %w: %d bytes, at most %d", ErrInvalid, len(b), MaxEncoded)
	}
	e, err := decode(b, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	canonical, err := Encode(e)
	if err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	if !bytes.Equal(b, canonical) {
		return nil, fmt.Errorf("decode event: %w: not in canonical form, want %.200s", ErrInvalid, canonical)
	}
	return e, nil
}

// wire has every field of every kind; the comparison with the canonical bytes refuses fields that do not belong.
type wire struct {
	Kind            string            `json:"kind"`
	NoiseMultiplier float64           `json:"noise_multiplier"`
	Sigma           float64           `json:"sigma"`
	Sensitivity     float64           `json:"sensitivity"`
	Dims            int64             `json:"dims"`
	Shares          int64             `json:"shares"`
	ShareSigma      float64           `json:"share_sigma"`
	Variance        float64           `json:"variance"`
	L1              float64           `json:"l1"`
	L2              float64           `json:"l2"`
	Rho             float64           `json:"rho"`
	Xi              float64           `json:"xi"`
	Epsilon         float64           `json:"epsilon"`
	Delta           float64           `json:"delta"`
	Q               float64           `json:"q"`
	Records         int64             `json:"records"`
	Batch           int64             `json:"batch"`
	Cap             int64             `json:"cap"`
	Steps           int64             `json:"steps"`
	Coefficients    []float64         `json:"coefficients"`
	Separation      int64             `json:"separation"`
	Participations  int64             `json:"participations"`
	P               float64           `json:"p"`
	K               int64             `json:"k"`
	Count           int64             `json:"count"`
	Event           json.RawMessage   `json:"event"`
	Events          []json.RawMessage `json:"events"`
}

func decode(b []byte, depth int) (Event, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrInvalid, maxDepth)
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var in Event
	if w.Event != nil {
		var err error
		if in, err = decode(w.Event, depth-1); err != nil {
			return nil, err
		}
	}
	switch w.Kind {
	case NoOp{}.kind():
		return NoOp{}, nil
	case NonPrivate{}.kind():
		return NonPrivate{}, nil
	case Gaussian{}.kind():
		return Gaussian{w.NoiseMultiplier}, nil
	case DiscreteGaussian{}.kind():
		return DiscreteGaussian{w.Sigma, w.Sensitivity, w.Dims, w.Shares, w.ShareSigma}, nil
	case Skellam{}.kind():
		return Skellam{w.Variance, w.L1, w.L2}, nil
	case Concentrated{}.kind():
		return Concentrated{w.Rho, w.Xi}, nil
	case EpsilonDelta{}.kind():
		return EpsilonDelta{w.Epsilon, w.Delta}, nil
	case Laplace{}.kind():
		return Laplace{w.NoiseMultiplier}, nil
	case PoissonSampled{}.kind():
		return PoissonSampled{w.Q, in}, nil
	case TruncatedPoisson{}.kind():
		return TruncatedPoisson{w.Records, w.Q, w.Cap, w.NoiseMultiplier}, nil
	case FixedSize{}.kind():
		return FixedSize{w.Records, w.Batch, in}, nil
	case Tree{}.kind():
		return Tree{w.NoiseMultiplier, w.Steps}, nil
	case Matrix{}.kind():
		return Matrix{w.NoiseMultiplier, w.Coefficients, w.Steps, w.Separation, w.Participations}, nil
	case Exponential{}.kind():
		return Exponential{w.Epsilon}, nil
	case RandomizedResponse{}.kind():
		return RandomizedResponse{w.P, w.K}, nil
	case SelfComposed{}.kind():
		return SelfComposed{in, w.Count}, nil
	case Composed{}.kind():
		c := Composed{Events: make([]Event, len(w.Events))}
		for i, raw := range w.Events {
			var err error
			if c.Events[i], err = decode(raw, depth-1); err != nil {
				return nil, err
			}
		}
		return c, nil
	}
	return nil, fmt.Errorf("%w: unknown kind %.40q", ErrInvalid, w.Kind)
}

// tagged writes fields with the kind in front. fields is the event's struct without its methods.
func tagged(e Event, fields any) ([]byte, error) {
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	out := append([]byte(`{"kind":"`), e.kind()...)
	out = append(out, '"')
	if len(b) > 2 {
		out = append(out, ',')
	}
	return append(out, b[1:]...), nil
}

// MarshalJSON writes the canonical form.
func (e NoOp) MarshalJSON() ([]byte, error)       { type f NoOp; return tagged(e, f(e)) }
func (e NonPrivate) MarshalJSON() ([]byte, error) { type f NonPrivate; return tagged(e, f(e)) }
func (e Gaussian) MarshalJSON() ([]byte, error)   { type f Gaussian; return tagged(e, f(e)) }
func (e DiscreteGaussian) MarshalJSON() ([]byte, error) {
	type f DiscreteGaussian
	return tagged(e, f(e))
}
func (e Skellam) MarshalJSON() ([]byte, error)        { type f Skellam; return tagged(e, f(e)) }
func (e Concentrated) MarshalJSON() ([]byte, error)   { type f Concentrated; return tagged(e, f(e)) }
func (e EpsilonDelta) MarshalJSON() ([]byte, error)   { type f EpsilonDelta; return tagged(e, f(e)) }
func (e Laplace) MarshalJSON() ([]byte, error)        { type f Laplace; return tagged(e, f(e)) }
func (e PoissonSampled) MarshalJSON() ([]byte, error) { type f PoissonSampled; return tagged(e, f(e)) }
func (e TruncatedPoisson) MarshalJSON() ([]byte, error) {
	type f TruncatedPoisson
	return tagged(e, f(e))
}
func (e FixedSize) MarshalJSON() ([]byte, error)   { type f FixedSize; return tagged(e, f(e)) }
func (e Tree) MarshalJSON() ([]byte, error)        { type f Tree; return tagged(e, f(e)) }
func (e Matrix) MarshalJSON() ([]byte, error)      { type f Matrix; return tagged(e, f(e)) }
func (e Exponential) MarshalJSON() ([]byte, error) { type f Exponential; return tagged(e, f(e)) }
func (e RandomizedResponse) MarshalJSON() ([]byte, error) {
	type f RandomizedResponse
	return tagged(e, f(e))
}
func (e SelfComposed) MarshalJSON() ([]byte, error) { type f SelfComposed; return tagged(e, f(e)) }

// MarshalJSON writes the canonical form.
func (e Composed) MarshalJSON() ([]byte, error) {
	type f Composed
	if e.Events == nil {
		e.Events = []Event{}
	}
	return tagged(e, f(e))
}
