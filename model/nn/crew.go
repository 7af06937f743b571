package nn

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sotto-fl/sotto/model/kernel"
)

// crew is the goroutines that help the caller of a network's method, the helpers.
// They start with the first work that a method shares and end with the method.
// In between they wait for the next work without sleeping, for at most patience:
// to wake a goroutine takes as long as some of the work does, and there are
// several waits in a step. But a thread that never sleeps is one that the operating
// system stops in the middle of a task when another program wants its core, and then
// the caller waits for it. So there is little patience for a while after that has happened
// a few times.
//
// The caller takes part in everything and waits only for tasks that a helper has
// taken. If helpers come late, or never because other programs or goroutines have
// the cores, it does their tasks.
type crew struct {
	n        *simd
	helpers  []*helper // the first called of which serve
	called   int
	active   atomic.Bool  // a method is running
	patience atomic.Int64 // how long a goroutine waits awake, in nanoseconds
	vain     atomic.Int64 // how often it did so in vain
	strain   int

	work   work
	state  atomic.Uint64 // how many tasks there are, and in the lower half how many were taken
	left   atomic.Int64  // tasks that are not done
	asleep atomic.Bool   // the caller waits for done
	done   chan struct{}

	trace func(work) work // of tests: what is done instead
}

// work is a piece of work, one of several tasks, done with a worker's scratch.
type work func(n *simd, w *worker, task int)

type helper struct {
	*crew
	worker  *worker
	serve   func()
	serving atomic.Bool // has a goroutine
	asleep  atomic.Bool // that waits for wake
	wake    chan struct{}
}

const (
	// patience is more than the longest wait in an undisturbed step.
	patience      = 200 * time.Microsecond
	shortPatience = 20 * time.Microsecond
	// Waits in vain add to the strain, and each step takes one from it. On a quiet
	// machine one step in five or ten has such a wait; where another program runs on
	// one of two cores a step has two to four. Once the strain has passed maxStrain,
	// patience is short for wary steps.
	maxStrain = 16
	wary      = 64
)

func newCrew(n *simd) *crew {
	c := &crew{n: n, done: make(chan struct{}, 1)}
	for _, w := range n.workers[1:] {
		h := &helper{crew: c, worker: w, wake: make(chan struct{}, 1)}
		h.serve = h.loop
		c.helpers = append(c.helpers, h)
	}
	return c
}

// call makes up to count helpers serve, and no more than can run besides the
// caller, until dismiss.
func (c *crew) call(count int) {
	count = min(count, len(c.helpers), runtime.GOMAXPROCS(0)-1)
	if c.called >= count {
		return
	}
	if c.called == 0 {
		c.adapt()
	}
	c.active.Store(true)
	started := false
	for _, h := range c.helpers[c.called:count] {
		// A goroutine that the last dismiss has not reached yet goes on.
		if !h.serving.Swap(true) {
			go h.serve()
			started = true
		}
	}
	if started {
		// Go's scheduler lets the last goroutine that was started wait for the caller
		// to block, and other threads take it only after 3 us, of which Linux makes
		// 50. This one may wait.
		go func() {}()
	}
	c.called = count
}

// adapt sets the patience of a step.
func (c *crew) adapt() {
	vain := int(c.vain.Swap(0))
	if c.strain = max(0, c.strain+vain-1); c.strain <= maxStrain {
		c.patience.Store(int64(patience))
		return
	}
	if vain > 0 {
		c.strain = maxStrain + wary
	}
	c.patience.Store(int64(shortPatience))
}

// dismiss lets the helpers end.
func (c *crew) dismiss() {
	if c.called > 0 {
		c.active.Store(false)
		c.rouse()
		c.called = 0
	}
}

// rouse wakes the helpers that sleep; among them may be some of an earlier call.
func (c *crew) rouse() {
	for _, h := range c.helpers {
		if h.asleep.Load() && h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

// run does work for every task from 0 on and returns when all are done. Nothing may
// depend on which worker does a task, nor on the order. Work does not run other work.
func (c *crew) run(work work, tasks int) {
	if c.trace != nil {
		work = c.trace(work)
	}
	if c.called == 0 || tasks == 1 {
		for task := range tasks {
			work(c.n, c.n.workers[0], task)
		}
		return
	}
	c.work = work
	c.left.Store(int64(tasks))
	c.state.Store(uint64(tasks) << 32)
	c.rouse()
	c.drain(c.n.workers[0])
	// A helper may wake us late, in the next work.
	for !c.wait(c.finished) {
		c.asleep.Store(true)
		if !c.finished() || !c.asleep.CompareAndSwap(true, false) {
			<-c.done
		}
	}
}

func (c *crew) finished() bool { return c.left.Load() == 0 }

// drain does tasks until all are taken.
func (c *crew) drain(w *worker) {
	for c.open() {
		s := c.state.Add(1)
		task := int(uint32(s)) - 1
		if task >= int(s>>32) {
			return
		}
		// The work stays what it is until this task is done.
		c.work(c.n, w, task)
		if c.left.Add(-1) == 0 && c.asleep.CompareAndSwap(true, false) {
			c.done <- struct{}{}
		}
	}
}

// open reports whether there are tasks to take.
func (c *crew) open() bool {
	s := c.state.Load()
	return uint32(s) < uint32(s>>32)
}

func (h *helper) loop() {
	for {
		h.drain(h.worker)
		if !h.active.Load() {
			h.serving.Store(false)
			// The next call may have come in between, and have left it to us.
			if !h.active.Load() || !h.serving.CompareAndSwap(false, true) {
				return
			}
		}
		if h.wait(h.wanted) {
			continue
		}
		h.asleep.Store(true)
		if !h.wanted() || !h.asleep.CompareAndSwap(true, false) {
			<-h.wake
		}
	}
}

func (h *helper) wanted() bool { return h.open() || !h.active.Load() }

// wait waits until cond holds, for no longer than the patience, and reports whether
// it does.
func (c *crew) wait(cond func() bool) bool {
	if cond() {
		return true
	}
	limit := time.Duration(c.patience.Load())
	for start := time.Now(); time.Since(start) < limit; {
		for range 8 {
			if cond() {
				return true
			}
			kernel.Pause()
		}
	}
	if limit == patience {
		c.vain.Add(1)
	}
	return false
}
