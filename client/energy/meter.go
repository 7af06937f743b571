package energy

import (
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Options of a Meter. The zero value is this machine.
type Options struct {
	Now    func() time.Duration // monotonic; nil: the process's clock
	Cores  int                  // processors of the machine; 0: those that Go sees
	Busy   int                  // of them at work while training; 0: one
	Model  *Model               // instead of the one that the system names, e.g. fitted by calibration
	Replay *Replay              // instead of the system's sources
}

// Meter measures phase after phase.
type Meter struct {
	source source // nil: none but the model
	model  Model
	now    func() time.Duration
	cores  int
	busy   float64
	notes  []string

	running bool
	phase   Phase
	load    float64
	valid   bool // the source was started
	last    time.Duration
	open    Reading
	trail   []mark // of the open phase, while it waits
	done    []Reading
}

// mark is what a waiting phase had taken by a time.
type mark struct {
	at     time.Duration
	joules float64
}

// longestTrail bounds what is kept of a wait; beyond it every other mark goes.
const longestTrail = 1024

// Open finds the best source that sys, a view of /sys, offers. It always succeeds: the
// model is left when nothing else is, and Notes says what was missing.
func Open(sys fs.FS, o Options) *Meter {
	m := &Meter{now: o.Now}
	if m.now == nil {
		start := time.Now()
		m.now = func() time.Duration { return time.Since(start) }
	}
	if o.Cores == 0 {
		o.Cores = runtime.NumCPU()
	}
	m.cores = max(1, o.Cores)
	m.SetBusy(o.Busy)
	if m.model = modelOf(sys, o.Cores); o.Model != nil {
		m.model = *o.Model
	}
	if o.Replay != nil {
		r := *o.Replay
		r.now = m.now
		m.source = &r
		return m
	}
	for _, open := range []func(fs.FS) (source, error){
		func(sys fs.FS) (source, error) { return openRails(sys) },
		func(sys fs.FS) (source, error) { return openRAPL(sys) },
		func(sys fs.FS) (source, error) { return openACPI(sys) },
		func(sys fs.FS) (source, error) { return openSockets(sys) },
		func(sys fs.FS) (source, error) { return openBattery(sys) },
	} {
		s, err := open(sys)
		if err == nil {
			m.source = s
			break
		}
		m.notes = append(m.notes, err.Error())
	}
	m.addCards()
	return m
}

// SetBusy says how many processors are at work in the training phases that begin from
// now on. It matters to the model alone.
func (m *Meter) SetBusy(processors int) {
	m.busy = min(1, float64(max(1, processors))/float64(m.cores))
}

// Source says what is measured; Tier how.
func (m *Meter) Source() string {
	if m.source != nil {
		return m.source.name()
	}
	return "model, " + m.model.Name
}

// Tier is the best that readings can have.
func (m *Meter) Tier() costcurve.Tier {
	if m.source == nil {
		return m.model.Tier
	}
	tier, _ := m.source.quality()
	return tier
}

// Notes says why better sources were not used, and which intervals were modelled.
func (m *Meter) Notes() []string { return slices.Clone(m.notes) }

// Period is how often Poll must be called inside a long phase.
func (m *Meter) Period() time.Duration {
	if m.source == nil {
		return time.Minute
	}
	return m.source.period()
}

// Begin ends the phase before, if there is one, and begins another.
func (m *Meter) Begin(p Phase) {
	m.stop()
	m.begin(p)
}

func (m *Meter) begin(p Phase) {
	m.running, m.phase, m.load = true, p, p.load(m.busy)
	m.open, m.trail = Reading{Phase: p}, m.trail[:0]
	m.last = m.now()
	m.restart()
}

// BeginAgo is Begin for one who learns late that a wait was over: the wait ends at so long
// ago, and what came since counts as p. In between two polls power is taken as constant.
func (m *Meter) BeginAgo(p Phase, ago time.Duration) {
	waited := m.running && m.phase == Wait
	m.stop()
	end, trail := m.last, slices.Clone(m.trail)
	m.begin(p)
	if !waited || ago <= 0 {
		return
	}
	w := &m.done[len(m.done)-1]
	ago = min(ago, w.Elapsed)
	rest := w.Value - joulesAt(trail, end-w.Elapsed, end-ago)
	m.open.Joules, m.open.Elapsed, m.open.Source = w.Joules, ago, w.Source
	m.open.Value = min(max(0, rest), w.Value)
	w.Value, w.Elapsed = w.Value-m.open.Value, w.Elapsed-ago
}

// joulesAt is what had been taken by at, of a phase that began with nothing taken.
func joulesAt(trail []mark, began, at time.Duration) float64 {
	before := mark{at: began}
	for _, next := range trail {
		if next.at >= at {
			if next.at == before.at {
				return next.joules
			}
			share := float64(at-before.at) / float64(next.at-before.at)
			return before.joules + share*(next.joules-before.joules)
		}
		before = next
	}
	return before.joules
}

// Poll reads the source in between, so that a counter cannot wrap unseen.
func (m *Meter) Poll() {
	if m.running {
		m.advance()
	}
}

// End ends the phase and returns the readings since the End before, in order of Begin.
// They are the caller's.
func (m *Meter) End() []Reading {
	m.stop()
	done := m.done
	m.done = nil
	return done
}

func (m *Meter) stop() {
	if !m.running {
		return
	}
	m.advance()
	m.running = false
	m.done = append(m.done, m.open)
}

func (m *Meter) restart() {
	m.valid = false
	if m.source == nil {
		return
	}
	if err := m.source.start(); err != nil {
		m.note(err)
		return
	}
	m.valid = true
}

// advance books what was spent since the last call.
func (m *Meter) advance() {
	now := m.now()
	dt := now - m.last
	m.last = now
	if dt <= 0 {
		return
	}
	j := costcurve.Joules{Value: m.model.watts(m.load) * dt.Seconds(), Tier: m.model.Tier, RelErr: m.model.RelErr}
	name := "model, " + m.model.Name
	if m.valid {
		if v, err := m.source.joules(dt); err == nil {
			j.Value = v
			j.Tier, j.RelErr = m.source.quality()
			name = m.source.name()
		} else {
			m.note(err)
			m.restart()
		}
	} else {
		m.restart()
	}
	m.open.Joules = m.open.Joules.Add(j)
	m.open.Elapsed += dt
	if m.phase == Wait {
		if len(m.trail) == longestTrail {
			for i := range longestTrail / 2 {
				m.trail[i] = m.trail[2*i+1]
			}
			m.trail = m.trail[:longestTrail/2]
		}
		m.trail = append(m.trail, mark{now, m.open.Value})
	}
	if m.open.Source == "" {
		m.open.Source = name
	} else if !strings.Contains(m.open.Source, name) {
		m.open.Source += "; in part " + name
	}
}

// note keeps each message once, and not without end.
func (m *Meter) note(err error) {
	if t := err.Error(); len(m.notes) < 32 && !slices.Contains(m.notes, t) {
		m.notes = append(m.notes, t)
	}
}
