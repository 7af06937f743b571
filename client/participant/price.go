package participant

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy"
)

// disclosure is how much of the device a run's privacy lets its server know; t is nil
// without a contract.
func disclosure(t *private) costcurve.Disclosure {
	switch {
	case t == nil || t.contract.Lane == privacy.LaneA:
		return costcurve.TellDevice
	case t.contract.Lane == privacy.LaneB:
		return costcurve.TellNothing
	}
	return costcurve.TellCurve
}

// unread refuses an order whose server wanted to know more of the device than the run's
// contract lets it, and turns a posted price into work: what this device does at it is
// computed here, from its own curve, and is told nobody.
func (p *Participant) unread(ctx context.Context, o *Order, s *sealed, t *private) error {
	refuse := func(err error) error { return fmt.Errorf("order of round %d: %w: %w", o.Round, ErrRefused, err) }
	if most := disclosure(t); o.Told > most {
		return refuse(fmt.Errorf("the server asked this client for %s, and the privacy contract lets it know %s: ask its operator what it runs", o.Told, most))
	}
	if o.Posted == nil {
		return nil
	}
	if disclosure(t) != costcurve.TellNothing {
		return refuse(errors.New("a price is posted, which is for contracts of lane B alone"))
	}
	start, number := o.Plan.StartAt, s.announcement.Round
	if a := p.answered; a.run == o.Run && a.number == number && a.posted == *o.Posted {
		o.Plan = a.order // an attempt that is repeated is answered as it was
		o.Plan.StartAt = start
		return nil
	}
	own := p.offer
	if p.device != nil {
		own, _ = p.device.Offer()
	}
	if own == nil { // nobody knows what a step costs here: the mean work, as it is
		o.Plan.Tasks = min(max(o.Reference, o.Posted.Min), o.Posted.Max)
		return nil
	}
	answer, err := o.Posted.Answer(own.Device(), p.owed)
	if err != nil {
		return refuse(err)
	}
	p.answered = answered{o.Run, number, *o.Posted, answer}
	p.owed = p.owed.Next(float64(o.Reference), answer.Tasks)
	o.Plan = answer
	o.Plan.StartAt = start
	zerolog.Ctx(ctx).Info().Int("round", o.Round).Float64("price", o.Posted.Price.Lambda).Int64("steps", answer.Tasks).Str("mode", answer.Mode).Msg("posted price answered")
	return nil
}

// answered is an answer to a posted price, for the round as key holders count. The queue of
// what a client is owed follows from the answers alone, and not from its coins.
type answered struct {
	run    string
	number uint64
	posted costcurve.Posted
	order  costcurve.Order
}

// Device is the offered curve as a device whose watts are above idle.
func (o *Offer) Device() costcurve.Device {
	var d costcurve.Device
	for _, m := range o.Curve.Points {
		d.Modes = append(d.Modes, costcurve.Mode{Name: m.Name, ActiveWatts: m.Joules / m.Seconds, SecondsPerTask: m.Seconds})
	}
	return d
}
