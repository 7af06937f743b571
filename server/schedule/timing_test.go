package schedule

import (
	"bufio"
	"compress/gzip"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bruteStarts tries every choice of starts and sites.
func bruteStarts(sites []Site, r Rounds, from int) float64 {
	if r.Count == 0 {
		return 0
	}
	best := math.Inf(1)
	for t := from; t+r.Length <= len(sites[0].Intensity); t++ {
		for _, s := range sites {
			var w float64
			for _, g := range s.Intensity[t : t+r.Length] {
				w += g * s.Joules
			}
			best = min(best, w+bruteStarts(sites, Rounds{r.Count - 1, r.Length, r.Gap}, t+r.Length+r.Gap))
		}
	}
	return best
}

func TestPlanStartsEqualsBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for range instances {
		sites := make([]Site, 1+r.IntN(2))
		slots := 1 + r.IntN(9)
		for i := range sites {
			sites[i] = Site{make([]float64, slots), float64(r.IntN(4))}
			for k := range sites[i].Intensity {
				sites[i].Intensity[k] = float64(r.IntN(6))
			}
		}
		rounds := Rounds{r.IntN(4), 1 + r.IntN(3), r.IntN(3)}
		want := bruteStarts(sites, rounds, 0)
		starts, got, err := PlanStarts(sites, rounds)
		if math.IsInf(want, 1) {
			if !errors.Is(err, ErrInfeasible) {
				t.Fatalf("%+v, %+v: got %v, want ErrInfeasible", sites, rounds, err)
			}
			continue
		}
		if err != nil || got != want || len(starts) != rounds.Count {
			t.Fatalf("%+v, %+v: got %v at %v, %v; want %v", sites, rounds, got, starts, err, want)
		}
		var sum float64
		for k, s := range starts {
			if k > 0 && s.Slot < starts[k-1].Slot+rounds.Length+rounds.Gap {
				t.Fatalf("rounds overlap: %v", starts)
			}
			for _, g := range sites[s.Site].Intensity[s.Slot : s.Slot+rounds.Length] {
				sum += g * sites[s.Site].Joules
			}
		}
		if sum != got {
			t.Fatalf("the starts cost %v, the plan says %v", sum, got)
		}
	}
}

func TestPlanStartsRefuses(t *testing.T) {
	ok := Site{[]float64{1, 2}, 1}
	for name, c := range map[string]struct {
		sites  []Site
		rounds Rounds
	}{
		"no site":     {nil, Rounds{1, 1, 0}},
		"NaN":         {[]Site{{[]float64{math.NaN()}, 1}}, Rounds{1, 1, 0}},
		"ragged":      {[]Site{ok, {[]float64{1}, 1}}, Rounds{1, 1, 0}},
		"no length":   {[]Site{ok}, Rounds{1, 0, 0}},
		"negative":    {[]Site{{[]float64{-1}, 1}}, Rounds{1, 1, 0}},
		"count below": {[]Site{ok}, Rounds{-1, 1, 0}},
	} {
		if _, _, err := PlanStarts(c.sites, c.rounds); err == nil || errors.Is(err, ErrInfeasible) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func TestGateRunsEveryRound(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for range 400 {
		slots, length := 1+r.IntN(200), 1+r.IntN(4)
		g := Gate{V: r.Float64(), Left: r.IntN(slots/length + 1), Slots: slots, Length: length}
		want, ran := g.Left, 0
		for slot := 0; slot < slots; slot++ {
			if g.Step(r.Float64() * 10) {
				if ran++; slot+length > slots {
					t.Fatalf("a round of %d slots begins %d before the horizon", length, slots-slot)
				}
				slot += length - 1
			}
		}
		if ran != want {
			t.Fatalf("%d rounds of %d slots ran, want %d", ran, length, want)
		}
	}
}

// Patience pays on a day that swings.
func TestGatePrefersLowIntensity(t *testing.T) {
	g := Gate{V: 0.05, Left: 100, Slots: 960}
	var sum float64
	for k := range 960 {
		v := 2 + math.Sin(2*math.Pi*float64(k)/96)
		if g.Step(100 * v) {
			sum += v
		}
	}
	if mean := sum / 100; mean > 1.7 {
		t.Errorf("mean intensity %v, want at least 15 %% below the average of 2", mean)
	}
}

func TestSmooth(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 62))
	y := make([]float64, 50)
	for i := range y {
		y[i] = r.NormFloat64()
	}
	const period = 9.0
	w := math.Pow(period/(2*math.Pi), 4)
	v := Smooth(y, period)
	// The gradient of the objective vanishes.
	for i := range v {
		g := v[i] - y[i]
		for k := i - 2; k <= i; k++ {
			if k >= 0 && k+2 < len(v) {
				g += w * [3]float64{1, -2, 1}[i-k] * (v[k] - 2*v[k+1] + v[k+2])
			}
		}
		if math.Abs(g) > 1e-9 {
			t.Fatalf("gradient at %d is %v", i, g)
		}
	}
	line := []float64{1, 2, 3, 4, 5, 6}
	for i, v := range Smooth(line, 20) {
		if math.Abs(v-line[i]) > 1e-9 {
			t.Errorf("a straight line changes: %v at %d", v, i)
		}
	}
}

