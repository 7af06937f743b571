package policy

import "github.com/sotto-fl/sotto/internal/costcurve"

// Asker is a policy that can run in lane B against clients whose curves nobody shows it.
type Asker interface {
	// Ask returns the price and the bounds of one client's work, and no window; nil for the
	// share r.Tasks/r.Cohort, as the client does it. Of c it reads bounds, intensity
	// and the client's own past, of r what is public: another client changes nothing.
	Ask(r *Round, c *Candidate) *costcurve.Posted
}

// Ask posts the price, in joules: where carbon is weighed, fewer of them where a joule
// emits more.
func (p *Price) Ask(r *Round, c *Candidate) *costcurve.Posted {
	price := p.Posted(r.mean())
	if p.Carbon { // it is in grams
		grams := max(c.Intensity, leastIntensity)
		price.Lambda, price.Theta = price.Lambda/grams, price.Theta/grams
	}
	return &costcurve.Posted{Price: price, Min: c.Min, Max: c.Max}
}

// Ask is the other policy's; one that does not ask lets clients do their share.
func (p *Timed) Ask(r *Round, c *Candidate) *costcurve.Posted {
	if q, ok := p.Policy.(Asker); ok {
		return q.Ask(r, c)
	}
	return nil
}

// Ask posts an equal share; in the client's best modes, a price of nothing for it.
func (p Random) Ask(r *Round, c *Candidate) *costcurve.Posted {
	if !p.BestMode {
		return nil
	}
	share := r.Share(c)
	return &costcurve.Posted{Min: share, Max: share}
}

// Share is an equal share of the round, within the client's bounds.
func (r *Round) Share(c *Candidate) int64 { return min(max(r.share(), c.Min), c.Max) }
