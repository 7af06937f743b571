package device

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/csvlog"
)

// SaveProfile writes the profile into dir, whole or not at all, for its owner only.
func SaveProfile(dir string, p energy.Profile) error {
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		return err
	}
	return replace(dir, ProfileFile, b.Bytes())
}

// replace writes a file whole or not at all, for its owner only.
func replace(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

var header = []string{"time", "round", "attempt", "phase", "joules", "above_idle", "tier", "relative_error", "seconds", "source"}

// write appends readings to the log, each line whole.
func (d *Device) write(round, attempt int, readings []energy.Reading) error {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	rows := make([][]string, len(readings))
	for i, r := range readings {
		above := "" // without a calibration nobody knows what idling takes
		if d.profile != nil {
			above = number(r.AboveIdle(d.profile.IdleWatts.Value).Value)
		}
		rows[i] = []string{d.options.Now().UTC().Format(time.RFC3339), strconv.Itoa(round), strconv.Itoa(attempt), r.Phase.String(), number(r.Value), above,
			strconv.Itoa(int(r.Tier)), number(r.RelErr), number(r.Elapsed.Seconds()), r.Source}
	}
	return csvlog.Append(filepath.Join(d.dir, LogFile), header, rows)
}

// Total is what one phase took, with one tier, over all rounds of a log.
type Total struct {
	Phase     string
	Joules    costcurve.Joules
	AboveIdle float64
	Seconds   float64
	Readings  int
	Unknown   int // of them, those whose energy above idle nobody knows
}

// Totals reads the log in dir and adds up by phase and tier, in order of the phases.
// fs.ErrNotExist: nothing was logged yet.
func Totals(dir string) ([]Total, error) {
	path := filepath.Join(dir, LogFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(header)
	sums := map[string]*Total{}
	for line := 1; ; line++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if line == 1 {
			continue
		}
		var v [5]float64 // joules, above idle, tier, relative error, seconds
		for i := range v {
			if text := cells[4+i]; text != "" {
				if v[i], err = strconv.ParseFloat(text, 64); err != nil {
					return nil, fmt.Errorf("%s: line %d: %s is %q, want a number", path, line, header[4+i], text)
				}
			}
		}
		j := costcurve.Joules{Value: v[0], Tier: costcurve.Tier(v[2]), RelErr: v[3]}
		if err := j.Validate(); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, line, err)
		}
		key := cells[3] + cells[6]
		if sums[key] == nil {
			sums[key] = &Total{Phase: cells[3]}
		}
		t := sums[key]
		if cells[5] == "" {
			t.Unknown++
		}
		t.Joules, t.AboveIdle, t.Seconds, t.Readings = t.Joules.Add(j), t.AboveIdle+v[1], t.Seconds+v[4], t.Readings+1
	}
	var all []Total
	for p := energy.Download; p <= energy.Between; p++ {
		for tier := costcurve.TierExternal; tier <= costcurve.TierDefault; tier++ {
			if t := sums[p.String()+strconv.Itoa(int(tier))]; t != nil {
				all = append(all, *t)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return all, nil
}
