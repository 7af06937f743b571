package benchmarks

import (
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/meter"
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

// measure times f, a piece of work on samples examples, in turns with the core's
// peak. samples/s is of the median by the clock. %peak, for cifar-cnn on one core,
// is mflop (the dense arithmetic of an example) at the median of the thread's
// processor time, over the best sample of the peak. %peak-alone is the same of the
// samples around which no other thread had part of the core, %alone of all.
func measure(b *testing.B, model string, samples int, mflop float64, f func()) {
	path := kernel.Default()
	m := meter.New(func() float64 { return path.Peak(3) })
	m.Watch(path.Slots)
	for b.Loop() {
		m.Time(f)
	}
	m.Stop()
	b.ReportMetric(float64(samples)/m.Wall().Seconds(), "samples/s")
	if model == "cifar-cnn" && path.SIMD() {
		rate := float64(samples) / m.CPU().Seconds()
		b.ReportMetric(rate, "samples/cpu-s")
		b.ReportMetric(100*mflop*rate/1e3/m.Peak(), "%peak")
		b.ReportMetric(m.Peak(), "peakGFLOP/s")
		if alone, share := m.Alone(); share > 0 {
			b.ReportMetric(100*mflop*float64(samples)/alone.Seconds()/1e3/m.Peak(), "%peak-alone")
			b.ReportMetric(100*share, "%alone")
		}
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
	step := func(b *testing.B, model string, batch int, t *Task) {
		b.ReportAllocs()
		measure(b, model, batch, DenseMFLOP, t.Step)
		if w := t.Net.Work(); len(w.Live) > 0 {
			b.ReportMetric(w.MFLOP, "MFLOP/sample")
			for i, v := range w.Live {
				b.ReportMetric(100*v, fmt.Sprintf("%%live-conv%d", i+1))
			}
		}
	}
	grid(b, func(b *testing.B, model string, batch int) { step(b, model, batch, task(b, model, batch, batch, 1)) })
	// White noise leaves more outputs alive than any picture.
	b.Run("cifar-cnn/batch=64/white-noise", func(b *testing.B) {
		t := task(b, "cifar-cnn", 64, 64, 1)
		t.White()
		step(b, "cifar-cnn", 64, t)
	})
}

func BenchmarkForward(b *testing.B) {
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		measure(b, model, batch, ForwardMFLOP, func() { t.Net.Forward(t.X, batch) })
	})
}

// BenchmarkDPTrainStep is the step with clipped gradients and no noise.
func BenchmarkDPTrainStep(b *testing.B) {
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		measure(b, model, batch, DenseMFLOP, t.ClippedStep)
	})
}

