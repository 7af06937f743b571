package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/csvlog"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
)

// energyLog is the server's private log of what clients tell of their energy: a CSV file
// of mode 0600. It implements coordinator.Telemetry.
type energyLog struct {
	path string
	mu   sync.Mutex
}

// energyFile is the log, in the folder of the run.
const energyFile = "energy.csv"

var energyHeader = []string{"time", "round", "attempt", "client", "phase", "joules", "tier", "relative_error", "seconds", "source", "above_idle"}

// Spent appends one line a phase.
func (l *energyLog) Spent(client string, spent []coordinator.Spent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	rows := make([][]string, len(spent))
	for i, s := range spent {
		above := "" // a device that was not calibrated cannot tell
		if s.AboveIdle != nil {
			above = number(*s.AboveIdle)
		}
		rows[i] = []string{time.Now().UTC().Format(time.RFC3339), strconv.Itoa(s.Round), strconv.Itoa(s.Attempt), client, s.Phase,
			number(s.Joules.Value), strconv.Itoa(int(s.Joules.Tier)), number(s.Joules.RelErr), number(s.Elapsed.Seconds()), s.Source, above}
	}
	return csvlog.Append(l.path, energyHeader, rows)
}

// measured is what clients told: a row by client, phase and tier, and what of it was waiting.
type measured struct {
	rows    [][]string
	waiting energy.Waiting
}

// told adds up what the clients told.
func told(path string) (m measured, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(energyHeader)
	sums := map[string]costcurve.Joules{}
	aboves := map[string]float64{}
	for line := 1; ; line++ {
		c, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("%s: %w", path, err)
		}
		if line == 1 {
			continue
		}
		var v [3]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(c[5+i], 64); err != nil {
				return m, fmt.Errorf("%s: line %d: %s is %q, want a number", path, line, energyHeader[5+i], c[5+i])
			}
		}
		key := c[3] + "\x00" + c[4] + "\x00" + c[6]
		if c[10] == "" {
			m.waiting.Unknown++
			aboves[key] = math.NaN()
		} else {
			above, err := strconv.ParseFloat(c[10], 64)
			if err != nil || !(above >= 0) {
				return m, fmt.Errorf("%s: line %d: %s is %q, want a number", path, line, energyHeader[10], c[10])
			}
			m.waiting.Add(c[4] == "wait", v[0], above)
			aboves[key] += above
		}
		sums[key] = sums[key].Add(costcurve.Joules{Value: v[0], Tier: costcurve.Tier(v[1]), RelErr: v[2]})
	}
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		parts, j := bytes.Split([]byte(key), []byte{0}), sums[key]
		above := "unknown"
		if v := aboves[key]; !math.IsNaN(v) {
			above = fmt.Sprintf("%.4g J", v)
		}
		m.rows = append(m.rows, []string{string(parts[0]), string(parts[1]), joules(&energy.Joules{Joules: j.Value, Tier: j.Tier, RelErr: j.RelErr}), above})
	}
	return m, nil
}

func joules(j *energy.Joules) string {
	if j == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g J ± %.0f %% (%s)", j.Joules, 100*j.RelErr, j.Tier)
}

// showEnergy prints what rounds cost, and what was ordered and told, as far as the run's
// privacy lets it be known here.
func showEnergy(w io.Writer, dir string, s *coordinator.State) error {
	var rows, orders [][]string
	bounded := map[string]string{} // the latest of each client
	for _, r := range s.History {
		e := r.Energy
		if e == nil {
			continue
		}
		grams := "-"
		if e.Grams > 0 {
			grams = fmt.Sprintf("%.4g", e.Grams)
		}
		rows = append(rows, []string{strconv.Itoa(r.Round), e.Policy, strconv.FormatInt(e.Tasks, 10), joules(e.Clients), joules(e.Network), joules(e.Server), joules(e.Holders), grams})
		for _, o := range e.Orders {
			mode := o.Mode
			if o.Then != "" {
				mode += ", then " + o.Then
			}
			if mode == "" {
				mode = "as it is"
			}
			orders = append(orders, []string{strconv.Itoa(r.Round), o.Client, strconv.FormatInt(o.Tasks, 10), mode, fmt.Sprintf("%.4g J", o.Joules), fmt.Sprintf("%.3g s", o.Seconds)})
		}
		for _, b := range e.Bounded {
			who, _, _ := strings.Cut(b, ":")
			bounded[who] = b
		}
	}
	if rows == nil {
		_, err := fmt.Fprintln(w, "no round has joules: no client offers a profile (client calibrate), and run.energy.carbon is empty")
		return err
	}
	fmt.Fprintln(w, "clients' joules are above idle, of the work ordered, by the curves that they offer")
	if err := term.Table(w, []string{"round", "policy", "steps", "clients", "network", "server", "key holders", "gCO2e"}, rows); err != nil {
		return err
	}
	if orders != nil {
		fmt.Fprintln(w, "\nordered")
		if err := term.Table(w, []string{"round", "client", "steps", "mode", "modelled", "time"}, orders); err != nil {
			return err
		}
	}
	for _, who := range slices.Sorted(maps.Keys(bounded)) {
		fmt.Fprintf(w, "bounded: %s\n", bounded[who])
	}
	m, err := told(filepath.Join(dir, "run", energyFile))
	if err != nil || m.rows == nil {
		return err
	}
	fmt.Fprintln(w, "\nmeasured by the clients, idle power included")
	if err := term.Table(w, []string{"client", "phase", "energy", "above idle"}, m.rows); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, m.waiting)
	return err
}
