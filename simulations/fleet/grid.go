package fleet

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/internal/seed"
)

// Grid is the intensity of a fleet's zones over time, from the beginning of a run on.
// Zones without a series have their yearly average at all times.
type Grid struct {
	fleet  *Fleet
	series []*carbon.Series[carbon.Average] // of each zone; nil: none
	begin  time.Time
	varies bool
}

// NewGrid joins series with the fleet's zones, by their names. Runs begin at a time that
// depends on the fleet's seed, such that so many seconds follow in every series.
func NewGrid(f *Fleet, series map[string]carbon.Series[carbon.Average], seconds float64) (*Grid, error) {
	g := &Grid{fleet: f, series: make([]*carbon.Series[carbon.Average], len(f.Zones)), varies: len(series) > 0}
	var first, last time.Time
	for _, name := range slices.Sorted(maps.Keys(series)) {
		z := slices.Index(f.Zones, name)
		if z < 0 {
			return nil, fmt.Errorf("carbon intensity of zone %q: the fleet's zones are %s", name, strings.Join(f.Zones, ", "))
		}
		s := series[name]
		g.series[z] = &s
		if end := s.Start().Add(s.Len()); last.IsZero() || end.Before(last) {
			last = end
		}
		if s.Start().After(first) {
			first = s.Start()
		}
	}
	if !g.varies {
		return g, nil
	}
	room := last.Sub(first).Seconds() - seconds
	if !(room >= 0) {
		return nil, fmt.Errorf("carbon intensity: the series have %v in common, want %.0f s: the horizon, and a deadline for each round", last.Sub(first), seconds)
	}
	minutes := int(room / 60)
	g.begin = first.Add(time.Duration(seed.New(f.Seed, "fleet/grid", 0, "").IntN(minutes+1)) * time.Minute)
	return g, nil
}

// Varies says that some zone has a series.
func (g *Grid) Varies() bool { return g.varies }

// Mean is the average intensity in a zone from one time of the run to another, in seconds.
// What a series does not cover any more has its last value.
func (g *Grid) Mean(zone int, from, to float64) float64 {
	s := g.series[zone]
	if s == nil {
		return g.fleet.Config.Zones[g.fleet.Zones[zone]]
	}
	end := s.Start().Add(s.Len())
	at := func(seconds float64) time.Time {
		t := g.begin.Add(time.Duration(math.Round(seconds * 1e9)))
		if !t.Before(end) {
			t = end.Add(-time.Nanosecond)
		}
		return t
	}
	v, _ := s.Mean(at(from), at(max(from, to)))
	return v
}

// persistence of errors from one half hour to the next.
const persistence = 0.9

// Forecast is what is expected for n slots of so many seconds when the run begins: the
// truth with errors whose standard deviation is the share sd of its mean. Errors last,
// by 0.9 from half an hour to the next, and depend on the fleet's seed.
func (g *Grid) Forecast(zone int, slot float64, n int, sd float64) []float64 {
	f, mean := make([]float64, n), 0.0
	for k := range f {
		f[k] = g.Mean(zone, float64(k)*slot, float64(k+1)*slot)
		mean += f[k] / float64(n)
	}
	if g.series[zone] == nil || sd == 0 {
		return f
	}
	rng := seed.New(g.fleet.Seed, "fleet/forecast", zone, "")
	rho := math.Pow(persistence, slot/1800)
	e := rng.NormFloat64()
	for k := range f {
		f[k] = max(0, f[k]+sd*mean*e)
		e = rho*e + math.Sqrt(1-rho*rho)*rng.NormFloat64()
	}
	return f
}
