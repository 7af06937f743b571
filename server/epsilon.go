package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/privacy/accountant"
)

// epsilon answers what a plan of Poisson-sampled steps costs, or how much noise
// an epsilon takes. It needs no server's folder.
func epsilon(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f, _ := flags("epsilon")
	q := f.Float64("q", 1, "")
	z := f.Float64("noise-multiplier", 0, "")
	steps := f.Int64("steps", 1, "")
	delta := f.Float64("delta", 1e-5, "")
	method := f.String("accountant", string(accountant.PLD), "")
	target := f.Float64("target-epsilon", 0, "")
	kind := f.String("mechanism", "gaussian", "")
	neighbours := f.String("adjacency", accountant.ZeroOut.String(), "")
	orders := f.String("orders", "", "")
	tightest := f.Bool("tightest", false, "")
	asJSON := f.Bool("json", false, "")
	if _, err := parse(f, args, ""); err != nil {
		return err
	}
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	switch {
	case !(*q > 0 && *q <= 1):
		return config.Usagef("-q: sampling rate %g, want more than 0 and at most 1", *q)
	case *steps < 1 || *steps > accountant.MaxCount:
		return config.Usagef("-steps: steps %d, want 1 to 2^40", *steps)
	case given["target-epsilon"] && !(*target > 0 && *target < math.MaxFloat64):
		return config.Usagef("-target-epsilon: got %g, want more than 0 and finite", *target)
	case given["noise-multiplier"] && !(*z > 0 && *z < math.MaxFloat64):
		return config.Usagef("-noise-multiplier: got %g, want more than 0 and finite", *z)
	case !(*delta > 0 && *delta < 1):
		return config.Usagef("-delta: got %g, want more than 0 and less than 1", *delta)
	}
	request := accountant.PlanRequest{
		Method: accountant.Method(*method), Q: *q, NoiseMultiplier: *z, Steps: *steps, Delta: *delta, TargetEpsilon: *target, Tightest: *tightest,
	}
	noisy := true
	if given["mechanism"] {
		m, err := parseMechanism(*kind)
		if err != nil {
			return &config.UsageError{Err: err}
		}
		if noisy = m.noisy(); !noisy && (given["noise-multiplier"] || given["target-epsilon"]) {
			return config.Usagef("-mechanism %.40s says all about its noise: leave -noise-multiplier and -target-epsilon out", *kind)
		}
		// What the mechanism takes of -q and -steps is not applied again around it.
		if m.lacks("q") {
			request.Q = 1
		}
		if m.lacks("steps") {
			request.Steps = 1
		}
		least := *z
		if given["target-epsilon"] {
			least = 1
		}
		if !noisy || least > 0 {
			if _, err := m.step(least, *q, *steps); err != nil {
				return &config.UsageError{Err: err}
			}
		}
		request.Step = func(z float64) accountant.Event {
			e, err := m.step(z, *q, *steps)
			if err != nil {
				return nil // a multiplier out of range
			}
			return e
		}
	}
	if noisy && given["target-epsilon"] == given["noise-multiplier"] {
		return config.WithHint(config.Usagef("epsilon needs either -noise-multiplier or -target-epsilon"), "try: server epsilon -q 0.01 -noise-multiplier 1.1 -steps 1000")
	}
	var err error
	if request.Adjacency, err = accountant.ParseAdjacency(*neighbours); err != nil {
		return &config.UsageError{Err: err}
	}
	if request.Orders, err = parseOrders(*orders); err != nil {
		return err
	}
	if given["orders"] && request.Method != accountant.RDP {
		return config.Usagef("-orders are Rényi orders: add -accountant rdp")
	}
	r, err := plan(ctx, request)
	if errors.Is(err, accountant.ErrInvalid) || errors.Is(err, accountant.ErrUnsupported) {
		return &config.UsageError{Err: err}
	}
	if err != nil {
		return err
	}
	if *asJSON {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("no finite epsilon: %w: raise the noise or delta", err)
		}
		_, err = fmt.Fprintf(stdout, "%s\n", b)
		return err
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 8, 64) }
	var rows [][]string
	if noisy {
		rows = append(rows, []string{"noise multiplier", number(r.NoiseMultiplier)})
	}
	rows = append(rows, [][]string{
		{"epsilon at most", number(r.Upper)},
		{"estimate", number(r.Estimate)},
		{"at least", number(r.Lower)},
		{"delta", number(r.Delta)},
		{"method", r.Method},
	}...)
	for _, d := range r.Curve {
		rows = append(rows, []string{"divergence of order " + number(d.Order), number(d.RDP)})
	}
	for _, a := range r.Assumptions {
		rows = append(rows, []string{"assumed", a})
	}
	return term.Table(stdout, nil, rows)
}

// plan is accountant.Plan, which may take seconds and cannot be interrupted, given up when ctx ends.
func plan(ctx context.Context, q accountant.PlanRequest) (accountant.PlanResult, error) {
	type answer struct {
		result accountant.PlanResult
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := accountant.Plan(q)
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
		return accountant.PlanResult{}, fmt.Errorf("epsilon: %w", ctx.Err())
	}
}
