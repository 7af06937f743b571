package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"

	"github.com/sotto-fl/sotto/client/device"
	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
)

// energyTotals is the command energy: what rounds took, by phase and tier.
func energyTotals(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := flag.NewFlagSet("energy", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	if err := f.Parse(args); err != nil {
		return usageOf(err)
	}
	if f.NArg() > 0 {
		return config.Usagef("energy takes flags only, got %q", f.Arg(0))
	}
	totals, err := device.Totals(*dir)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(stdout, "nothing is logged in %s yet; client run does\n", *dir)
		return err
	}
	if err != nil {
		return err
	}
	var rows, between [][]string
	var all device.Total
	var waiting float64
	unknown := 0
	row := func(name string, t device.Total) []string {
		return []string{name, t.Joules.Tier.String(), fmt.Sprintf("%.4g J ± %.0f %%", t.Joules.Value, 100*t.Joules.RelErr), fmt.Sprintf("%.4g J", t.AboveIdle), fmt.Sprintf("%.1f s", t.Seconds)}
	}
	for _, t := range totals {
		if t.Phase == energy.Between.String() {
			between = append(between, row("(between rounds)", t))
			continue
		}
		if t.Unknown > 0 {
			unknown += t.Unknown
		} else if t.Phase == energy.Wait.String() {
			waiting += t.AboveIdle
		}
		rows = append(rows, row(t.Phase, t))
		all.Joules, all.AboveIdle, all.Seconds = all.Joules.Add(t.Joules), all.AboveIdle+t.AboveIdle, all.Seconds+t.Seconds
	}
	rows = append(append(rows, row("all rounds", all)), between...)
	if _, err := fmt.Fprintln(stdout, "joules of this machine while it took part, idle power included; above idle is 0 without client calibrate"); err != nil {
		return err
	}
	if err := term.Table(stdout, []string{"phase", "tier", "energy", "above idle", "time"}, rows); err != nil {
		return err
	}
	switch {
	case unknown > 0:
		_, err = fmt.Fprintf(stdout, "waiting: unknown, for %d readings were taken without a calibration (client calibrate)\n", unknown)
	case all.AboveIdle > 0:
		_, err = fmt.Fprintf(stdout, "waiting, from the end of the work to Commit: %.2f %% of the energy above idle of all rounds; idle power took %.4g J beside it\n", 100*waiting/all.AboveIdle, all.Joules.Value-all.AboveIdle)
	}
	return err
}