// trace reads a carbon intensity trace and puts it on a grid of half hours.
func trace(t testing.TB, name string) []float64 {
	path := filepath.Join("..", "..", "..", "shared", "data", "traces", name)
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("trace ../shared/data/traces/%s is not there: %v", name, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var sum []float64
	var count []int
	var first time.Time
	lines := bufio.NewScanner(z)
	lines.Scan() // header
	for lines.Scan() {
		stamp, value, _ := strings.Cut(lines.Text(), ",")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.DateTime, stamp)
		if err != nil {
			t.Fatal(err)
		}
		if first.IsZero() {
			first = at
		}
		slot := int(at.Sub(first) / (30 * time.Minute))
		for slot >= len(sum) {
			sum, count = append(sum, 0), append(count, 0)
		}
		sum[slot] += v
		count[slot]++
	}
	for i := range sum {
		if count[i] > 0 {
			sum[i] /= float64(count[i])
		} else if i > 0 {
			sum[i] = sum[i-1]
		}
	}
	return sum
}

// noisy is a forecast of truth: each slot is wrong by a normal error of sd times the
// mean of the day, and neighbours' errors correlate by rho.
func noisy(r *rand.Rand, truth []float64, sd, rho float64) []float64 {
	var mean float64
	for _, v := range truth {
		mean += v / float64(len(truth))
	}
	y := make([]float64, len(truth))
	e := r.NormFloat64()
	for i, v := range truth {
		y[i] = max(0, v+sd*mean*e)
		e = rho*e + math.Sqrt(1-rho*rho)*r.NormFloat64()
	}
	return y
}

// Within a day, in the cheapest quarter of its half hours: how much less carbon than
// the day's mean, with and without errors of the forecast.
func TestCarbonTimingWithinADay(t *testing.T) {
	const slots, rounds, sd = 48, 12, 0.10
	for _, c := range []struct{ zone, file string }{
		{"DE", "carbon_intensity_ger_ci.csv.gz"}, {"FR", "carbon_intensity_fr_ci.csv.gz"}, {"GB", "carbon_intensity_gb_ci.csv.gz"},
	} {
		year := trace(t, c.file)
		for _, rho := range []float64{0, 0.9} {
			r := rand.New(rand.NewPCG(71, 72))
			var mean, clairvoyant, raw, smooth, rolling float64
			for day := 12 * 48; day+slots <= len(year)-9*48; day += slots { // 2020
				truth := year[day : day+slots]
				for _, v := range truth {
					mean += v / slots * rounds
				}
				at := func(forecast []float64) (sum float64) {
					starts, _, err := PlanStarts([]Site{{forecast, 1}}, Rounds{rounds, 1, 0})
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range starts {
						sum += truth[s.Slot]
					}
					return sum
				}
				clairvoyant += at(truth)
				forecast := noisy(r, truth, sd, rho)
				raw += at(forecast)
				smooth += at(Smooth(forecast, period))
				rolling += roll(t, truth, forecast, rounds)
			}
			saving := func(v float64) float64 { return 100 * (1 - v/mean) }
			t.Logf("%s, errors of 10 %% (correlation %.1f): clairvoyant %.1f %%, forecast as it is %.1f %%, smoothed %.1f %%, replanned %.1f %%",
				c.zone, rho, saving(clairvoyant), saving(raw), saving(smooth), saving(rolling))
			if gap := saving(clairvoyant) - saving(rolling); gap > 3 {
				t.Errorf("%s, correlation %.1f: %.2f points from the clairvoyant plan, want at most 3", c.zone, rho, gap)
			}
		}
	}
}

// period is where Smooth cuts, in half hours.
const period = 12

// roll asks Replan in every slot, with the intensity of the slot itself measured and
// the rest of the forecast corrected by how much errors have lasted so far.
func roll(t *testing.T, truth, forecast []float64, rounds int) (sum float64) {
	smooth := Smooth(forecast, period)
	var last, lasting, squares float64
	for slot := range truth {
		off := truth[slot] - forecast[slot]
		lasting += last * off
		squares += off * off
		last = off
		known := slices.Clone(smooth[slot:])
		persistence := 0.0
		if slot >= 4 && squares > 0 {
			persistence = min(max(lasting/squares, 0), 0.95)
		}
		Correct(known, truth[slot], persistence)
		run, _, err := Replan([]Site{{known, 1}}, Rounds{rounds, 1, 0})
		if err != nil {
			t.Fatal(err)
		}
		if run {
			sum += truth[slot]
			if rounds--; rounds == 0 {
				break
			}
		}
	}
	return sum
}

func TestCorrect(t *testing.T) {
	f := []float64{10, 10, 10, 1}
	Correct(f, 6, 0.5)
	if want := []float64{6, 8, 9, 0.5}; !slices.Equal(f, want) {
		t.Errorf("got %v, want %v", f, want)
	}
	Correct(f, 0, 0.9)
	for _, v := range f {
		if v < 0 {
			t.Errorf("negative intensity: %v", f)
		}
	}
	Correct(nil, 1, 0.5)
}

func BenchmarkPlanStarts(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	s := Site{make([]float64, 2016), 1}
	for i := range s.Intensity {
		s.Intensity[i] = 100 + 400*r.Float64()
	}
	b.Run("slots=2016,rounds=500", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := PlanStarts([]Site{s}, Rounds{500, 2, 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
