package main

import (
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/server/schedule/policy"
	"github.com/sotto-fl/sotto/simulations/compare"
	"github.com/sotto-fl/sotto/simulations/fleet"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

const (
	defaultPolicies = "price,price-uniform,random-full,random-best,fedcs,olar,ecolearn,oort,oracle"
	reference       = "random-full" // what others are divided by
)

// comparePolicies runs policies on one fleet and writes what each took.
func comparePolicies(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	policies := f.String("policies", defaultPolicies, "")
	target := f.Float64("target-accuracy", 0, "")
	seeds := f.Int("seeds", 5, "")
	first := f.Uint64("first-seed", 1, "")
	limit := f.Int("max-participations", 0, "")
	cache := f.String("cache", "", "")
	solarFile := f.String("solar", "", "")
	carbonFiles := f.String("carbon", "", "")
	horizon := f.Duration("horizon", 24*time.Hour, "")
	forecastError := f.Float64("forecast-error", 0.1, "")
	scenarioFile := f.String("scenario", "", "")
	fleetFile := f.String("fleet", "", "")
	rounds := f.Int("rounds", 0, "")
	ratio := f.Float64("ratio", 0, "")
	laneName := f.String("lane", "none", "")
	out := f.String("out", "", "")
	workers := f.Int("workers", runtime.GOMAXPROCS(0), "")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &config.UsageError{Err: err}
	}
	if f.NArg() > 0 {
		return config.Usagef("compare takes flags only, got %q", f.Arg(0))
	}
	if *scenarioFile == "" || *fleetFile == "" {
		return config.WithHint(config.Usagef("compare needs a scenario and a fleet"), "simulations compare -scenario simulations/scenarios/energy.yaml -fleet simulations/fleets/mixed.yaml")
	}
	if *seeds < 1 || *seeds > 1000 || *workers < 1 || *workers > 1024 {
		return config.Usagef("-seeds is %d and -workers is %d, want 1 to 1000 and 1 to 1024", *seeds, *workers)
	}
	if *limit < 0 || *limit > 1<<20 {
		return config.Usagef("-max-participations is %d, want 1 or more, or 0 for no limit", *limit)
	}
	s, err := scenario.Load(config.Sources{File: *scenarioFile})
	if err != nil {
		return err
	}
	var c fleet.Config
	if err := config.Load(&c, config.Sources{File: *fleetFile}); err != nil {
		return err
	}
	for _, o := range []struct {
		given bool
		set   func()
	}{
		{*target != 0, func() { c.Target = *target }}, {*rounds != 0, func() { c.Round.Count = *rounds }}, {*ratio != 0, func() { c.Round.Ratio = *ratio }},
	} {
		if o.given {
			o.set()
		}
	}
	if err := c.Validate(); err != nil {
		return &config.UsageError{Err: err}
	}
	lane, err := parseLane(*laneName)
	if err != nil {
		return err
	}
	var solar *fleet.Solar
	if *solarFile != "" {
		file, err := os.Open(*solarFile)
		if err != nil {
			return err
		}
		solar, err = fleet.ReadSolar(file, strings.HasSuffix(*solarFile, ".gz"))
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", *solarFile, err)
		}
	}
	if *horizon < time.Minute || *horizon > 366*24*time.Hour || !(*forecastError >= 0 && *forecastError <= 10) {
		return config.Usagef("-horizon is %s and -forecast-error is %g, want a minute to a year and 0 to 10", *horizon, *forecastError)
	}
	times := compare.Times{Horizon: *horizon, Error: *forecastError}
	if times.Carbon, err = readCarbon(*carbonFiles); err != nil {
		return err
	}
	for z := range times.Carbon {
		if _, known := c.Zones[z]; !known {
			return config.Usagef("-carbon: the fleet has no zone %s, but %s", z, strings.Join(slices.Sorted(maps.Keys(c.Zones)), ", "))
		}
	}
	names := strings.Split(*policies, ",")
	if !slices.Contains(names, reference) {
		names = append(names, reference)
	}
	for _, name := range names {
		p, err := policy.New(name)
		if err != nil {
			return &config.UsageError{Err: err}
		}
		if err := policy.Check(p, lane); err != nil {
			return &config.UsageError{Err: err}
		}
		if t, ok := p.(*policy.Timed); ok && t.By != policy.AtOnce && len(times.Carbon) == 0 {
			return config.WithHint(config.Usagef("policy %s waits for clean energy, and intensity never changes here", name), "give the intensity over time: -carbon DE=FILE,FR=FILE")
		}
	}
	if *out == "" {
		*out = filepath.Join("runs", time.Now().Format("20060102-150405")+"-compare-"+c.Name)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	if *cache != "" {
		if err := os.MkdirAll(*cache, 0o755); err != nil {
			return err
		}
	}
	runs := make(map[string][]*compare.Run)
	for k := range *seeds {
		w, err := compare.NewWorld(s, c, *first+uint64(k))
		if err != nil {
			return err
		}
		w.Cache(*cache)
		for _, name := range names {
			started := time.Now()
			r, err := w.Simulate(ctx, name, compare.Conditions{Lane: lane, Target: c.Target, Limit: *limit, Solar: solar, Times: times, Workers: *workers})
			if err != nil {
				return err
			}
			runs[name] = append(runs[name], r)
			last := r.Rounds[len(r.Rounds)-1]
			fmt.Fprintf(stderr, "seed %d  %-20s target in round %2d, then accuracy %.2f %% and %.1f kJ after %d rounds  (%.0f s)\n", r.Seed, name, r.Reached, 100*last.Accuracy, last.Device/1e3, len(r.Rounds), time.Since(started).Seconds())
		}
	}
	under := lane.String()
	if *limit > 0 {
		under += fmt.Sprintf(", at most %d rounds for a client", *limit)
	}
	if len(times.Carbon) > 0 {
		under += fmt.Sprintf(", intensity over time in %s, %s for all rounds, forecast with errors of %g %%", strings.Join(slices.Sorted(maps.Keys(times.Carbon)), " and "), *horizon, 100**forecastError)
	}
	fmt.Fprintf(stdout, "%s on fleet %s: target %.4g %%, %d seeds, %d rounds of %d clients, work ratio %g, lane %s; mean ± 95 %% interval; joules from power profiles\n\n", s.Name, c.Name, 100*c.Target, *seeds, c.Round.Count, c.Round.Cohort, c.Round.Ratio, under)
	all := compare.Summarise(runs, names, reference)
	if err := compare.WriteTables(stdout, all, reference, *seeds); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer) error{
		"rounds.csv":   func(w io.Writer) error { return compare.WriteCSV(w, runs, names) },
		"summary.csv":  func(w io.Writer) error { return compare.WriteSummary(w, all) },
		"accuracy.png": func(w io.Writer) error { return compare.Plot(w, runs, names, c.Target) },
		"joules.png":   func(w io.Writer) error { return compare.PlotJoules(w, all, c.Target, *seeds) },
	} {
		file, err := os.Create(filepath.Join(*out, name))
		if err != nil {
			return diskFull(err)
		}
		if err := errors.Join(write(file), file.Close()); err != nil {
			return diskFull(err)
		}
	}
	_, err = fmt.Fprintf(stdout, "\nresults: %s\n", *out)
	return err
}

