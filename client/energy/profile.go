package energy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Figure is an energy or a power with how it is known, as it is stored.
type Figure struct {
	Value  float64        `json:"value"`
	Tier   costcurve.Tier `json:"tier"` // 0 is best; see costcurve.Tier
	RelErr float64        `json:"relative_error"`
	Source string         `json:"source"`
}

func (f Figure) validate() error {
	return costcurve.Joules{Value: f.Value, Tier: f.Tier, RelErr: f.RelErr}.Validate()
}

// Mode is one measured operating point.
type Mode struct {
	Name           string  `json:"name"`
	Threads        int     `json:"threads"`
	KHz            int64   `json:"khz,omitempty"`        // clock limit; 0: as the system sets it
	PowerMode      *int    `json:"power_mode,omitempty"` // of nvpmodel; nil: as the system sets it
	Tasks          int64   `json:"tasks"`                // measured
	SecondsPerTask float64 `json:"seconds_per_task"`
	JoulesPerTask  Figure  `json:"joules_per_task"` // idle power included
}

// Profile is what a device was found to need for one kind of task.
type Profile struct {
	Version   int    `json:"version"`
	Task      string `json:"task"` // what one task is, e.g. "mnist-cnn, 32 images"
	IdleWatts Figure `json:"idle_watts"`
	Modes     []Mode `json:"modes"`
}

const profileVersion = 1

// Device returns the profile as a scheduler takes it. Link and battery are not part of
// a calibration and stay empty.
func (p Profile) Device() costcurve.Device {
	d := costcurve.Device{IdleWatts: p.IdleWatts.Value}
	for _, m := range p.Modes {
		d.Modes = append(d.Modes, costcurve.Mode{Name: m.Name, ActiveWatts: m.JoulesPerTask.Value / m.SecondsPerTask, SecondsPerTask: m.SecondsPerTask})
	}
	return d
}

// Tier is the worst tier of the figures: what anything computed from them has.
func (p Profile) Tier() costcurve.Tier {
	t := p.IdleWatts.Tier
	for _, m := range p.Modes {
		t = max(t, m.JoulesPerTask.Tier)
	}
	return t
}

// Validate refuses figures without a source, and those that cannot be a device's.
func (p Profile) Validate() error {
	if p.Version != profileVersion {
		return fmt.Errorf("%w: profile of version %d, want %d; calibrate again", costcurve.ErrInvalid, p.Version, profileVersion)
	}
	if err := p.IdleWatts.validate(); err != nil {
		return fmt.Errorf("idle power: %w", err)
	}
	for _, m := range p.Modes {
		if err := m.JoulesPerTask.validate(); err != nil {
			return fmt.Errorf("mode %q: %w", m.Name, err)
		}
		if m.Threads < 1 || m.KHz < 0 || m.PowerMode != nil && *m.PowerMode < 0 || m.Tasks < 1 || !(m.SecondsPerTask > 0) {
			return fmt.Errorf("%w: mode %q: %d threads, %d kHz, %d tasks of %v s", costcurve.ErrInvalid, m.Name, m.Threads, m.KHz, m.Tasks, m.SecondsPerTask)
		}
	}
	return p.Device().Validate()
}

// Write writes the profile as JSON.
func (p Profile) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(p)
}

// largestProfile is more than MaxModes modes need.
const largestProfile = 1 << 18

// ParseProfile reads what Write wrote, and nothing else.
func ParseProfile(b []byte) (Profile, error) {
	var p Profile
	if len(b) > largestProfile {
		return p, fmt.Errorf("%w: profile of %d bytes, want at most %d", costcurve.ErrInvalid, len(b), largestProfile)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Profile{}, fmt.Errorf("%w: profile: %w; calibrate again", costcurve.ErrInvalid, err)
	}
	if d.More() {
		return Profile{}, fmt.Errorf("%w: bytes after the profile; calibrate again", costcurve.ErrInvalid)
	}
	if err := p.Validate(); err != nil {
		return Profile{}, err
	}
	return p, nil
}

// How fast a profile follows what work takes, and how far one observation may lie from
// it before it is taken for a fault.
const (
	follow   = 0.2
	furthest = 5
)

// Update moves a mode towards what a round took: tasks > 0 in so many seconds, for
// joules with idle power included. The step is a fifth, and what lies more than a
// factor of five off is refused with ErrInvalid. A figure of a worse tier than the
// stored one changes the time alone.
func (p *Profile) Update(mode string, tasks int64, seconds float64, joules costcurve.Joules) error {
	if err := joules.Validate(); err != nil {
		return err
	}
	for i := range p.Modes {
		m := &p.Modes[i]
		if m.Name != mode {
			continue
		}
		s, j := seconds/float64(tasks), joules.Value/float64(tasks)
		if tasks < 1 || far(s, m.SecondsPerTask) || joules.Tier <= m.JoulesPerTask.Tier && far(j, m.JoulesPerTask.Value) {
			return fmt.Errorf("%w: mode %q took %.3g s and %.3g J a task, the profile says %.3g s and %.3g J; calibrate again if this lasts", costcurve.ErrInvalid, mode, s, j, m.SecondsPerTask, m.JoulesPerTask.Value)
		}
		m.SecondsPerTask += follow * (s - m.SecondsPerTask)
		if f := &m.JoulesPerTask; joules.Tier <= f.Tier {
			f.Value += follow * (j - f.Value)
			f.RelErr += follow * (joules.RelErr - f.RelErr)
		}
		m.Tasks += tasks
		return nil
	}
	return fmt.Errorf("%w: the profile has no mode %q", costcurve.ErrInvalid, mode)
}

func far(v, known float64) bool {
	return math.IsNaN(v) || known > 0 && (v > known*furthest || v < known/furthest)
}
