package energy

import "github.com/sotto-fl/sotto/internal/costcurve"

// Joules is an energy with its source, as it is stored and shown.
type Joules struct {
	Joules float64        `json:"joules"`
	Tier   costcurve.Tier `json:"tier"`
	RelErr float64        `json:"relative_error"`
}

func stored(j costcurve.Joules) Joules { return Joules{j.Value, j.Tier, j.RelErr} }

// Round is what one round cost, by public orders and by what was counted here. A figure
// that nobody gave is nil: unknown, which is not zero.
type Round struct {
	Policy    string  `json:"policy"`
	Reference int64   `json:"reference,omitempty"` // steps that updates were scaled to
	Tasks     int64   `json:"tasks,omitempty"`     // ordered, all clients together
	Clients   *Joules `json:"clients,omitempty"`   // above idle, of the work ordered; no transfers
	Network   *Joules `json:"network,omitempty"`
	Server    *Joules `json:"server,omitempty"`
	Holders   *Joules `json:"holders,omitempty"`
	Grams     float64 `json:"gco2e,omitempty"` // SCI of the round; 0 without an intensity

	// Orders of each client: only without privacy and in lane A.
	Orders []Ordered `json:"orders,omitempty"`
	// Bounded are the clients whose figures were not taken as they were offered, and why.
	Bounded []string `json:"bounded,omitempty"`
}

// Ordered is what one client was asked for.
type Ordered struct {
	Client  string  `json:"client"`
	Tasks   int64   `json:"tasks"`
	Mode    string  `json:"mode,omitempty"`
	Then    string  `json:"then,omitempty"` // the mode it changes to
	Joules  float64 `json:"joules"`         // modelled, above idle
	Seconds float64 `json:"seconds"`        // modelled, of work
	Done    bool    `json:"done"`           // its report was counted
}

// Spend is what an order costs: modelled, above idle. An order without a mode is taken to
// run in the fastest.
func (b *Bounded) Spend(c costcurve.Curve, o costcurve.Order) (j costcurve.Joules, seconds float64) {
	if o.Mode == "" || !b.Own {
		o.Mode, o.SwitchTo, o.SwitchAfter = c.Points[len(c.Points)-1].Name, "", 0
	}
	v, seconds, ok := c.Spend(o)
	if !ok {
		p := c.Points[len(c.Points)-1]
		v, seconds = float64(o.Tasks)*p.Joules, float64(o.Tasks)*p.Seconds
	}
	return costcurve.Joules{Value: v, Tier: b.Tier, RelErr: b.RelErr}, seconds
}

// Use is what a round used.
type Use struct {
	Clients costcurve.Joules // modelled; zero if nobody offered figures
	Grams   float64          // of those joules, each at its client's intensity
	Bytes   int64            // both ways
	Seconds float64          // of the round
	Opening float64          // seconds of them, in which key holders opened the sum
	Holders int
}

// Footprint fills in what the configuration can price.
func (r *Round) Footprint(c Carbon, u Use) {
	var all float64 // without the clients'
	book := func(to **Joules, j costcurve.Joules) {
		s := stored(j)
		*to = &s
		all += j.Value
	}
	if u.Clients != (costcurve.Joules{}) {
		s := stored(u.Clients)
		r.Clients = &s
	}
	given := func(v float64) costcurve.Joules {
		return costcurve.Joules{Value: v, Tier: costcurve.TierProfile, RelErr: 0.5}
	}
	if c.NetworkMB > 0 {
		book(&r.Network, given(c.NetworkMB*float64(u.Bytes)/1e6))
	}
	if c.ServerWatts > 0 {
		book(&r.Server, given(c.ServerWatts*u.Seconds))
	}
	if c.HolderWatts > 0 && u.Holders > 0 {
		book(&r.Holders, given(c.HolderWatts*u.Opening*float64(u.Holders)))
	}
	if c.Intensity > 0 {
		r.Grams = u.Grams + all*c.Intensity/3.6e6 + c.Embodied
	}
}
