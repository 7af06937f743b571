package participant

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/model/train"
)

// work is the number of training records that this client processes for an order; under a
// privacy contract, of those that it may draw its batch or its steps from. It follows
// from the order and the number of records alone, and says nothing of coins or data.
func (p *Participant) work(o Order, contract bool) uint64 {
	n, steps := p.training.Len(), int(o.Plan.Tasks)
	switch {
	case o.Posted != nil: // the least that any answer is: the answer itself would tell the curve
		return uint64(train.Processed(int(o.Posted.Min), n, p.task.Batch))
	case steps > 0:
		return uint64(train.Processed(steps, n, p.task.Batch))
	case contract:
		return uint64(n)
	}
	records := int(math.Ceil(o.Epochs * float64(n)))
	if most := p.task.MaxSteps; most > 0 {
		records = min(records, train.Processed(most, n, p.task.Batch))
	}
	return uint64(records)
}

// own puts the work that this client will do in place of the work that the order claims:
// a client signs for what it did. The server counts records that cannot be read, or that
// validation keeps back, and may claim too much on purpose; it cannot know of less.
// Work below what contract or policy allow is refused like an order of so little.
func (p *Participant) own(o Order, s *sealed, contract bool) error {
	if s == nil {
		return nil
	}
	done := p.work(o, contract)
	if done > s.order.Work {
		return fmt.Errorf("order of round %d: %w: it says %d training records and asks for %d: the server would have this client sign for less than it does", o.Round, ErrRefused, s.order.Work, done)
	}
	s.order.Work = done
	if err := p.sealer.Policy.CheckOrder(s.order, s.limits); err != nil {
		return fmt.Errorf("order of round %d: %w: this client processes %d training records for it: %w", o.Round, ErrRefused, done, err)
	}
	return nil
}
