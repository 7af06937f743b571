package participant

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
)

// contract is one that a client with four records and a ten-parameter model accepts.
func contract() privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut, Clip: 1, Mechanism: privacy.DiscreteGaussian, Noise: 2, Grid: 4096, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.5, Rounds: 2, MaxParticipations: 2, Epsilon: 8, Delta: 1e-3,
		Colluders: 1, MinCohort: 3, MaxCohort: 4, MinRecords: 4, Records: 40, Counts: privacy.CountsPublic, Parameters: 10, MicroBatch: 2, UploadAfter: time.Minute,
	}
}

// privateOrder is a participant with its task opened, and an order's encryption under c.
func privateOrder(t *testing.T, c privacy.Contract) (*Participant, Order, *sealed) {
	t.Helper()
	s := newServer(t)
	p := New("north", s, data{t: t}, trainers{}, nil, &Secrets{Master: noise.Seed{1}}, nil)
	if err := p.prepare(s.order); err != nil {
		t.Fatal(err)
	}
	d, err := c.Derive()
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return p, s.order, &sealed{
		announcement: &keyshare.Announcement{Contract: h, Round: 1},
		terms:        terms.Terms{Privacy: b, Encryption: kahe.Spec{Values: d.Fields, Width: d.Width}},
	}
}

// What a contract charges for is held against the task and the data before anything is
// trained, whether or not the same contract was accepted for an earlier task.
func TestContractIsHeldAgainstTaskAndData(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*privacy.Contract)
		later  func(*Participant)
		want   error
		text   string
	}{
		"accepted":             {},
		"too few records":      {change: func(c *privacy.Contract) { c.MinRecords = 5 }, want: errLocal, text: "at least 5 training records"},
		"larger sums":          {change: func(c *privacy.Contract) { c.MicroBatch = 1 }, want: ErrRefused, text: "(batch)"},
		"another model":        {change: func(c *privacy.Contract) { c.Parameters = 11 }, want: ErrRefused, text: "11 parameters"},
		"larger sums, later":   {later: func(p *Participant) { p.task.Batch = 3 }, want: ErrRefused, text: "(batch)"},
		"bucketed counts":      {change: func(c *privacy.Contract) { c.Counts = privacy.CountsBucketed }, want: ErrRefused, text: "has told its own as it is"},
		"no upload time":       {change: func(c *privacy.Contract) { c.UploadAfter = 0 }, want: ErrRefused, text: "tells how large it is"},
		"no groups":            {change: func(c *privacy.Contract) { c.Unit = privacy.UnitGroup }, want: errLocal, text: "images have none"},
		"few groups":           {change: func(c *privacy.Contract) { c.Unit = privacy.UnitGroup }, later: grouped(0, 0, 1, 2), want: errLocal, text: "this client has 3"},
		"fewer records, later": {later: func(p *Participant) { p.training = p.training.Subset([]int{0}) }, want: errLocal, text: "this client has 1"},
	} {
		t.Run(name, func(t *testing.T) {
			k := contract()
			if c.change != nil {
				c.change(&k)
			}
			p, o, s := privateOrder(t, k)
			_, err := p.openPrivacy(o, s)
			if c.later != nil {
				if err != nil && k.Unit != privacy.UnitGroup {
					t.Fatal(err)
				}
				c.later(p)
				_, err = p.openPrivacy(o, s)
			}
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

func grouped(groups ...int32) func(*Participant) {
	return func(p *Participant) { p.training, _ = p.training.WithGroups(groups) }
}

// The same order repeats its values exactly; another number or another model shares no noise with it.
func TestNoiseIsBoundToRoundAndModel(t *testing.T) {
	p, o, s := privateOrder(t, contract())
	task, err := p.openPrivacy(o, s)
	if err != nil {
		t.Fatal(err)
	}
	step := func() []int32 {
		t.Helper()
		// A model of zeros under any name: the gradients stay the same.
		v, err := p.step(t.Context(), o, s, task, make([]float32, p.layout.Size()))
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(v)
	}
	first := step()
	if again := step(); !slices.Equal(first, again) {
		t.Error("the same order gave other values")
	}
	o.Model[31] ^= 1
	model := step()
	o.Model[31] ^= 1
	s.announcement.Round = 2
	number := step()
	for name, other := range map[string][]int32{"model": model, "number": number} {
		same := 0
		for i := range first {
			if first[i] == other[i] {
				same++
			}
		}
		if same > len(first)/2 {
			t.Errorf("another %s: %d of %d values are the same", name, same, len(first))
		}
	}
	if bytes.Equal(p.secrets.Master[:], make([]byte, 32)) {
		t.Error("the master secret was cleared")
	}
}

// An upload leaves at the contract's time after the order, however early the work is done, and is not held
// back when it is late.
func TestUploadsAtAPublicTime(t *testing.T) {
	p, o, s := privateOrder(t, contract())
	task, err := p.openPrivacy(o, s)
	if err != nil {
		t.Fatal(err)
	}
	var waited []time.Duration
	p.pause = func(_ context.Context, d time.Duration) error {
		waited = append(waited, d)
		return nil
	}
	after := task.contract.UploadAfter
	for _, worked := range []time.Duration{time.Second, 59 * time.Second, 61 * time.Second} {
		if err := p.keepTime(t.Context(), o, after-worked); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(waited, []time.Duration{59 * time.Second, time.Second}) {
		t.Errorf("waited %v after 1, 59 and 61 s of work, want a minute in all and then no more", waited)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a participant that is stopped while it waits: got %v", err)
	}
	p.Simulate()
	if err := p.keepTime(ctx, o, time.Hour); err != nil {
		t.Error(err)
	}
}
