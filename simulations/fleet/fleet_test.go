package fleet

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/config"
)

// Every fleet that comes with the project.
func load(t *testing.T, name string) Config {
	t.Helper()
	var c Config
	if err := config.Load(&c, config.Sources{File: filepath.Join("..", "fleets", name)}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFleetsAreValidAndCanWork(t *testing.T) {
	files, err := os.ReadDir("../fleets")
	if err != nil || len(files) == 0 {
		t.Fatal("no fleets", err)
	}
	for _, file := range files {
		c := load(t, file.Name())
		f, err := Draw(c, 200, 1)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		least, _ := c.Bounds()
		able := 0
		for i := range f.Clients {
			seen[f.Clients[i].Class]++
			curve, err := f.Clients[i].Device.Curve(f.Terms)
			if err == nil && curve.Max() >= least {
				able++
			}
		}
		if len(seen) != len(c.Mix) {
			t.Errorf("%s: classes %v, want all of %v", file.Name(), seen, c.Mix)
		}
		if able < 180 {
			t.Errorf("%s: %d of 200 clients can do the least work within %.0f s, want nine in ten", file.Name(), able, f.Terms.Deadline)
		}
		t.Logf("%s: deadline %.1f s, %d of 200 able", file.Name(), f.Terms.Deadline, able)
	}
}

// A fleet is a function of its configuration and seed, and its first clients do not
// depend on how many follow.
func TestDrawIsRepeatable(t *testing.T) {
	c := load(t, "mixed.yaml")
	a, _ := Draw(c, 50, 3)
	b, _ := Draw(c, 80, 3)
	if d := cmp.Diff(a.Clients, b.Clients[:50]); d != "" {
		t.Error(d)
	}
	other, _ := Draw(c, 50, 4)
	if cmp.Equal(a.Clients, other.Clients) {
		t.Error("another seed gives the same fleet")
	}
}

func TestHabitsKeepTheirShare(t *testing.T) {
	f, err := Draw(load(t, "mixed.yaml"), 60, 1)
	if err != nil {
		t.Fatal(err)
	}
	h := f.Habits()
	count := make([]float64, 60)
	const rounds = 20000
	for range rounds {
		for i, there := range h.Next() {
			if there {
				count[i]++
			}
		}
	}
	for i, n := range count {
		if a := f.Clients[i].Availability; math.Abs(n/rounds-a) > 0.03 {
			t.Errorf("client %d: there for %.3f of the rounds, want %.3f", i, n/rounds, a)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	good := load(t, "mixed.yaml")
	for name, change := range map[string]func(*Config){
		"device":   func(c *Config) { c.Mix = map[string]float64{"toaster": 1} },
		"nothing":  func(c *Config) { c.Mix = nil },
		"ratio":    func(c *Config) { c.Round.Ratio = math.NaN() },
		"deadline": func(c *Config) { c.Round.Deadline = math.Inf(1) },
		"tasks":    func(c *Config) { c.Round.Tasks = 3 },
		"zones":    func(c *Config) { c.Zones = map[string]float64{"X": -1} },
	} {
		c := good
		change(&c)
		if _, err := Draw(c, 5, 1); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Draw(good, 0, 1); err == nil {
		t.Error("an empty fleet is accepted")
	}
}
