// Package meter times short pieces of work on one core, taking turns with the
// core's peak. A shared machine takes the core away and changes its clock; the
// processor time of the thread leaves out the first, and a peak of the same
// moments cancels the second. A thread of another machine on the same core, which
// takes issue slots and cache but no processor time, shows in neither: see Watch.
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
	slots     func() float64
	room      []float64 // what slots said around each sample, the lesser
	around    float64   // the current one
}

// New readies a meter and samples peak, the rate of the core in any unit; it may
// be nil. Every few milliseconds Time samples it again.
func New(peak func() float64) *Meter {
	runtime.LockOSThread()
	m := &Meter{peak: peak, cpu: make([]time.Duration, 0, most), wall: make([]time.Duration, 0, most)}
	m.sample()
	return m
}

// Watch has Time call slots before and after each sample: the rate at this moment, in
// the unit of peak, of something that gets near the peak alone and that a second thread
// on the core slows down by a lot. It does not look at the work itself, so that Alone
// may choose by it.
func (m *Meter) Watch(slots func() float64) {
	m.slots, m.room = slots, make([]float64, 0, most)
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
	before := 0.0
	if m.slots != nil {
		before = m.slots()
	}
	start, thread := time.Now(), Thread()
	f()
	cpu, wall := Thread()-thread, time.Since(start)
	if m.slots != nil {
		m.around = min(before, m.slots())
	}
	m.Add(cpu, wall)
}

// Add keeps a sample that the caller took, of processor and of wall clock time. One of
// no processor time is left out: clocks of virtual machines sometimes stand still.
func (m *Meter) Add(cpu, wall time.Duration) {
	if cpu <= 0 {
		return
	}
	if len(m.cpu) < most {
		m.cpu, m.wall = append(m.cpu, cpu), append(m.wall, wall)
		if m.slots != nil {
			m.room = append(m.room, m.around)
		}
	} else {
		m.cpu[m.next], m.wall[m.next] = cpu, wall
		if m.slots != nil {
			m.room[m.next] = m.around
		}
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

// Least is the least processor time of all samples but one in a thousand, whose clock
// may have stumbled.
func (m *Meter) Least() time.Duration { return quantile(m.cpu, 0.001) }

// alone is the part of the peak from which on slots says that a core is nobody else's:
// of two threads that share one, each gets little more than half.
const alone = 0.85

// Alone is the median of the thread's processor time over the samples in which no other
// thread had part of the core, and their share of all. Both are 0 if there are none.
func (m *Meter) Alone() (cpu time.Duration, share float64) {
	var own []time.Duration
	for i, room := range m.room {
		if room >= alone*m.best {
			own = append(own, m.cpu[i])
		}
	}
	if len(own) == 0 {
		return 0, 0
	}
	return quantile(own, 0.5), float64(len(own)) / float64(len(m.room))
}

func quantile(s []time.Duration, q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	s = slices.Sorted(slices.Values(s))
	return s[int(q*float64(len(s)-1))]
}
