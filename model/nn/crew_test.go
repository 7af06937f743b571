package nn

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/model/kernel"
)

// processors sets GOMAXPROCS, the number of goroutines that may help included.
func processors(t *testing.T, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// teamOf has that many workers, and a vector path.
func teamOf(t *testing.T, workers int) (*Network, []float32, []int32) {
	if !kernel.Default().SIMD() {
		t.Skip("the portable path has one worker")
	}
	a, err := Named("mnist-cnn")
	if err != nil {
		t.Fatal(err)
	}
	n, x, labels, _ := randomTask(t, rand.New(rand.NewPCG(70, 1)), a, 32)
	n.SetWorkers(workers)
	return n, x, labels
}

// Every task is done once, before run returns, whether helpers wait awake, sleep, or are called again
// before they have gone.
func TestRunDoesEveryTaskOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		processors(t, procs)
		net, _, _ := teamOf(t, 4)
		n := net.simd
		done := make([]atomic.Int32, 100)
		r := rand.New(rand.NewPCG(71, 1))
		for round := range 300 {
			n.call(1 + r.IntN(4))
			if want := min(3, procs-1); n.called > want {
				t.Fatalf("%d helpers on %d processors, want at most %d", n.called, procs, want)
			}
			for phase := range 1 + r.IntN(5) {
				tasks := 1 + r.IntN(len(done))
				slow := r.IntN(tasks) + tasks*r.IntN(8)
				n.run(func(_ *simd, w *worker, task int) {
					if task == slow {
						time.Sleep(2 * patience)
					}
					done[task].Add(1)
				}, tasks)
				for task := range done {
					want := int32(0)
					if task < tasks {
						want = 1
					}
					if got := done[task].Swap(0); got != want {
						t.Fatalf("%d processors, round %d, phase %d: task %d of %d done %d times", procs, round, phase, task, tasks, got)
					}
				}
				if r.IntN(10) == 0 {
					time.Sleep(2 * patience)
				}
			}
			if r.IntN(4) > 0 {
				n.dismiss()
			}
		}
		n.dismiss()
		noHelpers(t, n)
	}
}

// Who waits in vain again and again gets less patience, and after a while all of it back.
func TestPatience(t *testing.T) {
	processors(t, 2)
	net, _, _ := teamOf(t, 2)
	n := net.simd
	step := func(slow bool) time.Duration {
		n.call(1)
		got := time.Duration(n.patience.Load())
		helping := make(chan struct{})
		n.run(func(_ *simd, w *worker, _ int) {
			if w.id == 0 {
				<-helping
				return
			}
			close(helping)
			if slow {
				time.Sleep(2 * patience)
			}
		}, 2)
		if slow {
			time.Sleep(2 * patience) // the helper waits, too
		}
		n.dismiss()
		return got
	}
	steps := 0
	for ; step(true) == patience; steps++ {
		if steps > 100*maxStrain {
			t.Fatal("patience has no end")
		}
	}
	if steps < maxStrain/2 {
		t.Errorf("%d steps used the patience up, want at least %d", steps, maxStrain/2)
	}
	for steps = 0; step(false) != patience; steps++ {
		if steps > 100*wary {
			t.Fatal("patience does not come back")
		}
	}
	if steps < wary/2 {
		t.Errorf("patience is back after %d steps, want at least %d", steps, wary/2)
	}
}

// noHelpers waits until the goroutines of n have ended.
func noHelpers(t *testing.T, n *simd) {
	t.Helper()
	for range 1000 {
		if !slices.ContainsFunc(n.helpers, func(h *helper) bool { return h.serving.Load() }) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("helpers are there a second after the work")
}

// No method leaves a goroutine, not even when it panics.
func TestHelpersEndWithTheMethod(t *testing.T) {
	processors(t, 4)
	before := runtime.NumGoroutine()
	n, x, labels := teamOf(t, 4)
	called := 0
	n.simd.trace = func(w work) work {
		called = max(called, n.simd.called)
		return w
	}
	nothing := func(w, g []float32, lo int) {}
	for name, f := range map[string]func(){
		"Forward":  func() { n.Forward(x, len(labels)) },
		"Gradient": func() { n.Gradient(x, labels) },
		"Train":    func() { n.Train(x, labels, nothing) },
		"Evaluate": func() { n.Evaluate(x, labels) },
		"Clipped":  func() { n.ClippedGradient(x, labels, 1, 1, nothing) },
		"Sum": func() {
			if _, err := n.ClippedSum(x, labels, nil, 1, make([]float64, len(n.Weights()))); err != nil {
				t.Error(err)
			}
		},
		"Units": func() {
			if _, err := n.ClippedUnits(x, labels, nil, 1, func(int, []float32) error { return nil }); err != nil {
				t.Error(err)
			}
		},
		"a label that is none": func() {
			bad := slices.Clone(labels)
			bad[3] = 99
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			n.Train(x, bad, nothing)
		},
	} {
		called = 0
		f()
		if called != 3 || n.simd.called != 0 {
			t.Errorf("%s: %d helpers during it and %d after it, want 3 and 0", name, called, n.simd.called)
		}
		noHelpers(t, n.simd)
	}
	for range 100 {
		n.SetWorkers(2)
		n.Gradient(x, labels)
		n.SetWorkers(3)
		n.Gradient(x, labels)
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// Helpers cost no memory: their goroutines are used again.
func TestWorkersDoNotAllocate(t *testing.T) {
	processors(t, 4)
	n, x, labels := teamOf(t, 4)
	rule := func(w, g []float32, lo int) {}
	if allocs := testing.AllocsPerRun(50, func() { n.Train(x, labels, rule) }); allocs > 0 {
		t.Errorf("%v allocations a step, want 0", allocs)
	}
	if allocs := testing.AllocsPerRun(50, func() { n.ClippedGradient(x, labels, 1, 1, rule) }); allocs > 0 {
		t.Errorf("%v allocations a clipped step, want 0", allocs)
	}
}
