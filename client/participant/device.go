package participant

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Device is what a participant runs on: it measures, and works in the mode that an order
// names. It is called from the participant's goroutine.
type Device interface {
	// Offer is what work costs it, nil if that was not calibrated, and whether its owner
	// lets it be told.
	Offer() (o *Offer, tell bool)
	// Idle is the power of the device at rest; nil if that was not calibrated.
	Idle() *float64
	// Enter ends the phase before and begins another.
	Enter(p energy.Phase)
	// EnterAgo is Enter for a phase that began so long ago, while the device waited.
	EnterAgo(p energy.Phase, ago time.Duration)
	// Moved says how many bytes the phase, download or upload, has carried.
	Moved(bytes int)
	// Spare asks for leave to work in the modes of o for so many steps, and sets their energy
	// aside from what the owner gives a day: until Book where the joules of the round are
	// what count (measured), for good elsewhere. Without steps it only asks whether the owner
	// lets the device work at all now.
	Spare(o costcurve.Order, steps int64, measured bool) Verdict
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
		info.Spent = p.spent
		if o, tell := p.device.Offer(); tell {
			info.Offer = o
		}
	}
	return info
}

// ordered is called when an order, or the end, has come: the wait for it is over, and the
// wait of the attempt before was when that was committed.
func (p *Participant) ordered(ctx context.Context, o Order, delivered bool) {
	if p.device == nil || !delivered {
		return
	}
	p.spent = nil
	if a := p.attending; a != nil {
		p.device.EnterAgo(energy.Between, o.Settled)
		p.book(ctx, *a, costcurve.Order{})
		p.attending = nil
	}
}

// farewell tells what the last round took. A server that is gone already does not learn it.
func (p *Participant) farewell(ctx context.Context, info Info) {
	if p.device == nil || len(p.spent) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := p.server.CheckIn(ctx, p.declare(info)); err != nil {
		zerolog.Ctx(ctx).Debug().Err(err).Msg("the last round's energy is told")
	}
}

// enter begins a phase.
func (p *Participant) enter(phase energy.Phase) {
	if p.device != nil {
		p.device.Enter(phase)
	}
}

func (p *Participant) moved(bytes int) {
	if p.device != nil {
		p.device.Moved(bytes)
	}
}

// attend ends the work of an attempt and begins the wait for what comes of it.
func (p *Participant) attend(ctx context.Context, o Order, t *private) {
	if p.device == nil {
		return
	}
	a := attending{o.Round, o.Attempt, disclosure(t) == costcurve.TellDevice}
	p.book(ctx, a, o.Plan)
	p.attending = &a
	p.device.Enter(energy.Wait)
}

// maxUnsent bounds what waits to be told while the server is away.
const maxUnsent = 60

// book takes down what was spent, and keeps for the server what may leave: joules of single
// rounds betray batches and coins, so that under amplification they stay here.
func (p *Participant) book(ctx context.Context, a attending, o costcurve.Order) {
	idle := p.device.Idle()
	for _, r := range p.device.Book(ctx, a.round, a.attempt, o, a.open) {
		if a.open && r.Phase != energy.Between && len(p.spent) < maxUnsent {
			p.spent = append(p.spent, Spent{Round: a.round, Attempt: a.attempt, Reading: r, Idle: idle})
		}
	}
}

// begin waits for an order's starting time and applies its modes.
func (p *Participant) begin(ctx context.Context, o Order) (restore func(), err error) {
	if o.Plan.StartAt > 0 && p.pause != nil { // a simulation's work takes no time either
		zerolog.Ctx(ctx).Info().Int("round", o.Round).Dur("start_after", o.Plan.StartAt).Msg("waiting for the ordered start")
		p.enter(energy.Between)
		if err := p.pause(ctx, min(o.Plan.StartAt, o.Deadline)); err != nil {
			return nil, err
		}
	}
	restore = func() {}
	if p.device != nil {
		restore = p.device.Apply(ctx, o.Plan)
	}
	p.enter(energy.Train)
	return restore, nil
}
