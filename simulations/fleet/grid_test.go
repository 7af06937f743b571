package fleet

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
)

func TestGrid(t *testing.T) {
	f, err := Draw(load(t, "mixed.yaml"), 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float64, 400)
	for k := range values {
		values[k] = 300 + 100*math.Sin(float64(k)*2*math.Pi/48)
	}
	de, err := carbon.New[carbon.Average](time.Unix(1e9, 0), 30*time.Minute, values)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGrid(f, map[string]carbon.Series[carbon.Average]{"DE": de}, 100*3600)
	if err != nil {
		t.Fatal(err)
	}
	zone := func(name string) int { return slices.Index(f.Zones, name) }
	if v := g.Mean(zone("FR"), 0, 1e9); v != f.Config.Zones["FR"] || !g.Varies() {
		t.Errorf("FR has no series and is at %v", v)
	}
	day := g.Mean(zone("DE"), 0, 24*3600)
	if math.Abs(day-300) > 1e-6 {
		t.Errorf("a day of DE is at %v, want 300", day)
	}
	if g.Mean(zone("DE"), 0, 60) == g.Mean(zone("DE"), 6*3600, 6*3600+60) {
		t.Error("DE does not vary")
	}
	if v := g.Mean(zone("DE"), 1e8, 2e8); !(v > 0) {
		t.Errorf("beyond the series: %v", v)
	}
	// Errors are as large as they are said to be, and last.
	var squares, lasting, n float64
	for seed := range uint64(40) {
		f.Seed = seed
		e := g.Forecast(zone("DE"), 1800, 200, 0.1)
		last := 0.0
		for k, v := range e {
			off := v - g.Mean(zone("DE"), float64(k)*1800, float64(k+1)*1800)
			if squares += off * off; k > 0 {
				lasting += off * last
			}
			last = off
			n++
		}
	}
	if sd := math.Sqrt(squares/n) / 300; math.Abs(sd-0.1) > 0.01 {
		t.Errorf("errors are %.3f of the mean, want 0.1", sd)
	}
	if rho := lasting / squares; math.Abs(rho-0.9) > 0.03 {
		t.Errorf("errors last by %.2f a slot, want 0.9", rho)
	}

	if _, err := NewGrid(f, map[string]carbon.Series[carbon.Average]{"XX": de}, 1); err == nil || !strings.Contains(err.Error(), "DE") {
		t.Errorf("an unknown zone: %v", err)
	}
	if _, err := NewGrid(f, map[string]carbon.Series[carbon.Average]{"DE": de}, 1e6); err == nil {
		t.Error("a series that is too short")
	}
	if still, err := NewGrid(f, nil, 1e9); err != nil || still.Varies() || still.Mean(0, 0, 5) != f.Config.Zones[f.Zones[0]] {
		t.Errorf("no series: %v", err)
	}
}
