package benchmarks

import (
	"fmt"
	"math/big"
	"runtime"
	"testing"

	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/privacy/noise"
)

func task(b *testing.B, model string, batch, count, workers int) *Task {
	b.Helper()
	t, err := NewTask(model, batch, count, workers)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// report adds samples/s and, for cifar-cnn on one core, the dense arithmetic of
// training as a share of the measured peak.
func report(b *testing.B, model string, samples int) { reportShare(b, model, samples, DenseMFLOP) }

// reportShare is report for another amount of dense arithmetic.
func reportShare(b *testing.B, model string, samples int, mflop float64) {
	rate := float64(samples) * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "samples/s")
	if peak := kernel.Default().Peak(20); peak > 0 && model == "cifar-cnn" {
		b.ReportMetric(100*mflop*rate/1e3/peak, "%peak")
		b.ReportMetric(peak, "peakGFLOP/s")
	}
	b.ReportMetric(0, "ns/op")
}

// grid runs f for the models and batches that the figures are given for.
func grid(b *testing.B, f func(b *testing.B, model string, batch int)) {
	for _, c := range []struct {
		model string
		batch int
	}{{"cifar-cnn", 64}, {"cifar-cnn", 10}, {"mnist-cnn", 32}, {"dp-cnn", 64}} {
		b.Run(fmt.Sprintf("%s/batch=%d", c.model, c.batch), func(b *testing.B) {
			b.ReportAllocs()
			f(b, c.model, c.batch)
		})
	}
}

func BenchmarkTrainStep(b *testing.B) {
	b.Logf("kernel path %s, available %v", kernel.Name(), kernel.Available())
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		for b.Loop() {
			t.Step()
		}
		report(b, model, batch)
		if w := t.Net.Work(); len(w.Live) > 0 {
			b.ReportMetric(w.MFLOP, "MFLOP/sample")
			for i, v := range w.Live {
				b.ReportMetric(100*v, fmt.Sprintf("%%live-conv%d", i+1))
			}
		}
	})
}

func BenchmarkForward(b *testing.B) {
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		for b.Loop() {
			t.Net.Forward(t.X, batch)
		}
		reportShare(b, model, batch, ForwardMFLOP)
	})
}

// BenchmarkDPTrainStep is the step with clipped gradients and no noise.
func BenchmarkDPTrainStep(b *testing.B) {
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		for b.Loop() {
			t.ClippedStep()
		}
		report(b, model, batch)
	})
}

// BenchmarkClippedUnits makes each example's clipped gradient by itself.
func BenchmarkClippedUnits(b *testing.B) {
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		for b.Loop() {
			if _, err := t.Net.ClippedUnits(t.X, t.Labels, nil, 0.1, func(int, []float32) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		report(b, model, batch)
	})
}

// BenchmarkWorkers spreads a batch over goroutines.
func BenchmarkWorkers(b *testing.B) {
	for workers := 1; workers <= min(8, runtime.GOMAXPROCS(0)); workers *= 2 {
		b.Run(fmt.Sprintf("cifar-cnn/batch=64/workers=%d", workers), func(b *testing.B) {
			t := task(b, "cifar-cnn", 64, 64, workers)
			for b.Loop() {
				t.Step()
			}
			report(b, "", 64)
		})
	}
}

// BenchmarkDPRound sums the clipped gradients of all records in micro-batches of
// 64 and draws one exact integer noise share for every parameter.
func BenchmarkDPRound(b *testing.B) {
	const records = 2048
	for _, model := range []string{"cifar-cnn", "dp-cnn"} {
		b.Run(fmt.Sprintf("%s/batch=%d", model, records), func(b *testing.B) {
			t := task(b, model, 64, records, 1)
			g, err := noise.NewGaussian(big.NewRat(512*512, 1))
			if err != nil {
				b.Fatal(err)
			}
			rng := noise.NewDRBG(noise.Seed{1})
			sum, share := make([]float64, len(t.Net.Weights())), make([]int32, len(t.Net.Weights()))
			for b.Loop() {
				clear(sum)
				if _, err := t.Net.ClippedSum(t.X, t.Labels, nil, 1, sum); err != nil {
					b.Fatal(err)
				}
				g.Fill32(share, rng)
			}
			report(b, model, records)
		})
	}
}

// BenchmarkPlainRound is what BenchmarkDPRound is compared with: the same records
// in plain training steps of 64. The rate is zero, so that both see the same
// weights and so the same share of live gradients.
func BenchmarkPlainRound(b *testing.B) {
	const records = 2048
	t := task(b, "cifar-cnn", 64, records, 1)
	size := len(t.X) / records
	b.Run(fmt.Sprintf("cifar-cnn/batch=%d", records), func(b *testing.B) {
		for b.Loop() {
			for lo := 0; lo < records; lo += 64 {
				t.Train(t.X[lo*size:(lo+64)*size], t.Labels[lo:lo+64], 0)
			}
		}
		report(b, "cifar-cnn", records)
	})
}
