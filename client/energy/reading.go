package energy

import (
	"errors"
	"fmt"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// ErrSource: a source cannot say what an interval cost.
var ErrSource = errors.New("no energy reading")

// Phase is what the device was doing.
type Phase uint8

const (
	Download Phase = iota
	Train
	Encrypt
	Upload
	Wait    // from the end of an owner's work to Commit, and for a public time of upload
	Between // from Commit to the next order, and from an order to its start: of no round
	phases
)

var phaseNames = [phases]string{"download", "train", "encrypt", "upload", "wait", "between"}

func (p Phase) String() string {
	if p < phases {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// load is the share of the processors that a phase keeps busy when nobody says.
func (p Phase) load(busy float64) float64 {
	switch p {
	case Train, Encrypt:
		return busy
	case Wait, Between:
		return 0
	}
	return 0.1 // transfers
}

// Reading is what one phase took. Idle power is included.
type Reading struct {
	costcurve.Joules
	Phase   Phase
	Elapsed time.Duration
	Source  string
}

// AboveIdle returns the energy without that of an idle device, never below zero. The
// absolute error stays, so the relative one grows.
func (r Reading) AboveIdle(watts float64) costcurve.Joules {
	j := r.Joules
	j.Value = max(0, r.Value-watts*r.Elapsed.Seconds())
	if j.Value > 0 {
		j.RelErr = r.RelErr * r.Value / j.Value
	}
	return j
}

// source is one way to know joules.
type source interface {
	// name says what is measured, and how much of the device it covers.
	name() string
	quality() (costcurve.Tier, float64)
	// start takes the first reading of an interval.
	start() error
	// joules returns what was spent since start or the call before. After an error,
	// start is called again.
	joules(dt time.Duration) (float64, error)
	// period is the longest time between two calls for which joules can tell.
	period() time.Duration
}
