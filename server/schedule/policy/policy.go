package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// ErrLane: a policy may not run under a privacy lane.
var ErrLane = errors.New("policy breaks the privacy claim")

// Lane is what a contract claims, as far as it limits scheduling.
type Lane uint8

const (
	None        Lane = iota // privacy: none
	LaneA                   // unit client, no amplification
	LaneB                   // unit client, amplified by secret coins
	Distributed             // distributed DP-SGD
)

func (l Lane) String() string {
	switch l {
	case None:
		return "none"
	case LaneA:
		return "A"
	case LaneB:
		return "B"
	case Distributed:
		return "distributed-dp-sgd"
	}
	return fmt.Sprintf("Lane(%d)", uint8(l))
}

// Candidate is one client as the server, or in lane B the client itself, sees it.
type Candidate struct {
	Curve    costcurve.Curve // under the round's terms, with Points
	Min, Max int64           // bounds of the contract; the curve cuts Max

	Examples      int64   // declared, public
	UploadSeconds float64 // of the round's payload
	Battery       float64 // fraction of its charge that is left; 1 on mains
	BatteryJoules float64 // of a full charge; 0 on mains
	Zone          int     // where it draws its energy
	Intensity     float64 // gCO2e/kWh there, now

	History History
}

// most is the largest work that bounds and curve allow.
func (c *Candidate) most() int64 { return min(c.Max, c.Curve.Max()) }

// equal is the order for an equal share, cut to what the client may and can do.
func (c *Candidate) equal(share int64) int64 { return max(min(share, c.most()), c.Min) }

// History is a client's own past.
type History struct {
	Rounds  int             // it took part in
	Offered int             // it was available for, the one being planned included; 0: all so far
	Last    int             // index of the last of them
	Seconds float64         // it took
	Joules  float64         // it spent
	Queue   costcurve.Queue // tasks it is owed
	Loss    float64         // root mean square over its examples then; data, so privacy none only
}

// sane is a figure that a client reported, 0 if it is nonsense.
func sane(v float64) float64 {
	if v >= 0 && v <= costcurve.MaxJoules {
		return v
	}
	return 0
}

// utility is Oort's statistical utility: examples times the root mean square loss.
func (c *Candidate) utility() float64 { return max(0, float64(c.Examples)) * sane(c.History.Loss) }

// Round is what is to be planned.
type Round struct {
	Index  int // from 1
	Lane   Lane
	Cohort int   // clients wanted; in lane B expected
	Tasks  int64 // all together; in lane B expected

	// Clients that are available, in an order that depends on their identities alone.
	// In lane B and distributed DP-SGD, those whose turn it is: each gets an order.
	Clients []Candidate

	// Away is the past of the enrolled clients that are not among Clients, in any
	// order: fairness is among all. nil where the server does not keep it; the lanes
	// without a choice of who ignore it.
	Away []History

	// Excess[z] is the joules of surplus renewable energy in zone z for the round;
	// nil when unknown.
	Excess []float64

	Rand *rand.Rand
}

// mean is the tasks of a client in the mean.
func (r *Round) mean() float64 { return float64(r.Tasks) / float64(max(1, r.Cohort)) }

func (r *Round) share() int64 { return max(1, r.Tasks/int64(max(1, r.Cohort))) }

func (r *Round) validate() error {
	if r.Index < 1 || r.Cohort < 1 || r.Tasks < 0 {
		return fmt.Errorf("%w: round %d, cohort of %d, %d tasks, want at least 1, 1 and 0", costcurve.ErrInvalid, r.Index, r.Cohort, r.Tasks)
	}
	if r.Rand == nil {
		return fmt.Errorf("%w: round without a source of randomness", costcurve.ErrInvalid)
	}
	for i := range r.Clients {
		c := &r.Clients[i]
		if len(c.Curve.Points) == 0 || len(c.Curve.Segments) == 0 {
			return fmt.Errorf("%w: client %d: curve without modes or segments", costcurve.ErrInvalid, i)
		}
		if c.Min < 0 || c.most() < c.Min {
			return fmt.Errorf("%w: client %d: must do %d tasks and can do %d; leave it out of the round", costcurve.ErrInvalid, i, c.Min, c.most())
		}
		for _, v := range [...]float64{c.UploadSeconds, c.Battery, c.BatteryJoules, c.Intensity} {
			if !(v >= 0 && v <= costcurve.MaxJoules) {
				return fmt.Errorf("%w: client %d: upload %v s, battery %v of %v J, intensity %v, want finite and not negative", costcurve.ErrInvalid, i, c.UploadSeconds, c.Battery, c.BatteryJoules, c.Intensity)
			}
		}
	}
	return nil
}

// Assignment is the order of one client, an index into Round.Clients.
type Assignment struct {
	Client int
	Order  costcurve.Order

	// Patience is how long to wait for the report, as a multiple of the time that the
	// order takes by the client's own figures, transfers included. It depends on that
	// client alone, so under lane B too a client that is late is so by its own doing.
	// 0: until the deadline.
	Patience float64
}

// Outcome is what came of a round, as far as the lane lets the server see it: under
// lane B and distributed DP-SGD only Released.
type Outcome struct {
	Accuracy float64 // of the global model, in [0, 1]
	Reports  []Report
	Released float64 // tasks done, from a released aggregate; 0 if there is none
}

// Report is one client's outcome.
type Report struct {
	Candidate Candidate // as it was planned with
	Order     costcurve.Order
	Seconds   float64
	Joules    float64
	Done      bool // in time
}

// Policy plans rounds.
type Policy interface {
	// Name is what it is called in reports and configurations.
	Name() string

	// Lanes lists the lanes that it may run in, and says why not in others.
	Lanes() (lanes []Lane, why string)

	// Plan returns the orders, ascending by client. Under Distributed, Order.Tasks is
	// 0. It fails with ErrLane where Lanes does not list r.Lane.
	Plan(r Round) ([]Assignment, error)

	// Observe tells what came of the latest plan.
	Observe(o Outcome)
}

// Check reports whether the policy may run in the lane: nil, or ErrLane with the
// reason and what to do.
func Check(p Policy, lane Lane) error {
	lanes, why := p.Lanes()
	if slices.Contains(lanes, lane) {
		return nil
	}
	return fmt.Errorf("%w: policy %s may not run under lane %s: %s; choose another policy, or another contract", ErrLane, p.Name(), lane, why)
}

// ready is what every Plan checks first.
func ready(p Policy, r *Round) error {
	if err := Check(p, r.Lane); err != nil {
		return err
	}
	return r.validate()
}

// uniform draws k of n indices without replacement, ascending.
func uniform(r *rand.Rand, n, k int) []int {
	at := r.Perm(n)[:min(k, n)]
	slices.Sort(at)
	return at
}

// everyone is the cohort of lanes in which there is no choice of who.
func everyone(n int) []int {
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	return at
}

// blind is a policy that ignores outcomes.
type blind struct{}

func (blind) Observe(Outcome) {}
