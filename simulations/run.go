package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/simulations/results"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// runScenario runs one scenario and leaves a folder of results.
func runScenario(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, o, err := parseRun(args)
	if err != nil {
		return err
	}
	if o.print {
		return config.WriteYAML(stdout, s, "A scenario with every choice written out. Run it with: simulations run -scenario FILE")
	}
	var plain scenario.Scenario
	if o.baseline {
		if plain, err = s.Baseline(); err != nil {
			return config.WithHint(&config.UsageError{Err: err}, "leave -baseline out, or name a private scenario")
		}
	}
	if o.out == "" {
		o.out = filepath.Join("runs", time.Now().Format("20060102-150405")+"-"+s.Name)
	}
	w, err := results.Create(o.out)
	if err != nil {
		return err
	}
	show := &progress{bar: newProgress(stderr), out: w, rounds: s.Run.Rounds.Count, every: s.Run.Rounds.Evaluate, stop: func(error) {}}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	show.stop = stop
	show.bar.Line(fmt.Sprintf("%s: %d clients, %d rounds, seed %d, %d workers, kernel %s", s.Name, s.Clients, s.Run.Rounds.Count, s.Run.Seed, o.workers, kernel.Name()))

	r, err := scenario.Run(running, s, scenario.Options{Workers: o.workers, Observer: show})
	show.bar.Stop()
	if err != nil {
		if cause := context.Cause(running); cause != nil {
			err = cause // a result that could not be written, not the stop it led to
		}
		return unfinished(w, err, ctx.Err() != nil)
	}
	if err := checkpoint.WriteFile(filepath.Join(w.Dir(), "model.safetensors"), r.Model, map[string]string{
		"run": s.Run.Name, "round": fmt.Sprint(s.Run.Rounds.Count), "architecture": s.Run.Task.Architecture.Name, "model_sha256": r.ModelSHA256,
	}); err != nil {
		return diskFull(err)
	}
	if r.Ledger != nil {
		for name, b := range map[string][]byte{"ledger": r.Ledger, "ledger.pub": []byte(r.LedgerKey + "\n")} {
			if err := os.WriteFile(filepath.Join(w.Dir(), name), b, 0o644); err != nil {
				return err
			}
		}
	}
	sum := results.Summary{
		Name: s.Name, Clients: s.Clients, TestAccuracy: math.NaN(), TestLoss: math.NaN(),
		Seconds: r.Seconds, BytesUp: r.BytesUp, BytesDown: r.BytesDown, ModelSHA256: r.ModelSHA256,
		Seed: s.Run.Seed, Kernel: kernel.Name(), Workers: o.workers,
	}
	if f := r.Final(); f != nil {
		sum.Rounds = f.Round
		if f.Test != nil {
			sum.TestAccuracy, sum.TestLoss = f.Test.Accuracy, f.Test.Loss
		}
	}
	for i := range r.Records {
		if rec := &r.Records[i]; rec.Void == "" {
			sum.Energy = sum.Energy.Add(energyOf(rec))
		}
	}
	if sum.Epsilon, err = epsilons(s); err != nil {
		return err
	}
	if o.baseline {
		if sum.BaselineSeconds, sum.BaselineAccuracy, err = runBaseline(ctx, plain, o.workers); err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
	}
	if sum, err = w.Finish(sum); err != nil {
		return err
	}
	if err := sum.WriteTable(stdout); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "results       %s\n", w.Dir())
	return err
}

// unfinished words how a run ended early. A folder that holds no round yet is
// removed, so that the same command works once its cause is cured.
func unfinished(w *results.Writer, err error, interrupted bool) error {
	n := len(w.Rows())
	if n == 0 {
		os.Remove(filepath.Join(w.Dir(), "rounds.csv"))
		os.Remove(w.Dir()) // only if nothing else is in it
	}
	if !interrupted {
		return err
	}
	stopped := fmt.Errorf("interrupted after %d rounds", n)
	if n == 0 {
		return stopped
	}
	return config.WithHint(stopped, "the finished rounds are in "+filepath.Join(w.Dir(), "rounds.csv"))
}

// diskFull adds what to do to an error of a full disk.
func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return config.WithHint(err, "the disk is full: free some space, or name a folder on another disk with -out")
	}
	return err
}

type runOptions struct {
	workers  int
	out      string
	print    bool
	baseline bool
}

