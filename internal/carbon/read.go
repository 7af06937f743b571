package carbon

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Read reads series from a CSV with a header, one for each zone:
//
//	time_utc,zone,g_per_kwh,signal
//	2020-01-01T00:00:00Z,DE,231.5,average
//
// Times are RFC 3339, or "2006-01-02 15:04:05" in UTC, and ascend within a zone.
// signal and zone may be left out; a file without zones is that of the zone "". With
// two columns their names do not matter: the first is the time, the second the value.
// A series has the shortest step between its rows (a minute at the least), over which
// a value holds until the next; a hole of more than a day is refused, and so is a row
// of the other signal.
func Read[S Signal](r io.Reader) (map[string]Series[S], error) {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: no header: %w", ErrInvalid, err)
	}
	at, err := columns(head)
	if err != nil {
		return nil, err
	}
	var signal S
	zones := make(map[string][]row)
	for n := 0; ; n++ {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		line, _ := c.FieldPos(0)
		if n == maxRows {
			return nil, fmt.Errorf("%w: more than %d rows", ErrInvalid, maxRows)
		}
		when, err := parseTime(fields[at[columnTime]])
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrInvalid, line, err)
		}
		v, err := strconv.ParseFloat(fields[at[columnValue]], 64)
		if err != nil || !(v >= 0 && v <= maxIntensity) {
			return nil, fmt.Errorf("%w: line %d: %q g/kWh, want 0 to %g", ErrInvalid, line, fields[at[columnValue]], maxIntensity)
		}
		if i := at[columnSignal]; i >= 0 && fields[i] != signal.name() {
			return nil, fmt.Errorf("%w: line %d: signal %q, want %s: the two must not be mixed", ErrInvalid, line, fields[i], signal.name())
		}
		zone := ""
		if i := at[columnZone]; i >= 0 {
			zone = strings.Clone(fields[i])
		}
		rows := zones[zone]
		if k := len(rows); k > 0 && !when.After(rows[k-1].at) {
			return nil, fmt.Errorf("%w: line %d: %s does not follow %s", ErrInvalid, line, when.Format(time.RFC3339), rows[k-1].at.Format(time.RFC3339))
		}
		zones[zone] = append(rows, row{when, v})
	}
	if len(zones) == 0 {
		return nil, fmt.Errorf("%w: no rows", ErrInvalid)
	}
	all := make(map[string]Series[S], len(zones))
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		s, err := hold[S](zones[zone])
		if err != nil {
			return nil, fmt.Errorf("zone %q: %w", zone, err)
		}
		all[zone] = s
	}
	return all, nil
}

type row struct {
	at time.Time
	v  float64
}

// Columns, in the order of at.
const (
	columnTime = iota
	columnValue
	columnZone
	columnSignal
	columnCount
)

// columns says where each is; -1: nowhere.
func columns(head []string) (at [columnCount]int, err error) {
	at = [columnCount]int{-1, -1, -1, -1}
	if len(head) == 2 {
		at[columnTime], at[columnValue] = 0, 1
		return at, nil
	}
	for i, name := range head {
		k := slices.Index([]string{"time_utc", "g_per_kwh", "zone", "signal"}, name)
		if k < 0 || at[k] >= 0 {
			return at, fmt.Errorf("%w: column %q, want time_utc, zone, g_per_kwh and signal, each once, or two columns: a time and its intensity", ErrInvalid, name)
		}
		at[k] = i
	}
	if at[columnTime] < 0 || at[columnValue] < 0 {
		return at, fmt.Errorf("%w: header %q, want time_utc and g_per_kwh at the least", ErrInvalid, strings.Join(head, ","))
	}
	return at, nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		if t, err = time.ParseInLocation(time.DateTime, s, time.UTC); err != nil {
			return t, fmt.Errorf("time %q, want such as 2020-01-01T00:00:00Z", s)
		}
	}
	if y := t.Year(); y < 1970 || y > 2200 {
		return t, fmt.Errorf("time %q, want a year from 1970 to 2200", s)
	}
	return t.UTC(), nil
}

// hold puts rows on a grid of their shortest step.
func hold[S Signal](rows []row) (Series[S], error) {
	step := time.Hour
	for i := 1; i < len(rows); i++ {
		gap := rows[i].at.Sub(rows[i-1].at)
		if gap > longestHold {
			return Series[S]{}, fmt.Errorf("%w: nothing between %s and %s, want a value a day at the least", ErrInvalid, rows[i-1].at.Format(time.RFC3339), rows[i].at.Format(time.RFC3339))
		}
		if i == 1 {
			step = gap
		}
		step = min(step, gap)
	}
	step = max(step, leastStep)
	start, last := rows[0].at, rows[len(rows)-1].at
	n := int(last.Sub(start)/step) + 1
	if n > maxSteps {
		return Series[S]{}, fmt.Errorf("%w: %d steps of %v, want at most %d", ErrInvalid, n, step, maxSteps)
	}
	values := make([]float64, n)
	for k := range values {
		t := start.Add(time.Duration(k) * step)
		i, found := slices.BinarySearchFunc(rows, t, func(r row, t time.Time) int { return cmp.Compare(r.at.UnixNano(), t.UnixNano()) })
		if !found {
			i--
		}
		values[k] = rows[i].v
	}
	return New[S](start, step, values)
}
