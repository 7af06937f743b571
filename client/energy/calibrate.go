package energy

import (
	"context"
	"fmt"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Setting is an operating point that can be tried.
type Setting struct {
	Name      string
	Threads   int
	KHz       int64 // 0: leave clocks alone
	PowerMode *int  // of nvpmodel; nil: leave it alone
}

// Bench is what a calibration works with.
type Bench struct {
	Meter *Meter
	Now   func() time.Duration // as the meter's
	Sleep func(context.Context, time.Duration) error
	Apply func(Setting) error         // brings the system into a setting
	Task  func(context.Context) error // does one task
	Idle  time.Duration               // how long to look at the idle machine
	Each  time.Duration               // how long to work in each setting
}

// faster is by how much more threads have to be quicker to count as a mode.
const faster = 0.97

// Calibrate measures seconds and joules of a task in every setting, and idle power.
// Settings with more threads than another at the same clock that are no quicker are
// left out. Settings are applied in order; undoing the last one is the caller's.
func (b *Bench) Calibrate(ctx context.Context, settings []Setting) (Profile, error) {
	p := Profile{Version: profileVersion}
	b.Meter.End()
	b.Meter.Begin(Wait)
	for left := b.Idle; left > 0; {
		nap := min(left, b.Meter.Period())
		if err := b.Sleep(ctx, nap); err != nil {
			return p, err
		}
		b.Meter.Poll()
		left -= nap
	}
	r := b.Meter.End()[0]
	if r.Elapsed <= 0 {
		return p, fmt.Errorf("%w: idle for no time", costcurve.ErrInvalid)
	}
	p.IdleWatts = Figure{r.Value / r.Elapsed.Seconds(), r.Tier, r.RelErr, r.Source}
	type point struct {
		khz       int64
		powerMode int
	}
	quickest := make(map[point]float64)
	for _, s := range settings {
		m, err := b.mode(ctx, s)
		if err != nil {
			return p, fmt.Errorf("setting %s: %w", s.Name, err)
		}
		at := point{khz: s.KHz, powerMode: -1}
		if s.PowerMode != nil {
			at.powerMode = *s.PowerMode
		}
		if q, ok := quickest[at]; ok && m.SecondsPerTask > q*faster {
			continue
		}
		quickest[at] = m.SecondsPerTask
		p.Modes = append(p.Modes, m)
	}
	return p, nil
}

func (b *Bench) mode(ctx context.Context, s Setting) (Mode, error) {
	if err := b.Apply(s); err != nil {
		return Mode{}, err
	}
	if err := b.Task(ctx); err != nil { // warms up
		return Mode{}, err
	}
	b.Meter.SetBusy(s.Threads)
	b.Meter.Begin(Train)
	start := b.Now()
	polled := start
	var tasks int64
	for b.Now()-start < b.Each || tasks == 0 {
		if err := b.Task(ctx); err != nil {
			b.Meter.End()
			return Mode{}, err
		}
		tasks++
		if now := b.Now(); now-polled >= b.Meter.Period() {
			b.Meter.Poll()
			polled = now
		}
	}
	r := b.Meter.End()[0]
	n := float64(tasks)
	return Mode{
		Name: s.Name, Threads: s.Threads, KHz: s.KHz, PowerMode: s.PowerMode, Tasks: tasks, SecondsPerTask: r.Elapsed.Seconds() / n,
		JoulesPerTask: Figure{r.Value / n, r.Tier, r.RelErr, r.Source},
	}, nil
}
