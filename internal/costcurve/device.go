package costcurve

import "fmt"

// Mode is one operating point of a device: a clock, a power limit, a core count.
type Mode struct {
	Name           string
	ActiveWatts    float64 // whole device while it works, idle power included
	SecondsPerTask float64
}

// Link is the device's own side of its network connection.
type Link struct {
	DownBytesPerSecond, UpBytesPerSecond float64
	DownJoulesPerByte, UpJoulesPerByte   float64
}

// Battery is what may be drawn in a round. The zero Battery is mains power.
type Battery struct {
	Joules  float64 // stored now
	Reserve float64 // never to be touched
}

// Device is one device as it was calibrated.
type Device struct {
	Modes      []Mode
	IdleWatts  float64
	WakeJoules float64 // spent once a round, whatever the work
	Link       Link
	Battery    Battery
}

// Validate refuses figures that cannot be a device's. A mode may draw less than
// IdleWatts by measurement error; its energy above idle then counts as zero.
func (d Device) Validate() error {
	if len(d.Modes) == 0 || len(d.Modes) > MaxModes {
		return fmt.Errorf("%w: %d modes, want 1 to %d", ErrInvalid, len(d.Modes), MaxModes)
	}
	for i, m := range d.Modes {
		switch {
		case m.Name == "" || len(m.Name) > MaxName:
			return fmt.Errorf("%w: mode %d: name of %d bytes, want 1 to %d", ErrInvalid, i, len(m.Name), MaxName)
		case !within(m.ActiveWatts, 0, MaxWatts):
			return fmt.Errorf("%w: mode %q: active power %v W, want 0 to %g", ErrInvalid, m.Name, m.ActiveWatts, float64(MaxWatts))
		case !(m.SecondsPerTask > 0 && m.SecondsPerTask <= MaxSeconds):
			return fmt.Errorf("%w: mode %q: %v s a task, want more than 0 and at most %g", ErrInvalid, m.Name, m.SecondsPerTask, float64(MaxSeconds))
		}
		for _, n := range d.Modes[:i] {
			if n.Name == m.Name {
				return fmt.Errorf("%w: mode %q is given twice", ErrInvalid, m.Name)
			}
		}
	}
	for _, f := range []struct {
		name string
		v    float64
		most float64
	}{
		{"idle power", d.IdleWatts, MaxWatts},
		{"wake energy", d.WakeJoules, MaxJoules},
		{"battery", d.Battery.Joules, MaxJoules},
		{"battery reserve", d.Battery.Reserve, MaxJoules},
		{"download rate", d.Link.DownBytesPerSecond, 1e15},
		{"upload rate", d.Link.UpBytesPerSecond, 1e15},
		{"download energy", d.Link.DownJoulesPerByte, MaxJoules},
		{"upload energy", d.Link.UpJoulesPerByte, MaxJoules},
	} {
		if !within(f.v, 0, f.most) {
			return fmt.Errorf("%w: %s %v, want 0 to %g", ErrInvalid, f.name, f.v, f.most)
		}
	}
	return nil
}

// Boundary says which joules a curve counts.
type Boundary uint8

const (
	// AboveIdle counts what the work adds to a device that is on in any case.
	AboveIdle Boundary = iota
	// Total counts all power while the device works, and none afterwards: for a
	// device that sleeps as soon as it is done.
	Total
)

// Terms are what a round asks of every device: the same for all.
type Terms struct {
	Deadline  float64 // seconds from the order to the end of the upload
	Margin    float64 // seconds of it kept free
	DownBytes float64
	UpBytes   float64
	Boundary  Boundary
	MaxTasks  int64 // most that may be asked of this device (its data); 0: no such limit
}

// Validate refuses terms that are negative, not finite or out of bounds.
func (t Terms) Validate() error {
	switch {
	case !(t.Deadline > 0 && t.Deadline <= MaxSeconds):
		return fmt.Errorf("%w: deadline %v s, want more than 0 and at most %g", ErrInvalid, t.Deadline, float64(MaxSeconds))
	case !within(t.Margin, 0, MaxSeconds):
		return fmt.Errorf("%w: margin %v s, want 0 to %g", ErrInvalid, t.Margin, float64(MaxSeconds))
	case !within(t.DownBytes, 0, 1e15), !within(t.UpBytes, 0, 1e15):
		return fmt.Errorf("%w: %v bytes down, %v up, want 0 to 1e15", ErrInvalid, t.DownBytes, t.UpBytes)
	case t.Boundary > Total:
		return fmt.Errorf("%w: boundary %d, want 0 or 1", ErrInvalid, t.Boundary)
	case t.MaxTasks < 0 || t.MaxTasks > MaxTasks:
		return fmt.Errorf("%w: at most %d tasks, want 0 to %d", ErrInvalid, t.MaxTasks, int64(MaxTasks))
	}
	return nil
}

// round returns what taking part costs before any work is done, and the seconds
// that are left for work.
func (d Device) round(t Terms) (fixed, window float64, err error) {
	window = t.Deadline - t.Margin
	for _, way := range []struct {
		name                 string
		bytes, rate, perByte float64
	}{
		{"download", t.DownBytes, d.Link.DownBytesPerSecond, d.Link.DownJoulesPerByte},
		{"upload", t.UpBytes, d.Link.UpBytesPerSecond, d.Link.UpJoulesPerByte},
	} {
		if way.bytes == 0 {
			continue
		}
		if way.rate == 0 {
			return 0, 0, fmt.Errorf("%w: %s rate is 0 and there are %v bytes to move; measure the link", ErrInvalid, way.name, way.bytes)
		}
		window -= way.bytes / way.rate
		fixed += way.bytes * way.perByte
	}
	fixed += d.WakeJoules
	if fixed > MaxJoules {
		return 0, 0, fmt.Errorf("%w: transfers and wake cost %v J, want at most %g", ErrInvalid, fixed, float64(MaxJoules))
	}
	if window <= 0 {
		return 0, 0, fmt.Errorf("%w: transfers and margin need %.3g s more than the deadline of %.3g s; lengthen it, or send less", ErrNoTime, -window, t.Deadline)
	}
	return fixed, window, nil
}

// taskJoules is the energy of one task in mode m inside the boundary.
func (d Device) taskJoules(m Mode, b Boundary) float64 {
	w := m.ActiveWatts
	if b == AboveIdle {
		w = max(0, w-d.IdleWatts)
	}
	return w * m.SecondsPerTask
}

// allowance is how much energy, inside the boundary, the battery pays for in a
// round; the second result is false on mains power.
func (d Device) allowance(t Terms) (float64, bool) {
	if d.Battery == (Battery{}) {
		return 0, false
	}
	left := d.Battery.Joules - d.Battery.Reserve
	if t.Boundary == AboveIdle {
		left -= d.IdleWatts * t.Deadline // drawn in any case, and from the same battery
	}
	return left, true
}
