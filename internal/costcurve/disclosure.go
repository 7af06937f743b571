package costcurve

import (
	"fmt"
	"math/bits"
)

// Disclosure is how much of its device a client may tell a server. Joules of a round betray
// a secret batch and a secret coin, and so does whatever follows from them, as a battery
// does.
type Disclosure uint8

const (
	TellNothing Disclosure = iota // amplification by coins of clients: each answers a posted price
	TellCurve                     // secret batches: what a calibration found, which no round changes
	TellDevice                    // the state of battery and connection as well
)

func (d Disclosure) String() string {
	switch d {
	case TellNothing:
		return "nothing"
	case TellCurve:
		return "its calibrated curve"
	case TellDevice:
		return "its device's state"
	}
	return fmt.Sprintf("Disclosure(%d)", uint8(d))
}

// State is what limits a device now, as coarse as it is told.
type State struct {
	Battery  bool   // it has one, and the rest is known
	Percent  int    // of a full charge: 0, 25, 50, 75 or 100
	Charging bool   // it loses nothing by working
	Full     uint64 // joules of a full charge, of two significant binary digits
	Class    LinkClass
}

// LinkClass is a range of bit rates, the same both ways.
type LinkClass uint8

// Classes of connections, by the slower way.
const (
	LinkUnknown LinkClass = iota
	LinkSlow              // below a million bits a second
	LinkMobile            // from there
	LinkBroad             // from ten million
	LinkFast              // from a hundred million
)

// ClassOf is the class of so many bytes a second; LinkUnknown for none.
func ClassOf(bytesPerSecond float64) LinkClass {
	switch bits := 8 * bytesPerSecond; {
	case !(bits > 0):
		return LinkUnknown
	case bits < 1e6:
		return LinkSlow
	case bits < 1e7:
		return LinkMobile
	case bits < 1e8:
		return LinkBroad
	}
	return LinkFast
}

// BytesPerSecond is the least that the class promises; of the slowest, a tenth of what it
// ends at. 0 if it is unknown.
func (c LinkClass) BytesPerSecond() float64 {
	if c == LinkUnknown || c > LinkFast {
		return 0
	}
	rate := 1e5 / 8
	for range c - LinkSlow {
		rate *= 10
	}
	return rate
}

// Charge is the state of a battery of so many joules when full, rounded down. Negative
// percent: there is none, or nobody knows.
func Charge(percent float64, charging bool, full float64) State {
	if !(percent >= 0) || !(full >= 4 && full <= MaxJoules) {
		return State{}
	}
	n := uint64(full)
	drop := bits.Len64(n) - 2
	return State{Battery: true, Percent: 25 * int(min(percent, 100)/25), Charging: charging, Full: n >> drop << drop}
}

// Validate refuses a state that is finer than Charge and ClassOf make it, or none.
func (s State) Validate() error {
	switch {
	case s.Class > LinkFast:
		return fmt.Errorf("%w: connection of class %d", ErrInvalid, s.Class)
	case !s.Battery && s != (State{Class: s.Class}):
		return fmt.Errorf("%w: no battery, and %d %% of %d J", ErrInvalid, s.Percent, s.Full)
	case !s.Battery:
		return nil
	case s.Percent < 0 || s.Percent > 100 || Charge(float64(s.Percent), s.Charging, float64(s.Full)) != State{Battery: true, Percent: s.Percent, Charging: s.Charging, Full: s.Full}:
		return fmt.Errorf("%w: battery at %d %% of %d J, want quarters and two binary digits", ErrInvalid, s.Percent, s.Full)
	}
	return nil
}

// reserve is the share of a battery that no round may touch.
const reserve = 0.2

// Stored is the battery for a round's curve: the zero Battery where work takes nothing out
// of one.
func (s State) Stored() Battery {
	if !s.Battery || s.Charging {
		return Battery{}
	}
	return Battery{Joules: float64(s.Full) * float64(s.Percent) / 100, Reserve: reserve * float64(s.Full)}
}