// BenchmarkClippedUnits makes each example's clipped gradient by itself.
func BenchmarkClippedUnits(b *testing.B) {
	grid(b, func(b *testing.B, model string, batch int) {
		t := task(b, model, batch, batch, 1)
		measure(b, model, batch, DenseMFLOP, func() {
			if _, err := t.Net.ClippedUnits(t.X, t.Labels, nil, 0.1, func(int, []float32) error { return nil }); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkWorkers spreads a batch over goroutines.
func BenchmarkWorkers(b *testing.B) {
	for workers := 1; workers <= min(8, runtime.GOMAXPROCS(0)); workers *= 2 {
		b.Run(fmt.Sprintf("cifar-cnn/batch=64/workers=%d", workers), func(b *testing.B) {
			t := task(b, "cifar-cnn", 64, 64, workers)
			measure(b, "", 64, 0, t.Step)
		})
	}
}

// records is the examples of a round of DP-SGD.
const records = 2048

// dpRound sums the clipped gradients of all records in micro-batches of 64 and
// draws one exact integer noise share for every parameter.
func dpRound(b *testing.B, model string) func() {
	t := task(b, model, 64, records, 1)
	g, err := noise.NewGaussian(big.NewRat(512*512, 1))
	if err != nil {
		b.Fatal(err)
	}
	rng := noise.NewDRBG(noise.Seed{1})
	sum, share := make([]float64, len(t.Net.Weights())), make([]int32, len(t.Net.Weights()))
	return func() {
		clear(sum)
		if _, err := t.Net.ClippedSum(t.X, t.Labels, nil, 1, sum); err != nil {
			b.Fatal(err)
		}
		g.Fill32(share, rng)
	}
}

// plainRound is what dpRound is compared with: the same records in plain training
// steps of 64.
func plainRound(b *testing.B) func() {
	t := task(b, "cifar-cnn", 64, records, 1)
	size := len(t.X) / records
	return func() {
		for lo := 0; lo < records; lo += 64 {
			t.Train(t.X[lo*size:(lo+64)*size], t.Labels[lo:lo+64])
		}
	}
}

func BenchmarkDPRound(b *testing.B) {
	for _, model := range []string{"cifar-cnn", "dp-cnn"} {
		b.Run(fmt.Sprintf("%s/batch=%d", model, records), func(b *testing.B) {
			measure(b, model, records, DenseMFLOP, dpRound(b, model))
		})
	}
}

func BenchmarkPlainRound(b *testing.B) {
	b.Run(fmt.Sprintf("cifar-cnn/batch=%d", records), func(b *testing.B) {
		measure(b, "cifar-cnn", records, DenseMFLOP, plainRound(b))
	})
}

// BenchmarkRatio times two pieces of work in turns of 20 ms or more and reports the
// median over turns of the quotient of their times for one example, by the thread's
// processor time.
func BenchmarkRatio(b *testing.B) {
	step := func(batch int, clipped bool) func() {
		t := task(b, "cifar-cnn", batch, batch, 1)
		if clipped {
			return t.ClippedStep
		}
		return t.Step
	}
	for _, c := range []struct {
		name          string
		over, under   func() func()
		nOver, nUnder int
	}{
		{"cifar-cnn/rate-of-batch=10-over-64", func() func() { return step(64, false) }, func() func() { return step(10, false) }, 64, 10},
		{"cifar-cnn/batch=64/clipped-over-plain", func() func() { return step(64, true) }, func() func() { return step(64, false) }, 64, 64},
		{"cifar-cnn/dp-round-over-plain", func() func() { return dpRound(b, "cifar-cnn") }, func() func() { return plainRound(b) }, records, records},
	} {
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			over, under := c.over(), c.under()
			var ratios []float64
			for b.Loop() {
				top := turn(over, meter.Thread) / float64(c.nOver)
				ratios = append(ratios, top/(turn(under, meter.Thread)/float64(c.nUnder)))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkWorkersRatio times a step with one and with several workers in turns of
// 20 ms or more, by the clock, and reports the median over turns of the quotient of
// their rates.
func BenchmarkWorkersRatio(b *testing.B) {
	for _, batch := range []int{64, 10} {
		for workers := 2; workers <= min(8, runtime.GOMAXPROCS(0)); workers *= 2 {
			b.Run(fmt.Sprintf("cifar-cnn/batch=%d/rate-of-workers=%d-over-1", batch, workers), func(b *testing.B) {
				one, several := task(b, "cifar-cnn", batch, batch, 1), task(b, "cifar-cnn", batch, batch, workers)
				start := time.Now()
				clock := func() time.Duration { return time.Since(start) }
				var ratios []float64
				for b.Loop() {
					top := turn(one.Step, clock)
					ratios = append(ratios, top/turn(several.Step, clock))
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// turn is the time of one run of f, the mean of 20 ms of them. A run that is shorter
// is made once before, since the caches hold what the other side left there.
func turn(f func(), clock func() time.Duration) float64 {
	const least = 20 * time.Millisecond
	start, n := clock(), 0
	f()
	if d := clock() - start; d >= least {
		return d.Seconds()
	}
	start = clock()
	for {
		f()
		n++
		if d := clock() - start; d >= least {
			return d.Seconds() / float64(n)
		}
	}
}