// readCarbon reads ZONE=FILE pairs, or files that name their zones themselves.
func readCarbon(pairs string) (map[string]carbon.Series[carbon.Average], error) {
	all := make(map[string]carbon.Series[carbon.Average])
	for pair := range strings.SplitSeq(pairs, ",") {
		if pair == "" {
			continue
		}
		zone, name, given := strings.Cut(pair, "=")
		if !given {
			zone, name = "", pair
		}
		series, err := readSeries(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for z, s := range series {
			switch {
			case z == "" && zone == "":
				return nil, config.Usagef("-carbon: %s names no zone: write ZONE=%s", name, name)
			case z == "":
				z = zone
			case zone != "" && z != zone:
				continue // of a file of many
			}
			if _, twice := all[z]; twice {
				return nil, config.Usagef("-carbon: zone %s is given twice", z)
			}
			all[z] = s
		}
		if _, found := all[zone]; given && !found {
			return nil, config.Usagef("-carbon: %s has no zone %s", name, zone)
		}
	}
	return all, nil
}

func readSeries(name string) (map[string]carbon.Series[carbon.Average], error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if !strings.HasSuffix(name, ".gz") {
		return carbon.Read[carbon.Average](file)
	}
	z, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return carbon.Read[carbon.Average](z)
}

func parseLane(name string) (policy.Lane, error) {
	for _, l := range []policy.Lane{policy.None, policy.LaneA, policy.LaneB, policy.Distributed} {
		if l.String() == name {
			return l, nil
		}
	}
	return 0, config.Usagef("-lane: got %q, want none, A, B or distributed-dp-sgd", name)
}
