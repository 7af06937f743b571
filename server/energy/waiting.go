package energy

import "fmt"

// Waiting is how much of what clients measured they spent on waiting, from the end of their
// work to Commit. Both are above idle: a device that is on in any case draws its idle power
// also where there are no rounds.
type Waiting struct {
	Joules  float64 // above idle, of waiting
	All     float64 // above idle, of everything
	Idle    float64 // the idle power, over the same time
	Unknown int     // readings of devices that cannot tell
}

// Add adds a reading: joules, and how much of them is above idle.
func (w *Waiting) Add(waits bool, joules, above float64) {
	if waits {
		w.Joules += above
	}
	w.All += above
	w.Idle += joules - above
}

// String says it in a line.
func (w Waiting) String() string {
	s := "waiting: unknown, no client that is calibrated has told what a round took (client calibrate)"
	if w.All > 0 {
		s = fmt.Sprintf("waiting, from the end of a client's work to Commit: %.2f %% of the energy above idle; idle power took %.4g J beside it", 100*w.Joules/w.All, w.Idle)
		if w.Unknown > 0 {
			s += fmt.Sprintf("; %d readings are left out, of clients that are not calibrated", w.Unknown)
		}
	}
	return s
}
