package audit

import (
	"context"
	"errors"
	"testing"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// A plan of several rounds holds up, and noise that was left out is seen.
func TestWholePlan(t *testing.T) {
	c := GateContract()
	c.SamplingRate, c.Rounds, c.MaxParticipations, c.Noise, c.Epsilon = 0.5, 4, 4, 4.5, 2
	for _, broken := range []bool{false, true} {
		b, err := New(noise.Seed{7})
		if err != nil {
			t.Fatal(err)
		}
		if broken {
			b.Sampler = func(privacy.Derived) (privatise.Sampler, error) { return silent{}, nil }
		}
		p, err := WholePlan(context.Background(), b, c, 600, 3, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Refuted() != broken {
			t.Errorf("noise off %v: %+v", broken, p)
		}
	}
	c.Unit = privacy.UnitClient
	if _, err := WholePlan(context.Background(), nil, c, 600, 3, nil); !errors.Is(err, ErrUnit) {
		t.Errorf("unit client: %v, want ErrUnit", err)
	}
}
