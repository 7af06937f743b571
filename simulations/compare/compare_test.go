package compare

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/server/schedule/policy"
	"github.com/sotto-fl/sotto/simulations/fleet"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// small is a world that trains in a moment.
func small(t *testing.T) *World {
	t.Helper()
	s, err := scenario.Load(config.Sources{File: "../scenarios/energy.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	s.Clients, s.Data, s.Run.Rounds.MinReports = 12, scenario.Data{Set: "mnist", Train: 1500, Test: 300}, 3
	s.Partition.Least = 20
	var c fleet.Config
	if err := config.Load(&c, config.Sources{File: "../fleets/mixed.yaml"}); err != nil {
		t.Fatal(err)
	}
	c.Round.Count, c.Round.Cohort, c.Round.Tasks = 4, 4, 16
	w, err := NewWorld(s, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Neither the number of workers nor another policy before it changes a run.
func TestRunIsRepeatable(t *testing.T) {
	w := small(t)
	var first *Run
	for _, workers := range []int{1, 3} {
		r, err := w.Simulate(context.Background(), "price", Conditions{Target: 0.5, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = r
		} else if d := cmp.Diff(first, r); d != "" {
			t.Error(d)
		}
	}
}

// Books balance for every policy, in every lane that it may run in; ours has no regret
// where the cohort's energy is least by construction.
func TestBooksBalance(t *testing.T) {
	w := small(t)
	w.Cache(t.TempDir())
	for _, name := range policy.Names() {
		p, err := policy.New(name)
		if err != nil {
			t.Fatal(err)
		}
		lanes, _ := p.Lanes()
		for _, lane := range lanes {
			r, err := w.Simulate(context.Background(), name, Conditions{Lane: lane, Target: 0.1, Workers: 2})
			if err != nil {
				t.Fatalf("%s, lane %s: %v", name, lane, err)
			}
			var before Costs
			for n, x := range r.Rounds {
				if x.Device < before.Device || x.Network < before.Network || x.Seconds <= before.Seconds || x.Rounds != n+1 {
					t.Errorf("%s, lane %s: round %d costs %+v after %+v", name, lane, n+1, x.Costs, before)
				}
				if x.Waiting+x.Wasted > x.Device*(1+1e-9) || math.IsNaN(x.Grams) {
					t.Errorf("%s, lane %s: parts of %+v exceed the whole", name, lane, x.Costs)
				}
				before = x.Costs
			}
			if lane != policy.Distributed && r.Regret < -1e-9 {
				t.Errorf("%s, lane %s: %g below the exact optimum", name, lane, r.Regret)
			}
			if name == "price" && lane != policy.Distributed && r.Regret > 1e-6 {
				t.Errorf("lane %s: regret of the posted or joint price is %g, want 0", lane, r.Regret)
			}
		}
	}
}

func TestRefusesWrongLaneAndTask(t *testing.T) {
	w := small(t)
	if _, err := w.Simulate(context.Background(), "oort", Conditions{Lane: policy.LaneA, Target: 0.5, Workers: 1}); err == nil {
		t.Error("oort looks at losses and may not run in lane A")
	}
	s := scenario.Default()
	if _, err := NewWorld(s, w.fleet.Config, 1); err == nil {
		t.Error("an encrypted scenario is accepted, and would not be encrypted")
	}
}

// Surplus power changes no plan of a policy that does not ask for it, no joule, and the
// CO2e of all; a limit of rounds holds for every client.
func TestConditions(t *testing.T) {
	w := small(t)
	sun, err := fleet.ReadSolar(strings.NewReader("time,a\n0,1\n300,1\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, on Conditions) Costs {
		on.Target, on.Workers = 0.999, 2
		r, err := w.Simulate(context.Background(), name, on)
		if err != nil {
			t.Fatal(err)
		}
		return r.Rounds[len(r.Rounds)-1].Costs
	}
	dark, light := run("random-full", Conditions{}), run("random-full", Conditions{Solar: sun})
	if dark.Device != light.Device || !(light.Grams < dark.Grams) {
		t.Errorf("%+v without the sun, %+v with it", dark, light)
	}
	run("fedzero", Conditions{Solar: sun})
	limited, err := w.Simulate(context.Background(), "fedcs", Conditions{Limit: 1, Workers: 2, Target: 0.999})
	if err != nil {
		t.Fatal(err)
	}
	free, err := w.Simulate(context.Background(), "fedcs", Conditions{Workers: 2, Target: 0.999})
	if err != nil {
		t.Fatal(err)
	}
	if !(limited.Jain > free.Jain) {
		t.Errorf("Jain %v with a limit of one round, %v without", limited.Jain, free.Jain)
	}
}

func TestInterval(t *testing.T) {
	// t(0.975, 4) = 2.776; standard deviation of 1..5 is sqrt(2.5).
	i := interval([]float64{1, 2, 3, 4, 5})
	if math.Abs(i.Mean-3) > 1e-12 || math.Abs(i.Half-2.776*math.Sqrt(0.5)) > 1e-3 {
		t.Errorf("%+v", i)
	}
}

func TestReports(t *testing.T) {
	w := small(t)
	runs := map[string][]*Run{}
	for _, name := range []string{"price", "random-full"} {
		r, err := w.Simulate(context.Background(), name, Conditions{Target: 0.999, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		runs[name] = []*Run{r}
	}
	names := []string{"price", "random-full"}
	var b bytes.Buffer
	if err := WriteTables(&b, Summarise(runs, names, "random-full"), "random-full", 1); err != nil || !bytes.Contains(b.Bytes(), []byte("never")) {
		t.Errorf("a target that nobody reached is not said so (%v):\n%s", err, b.String())
	}
	b.Reset()
	if err := WriteCSV(&b, runs, names); err != nil || bytes.Count(b.Bytes(), []byte("\n")) != 9 {
		t.Errorf("%v: %d lines, want a header and 8 rounds", err, bytes.Count(b.Bytes(), []byte("\n")))
	}
	var png bytes.Buffer
	if err := Plot(&png, runs, names, 0.9); err != nil || !bytes.HasPrefix(png.Bytes(), []byte("\x89PNG")) {
		t.Errorf("no picture: %v", err)
	}
	png.Reset() // of a target that nobody reached, too
	if err := PlotJoules(&png, Summarise(runs, names, "random-full"), 0.999, 1); err != nil || !bytes.HasPrefix(png.Bytes(), []byte("\x89PNG")) {
		t.Errorf("no picture: %v", err)
	}
}
