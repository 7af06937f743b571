package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/client/device"
	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
)

// calibrate measures what a task takes in every mode that the system lets us set, and
// stores the device's profile. Nothing is sent.
func calibrate(ctx context.Context, args []string, stdout, _ io.Writer) (err error) {
	f := flag.NewFlagSet("calibrate", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	path := f.String("data", "", "")
	architecture := f.String("architecture", "mnist-cnn", "")
	classes := f.String("classes", "", "")
	batch := f.Int("batch", 32, "")
	each := f.Duration("each", 3*time.Second, "")
	if err := f.Parse(args); err != nil {
		return usageOf(err)
	}
	if f.NArg() > 0 {
		return config.Usagef("calibrate takes flags only, got %q", f.Arg(0))
	}
	if *each <= 0 || *each > time.Hour {
		return config.Usagef("-each: got %v, want more than 0 and at most an hour", *each)
	}
	if *path == "" {
		c, err := load(*dir, nil)
		if _, absent := os.Stat(filepath.Join(*dir, configFile)); err != nil && absent == nil {
			return err
		}
		if err != nil {
			return config.WithHint(config.Usagef("calibrate needs the folder of your images"), "client calibrate -data FOLDER")
		}
		*path = c.Data
	}
	task := train.Config{Optimizer: optim.Config{Name: "sgd", LR: 0.01, Momentum: 0.9}, Batch: *batch, Epochs: 1, MaxSteps: 1}
	if task.Architecture, err = openArchitecture(*architecture); err != nil {
		return &config.UsageError{Err: err}
	}
	if *classes != "" {
		task.Classes = strings.Split(*classes, ",")
	}
	set, err := report(io.Discard, *path, &task)
	if err != nil {
		return err
	}
	if err := task.Validate(); err != nil {
		return &config.UsageError{Err: err}
	}
	one, err := oneTask(task, set)
	if err != nil {
		return err
	}
	start := time.Now()
	now := func() time.Duration { return time.Since(start) }
	meter := energy.Open(os.DirFS("/sys"), energy.Options{Now: now})
	fmt.Fprintf(stdout, "meter: %s (%s)\n", meter.Source(), meter.Tier())
	if meter.Tier() > costcurve.TierBattery {
		for _, note := range meter.Notes() {
			fmt.Fprintf(stdout, "  not used: %s\n", note)
		}
	}
	clocks, why := energy.OpenClocks("/sys")
	if why != nil {
		fmt.Fprintf(stdout, "  not set: %v\n", why)
	} else {
		defer func() { err = errors.Join(err, clocks.Restore()) }()
	}
	power, why := energy.OpenPowerModes(nvpmodel, nvpmodelConf)
	if why != nil {
		fmt.Fprintf(stdout, "  not set: %v\n", why)
	} else {
		defer func() { err = errors.Join(err, power.Restore()) }()
	}
	threads := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(threads)
	bench := &energy.Bench{
		Meter: meter, Now: now, Idle: *each, Each: *each, Sleep: sleep, Task: one,
		Apply: func(s energy.Setting) error {
			runtime.GOMAXPROCS(s.Threads)
			if s.PowerMode != nil {
				return power.Set(*s.PowerMode)
			}
			if s.KHz > 0 {
				return clocks.Limit(s.KHz)
			}
			return nil
		},
	}
	p, err := bench.Calibrate(ctx, settings(threads, clocks, power))
	if err != nil {
		return err
	}
	p.Task = fmt.Sprintf("%s, %d images", task.Architecture.Name, *batch)
	if err := p.Validate(); err != nil {
		return err
	}
	if err := printProfile(stdout, p); err != nil {
		return err
	}
	return storeProfile(stdout, *dir, p)
}

// oneTask returns a function that trains one batch.
func oneTask(task train.Config, set *dataset.Set) (func(context.Context) error, error) {
	t, err := train.New(task)
	if err != nil {
		return nil, err
	}
	m, err := task.Architecture.Init(1)
	if err != nil {
		return nil, err
	}
	delta := make([]float32, len(m.Params))
	work := train.Work{Round: 1, Client: "calibrate", Epochs: min(1, float64(task.Batch)/float64(set.Len())), LR: task.Optimizer.LR}
	return func(ctx context.Context) error {
		_, err := t.Run(ctx, m.Params, set, nil, work, delta)
		return err
	}, nil
}

// Where a Jetson's power modes are, usually.
const (
	nvpmodel     = "nvpmodel"
	nvpmodelConf = "/etc/nvpmodel.conf"
)

// settings are the thread counts, doubling, in every power mode of a Jetson, or at every
// clock that can be set.
func settings(threads int, clocks *energy.Clocks, power *energy.PowerModes) []energy.Setting {
	points := []energy.Setting{{}}
	switch {
	case power != nil: // caps clocks as well
		points = nil
		for _, m := range power.Modes() {
			points = append(points, energy.Setting{Name: "@" + m.Name, PowerMode: &m.ID})
		}
	case clocks != nil:
		points = nil
		for _, khz := range clocks.Steps() {
			points = append(points, energy.Setting{Name: fmt.Sprintf("@%dMHz", khz/1000), KHz: khz})
		}
	}
	var all []energy.Setting
	for _, s := range points {
		at := s.Name
		for n := 1; ; n = min(2*n, threads) {
			s.Name, s.Threads = strconv.Itoa(n)+"-threads"+at, n
			if all = append(all, s); n >= threads || len(all) == costcurve.MaxModes {
				break
			}
		}
	}
	return all[:min(len(all), costcurve.MaxModes)]
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func printProfile(w io.Writer, p energy.Profile) error {
	figure := func(f energy.Figure, unit string) string {
		return fmt.Sprintf("%.3g %s ± %.0f %%", f.Value, unit, 100*f.RelErr)
	}
	rows := [][]string{{"idle", "", figure(p.IdleWatts, "W"), p.IdleWatts.Tier.String(), p.IdleWatts.Source}}
	for _, m := range p.Modes {
		rows = append(rows, []string{m.Name, fmt.Sprintf("%.3g s", m.SecondsPerTask), figure(m.JoulesPerTask, "J"), m.JoulesPerTask.Tier.String(), m.JoulesPerTask.Source})
	}
	fmt.Fprintf(w, "one task is %s; joules include idle power\n", p.Task)
	if err := term.Table(w, []string{"mode", "a task", "energy", "tier", "source"}, rows); err != nil {
		return err
	}
	// The curve of a day without transfers names the modes that are ever worth using.
	curve, err := p.Device().Curve(costcurve.Terms{Deadline: 86400, Boundary: costcurve.AboveIdle})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "cost curve, joules above idle (%s):", p.Tier())
	for _, point := range curve.Points {
		fmt.Fprintf(w, " %s %.3g J and %.3g s a task;", point.Name, point.Joules, point.Seconds)
	}
	_, err = fmt.Fprintln(w)
	return err
}

func storeProfile(w io.Writer, dir string, p energy.Profile) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := device.SaveProfile(dir, p); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "stored in %s; nothing was sent\n", filepath.Join(dir, device.ProfileFile))
	return err
}
