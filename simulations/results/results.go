// Package results is what a simulation leaves behind: one folder with
//
//	summary.json   the run in figures, for programs
//	rounds.csv     one line a round, written as the round ends
//	curve.png      accuracy and loss over the rounds
//
// and the tables for a terminal. A run that is interrupted keeps every round that
// it had finished. Nothing here influences a run.
package results

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/sotto-fl/sotto/internal/config"
)

// Row is one completed round. Metrics that were not measured are NaN.
type Row struct {
	Round     int
	Accuracy  float64 // on the test set, 0 to 1
	Loss      float64 // on the test set, mean
	TrainLoss float64 // mean over the clients' examples
	Accepted  int
	Rejected  int
	Discarded int
	Dropped   int // clients of the cohort that never reported
	BytesUp   int64
	BytesDown int64
	Seconds   float64
	Energy    *Energy // nil where nothing is known
}

// Energy is what a round cost, modelled, in joules; NaN where a part is unknown. Clients
// are above idle.
type Energy struct {
	Clients float64 `json:"-"`
	Network float64 `json:"-"`
	Server  float64 `json:"-"`
	Holders float64 `json:"-"`
	Tier    int     `json:"tier"` // the worst of the parts: 0 external meter to 5 default
	Grams   float64 `json:"-"`    // CO2e, SCI of a round
}

// MarshalJSON writes what is unknown as null.
func (e Energy) MarshalJSON() ([]byte, error) {
	type plain Energy
	return json.Marshal(struct {
		Clients *float64 `json:"joules_clients"`
		Network *float64 `json:"joules_network"`
		Server  *float64 `json:"joules_server"`
		Holders *float64 `json:"joules_holders"`
		Grams   *float64 `json:"gco2e"`
		plain
	}{measured(e.Clients), measured(e.Network), measured(e.Server), measured(e.Holders), measured(e.Grams), plain(e)})
}

// Add returns the sum of two rounds' energies; either may be nil.
func (e *Energy) Add(f *Energy) *Energy {
	if e == nil {
		return f
	}
	if f == nil {
		return e
	}
	return &Energy{e.Clients + f.Clients, e.Network + f.Network, e.Server + f.Server, e.Holders + f.Holders, max(e.Tier, f.Tier), e.Grams + f.Grams}
}

// Summary is a finished run. TestAccuracy and TestLoss are those of the final
// model, NaN when there was no test set; they are null in the file.
type Summary struct {
	Name         string  `json:"name"`
	Rounds       int     `json:"rounds"` // completed
	Clients      int     `json:"clients"`
	TestAccuracy float64 `json:"-"`
	TestLoss     float64 `json:"-"`
	Seconds      float64 `json:"seconds"`
	BytesUp      int64   `json:"bytes_up"`
	BytesDown    int64   `json:"bytes_down"`
	ModelSHA256  string  `json:"model_sha256"`
	Seed         uint64  `json:"seed"`
	Kernel       string  `json:"kernel"` // model/kernel.Name of the run
	Workers      int     `json:"workers"`

	// Of runs with a privacy contract, against each adversary.
	Epsilon []Epsilon `json:"epsilon,omitempty"`
	// Of the same run without privacy, where it was asked for; timed apart.
	BaselineSeconds  float64 `json:"baseline_seconds,omitempty"`
	BaselineAccuracy float64 `json:"baseline_accuracy,omitempty"`

	// Of runs whose clients' devices are modelled; all rounds together.
	Energy *Energy `json:"energy,omitempty"`

	// Finish fills in those of the following that are zero.
	PeakRSS   int64  `json:"peak_rss_bytes"`
	GoVersion string `json:"go_version"`
	Processor string `json:"processor"`
	Version   string `json:"version"`
}

// MarshalJSON writes metrics that were not measured as null.
func (s Summary) MarshalJSON() ([]byte, error) {
	type plain Summary
	return json.Marshal(struct {
		TestAccuracy *float64 `json:"test_accuracy"`
		TestLoss     *float64 `json:"test_loss"`
		plain
	}{measured(s.TestAccuracy), measured(s.TestLoss), plain(s)})
}

