package policy

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule"
)

// Timing is how Timed chooses when.
type Timing uint8

const (
	AtOnce   Timing = iota // as soon as the round before is over
	Forecast               // by the cheapest plan of all remaining rounds; asked in every slot, it plans anew
	Online                 // by what is measured now alone, for how far behind the rounds are
)

// Timed runs another policy's rounds when energy is clean and, with Place, where it is.
// Who works how much is the other policy's choice, among those that are left to it.
//
//   - Forecast plans all remaining rounds on the forecast, smoothed and corrected by the
//     error that shows now, and begins when the plan does (schedule.PlanStarts).
//   - Online opens schedule.Gate: no forecast is needed, only what is measured.
//   - Place takes the clients of one zone at a time, the cleanest that fairness allows:
//     no zone's share of the rounds is below a fifth or above two and a half times its
//     share of the clients, the same limits as a single client has (see lean).
//
// Starting times follow from public figures alone, so every lane allows them. Place is a
// choice of who: privacy none and lane A.
type Timed struct {
	Policy
	By    Timing
	Place bool

	start  *Start // that the next plan is for
	gate   *schedule.Gate
	errs   []wrong
	usual  float64 // mean intensity so far
	asked  float64
	rounds []float64 // run in each zone, by Place
}

// Name is that of the other policy, with "+forecast" or "+gate" and "+place".
func (p *Timed) Name() string {
	return p.Policy.Name() + [...]string{"", "+forecast", "+gate"}[p.By] + map[bool]string{true: "+place"}[p.Place]
}

// Lanes are those of the other policy; with Place only those that leave a choice of who.
func (p *Timed) Lanes() ([]Lane, string) {
	lanes, why := p.Policy.Lanes()
	if !p.Place {
		return lanes, why
	}
	if why != "" {
		why += ", and "
	}
	free := slices.DeleteFunc(slices.Clone(lanes), func(l Lane) bool { return l == LaneB || l == Distributed })
	return free, why + "the place decides who takes part"
}

// Post hands a price to a policy that posts one.
func (p *Timed) Post(price costcurve.Price) error {
	if q, ok := p.Policy.(Poster); ok {
		return q.Post(price)
	}
	return nil
}

// Open hands the enrolled clients to a policy that posts a price.
func (p *Timed) Open(enrolled []Candidate, rate float64, tasks int64) error {
	if q, ok := p.Policy.(Poster); ok {
		return q.Open(enrolled, rate, tasks)
	}
	return nil
}

// When plans the next round's start. costcurve.ErrInvalid for a moment that contradicts
// itself, or has no forecast where one is needed.
func (p *Timed) When(m Moment) (Start, error) {
	if err := m.validate(p.By == Forecast); err != nil {
		return Start{}, err
	}
	start, err := p.when(&m)
	if err != nil {
		return Start{}, err
	}
	p.start = &start
	return start, nil
}

func (p *Timed) when(m *Moment) (Start, error) {
	zones := p.open(m)
	now := func(sites []schedule.Site) Start {
		best := 0
		for k := range sites {
			if sites[k].Intensity[0]*sites[k].Joules < sites[best].Intensity[0]*sites[best].Joules {
				best = k
			}
		}
		return Start{Zone: zones[best]}
	}
	here := p.sites(m, zones, func(z int) []float64 { return []float64{m.Zones[z].Now} })
	switch p.By {
	case Forecast:
		p.learn(m)
		if m.Slots == 0 {
			return now(here), nil
		}
		sites := p.sites(m, zones, func(z int) []float64 { return p.errs[z].corrected(&m.Zones[z], m.Slot) })
		starts, _, err := schedule.PlanStarts(sites, schedule.Rounds{Count: m.Rounds, Length: m.Length})
		if errors.Is(err, schedule.ErrInfeasible) { // behind: no time to choose
			return now(here), nil
		} else if err != nil {
			return Start{}, err
		}
		return Start{After: float64(starts[0].Slot) * m.Slot, Zone: zones[starts[0].Site]}, nil
	case Online:
		s := now(here)
		v := math.Inf(1)
		for _, site := range here {
			v = min(v, site.Intensity[0]*site.Joules)
		}
		if !p.opens(m, v) {
			s.After = m.Slot
		}
		return s, nil
	}
	return now(here), nil
}

// open lists the zones to choose from: those behind their least share if there are any,
// otherwise those that are not ahead of their greatest. Without Place it is all of them
// together, -1.
func (p *Timed) open(m *Moment) []int {
	if !p.Place {
		return []int{-1}
	}
	if len(p.rounds) != len(m.Zones) {
		p.rounds = make([]float64, len(m.Zones))
	}
	clients, ran := 0, 1.0 // the next one counts
	for i, z := range m.Zones {
		clients += z.Clients
		ran += p.rounds[i]
	}
	var behind, free, all []int
	for i, z := range m.Zones {
		if z.Clients == 0 {
			continue
		}
		all = append(all, i)
		due := ran * float64(z.Clients) / float64(clients)
		if p.rounds[i]+1 <= leastRate*due {
			behind = append(behind, i)
		}
		if p.rounds[i]+1 <= max(1, mostRate*due) {
			free = append(free, i)
		}
	}
	switch {
	case len(behind) > 0:
		return behind
	case len(free) > 0:
		return free
	case len(all) > 0:
		return all
	}
	return []int{-1}
}

