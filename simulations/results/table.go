package results

import (
	"fmt"
	"io"
	"strconv"

	"github.com/sotto-fl/sotto/internal/term"
)

// RoundHeader names the cells of RoundCells.
var RoundHeader = []string{"round", "accuracy", "loss", "train loss", "reports", "dropped", "up", "down", "time"}

// RoundCells writes one row for people. A dash stands for what was not measured.
func RoundCells(r Row) []string {
	return []string{
		strconv.Itoa(r.Round), percent(r.Accuracy), decimal(r.Loss), decimal(r.TrainLoss),
		strconv.Itoa(r.Accepted), strconv.Itoa(r.Dropped), size(r.BytesUp), size(r.BytesDown),
		fmt.Sprintf("%.1f s", r.Seconds),
	}
}

// WriteRounds writes a table of rounds.
func WriteRounds(w io.Writer, rows []Row) error {
	var cells [][]string
	for _, r := range rows {
		cells = append(cells, RoundCells(r))
	}
	return term.Table(w, RoundHeader, cells)
}

// WriteTable writes the figures of a finished run, one a line.
func (s Summary) WriteTable(w io.Writer) error {
	rows := [][]string{
		{"run", s.Name},
		{"test accuracy", percent(s.TestAccuracy)},
		{"test loss", decimal(s.TestLoss)},
		{"rounds", fmt.Sprintf("%d with %d clients", s.Rounds, s.Clients)},
		{"time", fmt.Sprintf("%.1f s, %d workers, kernel %s", s.Seconds, s.Workers, s.Kernel)},
		{"uploaded", size(s.BytesUp)},
		{"downloaded", size(s.BytesDown)},
		{"peak memory", size(s.PeakRSS)},
		{"seed", strconv.FormatUint(s.Seed, 10)},
		{"model sha256", s.ModelSHA256},
	}
	if s.BaselineSeconds > 0 {
		rows = append(rows, []string{"baseline", fmt.Sprintf("%s without privacy (federated averaging), %.1f s", percent(s.BaselineAccuracy), s.BaselineSeconds)})
	}
	if err := term.Table(w, nil, rows); err != nil || len(s.Epsilon) == 0 {
		return err
	}
	return writeEpsilons(w, s.Epsilon)
}

func percent(v float64) string {
	if measured(v) == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}

func decimal(v float64) string {
	if measured(v) == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", v)
}

// size writes bytes in the binary unit that leaves a number below 1024.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for ; v >= 1023.95 && unit < 3; unit++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGT"[unit])
}
