package policy

import (
	"fmt"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Timer is a policy that also says when rounds begin, and perhaps where.
type Timer interface {
	Policy

	// When says when the next round is to begin, by what is known now. Ask anew in
	// every slot until it says at once: what was forecast then is measured now. The
	// Plan that follows is for that start: its orders carry it as Order.StartAt, so
	// that whoever asks only once can hand the wait to the clients.
	When(m Moment) (Start, error)
}

// Start is when a round begins, and whose clients work.
type Start struct {
	After float64 // seconds from now; 0: at once
	Zone  int     // of Moment.Zones; -1: all
}

// Moment is what is known before a round begins, at the start of a slot. All of it is
// public: forecasts, and enrolled clients' declared figures. What a round was like, who
// is there and what anybody did is not in it, so that every lane allows it.
type Moment struct {
	Rounds int     // still to run, the next included
	Slot   float64 // seconds of a slot
	Slots  int     // slots until the horizon, this one included; beyond it rounds begin at once
	Length int     // slots that a round takes
	Zones  []Zone
}

// Zone is a place where clients draw their energy. Intensities are averages in
// gCO2e/kWh; marginal ones must not be mixed with them.
type Zone struct {
	Clients  int       // enrolled there
	Joules   float64   // that one of them is expected to draw in a round; relative figures do
	Now      float64   // measured intensity
	Forecast []float64 // of each slot until the horizon, as issued; [0] is of now. nil: unknown
}

func (m *Moment) validate(forecast bool) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: moment: "+format, append([]any{costcurve.ErrInvalid}, args...)...)
	}
	if m.Rounds < 1 || m.Slots < 0 || m.Slots > 1<<20 || m.Length < 1 || m.Rounds > 1<<20 || m.Length > 1<<20 {
		return bad("%d rounds of %d slots, %d slots left, want at least 1, 1 and 0, and at most 2^20", m.Rounds, m.Length, m.Slots)
	}
	if !(m.Slot > 0 && m.Slot*float64(max(1, m.Slots)) <= costcurve.MaxSeconds) || len(m.Zones) == 0 {
		return bad("%d zones, %d slots of %v s, want a zone, and more than 0 and at most %g s", len(m.Zones), m.Slots, m.Slot, float64(costcurve.MaxSeconds))
	}
	sound := func(v float64) bool { return v >= 0 && v <= 1e9 }
	for i, z := range m.Zones {
		if z.Clients < 0 || !(z.Joules >= 0 && z.Joules <= costcurve.MaxJoules) || !sound(z.Now) {
			return bad("zone %d: %d clients of %v J, intensity %v, want finite and not negative", i, z.Clients, z.Joules, z.Now)
		}
		if forecast && len(z.Forecast) != m.Slots {
			return bad("zone %d: forecast of %d slots, want %d: one for each until the horizon", i, len(z.Forecast), m.Slots)
		}
		for t, v := range z.Forecast {
			if !sound(v) {
				return bad("zone %d, slot %d: intensity %v, want finite and not negative", i, t, v)
			}
		}
	}
	return nil
}