// sites are the zones as places for a round: by themselves, or for -1 all together, each
// weighing what its clients draw.
func (p *Timed) sites(m *Moment, zones []int, series func(z int) []float64) []schedule.Site {
	sites := make([]schedule.Site, len(zones))
	for k, z := range zones {
		if z >= 0 {
			sites[k] = schedule.Site{Intensity: series(z), Joules: m.Zones[z].Joules}
			continue
		}
		var weight float64
		for i := range m.Zones {
			weight += float64(m.Zones[i].Clients) * m.Zones[i].Joules
		}
		var mean []float64
		for i := range m.Zones {
			share := 1 / float64(len(m.Zones))
			if weight > 0 {
				share = float64(m.Zones[i].Clients) * m.Zones[i].Joules / weight
			}
			s := series(i)
			if mean == nil {
				mean = make([]float64, len(s))
			}
			for t, v := range s {
				mean[t] += share * v
			}
		}
		sites[k] = schedule.Site{Intensity: mean, Joules: 1}
	}
	return sites
}

// patientRounds is how far behind the gate lets the rounds fall before it takes a mean
// intensity for a low one, as a share of all rounds. Over a week of the traces that
// docs/energy.md names it saves 4 to 11 %, 0.2 saves 2 to 6 %; within a day no value
// does much, for what comes is not known.
const patientRounds = 0.5

// opens asks the gate. Intensities are relative to their mean so far, so that patience
// has no unit.
func (p *Timed) opens(m *Moment, intensity float64) bool {
	p.asked++
	p.usual += (intensity - p.usual) / p.asked
	if m.Slots == 0 {
		return true
	}
	if p.gate == nil {
		p.gate = &schedule.Gate{V: patientRounds * float64(m.Rounds)}
	}
	p.gate.Wait(m.Slots)
	p.gate.Left, p.gate.Slots, p.gate.Length = m.Rounds, m.Slots, m.Length
	if p.usual == 0 {
		return true
	}
	return p.gate.Step(intensity / p.usual)
}

// wrong follows how a zone's forecast errs: errors that last tell of those to come.
type wrong struct{ last, lasting, squares, seen float64 }

func (p *Timed) learn(m *Moment) {
	if len(p.errs) != len(m.Zones) {
		p.errs = make([]wrong, len(m.Zones))
	}
	for i := range m.Zones {
		z, e := &m.Zones[i], &p.errs[i]
		if len(z.Forecast) == 0 {
			continue
		}
		off := z.Now - z.Forecast[0]
		e.lasting += e.last * off
		e.squares += off * off
		e.last = off
		e.seen++
	}
}

// jitter is what a forecast cannot know: grids follow the sun and the shops over hours.
const jitter = 6 * 3600 // seconds

// corrected is a forecast without its jitter, moved by the error that shows now as far as
// errors have lasted so far.
func (e *wrong) corrected(z *Zone, slot float64) []float64 {
	f := schedule.Smooth(z.Forecast, jitter/slot)
	persistence := 0.0
	if e.seen > 4 && e.squares > 0 {
		persistence = min(max(e.lasting/e.squares, 0), 0.99)
	}
	schedule.Correct(f, z.Now, persistence)
	for t, v := range f { // a smooth curve may dip below what there is
		f[t] = max(0, v)
	}
	return f
}

// Plan is the other policy's, among the clients of the zone that the latest When chose,
// for the start that it chose.
func (p *Timed) Plan(r Round) ([]Assignment, error) {
	if err := ready(p, &r); err != nil {
		return nil, err
	}
	start := p.start
	p.start = nil
	if start == nil || start.Zone < 0 {
		plan, err := p.Policy.Plan(r)
		return delayed(plan, start), err
	}
	there := r
	there.Clients, there.Away = nil, slices.Clone(r.Away)
	var index []int
	for i := range r.Clients {
		if c := &r.Clients[i]; c.Zone == start.Zone {
			there.Clients, index = append(there.Clients, *c), append(index, i)
		} else {
			there.Away = append(there.Away, c.History)
		}
	}
	if start.Zone < len(p.rounds) {
		p.rounds[start.Zone]++
	}
	if len(index) == 0 { // nobody is there: better anywhere than not at all
		plan, err := p.Policy.Plan(r)
		return delayed(plan, start), err
	}
	if len(index) < there.Cohort { // fewer clients, each with the same share
		there.Tasks = there.Tasks * int64(len(index)) / int64(there.Cohort)
		there.Cohort = len(index)
	}
	plan, err := p.Policy.Plan(there)
	for k := range plan {
		plan[k].Client = index[plan[k].Client]
	}
	return delayed(plan, start), err
}

// delayed writes the start into the orders.
func delayed(plan []Assignment, s *Start) []Assignment {
	if s == nil || s.After <= 0 {
		return plan
	}
	for k := range plan {
		plan[k].Order.StartAt += time.Duration(math.Round(s.After * 1e9))
	}
	return plan
}
