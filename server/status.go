package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/store"
)

// status reads the stored run; it works beside a server that is serving.
func status(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f, dir := flags("status")
	joulesToo := f.Bool("energy", false, "")
	if _, err := parse(f, args, ""); err != nil {
		return err
	}
	c, err := loadConfig(*dir, nil)
	if err != nil {
		return err
	}
	s, err := store.Read(ctx, filepath.Join(*dir, "run"))
	if errors.Is(err, coordinator.ErrNoState) {
		_, err = fmt.Fprintf(stdout, "run %s has not started\n", c.Run.Name)
		return err
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "run %s: %d of %d rounds\n", c.Run.Name, s.Round, c.Run.Rounds.Count)
	if *joulesToo {
		return showEnergy(stdout, *dir, s)
	}
	var rows [][]string
	known := slices.ContainsFunc(s.History, func(r coordinator.Record) bool { return r.Energy != nil })
	for _, r := range s.History {
		state := "ok"
		if r.Void != "" {
			state = "void"
		}
		rows = append(rows, []string{strconv.Itoa(r.Round), state, fmt.Sprintf("%d/%d", r.Accepted, r.Cohort),
			cell(r.Train), cell(r.Validation), cell(r.Test), fmt.Sprintf("%.1f s", r.Seconds)})
		if known {
			last := &rows[len(rows)-1]
			if r.Energy == nil {
				*last = append(*last, "-")
			} else {
				*last = append(*last, joules(r.Energy.Clients))
			}
		}
	}
	head := []string{"round", "state", "reports", "train", "validation", "test", "time"}
	if known {
		head = append(head, "clients' energy")
	}
	return term.Table(stdout, head, rows)
}

func cell(m *coordinator.Metric) string {
	if m == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*m.Accuracy)
}
