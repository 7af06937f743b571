package participant

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// clientContract protects the whole client, its norm's bit included.
func clientContract() privacy.Contract {
	c := contract()
	c.Unit, c.Rounding, c.Lane, c.SamplingRate, c.Records, c.MicroBatch = privacy.UnitClient, privacy.RoundRecord, privacy.LaneA, 0, 0, 0
	c.Adaptive = privacy.AdaptiveClip{Quantile: 0.5, Rate: 0.2, BitNoise: 4}
	return c
}

// values is what a client sends under c, of an order that change alters.
func values(t *testing.T, c privacy.Contract, change func(*Order, *sealed, *Participant)) []int32 {
	t.Helper()
	p, o, s := privateOrder(t, c)
	if c.Adaptive.Enabled() {
		o.Clip = 0.5
	}
	if change != nil {
		change(&o, s, p)
	}
	task, err := p.openPrivacy(o, s)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.step(t.Context(), o, s, task, make([]float32, p.layout.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != task.derived.Fields {
		t.Fatalf("%d fields, want %d", len(v), task.derived.Fields)
	}
	return v
}

// The same order repeats its values exactly, in another process too; whatever a server can change of an
// order brings noise of its own.
func TestUpdateNoiseIsBoundToTheOrder(t *testing.T) {
	all := map[string][]int32{"": values(t, clientContract(), nil)}
	if again := values(t, clientContract(), nil); !slices.Equal(all[""], again) {
		t.Error("the same order gave other values")
	}
	for name, change := range map[string]func(*Order, *sealed, *Participant){
		"number": func(_ *Order, s *sealed, _ *Participant) { s.announcement.Round = 2 },
		"round":  func(o *Order, _ *sealed, _ *Participant) { o.Round++ },
		"model":  func(o *Order, _ *sealed, _ *Participant) { o.Model[31] ^= 1 },
		"task":   func(_ *Order, s *sealed, _ *Participant) { s.announcement.Task[0] ^= 1 },
		"steps":  func(o *Order, _ *sealed, _ *Participant) { o.Plan.Tasks = 1 },
		"run":    func(o *Order, _ *sealed, _ *Participant) { o.Run += "x" },
		"secret": func(_ *Order, _ *sealed, p *Participant) { p.secrets = &Secrets{Master: noise.Seed{2}} },
	} {
		all[name] = values(t, clientContract(), change)
	}
	for a, x := range all {
		for b, y := range all {
			equal := 0
			for i := range x {
				if x[i] == y[i] {
					equal++
				}
			}
			// Noise of some 8,000 units: two draws hardly ever agree.
			if a != b && equal > len(x)/2 {
				t.Errorf("%q and %q share %d of %d values", a, b, equal, len(x))
			}
		}
	}
}

// A coin of lane B depends on the secret and the round's number alone, and falls as often as it should; one
// that says no leaves nothing but noise of the same size.
func TestCoinOfLaneB(t *testing.T) {
	c := clientContract()
	c.Lane, c.SamplingRate, c.Adaptive = privacy.LaneB, 0.25, privacy.AdaptiveClip{}
	heads := 0
	const n = 4000
	for number := range n {
		a, err := takesPart(c, noise.Seed{1}, number+1)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := takesPart(c, noise.Seed{1}, number+1); a != b {
			t.Fatal("a repeated coin fell otherwise")
		}
		if a {
			heads++
		}
	}
	// Five standard deviations of a binomial.
	if d := heads - n/4; d < -137 || d > 137 {
		t.Errorf("%d heads of %d at 1 in 4", heads, n)
	}
	if b, _ := takesPart(clientContract(), noise.Seed{1}, 1); !b {
		t.Error("in lane A a client that is asked stays out")
	}
	// The values of tails are those of a client whose update is zero.
	secret := noise.Seed{1}.Derive("run/r", 0)
	for number := uint64(1); ; number++ {
		if b, _ := takesPart(c, secret, int(number)); b {
			continue
		}
		p, o, s := privateOrder(t, c)
		o.Run, s.announcement.Round = "r", number
		task, err := p.openPrivacy(o, s)
		if err != nil {
			t.Fatal(err)
		}
		p.trainers = nil // nothing is trained
		got, err := p.step(t.Context(), o, s, task, make([]float32, p.layout.Size()))
		if err != nil {
			t.Fatal(err)
		}
		large := 0
		for _, v := range got {
			if v > 100 || v < -100 {
				large++
			}
		}
		if large < len(got)*9/10 {
			t.Errorf("tails sends noise in %d of %d fields", large, len(got))
		}
		return
	}
}

// A clip norm is the server's to choose only where the contract says so, and within bounds.
func TestClipNormIsHeldAgainstTheContract(t *testing.T) {
	fixed := clientContract()
	fixed.Adaptive = privacy.AdaptiveClip{}
	for _, test := range []struct {
		c    privacy.Contract
		clip float64
		ok   bool
	}{
		{fixed, 0, true}, {fixed, 1, false}, {clientContract(), 0.5, true}, {clientContract(), 0, false},
		{clientContract(), -1, false}, {clientContract(), 2 * privatise.MaxClip, false},
	} {
		p, o, s := privateOrder(t, test.c)
		o.Clip = test.clip
		_, err := p.openPrivacy(o, s)
		if (err == nil) != test.ok || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "clip norm")) {
			t.Errorf("adaptive %v, clip %g: got %v", test.c.Adaptive.Enabled(), test.clip, err)
		}
	}
}
