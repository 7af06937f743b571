package coordinator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/fleet"
)

// Statistics about the clients are events of the ledger, under a budget that its plan names.
func TestFleetStatisticsAreAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p, _ := newPrivateWorldOf(t, func(c *Config) {
			c.Fleet = fleet.Config{Every: 1, Epsilon: 2, Delta: 1e-6, Release: 0.5, Longest: time.Minute}
		})
		if _, err := w.run(nil); err != nil {
			t.Fatal(err)
		}
		v, err := ledger.Verify(p.b, w.books.Key)
		if err != nil {
			t.Fatal(err)
		}
		if n := 2 * w.cfg.Rounds.Count; len(v.Metrics) != n || v.Plan.Metrics == nil || !(v.Balance.Metrics > 0 && v.Balance.Metrics <= 2) {
			t.Errorf("%d statistics of %d, epsilon %v", len(v.Metrics), n, v.Balance.Metrics)
		}
	})
}

func TestFleetStatisticsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"over their budget": {func(c *Config) { c.Fleet.Release = 2 }, "fleet: epsilon"},
		"without a ledger":  {func(c *Config) { *c = testConfig(1, 3); c.Fleet.Every = 1 }, "privacy: none has none"},
	} {
		cfg := privateConfig()
		cfg.Fleet = fleet.Config{Every: 1, Epsilon: 2, Delta: 1e-6, Release: 0.5, Longest: time.Minute}
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
