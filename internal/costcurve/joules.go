package costcurve

import (
	"fmt"
	"math"
)

// Tier says how a figure in joules was come by, best first.
type Tier uint8

const (
	TierExternal Tier = iota // external meter
	TierCounter              // RAPL, NVML, INA3221, hwmon
	TierBattery              // difference of battery charge
	TierProfile              // power profile times time in state
	TierTDP                  // thermal design power model
	TierDefault              // a default, knowing nothing of the device
)

var tierNames = [...]string{"external meter", "hardware counter", "battery", "power profile", "TDP model", "default"}

func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("Tier(%d)", uint8(t))
}

// Joules is an energy with its source. RelErr is the half-width of the error as a
// fraction of Value: 0.05 reads "within 5 percent".
type Joules struct {
	Value  float64
	Tier   Tier
	RelErr float64
}

// Validate refuses an energy that is negative, not finite, of an unknown tier, or
// that claims to be without error: nothing measured is, and a zero RelErr means
// that somebody forgot it.
func (j Joules) Validate() error {
	switch {
	case !within(j.Value, 0, MaxJoules):
		return fmt.Errorf("%w: joules %v, want 0 to %g", ErrInvalid, j.Value, float64(MaxJoules))
	case j.Tier > TierDefault:
		return fmt.Errorf("%w: tier %d, want 0 to %d", ErrInvalid, j.Tier, TierDefault)
	case !within(j.RelErr, 0, math.MaxFloat64):
		return fmt.Errorf("%w: relative error %v, want a number of at least 0", ErrInvalid, j.RelErr)
	case j.Value > 0 && j.RelErr == 0:
		return fmt.Errorf("%w: %v J without a relative error; state one", ErrInvalid, j.Value)
	}
	return nil
}

// Add returns the sum. Its tier is the worse of the two, and errors add in
// absolute terms, because readings of one meter are wrong together. The zero
// Joules is the identity.
func (j Joules) Add(k Joules) Joules {
	if j == (Joules{}) {
		return k
	}
	if k == (Joules{}) {
		return j
	}
	sum := Joules{Value: j.Value + k.Value, Tier: max(j.Tier, k.Tier), RelErr: max(j.RelErr, k.RelErr)}
	if sum.Value > 0 {
		sum.RelErr = (j.Value*j.RelErr + k.Value*k.RelErr) / sum.Value
	}
	return sum
}

// within reports lo <= v <= hi; it is false for NaN.
func within(v, lo, hi float64) bool { return v >= lo && v <= hi }
