package participant

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy"
)

// Device is what a participant runs on: it measures, and works in the mode that an order
// names. It is called from the participant's goroutine.
type Device interface {
	// Offer is what work costs it, as far as its owner lets that be told; nil for nothing.
	Offer() *Offer
	// Enter ends the phase before and begins another.
	Enter(p energy.Phase)
	// Apply brings the device into an order's modes until restore is called. A mode that
	// it does not know or may not set leaves it as it is.
	Apply(ctx context.Context, o costcurve.Order) (restore func())
	// Book takes down what an attempt at a round took since Enter was first called or since
	// the Book before, and returns it. learn says that the profile may follow it.
	Book(ctx context.Context, round, attempt int, o costcurve.Order, learn bool) []energy.Reading
}

// On sets the device. Without one, nothing is measured and modes are not applied: a
// simulated client has none.
func (p *Participant) On(d Device) { p.device = d }

// attending is an attempt whose wait is not over.
type attending struct {
	round, attempt int
	open           bool // its privacy lets single joules leave the client
}

// declare adds to what a client says when it is ready.
func (p *Participant) declare(info Info) Info {
	if p.device != nil {
		info.Offer, info.Spent = p.device.Offer(), p.spent
	}
	return info
}

// ordered is called when an order, or the end, has come: the wait for it is over.
func (p *Participant) ordered(ctx context.Context, delivered bool) {
	if p.device == nil {
		return
	}
	if delivered {
		p.spent = nil
	}
	if a := p.attending; a != nil && delivered {
		p.book(ctx, *a, costcurve.Order{})
		p.attending = nil
	}
}

// enter begins a phase.
func (p *Participant) enter(phase energy.Phase) {
	if p.device != nil {
		p.device.Enter(phase)
	}
}

// attend ends the work of an attempt and begins the wait for what comes of it.
func (p *Participant) attend(ctx context.Context, o Order, t *private) {
	if p.device == nil {
		return
	}
	a := attending{o.Round, o.Attempt, t == nil || t.contract.Lane == privacy.LaneA}
	p.book(ctx, a, o.Plan)
	p.attending = &a
	p.device.Enter(energy.Wait)
}

// maxUnsent bounds what waits to be told while the server is away.
const maxUnsent = 60

// book takes down what was spent, and keeps for the server what may leave: joules of single
// rounds betray batches and coins, so that under amplification they stay here.
func (p *Participant) book(ctx context.Context, a attending, o costcurve.Order) {
	for _, r := range p.device.Book(ctx, a.round, a.attempt, o, a.open) {
		if a.open && len(p.spent) < maxUnsent {
			p.spent = append(p.spent, Spent{Round: a.round, Attempt: a.attempt, Reading: r})
		}
	}
}

// begin waits for an order's starting time and applies its modes.
func (p *Participant) begin(ctx context.Context, o Order) (restore func(), err error) {
	if o.Plan.StartAt > 0 {
		zerolog.Ctx(ctx).Info().Int("round", o.Round).Dur("start_after", o.Plan.StartAt).Msg("waiting for the ordered start")
		p.enter(energy.Wait)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(o.Plan.StartAt, o.Deadline)):
		}
	}
	restore = func() {}
	if p.device != nil {
		restore = p.device.Apply(ctx, o.Plan)
	}
	p.enter(energy.Train)
	return restore, nil
}
