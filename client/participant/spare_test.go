package participant

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// owner is a device whose owner says what tests want.
type owner struct {
	offer   *Offer
	idle    *float64
	verdict func(steps int64, measured bool) Verdict
	asked   []int64 // steps of orders
	phases  []energy.Phase
	ago     []time.Duration
}

func (d *owner) Offer() (*Offer, bool) { return d.offer, d.offer != nil }
func (d *owner) Idle() *float64        { return d.idle }
func (d *owner) Enter(p energy.Phase)  { d.phases = append(d.phases, p) }
func (d *owner) EnterAgo(p energy.Phase, ago time.Duration) {
	d.phases, d.ago = append(d.phases, p), append(d.ago, ago)
}
func (d *owner) Moved(int) {}
func (d *owner) Spare(_ costcurve.Order, steps int64, measured bool) Verdict {
	if steps > 0 {
		d.asked = append(d.asked, steps)
	}
	if d.verdict == nil {
		return Verdict{}
	}
	return d.verdict(steps, measured)
}
func (d *owner) Apply(context.Context, costcurve.Order) func() { return func() {} }
func (d *owner) Book(context.Context, int, int, costcurve.Order, bool) []energy.Reading {
	var all []energy.Reading
	for _, p := range d.phases {
		all = append(all, energy.Reading{Joules: costcurve.Joules{Value: 1, RelErr: 0.1}, Phase: p, Elapsed: time.Second, Source: "test"})
	}
	d.phases = nil
	return all
}

func on(t *testing.T, s *server, d Device) error {
	t.Helper()
	p := New("north", s, data{t: t}, trainers{}, nil, nil, nil)
	p.On(d)
	return p.Run(t.Context(), Info{Examples: 4})
}

// Below its owner's limits a client does not even check in, and leaves so that nobody waits
// for it; it comes back by itself.
func TestStaysAwayBelowTheOwnersLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		s.checkIns = []error{nil, ErrFinished}
		d := &owner{verdict: func(int64, bool) Verdict {
			if time.Since(start) < 5*time.Minute {
				return Verdict{Wait: time.Minute, Reason: "the battery is low"}
			}
			return Verdict{}
		}}
		if err := on(t, s, d); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Minute || took > 7*time.Minute || s.left != 1 || len(s.bodies) != 1 {
			t.Errorf("after %v it had left %d times and reported %d times, want 5 min, once and once", took, s.left, len(s.bodies))
		}
	})
}

// An order beyond what is left of the day is passed by until the next, and nothing of it is
// trained.
func TestAnOrderBeyondTheDayIsPassedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		s.checkIns = []error{nil, nil, ErrFinished}
		d := &owner{verdict: func(steps int64, measured bool) Verdict {
			if !measured && steps > 0 {
				t.Error("a run without privacy is not measured")
			}
			if steps > 0 && time.Since(start) < 10*time.Hour {
				return Verdict{Wait: 10 * time.Hour, Reason: "the day's joules are spent"}
			}
			return Verdict{}
		}}
		if err := on(t, s, d); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 10*time.Hour || took > 10*time.Hour+2*time.Minute || s.left != 1 || len(s.bodies) != 1 || s.calls != 4 { // the last tells what the round took
			t.Errorf("after %v it had left %d times, reported %d and checked in %d times", took, s.left, len(s.bodies), s.calls)
		}
		if len(d.asked) != 2 || d.asked[0] != 2 { // four records in batches of two
			t.Errorf("asked for %v steps, want 2 twice", d.asked)
		}
	})
}

// What no day has ends the client with a reason: waiting would not help.
func TestAnOrderThatNoDayHas(t *testing.T) {
	s := newServer(t)
	d := &owner{verdict: func(steps int64, _ bool) Verdict {
		return Verdict{Never: steps > 0, Reason: "an order takes 9 J, and daily_joules is 5"}
	}}
	if err := on(t, s, d); !errors.Is(err, ErrDeclined) || len(s.bodies) != 0 {
		t.Errorf("got %v after %d reports", err, len(s.bodies))
	}
}

// Under a secret batch the day is asked for the largest there can be, whatever was drawn, and not
// by what is measured.
func TestTheDayDoesNotDependOnTheBatch(t *testing.T) {
	p, o, s := privateOrder(t, contract())
	c, err := p.openPrivacy(o, s)
	if err != nil {
		t.Fatal(err)
	}
	d := &owner{verdict: func(_ int64, measured bool) Verdict { return Verdict{Never: measured} }}
	p.On(d)
	if err := p.afford(o, c); err != nil {
		t.Error(err)
	}
	if len(d.asked) != 1 || d.asked[0] != 2 { // all four records in batches of two
		t.Errorf("asked for %v steps", d.asked)
	}
}

// A wait ends when the attempt was committed, which the next order tells; the wait for the
// next order is of no round, and what single rounds took is told at the end, too.
func TestWaitEndsAtCommit(t *testing.T) {
	s := newServer(t)
	s.order.Settled = 3 * time.Second
	s.checkIns = []error{nil, nil, ErrFinished}
	idle := 0.5
	d := &owner{idle: &idle}
	p := New("north", s, data{t: t}, trainers{}, nil, nil, nil)
	p.On(d)
	var told []Spent
	s.told = func(i Info) { told = append(told, i.Spent...) }
	if err := p.Run(t.Context(), Info{Examples: 4}); err != nil {
		t.Fatal(err)
	}
	if len(d.ago) != 2 || d.ago[0] != 3*time.Second || d.ago[1] != 0 {
		t.Errorf("waits ended %v ago, want 3 s and, with the run, at once", d.ago)
	}
	waits := 0
	for _, r := range told {
		if r.Phase == energy.Between {
			t.Error("what is of no round is told")
		}
		if r.Phase == energy.Wait {
			waits++
		}
		if r.Idle == nil || *r.Idle != 0.5 {
			t.Error("idle power is not told beside a reading")
		}
	}
	if waits != 2 || s.calls != 4 {
		t.Errorf("%d waits in %d check-ins, want that of the last round as well", waits, s.calls)
	}
}

// A client that is told when to begin begins then, and the public time of its upload counts from
// there.
func TestOrderedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		s.checkIns = []error{nil, ErrFinished}
		s.order.Plan.StartAt = 10 * time.Minute
		d := &owner{}
		if err := on(t, s, d); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 10*time.Minute || took > 11*time.Minute || len(s.bodies) != 1 {
			t.Errorf("%d reports after %v, want one after ten minutes", len(s.bodies), took)
		}
	})
}
