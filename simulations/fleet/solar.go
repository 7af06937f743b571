package fleet

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sotto-fl/sotto/internal/seed"
)

// Solar is the output of photovoltaic plants over time, as shares of their peaks: surplus
// energy that FedZero plans with. Zone k of a fleet has the k-th plant, over again where
// there are more zones.
type Solar struct {
	Plants []string
	step   float64     // seconds
	share  [][]float64 // [row][plant], in [0, 1]
}

// solarPeak is a plant's peak beside what all clients of its zone draw above idle at full
// clocks: FedZero has 800 W for ten clients of 70 to 700 W (D).
const solarPeak = 0.25

const maxSolar = 1 << 20 // rows

// ReadSolar reads a CSV whose first column is seconds, equally spaced, and whose others are
// plants, named by the header: the form of vessim's data sets. gzipped says whether it is
// compressed.
func ReadSolar(r io.Reader, gzipped bool) (*Solar, error) {
	if gzipped {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("solar power: %w", err)
		}
		r = z
	}
	c := csv.NewReader(r)
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil || len(head) < 2 {
		return nil, fmt.Errorf("solar power: want a header of a time and at least one plant, got %q", strings.Join(head, ","))
	}
	s := &Solar{}
	for _, name := range head[1:] {
		s.Plants = append(s.Plants, strings.Clone(name))
	}
	var first, last float64
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := c.FieldPos(0)
		if err != nil {
			return nil, fmt.Errorf("solar power: %w", err)
		}
		at, err := strconv.ParseFloat(row[0], 64)
		switch n := len(s.share); {
		case n == maxSolar:
			return nil, fmt.Errorf("solar power: more than %d rows", maxSolar)
		case n == 0:
			first = at
		case n == 1:
			s.step = at - first
		}
		if n := len(s.share); err != nil || n > 0 && !(s.step > 0 && at-last > 0.999*s.step && at-last < 1.001*s.step) {
			return nil, fmt.Errorf("solar power, line %d: time %q, want seconds in equal steps", line, row[0])
		}
		last = at
		shares := make([]float64, len(row)-1)
		for k, text := range row[1:] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0 && v <= 1) {
				return nil, fmt.Errorf("solar power, line %d: %s at %q, want a share of its peak, 0 to 1", line, s.Plants[k], text)
			}
			shares[k] = v
		}
		s.share = append(s.share, shares)
	}
	if len(s.share) < 2 {
		return nil, errors.New("solar power: fewer than two rows")
	}
	return s, nil
}

// Surplus returns the watts of surplus in each zone of a fleet, so many seconds after a
// run began. When it began depends on the fleet's seed; the trace goes round.
func (s *Solar) Surplus(f *Fleet, seconds float64) []float64 {
	n := len(s.share)
	row := (seed.New(f.Seed, "fleet/solar", 0, "").IntN(n) + int(seconds/s.step)) % n
	watts := make([]float64, len(f.Zones))
	for i := range f.Clients {
		c := &f.Clients[i]
		most := 0.0
		for _, m := range c.Device.Modes {
			most = max(most, m.ActiveWatts-c.Device.IdleWatts)
		}
		watts[c.Zone] += most
	}
	for z := range watts {
		watts[z] *= solarPeak * s.share[row][z%len(s.Plants)]
	}
	return watts
}
