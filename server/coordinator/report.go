package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/sotto-fl/sotto/server/round"
)

// Report takes one client's update. Everything is checked before any state
// changes; a refused report leaves the sum as it was. Sending an accepted report
// again is answered with Repeated. Errors: ErrStale, ErrMalformed and the
// sentinels of server/round.
func (c *Coordinator) Report(_ context.Context, client string, r Report) (Receipt, error) {
	c.mu.Lock()
	a := c.open
	if !c.current(a, r) {
		c.mu.Unlock()
		return Receipt{}, fmt.Errorf("report of %s for round %d attempt %d: %w", client, r.Round, r.Attempt, ErrStale)
	}
	order := a.signed(client)
	c.mu.Unlock()

	checked, err := a.sum.check(client, order, r.Body, r.Hashes) // the costly part, outside the lock

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != a {
		return Receipt{}, fmt.Errorf("report of %s for round %d attempt %d: %w", client, r.Round, r.Attempt, ErrStale)
	}
	if err != nil {
		c.step(a, round.Refused{Client: client, Reason: err})
		return Receipt{}, err
	}
	for _, f := range c.step(a, round.Offer{Client: client, Digest: checked.digest}) {
		switch f := f.(type) {
		case round.Accept:
			if err := a.sum.add(checked); err != nil {
				// The machine counts the report: the attempt cannot go on without it.
				a.void = fmt.Errorf("a report could not be added: %w", err)
				c.notify()
				return Receipt{}, fmt.Errorf("add the report of %s: %w", client, err)
			}
			a.accepted[client] = true
			if a.took != nil {
				a.took[client] = time.Since(a.started).Seconds()
			}
			a.bytesUp += int64(len(r.Body))
			if c.observer != nil {
				c.observer.ReportAccepted(a.round, len(a.accepted), len(a.cohort))
			}
			return Receipt{}, nil
		case round.Repeat:
			return Receipt{Repeated: true}, nil
		case round.Reject:
			return Receipt{}, fmt.Errorf("report of %s for round %d: %w", client, r.Round, f.Reason)
		}
	}
	return Receipt{}, fmt.Errorf("report of %s for round %d was neither accepted nor refused", client, r.Round)
}

// current says whether a report is for the open attempt; c.mu is held.
func (c *Coordinator) current(a *attempt, r Report) bool {
	return a != nil && r.Run == c.cfg.Name && r.Round == a.round && r.Attempt == a.attempt && r.Model == c.model && r.TaskHash == c.taskHash
}
