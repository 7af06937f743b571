package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/round"
)

// link is the in-process transport of one simulated client: it carries the same
// calls as the network does, and the faults of the scenario.
type link struct {
	c       *coordinator.Coordinator
	client  string
	faults  Faults
	seed    uint64
	number  int // of the client, from 0, among clients
	clients int
	session *coordinator.Session
	spoiler *spoiler // of a malicious client
}

func (l *link) CheckIn(ctx context.Context, info participant.Info) (participant.Order, error) {
	for {
		if l.session == nil {
			s, err := l.c.Attach(coordinator.Info{Client: l.client, Examples: info.Examples})
			if errors.Is(err, coordinator.ErrExcluded) {
				return participant.Order{}, outcome(err)
			}
			if err != nil {
				return participant.Order{}, fmt.Errorf("%w: %w", participant.ErrRefused, err)
			}
			l.session = s
		}
		told, much := info.Offer.Under(l.session.Discloses())
		if err := l.session.Declare(offer(told), nil); err != nil {
			return participant.Order{}, outcome(err)
		}
		o, err := l.session.Next(ctx)
		if err != nil {
			return participant.Order{}, outcome(err)
		}
		if !l.dropped(o.Round) {
			if l.spoiler != nil {
				l.spoiler.sealing = o.Sealing
			}
			work := order(o)
			work.Told = much
			return work, nil
		}
		l.session.Close()
		l.session = nil
		if err := l.c.Settled(ctx, o.Round, o.Attempt); err != nil {
			return participant.Order{}, outcome(err)
		}
	}
}

// Leave ends the client's presence.
func (l *link) Leave() {
	if l.session != nil {
		l.session.Close()
		l.session = nil
	}
}

func offer(o *participant.Offer) *energy.Offer {
	if o == nil {
		return nil
	}
	return &energy.Offer{Task: o.Task, Curve: o.Curve, Tier: o.Tier, State: o.State}
}

func order(o coordinator.Order) participant.Order {
	p := participant.Order{
		Run: o.Run, Round: o.Round, Attempt: o.Attempt, Task: o.Task, TaskHash: o.TaskHash, Model: o.Model,
		Codec: o.Codec, Epochs: o.Epochs, LR: o.LR, Clip: o.Clip, Weight: o.Weight, Deadline: o.Deadline,
		Plan: o.Plan, Reference: o.Reference, Posted: o.Posted, Settled: o.Settled,
	}
	if o.Sealing != nil {
		s := participant.Sealing(*o.Sealing)
		p.Sealing = &s
	}
	return p
}

func (l *link) Model(_ context.Context, hash [32]byte, _ int) ([]float32, error) {
	params, err := l.c.Model(hash)
	return params, outcome(err)
}

func (l *link) Report(ctx context.Context, r participant.Report) error {
	if l.spoiler != nil {
		var err error
		if r.Body, err = l.spoiler.spoil(r.Body); err != nil {
			return fmt.Errorf("%w: spoil the upload of %s: %w", participant.ErrRefused, l.client, err)
		}
	}
	_, err := l.c.Report(ctx, l.client, coordinator.Report{Run: r.Run, Round: r.Round, Attempt: r.Attempt, Model: r.Model, TaskHash: r.TaskHash, Body: r.Body})
	return outcome(err)
}

// outcome is the in-process twin of the status tables of the rpc packages.
func outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, coordinator.ErrFinished), errors.Is(err, coordinator.ErrHalted), errors.Is(err, coordinator.ErrExcluded):
		// Over the wire a halted run is worth waiting for: its operator may start
		// it again. Here nobody will.
		return fmt.Errorf("%w: %w", participant.ErrFinished, err)
	case errors.Is(err, coordinator.ErrStale), errors.Is(err, round.ErrClosed), errors.Is(err, round.ErrDuplicate), errors.Is(err, round.ErrNotSelected):
		return fmt.Errorf("%w: %w", participant.ErrClosed, err)
	case errors.Is(err, coordinator.ErrMalformed):
		return fmt.Errorf("%w: %w", participant.ErrRefused, err)
	}
	return err
}

// dropped says whether the client is out in that round. The draw depends on seed,
// round and client alone.
func (l *link) dropped(round int) bool {
	if n := l.faults.DropExactly; n > 0 {
		return slices.Contains(seed.New(l.seed, "fault/drop-exactly", round, "").Perm(l.clients)[:n], l.number)
	}
	return l.faults.Dropout > 0 && seed.New(l.seed, "fault/dropout", round, l.client).Float64() < l.faults.Dropout
}
