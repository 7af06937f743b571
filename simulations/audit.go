package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/simulations/audit"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// errRefuted ends an audit that proved a leak.
var errRefuted = errors.New("the lower bound lies above the certified epsilon: this build leaks more than it says, or, once in 20 audits, the canaries' coins fell so; try another -seed")

// auditScenario hides canaries in all rounds of a scenario's contract and says what they give away.
func auditScenario(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("audit", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	file := f.String("scenario", "", "")
	canaries := f.Int("canaries", 600, "")
	seed := f.Uint64("seed", 1, "")
	out := f.String("out", "", "")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &config.UsageError{Err: err}
	}
	if f.NArg() > 0 {
		return config.Usagef("audit takes flags only, got %q", f.Arg(0))
	}
	s, err := scenario.Load(config.Sources{File: *file})
	if err != nil {
		return err
	}
	if s.Run.Privacy != coordinator.PrivacyContract {
		return config.Usagef("scenario %s has no privacy contract: there is nothing to audit", s.Name)
	}
	root := noise.Seed{}
	root[0], root[1], root[2], root[3] = byte(*seed), byte(*seed>>8), byte(*seed>>16), byte(*seed>>24)
	b, err := audit.New(root)
	if err != nil {
		return err
	}
	c := s.Run.Contract
	p, err := audit.WholePlan(ctx, b, c, *canaries, *seed, func(round int) {
		if round%50 == 0 || round == c.Rounds {
			fmt.Fprintf(stderr, "round %d of %d\n", round, c.Rounds)
		}
	})
	if errors.Is(err, audit.ErrUnit) {
		return &config.UsageError{Err: err}
	}
	if err != nil {
		return err
	}
	if *out != "" {
		j, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*out, append(j, '\n'), 0o644); err != nil {
			return err
		}
	}
	if err := term.Table(stdout, nil, [][]string{
		{"contract", p.Contract},
		{"canaries", fmt.Sprintf("%d in %d rounds, unit %s", p.Canaries, p.Rounds, c.Unit)},
		{"right guesses", fmt.Sprintf("%d of %d", p.Right, p.Guesses)},
		{"epsilon at least", fmt.Sprintf("%.3f (%.0f %% confidence, one-run audit)", p.LowerBound, 100*p.Confidence)},
		{"epsilon at most", fmt.Sprintf("%.3f (certified, delta %g)", p.Certified, p.Delta)},
	}); err != nil {
		return err
	}
	if p.Refuted() {
		return errRefuted
	}
	return nil
}
