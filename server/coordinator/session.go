package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/round"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// Session is one connected client. At most one session of a client is live: a
// newer Attach supersedes the older one, so that a client that lost its
// connection is not locked out by its own ghost.
type Session struct {
	c      *Coordinator
	info   Info
	ready  bool // waits in Next
	closed bool
}

// maxExamples bounds what a client may declare, so that weights stay exact.
const maxExamples = 1 << 31

// Attach makes a client present. Close the session when its connection ends.
func (c *Coordinator) Attach(info Info) (*Session, error) {
	if info.Client == "" {
		return nil, fmt.Errorf("client has no name: %w", ErrMalformed)
	}
	if info.Examples < 1 || info.Examples > maxExamples {
		return nil, fmt.Errorf("client %s declares %d examples, want 1 to %d: %w", info.Client, info.Examples, maxExamples, ErrMalformed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Isolation.Excludes(info.Client) {
		return nil, fmt.Errorf("client %s: %w", info.Client, ErrExcluded)
	}
	if old := c.sessions[info.Client]; old != nil {
		old.closed = true
	}
	s := &Session{c: c, info: info}
	c.sessions[info.Client] = s
	if c.open != nil {
		c.step(c.open, round.Present{Client: info.Client})
	}
	c.notify()
	return s, nil
}

// Close makes the client absent, unless a newer session took over.
func (s *Session) Close() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	delete(c.sessions, s.info.Client)
	if c.open != nil {
		c.step(c.open, round.Absent{Client: s.info.Client})
	}
	c.notify()
}

// Spent is the energy of one phase of a round, as the client's device tells it.
type Spent struct {
	Round   int
	Attempt int
	Phase   string // download, train, encrypt, upload or wait
	Joules  costcurve.Joules
	Elapsed time.Duration
	Source  string

	AboveIdle *float64 // joules of Joules; nil: the device was not calibrated
}

// Discloses is how much the run's privacy lets the client tell of its device.
func (s *Session) Discloses() costcurve.Disclosure { return s.c.Discloses() }

// Discloses is how much the run's privacy lets clients tell of their devices.
func (c *Coordinator) Discloses() costcurve.Disclosure {
	switch lane := c.cfg.lane(); {
	case visible(lane):
		return costcurve.TellDevice
	case lane == policy.LaneB:
		return costcurve.TellNothing
	}
	return costcurve.TellCurve
}

// Declare takes what a client tells of its energy: what work costs its device, nil for
// nothing, and what rounds took. What the run's privacy does not let leave a client is
// refused with ErrMalformed: a client that sends it is not in its right mind.
func (s *Session) Declare(offer *energy.Offer, spent []Spent) error {
	c := s.c
	if most := c.Discloses(); offer != nil && (most == costcurve.TellNothing || most == costcurve.TellCurve && offer.State != (costcurve.State{})) {
		return fmt.Errorf("client %s tells of its device, of which the privacy contract lets it tell %s: %w", s.info.Client, most, ErrMalformed)
	}
	if len(spent) > 0 {
		if !visible(c.cfg.lane()) {
			return fmt.Errorf("client %s tells the joules of single rounds, which the privacy contract keeps with it: %w", s.info.Client, ErrMalformed)
		}
		for _, p := range spent {
			if err := p.Joules.Validate(); err != nil {
				return fmt.Errorf("energy of client %s: %w: %w", s.info.Client, ErrMalformed, err)
			}
		}
		if c.telemetry != nil {
			if err := c.telemetry.Spent(s.info.Client, spent); err != nil {
				return fmt.Errorf("keep the energy of client %s: %w", s.info.Client, err)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.info.Offer = offer
	return nil
}

// Next says that the client is ready and waits for its next order. A client that
// comes back while its round still collects gets the same order again.
func (s *Session) Next(ctx context.Context) (Order, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { s.ready = false }()
	for {
		if s.closed {
			return Order{}, ErrSuperseded
		}
		if c.over != nil {
			return Order{}, c.over
		}
		if c.state.Isolation.Excludes(s.info.Client) {
			return Order{}, fmt.Errorf("client %s: %w", s.info.Client, ErrExcluded)
		}
		if a := c.open; a != nil && a.set == nil && a.void == nil && !a.accepted[s.info.Client] {
			if w, ok := a.cohort[s.info.Client]; ok {
				return c.order(a, s.info.Client, w), nil
			}
		}
		if !s.ready {
			s.ready = true
			c.notify()
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			return Order{}, ctx.Err()
		}
	}
}

func (c *Coordinator) order(a *attempt, client string, weight float64) Order {
	left := time.Until(a.started.Add(c.cfg.Rounds.Deadline + a.plan.putOff()))
	o := Order{
		Run: c.cfg.Name, Round: a.round, Attempt: a.attempt,
		Task: c.task, TaskHash: c.taskHash, Model: c.model, Codec: c.cfg.Update,
		Epochs: c.cfg.Task.Epochs, LR: a.lr, Clip: a.clip, Weight: weight, Deadline: max(left, 0),
	}
	if w := a.plan.of(client); w != nil && c.scheduler != nil {
		o.Plan, o.Reference, o.Posted = w.Order, a.plan.reference, w.Posted
		o.Plan.StartAt = max(0, w.Order.StartAt-time.Since(a.started))
	}
	if ended := c.ended[client]; !ended.IsZero() {
		o.Settled = max(time.Since(ended), time.Nanosecond)
	}
	if c.committee != nil {
		o.Sealing = c.sealing(a, client)
	}
	if c.cfg.private() {
		o.Codec = aggregation.Codec{}
	}
	return o
}

// Settled waits until that attempt no longer collects reports. A simulated client
// that drops out of a round uses it to stay away for the rest of it.
func (c *Coordinator) Settled(ctx context.Context, number, try int) error {
	for {
		c.mu.Lock()
		a, over, changed := c.open, c.over, c.changed
		c.mu.Unlock()
		if over != nil {
			return over
		}
		if a == nil || a.round != number || a.attempt != try {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
