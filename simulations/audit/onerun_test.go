package audit

import (
	"math"
	"math/big"
	"testing"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// The gate: at a contract of epsilon at most 1 the lower bound must not exceed what is certified; without noise it must.
func TestOneRunGate(t *testing.T) {
	c := GateContract()
	for name, test := range map[string]struct {
		plant  func(*Build)
		passes bool
	}{
		"correct build": {func(*Build) {}, true},
		"noise off": {func(b *Build) {
			b.Sampler = func(privacy.Derived) (privatise.Sampler, error) { return silent{}, nil }
		}, false},
		"noise of a tenth of the scale": {func(b *Build) { scaled(b, big.NewRat(1, 100)) }, false},
	} {
		b := build(t, 0)
		test.plant(b)
		got, err := OneRun(b, c, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d of %d right, lower bound %.3f, certified %.3f, one-shot %.3f fitted, %.3f shifted", name, got.Right, got.Made, got.LowerBound, got.Certified, got.OneShot.Epsilon, got.OneShot.Shift)
		if got.Certified > 1 || got.Certified < 0.9 {
			t.Errorf("%s: certified epsilon %g, want a little below 1", name, got.Certified)
		}
		if passes := got.LowerBound <= got.Certified; passes != test.passes {
			t.Errorf("%s: lower bound %g at a certified %g, passes %v", name, got.LowerBound, got.Certified, passes)
		}
		// The one-shot estimate is near the truth for the linear mechanism: mu within 4.5 standard errors of 1/z.
		if mu := got.OneShot.Mean * math.Sqrt(float64(c.Parameters)); test.passes && math.Abs(mu-1/c.Noise) > 4.5/math.Sqrt(Canaries) {
			t.Errorf("%s: canaries stand out by %.3f, want %.3f", name, mu, 1/c.Noise)
		}
		if !test.passes && min(got.OneShot.Epsilon, got.OneShot.Shift) < 2*got.Certified {
			t.Errorf("%s: one-shot estimate %g at a certified %g", name, got.OneShot.Epsilon, got.Certified)
		}
	}
}

// The bound stays below the certified epsilon whatever the secrets, canaries and coins are. It may pass it once in twenty
// audits of a build whose true epsilon is the certified one; guessing as the gate does loses so much that it never came near.
func TestOneRunAccusesNoCorrectBuild(t *testing.T) {
	t.Parallel()
	c := GateContract()
	highest := 0.0
	for seed := range *seeds {
		got, err := OneRun(build(t, seed), c, uint64(2+seed))
		if err != nil {
			t.Fatal(err)
		}
		if got.LowerBound > got.Certified {
			t.Errorf("seed %d: lower bound %g at a certified %g", seed, got.LowerBound, got.Certified)
		}
		highest = max(highest, got.LowerBound)
	}
	t.Logf("highest lower bound of %d builds: %.3f", *seeds, highest)
}
