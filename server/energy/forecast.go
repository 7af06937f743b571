package energy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// ErrForecast: bytes are not a forecast.
var ErrForecast = errors.New("not a forecast of carbon intensity")

// Forecast is the intensity of the grid in equal slots, in gCO2e/kWh; all of one kind,
// average or marginal.
type Forecast struct {
	Start     time.Time
	Slot      time.Duration
	Intensity []float64
}

// longestForecast is a month of five minutes.
const longestForecast = 9000

// ParseForecast reads a CSV with a header and the columns time (RFC 3339) and gCO2e/kWh,
// in ascending and equal steps.
func ParseForecast(b []byte) (f Forecast, err error) {
	bad := func(format string, args ...any) (Forecast, error) {
		return Forecast{}, fmt.Errorf("%w: "+format+"; want a header, then time (RFC 3339) and gCO2e/kWh in equal steps", append([]any{ErrForecast}, args...)...)
	}
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = 2
	var last time.Time
	for line := 1; ; line++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bad("%w", err)
		}
		if line == 1 {
			continue
		}
		at, err := time.Parse(time.RFC3339, cells[0])
		if err != nil {
			return bad("line %d: %.40q is no time", line, cells[0])
		}
		v, err := strconv.ParseFloat(cells[1], 64)
		if err != nil || !(v >= 0 && v <= 1e5) {
			return bad("line %d: %.40q is no intensity", line, cells[1])
		}
		switch n := len(f.Intensity); {
		case n == 0:
			f.Start = at
		case n == 1:
			f.Slot = at.Sub(last)
		case n == longestForecast:
			return bad("more than %d lines", longestForecast)
		}
		if n := len(f.Intensity); n > 0 && (f.Slot <= 0 || at.Sub(last) != f.Slot) {
			return bad("line %d: %s after %s", line, at.Format(time.RFC3339), last.Format(time.RFC3339))
		}
		last = at
		f.Intensity = append(f.Intensity, v)
	}
	if len(f.Intensity) < 2 {
		return bad("%d lines", len(f.Intensity))
	}
	return f, nil
}

// From is what is forecast from now on, the slot that now lies in included; and how much
// of that slot has passed.
func (f Forecast) From(now time.Time) (rest []float64, passed time.Duration) {
	if f.Slot <= 0 || now.Before(f.Start) {
		return nil, 0
	}
	since := now.Sub(f.Start)
	i := since / f.Slot
	if i >= time.Duration(len(f.Intensity)) {
		return nil, 0
	}
	return f.Intensity[i:], since % f.Slot
}
