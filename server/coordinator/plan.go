package coordinator

import (
	"maps"
	"slices"
	"time"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// plan is how the work of an attempt is spread. nil is a plan of nothing.
type plan struct {
	by        map[string]*work
	reference int64
	tasks     int64
	reports   []string // the clients of by, in the order of the policy's plan
	bounded   []string
	counted   map[string]bool // once the sum is open
	opening   time.Duration   // that it took
	known     bool            // in lane B: all clients are of classes, whose figures are public
	delay     time.Duration   // by which the latest start puts the round off
}

// work is one client's part.
type work struct {
	PlannedWork
	candidate policy.Candidate
	figures   energy.Bounded
	wait      time.Duration // how long its report is waited for; 0: until the deadline
}

// PlannedWork is what a client was ordered, and what that costs by the curve that it
// offered.
type PlannedWork struct {
	Client    string            `json:"client"`
	Order     costcurve.Order   `json:"order"`
	Posted    *costcurve.Posted `json:"posted,omitempty"` // in lane B: what it answers
	Records   uint64            `json:"records"`          // training records to process: what the client signs
	Tasks     int64             `json:"tasks"`            // of the order, or what the client does without one
	Joules    costcurve.Joules  `json:"joules"`           // modelled, above idle
	Seconds   float64           `json:"seconds"`          // modelled
	Intensity float64           `json:"intensity"`        // gCO2e/kWh
	Offered   bool              `json:"offered"`          // the figures are the client's own
}

// price fills in what the order costs; usual is the work where the order names none.
func (w *work) price(usual int64) {
	order := w.Order
	if order.Tasks == 0 {
		order.Tasks = usual
	}
	w.Tasks = order.Tasks
	w.Joules, w.Seconds = w.figures.Spend(w.candidate.Curve, order)
}

// planOf is the plan of an attempt that is taken up again.
func planOf(p *Pending) *plan {
	q := &plan{by: make(map[string]*work, len(p.Work)), reference: p.Reference}
	for _, w := range p.Work {
		q.by[w.Client], q.tasks = &work{PlannedWork: w}, q.tasks+w.Order.Tasks
	}
	return q
}

// pending is the plan as it is stored.
func (p *plan) pending() (planned []PlannedWork) {
	for _, name := range slices.Sorted(maps.Keys(p.by)) {
		planned = append(planned, p.by[name].PlannedWork)
	}
	return planned
}

// under computes the client's curve for so many seconds of work, or with bytes each way.
func (w *work) under(seconds float64, bytes int) (err error) {
	if w.figures.Device.Link.UpBytesPerSecond == 0 { // of unknown connections nothing is taken off
		bytes = 0
	}
	w.candidate.Curve, err = w.figures.Curve(costcurve.Terms{Deadline: seconds, DownBytes: float64(bytes), UpBytes: float64(bytes)})
	return err
}

// patience is how long each report is waited for, where the plan says.
func (p *plan) patience() map[string]time.Duration {
	by := map[string]time.Duration{}
	for name, w := range p.by {
		if w.wait > 0 {
			by[name] = w.wait
		}
	}
	return by
}

// putOff is how much later than usual the round ends.
func (p *plan) putOff() time.Duration {
	if p == nil {
		return 0
	}
	return p.delay
}

func (p *plan) of(client string) *work {
	if p == nil {
		return nil
	}
	return p.by[client]
}

// opened notes whose reports were counted, and how long it took.
func (p *plan) opened(set []string, took time.Duration) {
	p.opening, p.counted = took, make(map[string]bool, len(set))
	for _, name := range set {
		p.counted[name] = true
	}
}

// rescale undoes the clients' scaling to reference steps: the model moves as far as the
// clients in set went in the mean, weighted as they are (FedNova, Wang et al. 2020).
// Equal work leaves the mean as it is, bit for bit.
func (p *plan) rescale(mean []float64, set []string, weights []float64) {
	if p == nil || p.reference == 0 {
		return
	}
	steps := make([]int64, len(set))
	for i, name := range set {
		steps[i] = p.by[name].Order.Tasks
	}
	serveropt.Rescale(mean, serveropt.MeanProgress(weights, steps, p.reference))
}
