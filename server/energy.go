package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
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

var energyHeader = []string{"time", "round", "attempt", "client", "phase", "joules", "tier", "relative_error", "seconds", "source"}

// Spent appends one line a phase.
func (l *energyLog) Spent(client string, spent []coordinator.Spent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() == 0 {
		w.Write(energyHeader)
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	for _, s := range spent {
		w.Write([]string{time.Now().UTC().Format(time.RFC3339), strconv.Itoa(s.Round), strconv.Itoa(s.Attempt), client, s.Phase,
			number(s.Joules.Value), strconv.Itoa(int(s.Joules.Tier)), number(s.Joules.RelErr), number(s.Elapsed.Seconds()), s.Source})
	}
	w.Flush()
	_, err = f.Write(b.Bytes())
	return err
}

// told adds up what the clients told, by client, phase and tier.
func told(path string) ([][]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(energyHeader)
	sums := map[string]costcurve.Joules{}
	for line := 1; ; line++ {
		c, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if line == 1 {
			continue
		}
		var v [3]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(c[5+i], 64); err != nil {
				return nil, fmt.Errorf("%s: line %d: %s is %q, want a number", path, line, energyHeader[5+i], c[5+i])
			}
		}
		key := c[3] + "\x00" + c[4] + "\x00" + c[6]
		sums[key] = sums[key].Add(costcurve.Joules{Value: v[0], Tier: costcurve.Tier(v[1]), RelErr: v[2]})
	}
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		parts, j := bytes.Split([]byte(key), []byte{0}), sums[key]
		rows = append(rows, []string{string(parts[0]), string(parts[1]), joules(&energy.Joules{Joules: j.Value, Tier: j.Tier, RelErr: j.RelErr})})
	}
	return rows, nil
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
	lines, err := told(filepath.Join(dir, "run", energyFile))
	if err != nil || lines == nil {
		return err
	}
	fmt.Fprintln(w, "\nmeasured by the clients, idle power included")
	return term.Table(w, []string{"client", "phase", "energy"}, lines)
}
