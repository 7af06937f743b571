package coordinator

import (
	"github.com/sotto-fl/sotto/aggregation"
)

// meaning says what the integers of an opened sum stand for.
type meaning interface {
	// read turns a sum into the mean update of the parameters and fills in what
	// rec can tell of the round. weights are those of the clients in the sum.
	read(round int, values []int64, weights []float64, rec *Record) (mean []float64, err error)
}

// weighted is federated averaging without a privacy contract: fixed-point updates
// times public weights, then the private metrics.
type weighted struct {
	codec  aggregation.Codec
	params int
}

func (w weighted) read(_ int, values []int64, weights []float64, rec *Record) ([]float64, error) {
	total := 0.0
	for _, v := range weights {
		total += v
	}
	mean := make([]float64, w.params)
	if err := w.codec.Dequantize(mean, values[:w.params], total); err != nil {
		return nil, err
	}
	// A client that sends nonsense in place of its metrics spoils the round's
	// figures, not its model.
	m, err := w.codec.DecodeMetrics(values[w.params:])
	if err != nil {
		rec.MetricsError = err.Error()
		return mean, nil
	}
	rec.Examples, rec.Clamped = m.Examples, m.Clamped
	rec.Train = metric(m.TrainLoss, m.TrainCorrect, m.TrainExamples)
	rec.Validation = metric(m.ValLoss, m.ValCorrect, m.ValExamples)
	return mean, nil
}

func metric(loss float64, correct, n uint64) *Metric {
	if n == 0 {
		return nil
	}
	return &Metric{Loss: loss / float64(n), Accuracy: float64(correct) / float64(n), Examples: int(n)}
}