// parseRun reads the scenario: defaults, file, environment, flags.
func parseRun(args []string) (scenario.Scenario, runOptions, error) {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	var o runOptions
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "")
	f.StringVar(&o.out, "out", "", "")
	f.BoolVar(&o.print, "print", false, "")
	f.BoolVar(&o.baseline, "baseline", false, "")
	var seed *uint64 // nil: not given
	f.Func("seed", "", func(text string) error {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return errors.New("want a whole number, 0 or more")
		}
		seed = &n
		return nil
	})
	s, err := scenario.Load(config.Sources{Env: os.Environ(), Args: args, Flags: f, FileFlag: "scenario"})
	if err != nil {
		return s, o, err
	}
	if seed != nil {
		s.Run.Seed = *seed
	}
	if f.NArg() > 0 {
		return s, o, config.WithHint(config.Usagef("run takes flags only, got %q", f.Arg(0)), "name a scenario with -scenario FILE")
	}
	if o.workers < 1 || o.workers > 1024 {
		return s, o, config.Usagef("-workers: got %d, want 1 to 1024", o.workers)
	}
	return s, o, nil
}

func newProgress(w io.Writer) *term.Progress {
	if f, ok := w.(*os.File); ok {
		return term.NewProgress(w, term.Detect(f))
	}
	return term.NewProgress(w, term.Options{})
}

// progress shows a run and writes its rounds down. The coordinator calls it.
type progress struct {
	bar    *term.Progress
	out    *results.Writer
	rounds int
	every  int // rounds between two measurements
	stop   func(error)

	started bool // the bar, when it is over all rounds
}

func (p *progress) RoundStarted(round, attempt, cohort int) {
	if p.every > 1 {
		// Many short rounds: one bar over all of them.
		if !p.started {
			p.started = true
			p.bar.Start("rounds", p.rounds)
		}
		return
	}
	label := fmt.Sprintf("round %d/%d", round, p.rounds)
	if attempt > 1 {
		label += fmt.Sprintf(" (attempt %d)", attempt)
	}
	p.bar.Start(label, cohort)
}

func (p *progress) ReportAccepted(_, accepted, _ int) {
	if p.every <= 1 {
		p.bar.Set(accepted)
	}
}

func (p *progress) RoundFinished(r coordinator.Record) {
	if r.Void != "" {
		p.bar.Line(fmt.Sprintf("round %d is void: %s", r.Round, r.Void))
		return
	}
	row := results.Row{
		Round: r.Round, Accuracy: math.NaN(), Loss: math.NaN(), TrainLoss: math.NaN(),
		Accepted: r.Accepted, Rejected: r.Rejected, Discarded: r.Discarded, Dropped: r.Cohort - r.Accepted,
		BytesUp: r.BytesUp, BytesDown: r.BytesDown, Seconds: r.Seconds,
		Energy: energyOf(&r),
	}
	if r.Test != nil {
		row.Accuracy, row.Loss = r.Test.Accuracy, r.Test.Loss
	}
	if r.Train != nil {
		row.TrainLoss = r.Train.Loss
	}
	if r.Test != nil || p.every <= 1 {
		p.bar.Line(fmt.Sprintf("round %*d  %s", max(2, len(strconv.Itoa(p.rounds))), r.Round, line(row, r)))
	}
	if p.every > 1 {
		p.bar.Set(r.Round)
	}
	if err := p.out.AddRound(row); err != nil {
		p.stop(err)
	}
}

// energyOf is what a round cost by its orders; nil where nothing is known.
func energyOf(r *coordinator.Record) *results.Energy {
	if r.Energy == nil {
		return nil
	}
	e := &results.Energy{Grams: math.NaN()}
	if r.Energy.Grams > 0 {
		e.Grams = r.Energy.Grams
	}
	for _, part := range []struct {
		to *float64
		j  *energy.Joules
	}{{&e.Clients, r.Energy.Clients}, {&e.Network, r.Energy.Network}, {&e.Server, r.Energy.Server}, {&e.Holders, r.Energy.Holders}} {
		if *part.to = math.NaN(); part.j != nil {
			*part.to, e.Tier = part.j.Joules, max(e.Tier, int(part.j.Tier))
		}
	}
	return e
}

// line is a round in one line; what was not measured is left out.
func line(row results.Row, r coordinator.Record) string {
	s := ""
	if r.Test != nil {
		s += fmt.Sprintf("accuracy %6.2f %%  loss %.4f  ", 100*row.Accuracy, row.Loss)
	}
	if r.Train != nil {
		s += fmt.Sprintf("train loss %.4f  ", row.TrainLoss)
	}
	s += fmt.Sprintf("reports %d/%d  up %.2f MB  %.1f s", r.Accepted, r.Cohort, float64(r.BytesUp)/1e6, r.Seconds)
	if r.Clamped > 0 {
		s += fmt.Sprintf("  %d values clamped: raise update.range", r.Clamped)
	}
	return s
}
