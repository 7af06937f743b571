package energy

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// ErrOffer: what a client offers cannot be a device's.
var ErrOffer = errors.New("offer is not a device's")

// Bounds of an offer's encoding.
const (
	MaxTask  = 200     // bytes of Task
	MaxCurve = 8 << 10 // bytes of the curve; 64 modes with long names take less
)

// Offer is what work costs a client's device, as it says.
type Offer struct {
	Task  string          // what one task is: see TaskName
	Curve costcurve.Curve // of a day without transfers, in joules above idle; its Points count
	Tier  costcurve.Tier
	State costcurve.State // what limits it now; zero where that is not told
}

// ParseOffer reads an offer from bytes that may be hostile.
func ParseOffer(task string, curve []byte, tier uint32) (*Offer, error) {
	if len(task) > MaxTask || len(curve) > MaxCurve || tier > uint32(costcurve.TierDefault) {
		return nil, fmt.Errorf("%w: task of %d bytes, curve of %d, tier %d", ErrOffer, len(task), len(curve), tier)
	}
	c, err := costcurve.DecodeCurve(curve)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	if len(c.Points) == 0 {
		return nil, fmt.Errorf("%w: the curve names no mode", ErrOffer)
	}
	return &Offer{Task: task, Curve: c, Tier: costcurve.Tier(tier)}, nil
}

// TaskName says what one task of a run is. `client calibrate` writes the same.
func TaskName(architecture string, batch int) string {
	return fmt.Sprintf("%s, %d images", architecture, batch)
}

// Class is what the operator expects of a kind of device.
type Class struct {
	Name      string  `yaml:"name" json:"name" doc:"what it is called when a client leaves its band"`
	Clients   string  `yaml:"clients" json:"clients" doc:"names of its clients; * stands for any characters"`
	Seconds   float64 `yaml:"seconds" json:"seconds" doc:"of one step"`
	Joules    float64 `yaml:"joules" json:"joules" doc:"of one step, above idle"`
	Zone      string  `yaml:"zone" json:"zone,omitempty" doc:"where they are: a zone of carbon.forecast; empty for its first"`
	Intensity float64 `yaml:"intensity" json:"intensity" doc:"gCO2e/kWh where they are; 0 for the run's"`
}

func (c Class) validate() error {
	if c.Name == "" || len(c.Name) > costcurve.MaxName {
		return fmt.Errorf("name: got %d characters, want 1 to %d", len(c.Name), costcurve.MaxName)
	}
	if _, err := path.Match(c.Clients, ""); err != nil || c.Clients == "" {
		return fmt.Errorf("clients: got %q, want a pattern of names, e.g. phone-*", c.Clients)
	}
	if !(c.Seconds > 0 && c.Seconds <= costcurve.MaxSeconds) || !(c.Joules > 0 && c.Joules <= costcurve.MaxJoules) {
		return fmt.Errorf("seconds and joules: got %g and %g, want more than 0", c.Seconds, c.Joules)
	}
	if !(c.Intensity >= 0 && c.Intensity <= 1e5) {
		return fmt.Errorf("intensity: got %g, want 0 to 1e5 gCO2e/kWh", c.Intensity)
	}
	return nil
}

// ClassOf is the first class that names a client; ok is false if none does.
func ClassOf(classes []Class, client string) (class Class, ok bool) {
	for _, k := range classes {
		if ok, _ := path.Match(k.Clients, client); ok {
			return k, true
		}
	}
	return Class{}, false
}

// Fleet is the class of clients that no class of the configuration names.
const Fleet = "fleet"

// Bounded is an offer as a scheduler may use it.
type Bounded struct {
	Device  costcurve.Device // its watts are above idle
	Own     bool             // the modes are the client's, and may be ordered by name
	Tier    costcurve.Tier
	RelErr  float64
	State   costcurve.State // of the device, as it says
	Class   Class
	Problem string // why not as it was offered; empty if it was
}

// Curve is the least energy of x steps within the terms.
func (b *Bounded) Curve(t costcurve.Terms) (costcurve.Curve, error) { return b.Device.Curve(t) }

// Client is one who may work.
type Client struct {
	Name  string
	Offer *Offer // nil: it offers nothing
}

