package audit

import (
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/privacy/audit"
	"github.com/sotto-fl/sotto/privacy/noise"
)

// seeds is how many builds, which differ in every owner's secret, each test looks at: go test ./simulations/audit -seeds 40.
var seeds = flag.Int("seeds", 1, "builds with secrets of their own that no test may accuse and no planted bug may pass in")

func build(t testing.TB, seed int) *Build {
	t.Helper()
	b, err := New(noise.Seed{17, byte(seed), byte(seed >> 8)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A correct build passes all checks, whatever its secrets are.
func TestNoCorrectBuildIsAccused(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		b := build(t, seed)
		for _, c := range Suite() {
			if err := c.Run(b); err != nil {
				t.Errorf("seed %d: %s: %v", seed, c.Name, err)
			}
		}
	}
}

// Every planted bug stands in for one step of a correct build, and the named check has to see it, whatever the seed.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(Suite(), func(c Check) bool { return c.Name == bug.check })
			if i < 0 {
				t.Fatalf("no check is named %q", bug.check)
			}
			for seed := range *seeds {
				b := build(t, seed)
				bug.plant(b)
				err := Suite()[i].Run(b)
				if !errors.Is(err, audit.ErrNonconforming) {
					t.Fatalf("seed %d: %s: %v, want a failure", seed, bug.check, err)
				}
				t.Log(err)
			}
		})
	}
}
