package carbon

import (
	"compress/gzip"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadAndMean(t *testing.T) {
	all, err := Read[Average](strings.NewReader("time_utc,zone,g_per_kwh,signal\n" +
		"2020-01-01T00:00:00Z,DE,100,average\n2020-01-01T00:00:00Z,FR,10,average\n2020-01-01T00:30:00Z,DE,200,average\n2020-01-01T01:30:00Z,DE,400,average\n"))
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	de := all["DE"]
	if de.Len() != 2*time.Hour {
		t.Errorf("two hours are covered, it says %v", de.Len())
	}
	at := func(minutes int) time.Time { return de.Start().Add(time.Duration(minutes) * time.Minute) }
	for _, c := range []struct {
		from, to int
		want     float64
	}{{0, 0, 100}, {29, 29, 100}, {30, 30, 200}, {60, 60, 200}, {119, 119, 400}, {0, 60, 150}, {15, 45, 150}, {0, 120, 225}} {
		if got, ok := de.Mean(at(c.from), at(c.to)); !ok || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("minutes %d to %d: got %v (%v), want %v", c.from, c.to, got, ok, c.want)
		}
	}
	for _, c := range [][2]int{{-1, 5}, {0, 121}, {120, 120}, {30, 20}} {
		if v, ok := de.Mean(at(c[0]), at(c[1])); ok {
			t.Errorf("minutes %v: got %v beyond the series", c, v)
		}
	}
	if w, ok := de.Window(at(0), 40*time.Minute, 3); !ok || math.Abs(w[0]-125) > 1e-9 || w[1] != 200 || math.Abs(w[2]-350) > 1e-9 {
		t.Errorf("windows %v (%v)", w, ok)
	}
	if _, ok := de.Window(at(0), time.Hour, 3); ok {
		t.Error("a window beyond the series")
	}
}

// The two signals do not mix.
func TestSignals(t *testing.T) {
	const file = "time_utc,g_per_kwh,signal\n2020-01-01T00:00:00Z,1,marginal\n"
	if _, err := Read[Marginal](strings.NewReader(file)); err != nil {
		t.Error(err)
	}
	if _, err := Read[Average](strings.NewReader(file)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "marginal") {
		t.Errorf("a marginal series as an average one: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, file := range map[string]string{
		"nothing":       "",
		"no rows":       "time,v\n",
		"column":        "time_utc,zone,price\n2020-01-01T00:00:00Z,DE,1\n",
		"twice":         "time_utc,zone,zone\n2020-01-01T00:00:00Z,DE,1\n",
		"no value":      "time_utc,zone,signal\n2020-01-01T00:00:00Z,DE,average\n",
		"time":          "time,v\nyesterday,1\n",
		"year":          "time,v\n0001-01-01T00:00:00Z,1\n",
		"NaN":           "time,v\n2020-01-01T00:00:00Z,NaN\n",
		"negative":      "time,v\n2020-01-01T00:00:00Z,-1\n",
		"huge":          "time,v\n2020-01-01T00:00:00Z,1e9\n",
		"descending":    "time,v\n2020-01-01T01:00:00Z,1\n2020-01-01T00:00:00Z,1\n",
		"equal":         "time,v\n2020-01-01T01:00:00Z,1\n2020-01-01T01:00:00Z,1\n",
		"hole":          "time,v\n2020-01-01T01:00:00Z,1\n2020-01-03T01:00:00Z,1\n",
		"ragged":        "time,v\n2020-01-01T01:00:00Z,1,2\n",
		"too many":      "time,v\n2020-01-01T00:00:00Z,1\n2020-01-01T00:01:00Z,1\n" + days(1600),
		"one a day + s": "time,v\n2020-01-01T00:00:00Z,1\n2020-01-02T00:00:01Z,1\n",
	} {
		if s, err := Read[Average](strings.NewReader(file)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, %v; want ErrInvalid", name, s, err)
		}
	}
}

func days(n int) string {
	var b strings.Builder
	t := time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)
	for k := range n {
		b.WriteString(t.Add(time.Duration(k)*24*time.Hour).Format(time.RFC3339) + ",1\n")
	}
	return b.String()
}

// Real traces, with steps that change on the way.
func TestTraces(t *testing.T) {
	for name, days := range map[string]float64{"ger": 386, "fr": 386, "gb": 386} {
		path := filepath.Join("..", "..", "..", "shared", "data", "traces", "carbon_intensity_"+name+"_ci.csv.gz")
		f, err := os.Open(path)
		if err != nil {
			t.Skipf("../shared/data/traces is not there: %v", err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		all, err := Read[Average](z)
		if err != nil {
			t.Fatal(err)
		}
		if got := all[""].Len().Hours() / 24; math.Abs(got-days) > 2 {
			t.Errorf("%s: %v days", name, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("time_utc,zone,g_per_kwh,signal\n2020-01-01T00:00:00Z,DE,100,average\n2020-01-01T00:30:00Z,DE,200,average\n")
	f.Add("time,v\n2020-01-01 00:00:00,1\n2020-01-01 00:00:01,1\n")
	f.Fuzz(func(t *testing.T, file string) {
		all, err := Read[Average](strings.NewReader(file))
		if err != nil {
			return
		}
		for zone, s := range all {
			v, ok := s.Mean(s.Start(), s.Start().Add(s.Len()))
			if !ok || !(v >= 0 && v <= maxIntensity*(1+1e-9)) {
				t.Fatalf("zone %q: mean %v (%v)", zone, v, ok)
			}
		}
	})
}
