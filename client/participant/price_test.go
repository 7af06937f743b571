package participant

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
)

func laneB() privacy.Contract {
	c := clientContract()
	c.Lane, c.SamplingRate, c.Adaptive = privacy.LaneB, 0.5, privacy.AdaptiveClip{}
	return c
}

// two is what a device of two modes offers: 1 J a step slowly, 3 J in half the time.
func two(t *testing.T) *Offer {
	t.Helper()
	c, err := costcurve.Device{Modes: []costcurve.Mode{{Name: "slow", ActiveWatts: 1, SecondsPerTask: 1}, {Name: "fast", ActiveWatts: 6, SecondsPerTask: 0.5}}}.Curve(costcurve.Terms{Deadline: 86400})
	if err != nil {
		t.Fatal(err)
	}
	return &Offer{Task: "tiny, 2 images", Curve: c, Tier: costcurve.TierProfile}
}

func posted(price, fairness float64) *costcurve.Posted {
	return &costcurve.Posted{Price: costcurve.Price{Lambda: price, Theta: fairness}, Min: 2, Max: 40, Window: 20 * time.Second}
}

// A client of lane B answers the price itself; what it signs for is the least that any answer
// is, so that neither server nor key holders learn its own.
func TestPostedPriceIsAnsweredHere(t *testing.T) {
	p, o, s := privateOrder(t, laneB())
	c, err := p.openPrivacy(o, s)
	if err != nil {
		t.Fatal(err)
	}
	p.offer = two(t)
	answer := func(price, fairness float64, number uint64) costcurve.Order {
		t.Helper()
		o := o
		o.Posted, o.Reference = posted(price, fairness), 10
		o.Plan.StartAt = time.Second
		s.announcement.Round = number
		if err := p.unread(t.Context(), &o, s, c); err != nil {
			t.Fatal(err)
		}
		if got := p.work(o, true); got != uint64(train.Processed(2, 4, 2)) {
			t.Errorf("it signs for %d records, want those of two steps", got)
		}
		if o.Plan.StartAt != time.Second {
			t.Error("the start is lost")
		}
		return o.Plan
	}
	if got := answer(0.5, 0, 1); got.Tasks != 2 || got.Mode != "slow" {
		t.Errorf("at half of what a step costs: %+v", got)
	}
	if got := answer(1, 0, 2); got.Tasks != 20 || got.Mode != "slow" {
		t.Errorf("at what a step costs: %+v", got)
	}
	// It was due ten steps in each round and did two and twenty: it is owed nothing now.
	if p.owed != 0 {
		t.Errorf("it is owed %v steps", p.owed)
	}
	if got := answer(0.5, 1, 3); got.Tasks != 2 || p.owed != 8 {
		t.Errorf("answered %+v, is owed %v", got, p.owed)
	}
	again := answer(0.5, 1, 4)
	if again.Tasks <= 2 {
		t.Errorf("a price that pays for what it is owed: %+v", again)
	}
	if got := answer(0.5, 1, 4); got != again {
		t.Errorf("the same round is answered %+v and then %+v", again, got)
	}
	p.offer = nil // never calibrated
	if got := answer(9, 0, 5); got.Tasks != 10 || got.Mode != "" {
		t.Errorf("without a profile: %+v, want the mean work as it is", got)
	}
}

// A server that wanted to know more than the contract says, or posts a price where none
// belongs, is refused: no update leaves.
func TestServersThatAskForTooMuchAreRefused(t *testing.T) {
	batch := contract()
	for name, test := range map[string]struct {
		c     *privacy.Contract
		told  costcurve.Disclosure
		price bool
		ok    bool
	}{
		"none, device":           {nil, costcurve.TellDevice, false, true},
		"lane A, device":         {ref(clientContract()), costcurve.TellDevice, false, true},
		"lane B, nothing":        {ref(laneB()), costcurve.TellNothing, true, true},
		"lane B, curve":          {ref(laneB()), costcurve.TellCurve, true, false},
		"lane B, device":         {ref(laneB()), costcurve.TellDevice, false, false},
		"secret batch, curve":    {&batch, costcurve.TellCurve, false, true},
		"secret batch, device":   {&batch, costcurve.TellDevice, false, false},
		"secret batch and price": {&batch, costcurve.TellNothing, true, false},
		"lane A and price":       {ref(clientContract()), costcurve.TellDevice, true, false},
		"no contract, and price": {nil, costcurve.TellDevice, true, false},
	} {
		var p *Participant
		var o Order
		var s *sealed
		var task *private
		if test.c == nil {
			p, o, s = privateOrder(t, batch)
		} else {
			p, o, s = privateOrder(t, *test.c)
			if test.c.Adaptive.Enabled() {
				o.Clip = 0.5
			}
			var err error
			if task, err = p.openPrivacy(o, s); err != nil {
				t.Fatal(err)
			}
		}
		o.Told = test.told
		if test.price {
			o.Posted, o.Reference = posted(1, 0), 10
		}
		err := p.unread(t.Context(), &o, s, task)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newServer(t)
	s.order.Posted = posted(1, 0)
	s.order.Plan.Tasks, s.order.Reference = 4, 4
	if err := participate(t, s, data{t: t}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "a posted price, and 4 steps") {
		t.Errorf("price and work at once: %v", err)
	}
}

func ref(c privacy.Contract) *privacy.Contract { return &c }

// Unequal work is divided by its steps before it is clipped (FedNova with plain steps): twice
// the same pass moves the model about twice as far, and counts once.
func TestUnequalWorkIsNormalisedBeforeItIsClipped(t *testing.T) {
	p, o, _ := privateOrder(t, clientContract())
	o.LR = 1e-4 // steps so small that each does what the first did
	update := func(steps int64) []float32 {
		t.Helper()
		o.Plan.Tasks = steps
		u := make([]float32, p.layout.Size())
		if err := p.trainUpdate(t.Context(), o, 1, make([]float32, p.layout.Size()), u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	norm := func(u []float32) float64 {
		var sum float64
		for _, v := range u {
			sum += float64(v) * float64(v)
		}
		return math.Sqrt(sum)
	}
	one, eight := update(2), update(16)
	if a, b := norm(one), norm(eight); a == 0 || math.Abs(b/a-1) > 0.01 {
		t.Errorf("updates of 2 and 16 steps count %g and %g, want the same: 16 would be clipped eight times as hard", a, b)
	}
}
