package aggregation

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// CounterBits is the width of one client's counter. With 2^23 clients the sum
// still fits in 63 bits.
const CounterBits = 40

// lossUnit is the resolution of a loss: 2^-16 nats, so that a counter holds a
// sum of up to 16.7 million nats (2^24), and 100,000 clients' roundings stay
// under one nat.
const lossUnit = 1.0 / (1 << 16)

var (
	// ErrCounter reports a counter that does not fit its fields, or fields that
	// no sum of counters gives (one is negative).
	ErrCounter = errors.New("counter out of range")
)

// CounterLen is the number of fields one counter takes at this width.
func (c Codec) CounterLen() int { return (CounterBits + c.Bits - 2) / (c.Bits - 1) }

// AppendCounter appends v as CounterLen limbs of Bits-1 bits, least significant
// first. A limb is never negative and never above Max, so that it is a value of
// the codec like any other, and n limbs add up within SumBits(n): there is no
// carry between fields until [Codec.ReadCounter] puts the summed limbs together.
func (c Codec) AppendCounter(dst []int32, v uint64) ([]int32, error) {
	if err := c.Validate(); err != nil {
		return dst, err
	}
	if v>>CounterBits != 0 {
		return dst, fmt.Errorf("counter is %d, want less than 2^%d: %w", v, CounterBits, ErrCounter)
	}
	for range c.CounterLen() {
		dst = append(dst, int32(v)&c.Max())
		v >>= c.Bits - 1
	}
	return dst, nil
}

// ReadCounter reads the sum of counters from the first CounterLen fields of a
// summed vector and returns the fields after them. A negative field means that
// some client did not send a counter; the error then spoils the metrics of the
// round, not its model.
func (c Codec) ReadCounter(sum []int64) (total uint64, rest []int64, err error) {
	if err := c.Validate(); err != nil {
		return 0, sum, err
	}
	n := c.CounterLen()
	if len(sum) < n {
		return 0, sum, fmt.Errorf("counter has %d fields, want %d: %w", len(sum), n, ErrLength)
	}
	for i := n - 1; i >= 0; i-- {
		if sum[i] < 0 {
			return 0, sum, fmt.Errorf("counter has a field of %d: %w", sum[i], ErrCounter)
		}
		high, low := bits.Mul64(total, 1<<(c.Bits-1))
		low, carry := bits.Add64(low, uint64(sum[i]), 0)
		if high|carry != 0 {
			return 0, sum, fmt.Errorf("sum of counters is above 2^64: %w", ErrCounter)
		}
		total = low
	}
	return total, sum[n:], nil
}

// Metrics are one client's figures of a round, or their sums over clients.
// Losses are sums over examples, in nats.
type Metrics struct {
	Examples      uint64 // examples the client holds for training
	TrainExamples uint64 // examples processed, counted once an epoch
	TrainLoss     float64
	TrainCorrect  uint64
	ValExamples   uint64
	ValLoss       float64 // of the received global model
	ValCorrect    uint64
	Steps         uint64
	Clamped       uint64 // values of the update beyond the codec's range
}

// metricFields is how many counters Metrics takes.
const metricFields = 9

// MetricsLen is the number of fields EncodeMetrics appends.
func (c Codec) MetricsLen() int { return metricFields * c.CounterLen() }

// EncodeMetrics appends m as counters. Losses are rounded to 2^-16 nats. It
// refuses, with [ErrCounter] or [ErrNotFinite] and without touching dst's
// contents, figures that are negative, not finite or too large for a counter.
func (c Codec) EncodeMetrics(dst []int32, m Metrics) ([]int32, error) {
	train, err := lossCounter(m.TrainLoss)
	if err != nil {
		return dst, fmt.Errorf("training loss: %w", err)
	}
	val, err := lossCounter(m.ValLoss)
	if err != nil {
		return dst, fmt.Errorf("validation loss: %w", err)
	}
	out := dst
	for _, v := range [metricFields]uint64{m.Examples, m.TrainExamples, train, m.TrainCorrect, m.ValExamples, val, m.ValCorrect, m.Steps, m.Clamped} {
		if out, err = c.AppendCounter(out, v); err != nil {
			return dst, err
		}
	}
	return out, nil
}

// DecodeMetrics reads the summed metrics from exactly MetricsLen summed fields.
func (c Codec) DecodeMetrics(sum []int64) (Metrics, error) {
	if err := c.Validate(); err != nil {
		return Metrics{}, err
	}
	if len(sum) != c.MetricsLen() {
		return Metrics{}, fmt.Errorf("metrics have %d fields, want %d: %w", len(sum), c.MetricsLen(), ErrLength)
	}
	var v [metricFields]uint64
	for i := range v {
		var err error
		if v[i], sum, err = c.ReadCounter(sum); err != nil {
			return Metrics{}, err
		}
	}
	return Metrics{
		Examples: v[0], TrainExamples: v[1], TrainLoss: float64(v[2]) * lossUnit, TrainCorrect: v[3],
		ValExamples: v[4], ValLoss: float64(v[5]) * lossUnit, ValCorrect: v[6], Steps: v[7], Clamped: v[8],
	}, nil
}

func lossCounter(loss float64) (uint64, error) {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("loss is %g, lower the learning rate: %w", loss, ErrNotFinite)
	}
	units := math.Round(loss / lossUnit)
	if units < 0 || units >= 1<<CounterBits {
		return 0, fmt.Errorf("loss is %g, want 0 to %g: %w", loss, lossUnit*(1<<CounterBits), ErrCounter)
	}
	return uint64(units), nil
}