func measured(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Writer fills one folder. It is not safe for concurrent use.
type Writer struct {
	dir        string
	file       *os.File
	rows       []Row
	cumulative float64
}

var header = []string{
	"round", "accuracy", "loss", "train_loss", "accepted", "rejected", "discarded", "dropped",
	"bytes_up", "bytes_down", "seconds", "cumulative",
	"joules_clients", "joules_network", "joules_server", "joules_holders", "tier", "gco2e",
}

// Create makes the folder dir, with its parents, and starts its files. A folder
// that holds something already is refused, so that two runs never mix.
func Create(dir string) (*Writer, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, config.WithHint(config.Usagef("%s: the folder is not empty", dir), "name a new folder with -out, or remove this one")
	case errors.Is(err, syscall.ENOTDIR):
		return nil, config.WithHint(config.Usagef("%s: not a folder", dir), "name a new folder with -out")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, advise(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, advise(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "rounds.csv"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, advise(err)
	}
	w := &Writer{dir: dir, file: f}
	if err := w.line(header); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// Dir is the folder.
func (w *Writer) Dir() string { return w.dir }

// Rows returns the rounds so far. The caller must not change them.
func (w *Writer) Rows() []Row { return w.rows }

// AddRound appends one round to rounds.csv before it returns. The column
// cumulative is the sum of the seconds up to and including this round.
func (w *Writer) AddRound(r Row) error {
	w.cumulative += r.Seconds
	w.rows = append(w.rows, r)
	count := func(n int) string { return strconv.Itoa(n) }
	size := func(n int64) string { return strconv.FormatInt(n, 10) }
	cells := []string{
		count(r.Round), metric(r.Accuracy), metric(r.Loss), metric(r.TrainLoss),
		count(r.Accepted), count(r.Rejected), count(r.Discarded), count(r.Dropped),
		size(r.BytesUp), size(r.BytesDown),
		strconv.FormatFloat(r.Seconds, 'f', 3, 64), strconv.FormatFloat(w.cumulative, 'f', 3, 64),
		"", "", "", "", "", "",
	}
	if e := r.Energy; e != nil {
		copy(cells[len(cells)-6:], []string{metric(e.Clients), metric(e.Network), metric(e.Server), metric(e.Holders), count(e.Tier), metric(e.Grams)})
	}
	return w.line(cells)
}

// metric writes six digits, which is more than a test set resolves; an empty cell
// says that it was not measured.
func metric(v float64) string {
	if measured(v) == nil {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// line appends one record in a single write: a crash leaves whole lines only.
func (w *Writer) line(cells []string) error {
	var b bytes.Buffer
	c := csv.NewWriter(&b)
	if err := c.Write(cells); err != nil {
		return fmt.Errorf("%s: %w", w.file.Name(), err)
	}
	c.Flush()
	_, err := w.file.Write(b.Bytes())
	return advise(err)
}

// Finish writes summary.json and, when a metric was measured, curve.png. The
// Writer cannot be used afterwards. It returns the summary as written.
func (w *Writer) Finish(s Summary) (Summary, error) {
	if s.PeakRSS == 0 {
		s.PeakRSS = PeakRSS()
	}
	if s.GoVersion == "" {
		s.GoVersion = goVersion()
	}
	if s.Processor == "" {
		s.Processor = Processor()
	}
	if s.Version == "" {
		s.Version = version()
	}
	if err := w.file.Close(); err != nil {
		return s, advise(err)
	}
	picture, err := Curve(s.Name, w.rows)
	if err != nil {
		return s, fmt.Errorf("draw the curve of %s: %w", s.Name, err)
	}
	if picture != nil {
		if err := replace(filepath.Join(w.dir, "curve.png"), picture); err != nil {
			return s, err
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return s, fmt.Errorf("summary of %s: %w", s.Name, err)
	}
	// Last, so that a folder with a summary is complete.
	return s, replace(filepath.Join(w.dir, "summary.json"), append(text, '\n'))
}

// replace writes a file in whole or not at all.
func replace(path string, content []byte) error {
	part := path + ".part"
	err := os.WriteFile(part, content, 0o644)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		os.Remove(part) // whatever is left of it is of no use; err says why
	}
	return advise(err)
}

// advise adds a hint to the errors of a file system that a user can cure. They
// name the path already.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return config.WithHint(err, "the disk is full: free some space, or name a folder on another disk with -out")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return config.WithHint(err, "the folder cannot be written: name another with -out")
	}
	return err
}
