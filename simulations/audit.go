package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/simulations/audit"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// errRefuted ends an audit that proved a leak.
var errRefuted = errors.New("the lower bound lies above the certified epsilon: this build leaks more than it says, or, once in 20 audits, the canaries' coins fell so; try another -seed")

// auditScenario hides canaries in all rounds of a scenario's or a run's contract and says what they give away.
func auditScenario(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("audit", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	file := f.String("scenario", "", "")
	canaries := f.Int("canaries", 600, "")
	seed := f.Uint64("seed", 1, "")
	out := f.String("out", "", "")
	book := f.String("ledger", "", "")
	key := f.String("key", "", "")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &config.UsageError{Err: err}
	}
	if f.NArg() > 0 {
		return config.Usagef("audit takes flags only, got %q", f.Arg(0))
	}
	if *book != "" && *file != "" {
		return config.Usagef("-ledger and -scenario both name a contract: give one of them")
	}
	c, err := contractOf(*file, *book, *key)
	if err != nil {
		return err
	}
	root := noise.Seed{}
	root[0], root[1], root[2], root[3] = byte(*seed), byte(*seed>>8), byte(*seed>>16), byte(*seed>>24)
	b, err := audit.New(root)
	if err != nil {
		return err
	}
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
	p.Build = version()
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

// contractOf reads the contract to audit: of a run's ledger, or of a scenario.
func contractOf(scenarioFile, book, key string) (privacy.Contract, error) {
	if book == "" {
		s, err := scenario.Load(config.Sources{File: scenarioFile})
		if err != nil {
			return privacy.Contract{}, err
		}
		if s.Run.Privacy != coordinator.PrivacyContract {
			return privacy.Contract{}, config.Usagef("scenario %s has no privacy contract: there is nothing to audit", s.Name)
		}
		return s.Run.Contract, nil
	}
	b, err := os.ReadFile(book)
	if err != nil {
		return privacy.Contract{}, &config.UsageError{Err: fmt.Errorf("-ledger: %w", err)}
	}
	if key == "" {
		key = filepath.Join(filepath.Dir(book), "ledger.pub")
	}
	public, err := os.ReadFile(key)
	if err != nil {
		return privacy.Contract{}, config.WithHint(&config.UsageError{Err: fmt.Errorf("-key: %w", err)}, "give the file of the ledger's public key")
	}
	v, err := ledger.Verify(b, strings.TrimSpace(string(public)))
	if err != nil {
		return privacy.Contract{}, fmt.Errorf("-ledger %s: %w", book, err)
	}
	if v.Contract.None() {
		return privacy.Contract{}, config.Usagef("run %s has no privacy contract: there is nothing to audit", v.Plan.Run)
	}
	return v.Contract, nil
}
