// Package meter times short pieces of work on one core, taking turns with the
// core's peak. A shared machine takes the core away and changes its clock; the
// processor time of the thread leaves out the first, and a peak of the same
// moments cancels the second.
package meter

import (
	"runtime"
	"slices"
	"time"
)

const (
	// most is the samples that are kept; later ones replace the oldest.
	most = 1 << 14
	// turn is the work between two samples of the peak.
	turn = 5 * time.Millisecond
)

// Meter collects samples of one piece of work. It is one goroutine's, which stays
// on one thread between New and Stop.
type Meter struct {
	peak      func() float64
	best      float64
	since     time.Duration
	cpu, wall []time.Duration
	next      int
}

// New readies a meter and samples peak, the rate of the core in any unit; it may
// be nil. Every few milliseconds Time samples it again.
func New(peak func() float64) *Meter {
	runtime.LockOSThread()
	m := &Meter{peak: peak, cpu: make([]time.Duration, 0, most), wall: make([]time.Duration, 0, most)}
	m.sample()
	return m
}

// Stop samples the peak for the last time and lets the goroutine move again.
func (m *Meter) Stop() {
	m.sample()
	runtime.UnlockOSThread()
}

func (m *Meter) sample() {
	if m.peak != nil {
		m.best = max(m.best, m.peak())
	}
	m.since = 0
}

// Time runs f once and keeps how long it took. It allocates nothing.
func (m *Meter) Time(f func()) {
	wall, cpu := time.Now(), Thread()
	f()
	m.Add(Thread()-cpu, time.Since(wall))
}

// Add keeps a sample that the caller took, of processor and of wall clock time.
func (m *Meter) Add(cpu, wall time.Duration) {
	if len(m.cpu) < most {
		m.cpu, m.wall = append(m.cpu, cpu), append(m.wall, wall)
	} else {
		m.cpu[m.next], m.wall[m.next] = cpu, wall
		m.next = (m.next + 1) % most
	}
	if m.since += cpu; m.since >= turn {
		m.sample()
	}
}

// Peak is the best sample of the peak.
func (m *Meter) Peak() float64 { return m.best }

// CPU is the median of the thread's processor time, where the system tells it, and
// Wall that of the clock. Both are 0 before the first sample.
func (m *Meter) CPU() time.Duration  { return quantile(m.cpu, 0.5) }
func (m *Meter) Wall() time.Duration { return quantile(m.wall, 0.5) }

// Least is the least processor time of all samples.
func (m *Meter) Least() time.Duration { return quantile(m.cpu, 0) }

func quantile(s []time.Duration, q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	s = slices.Sorted(slices.Values(s))
	return s[int(q*float64(len(s)-1))]
}