// Bound holds the offers of clients to their classes: no figure counts that lies more than
// a factor of band from the class's, and whoever offered one is named. A class is the
// first whose pattern matches. Without one the median of the offers stands in, once there
// are three, with a band of the square: fleets are mixed. Who offers nothing, or for
// another task, counts as typical of its class. alone leaves the median out: what is
// made of one client's offer then depends on nobody else, as amplification wants it.
func Bound(clients []Client, task string, classes []Class, band float64, alone bool) []Bounded {
	fleet, known := Class{Name: Fleet, Seconds: 1, Joules: 1}, false
	if !alone {
		fleet, known = median(clients, task)
	}
	all := make([]Bounded, len(clients))
	for i, c := range clients {
		class, width := fleet, band*band
		if !known {
			width = math.Inf(1)
		}
		if k, ok := ClassOf(classes, c.Name); ok {
			class, width = k, band
		}
		all[i] = bound(c.Offer, task, class, width)
	}
	return all
}

func bound(o *Offer, task string, class Class, band float64) Bounded {
	typical := Bounded{Class: class, Tier: costcurve.TierDefault, RelErr: 1, Device: costcurve.Device{
		Modes: []costcurve.Mode{{Name: class.Name, ActiveWatts: class.Joules / class.Seconds, SecondsPerTask: class.Seconds}},
	}}
	switch {
	case o == nil:
		return typical
	case o.Task != task:
		typical.Problem = fmt.Sprintf("its profile is for %q, the run's task is %q: client calibrate with the run's -architecture and -batch", o.Task, task)
		return typical
	}
	b := Bounded{Class: class, Own: true, Tier: max(o.Tier, costcurve.TierProfile), RelErr: 0.2}
	if o.Tier > costcurve.TierProfile {
		b.RelErr = 1
	}
	rate := o.State.Class.BytesPerSecond()
	b.Device.Link = costcurve.Link{DownBytesPerSecond: rate, UpBytesPerSecond: rate}
	b.Device.Battery = o.State.Stored()
	b.State = o.State
	for _, p := range o.Curve.Points {
		s, j := within(p.Seconds, class.Seconds, band), within(p.Joules, class.Joules, band)
		b.Device.Modes = append(b.Device.Modes, costcurve.Mode{Name: p.Name, ActiveWatts: j / s, SecondsPerTask: s})
		if (s != p.Seconds || j != p.Joules) && b.Problem == "" {
			b.Problem = fmt.Sprintf("mode %q declared at %.3g s and %.3g J a step, class %s says %.3g s and %.3g J and allows a factor of %g: it counts as %.3g s and %.3g J",
				p.Name, p.Seconds, p.Joules, class.Name, class.Seconds, class.Joules, band, s, j)
		}
	}
	// Figures that no device has would stop a solver, and with it the run.
	if _, err := b.Device.Curve(costcurve.Terms{Deadline: costcurve.MaxSeconds}); err != nil && !errors.Is(err, costcurve.ErrNoBattery) {
		typical.Problem = err.Error()
		return typical
	}
	return b
}

// within is v, moved into the band around known.
func within(v, known, band float64) float64 {
	if math.IsInf(band, 1) {
		return v
	}
	return min(max(v, known/band), known*band)
}

// median is what the clients' cheapest modes take in the middle; a second and a joule if
// nobody says. known is false for fewer than three offers: two cannot outvote a lie.
func median(clients []Client, task string) (class Class, known bool) {
	var seconds, joules []float64
	for _, c := range clients {
		if c.Offer != nil && c.Offer.Task == task {
			p := c.Offer.Curve.Points[0]
			seconds, joules = append(seconds, p.Seconds), append(joules, p.Joules)
		}
	}
	class = Class{Name: Fleet, Seconds: 1, Joules: 1}
	if n := len(seconds); n > 0 {
		slices.Sort(seconds)
		slices.Sort(joules)
		s, j := seconds[n/2], max(joules[n/2], leastJoules)
		if j/s <= costcurve.MaxWatts {
			class.Seconds, class.Joules, known = s, j, n >= 3
		}
	}
	return class, known
}

// leastJoules keeps work from being free where a meter could not tell it from idling.
const leastJoules = 1e-9
