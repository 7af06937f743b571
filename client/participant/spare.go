package participant

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy"
)

// Verdict is what the device's owner says to work now. The zero Verdict lets it go on.
type Verdict struct {
	Wait   time.Duration // then it may be asked again
	Never  bool          // no day has so much
	Reason string
}

// notNow: an order came when the owner does not let the device work. It is passed by, not
// refused: the client comes back.
type notNow struct{ Verdict }

func (e *notNow) Error() string { return e.Reason }

// longestRest is how long a client stays away before it looks again: batteries are charged
// at any time.
const longestRest = time.Minute

// rest stays away while the device's owner does not let it work. Nobody waits for a client
// that has left.
func (p *Participant) rest(ctx context.Context) error {
	said := false
	for p.device != nil {
		v := p.device.Spare(costcurve.Order{}, 0, false)
		if v.Wait <= 0 {
			return nil
		}
		if !said {
			said = true
			p.leave(ctx, v)
		}
		if err := pause(ctx, min(v.Wait, longestRest)); err != nil {
			return err
		}
	}
	return nil
}

// passBy stays away for as long as an order that came too early says. The clock on the wall
// counts: machines sleep.
func (p *Participant) passBy(ctx context.Context, v Verdict) error {
	p.leave(ctx, v)
	for end := time.Now().Round(0).Add(v.Wait); ; {
		left := end.Sub(time.Now().Round(0))
		if left <= 0 {
			return nil
		}
		if err := pause(ctx, min(left, longestRest)); err != nil {
			return err
		}
	}
}

func (p *Participant) leave(ctx context.Context, v Verdict) {
	p.server.Leave()
	zerolog.Ctx(ctx).Info().Str("reason", v.Reason).Dur("wait", v.Wait).Msg("staying away")
}

// afford asks the device's owner before anything is trained. Where joules of single rounds
// would betray a batch or a coin, whether this client comes to the next round must not
// depend on them either: the order is booked at what its public terms come to.
func (p *Participant) afford(o Order, t *private) error {
	if p.device == nil {
		return nil
	}
	steps := o.Plan.Tasks
	if steps == 0 {
		records := p.work(o, t != nil)
		if t != nil && t.contract.Unit != privacy.UnitClient {
			records = uint64(privacy.BatchCap(t.units(p.training), t.contract.SamplingRate))
		}
		batch := uint64(p.task.Batch)
		steps = int64((records + batch - 1) / batch)
	}
	v := p.device.Spare(o.Plan, steps, disclosure(t) == costcurve.TellDevice)
	switch {
	case v.Never:
		return fmt.Errorf("round %d: %w: %s", o.Round, ErrDeclined, v.Reason)
	case v.Wait > 0:
		return &notNow{v}
	}
	return nil
}
