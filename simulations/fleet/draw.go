package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/seed"
)

// Client is one member of a fleet.
type Client struct {
	Class     string
	Zone      int     // index into Fleet.Zones
	Intensity float64 // gCO2e/kWh there
	Mobile    bool    // on a mobile network

	Device    costcurve.Device // battery as it is when the run begins
	WaitWatts float64          // above idle, from the end of the upload to the end of the round

	NetworkJoulesPerByte float64 // outside of the device
	Availability         float64 // share of rounds for which it is there
	BatteryJoules        float64 // of a full charge; 0 on mains
}

// Fleet is a drawn fleet.
type Fleet struct {
	Config  Config
	Seed    uint64
	Zones   []string // in order of name
	Clients []Client
	Terms   costcurve.Terms // of every round; Boundary is AboveIdle
}

// Figures of networks. Radios: power_profile.xml of a OnePlus 8 (A, W are B). Networks:
// 0.03 and 0.14 kWh/GB, EU 2020 (methodology.scope3.com, A). Rates in bytes a second:
// least, 10th, 25th, 50th, 75th, 90th percentile and most of the users of FLASH (A, its
// unit is read as kB/s).
var (
	wifi       = radio{tx: 0.703, rx: 0.562, idle: 0.0037}
	mobile     = radio{tx: 0.688, rx: 0.666, idle: 0.022}
	rates      = [7]float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 1}
	downRates  = [7]float64{2370e3, 3177e3, 3658e3, 4318e3, 7271e3, 9913e3, 17333e3}
	upRates    = [7]float64{431e3, 665e3, 2632e3, 3286e3, 5141e3, 6279e3, 6635e3}
	fixedNet   = 108e-6 // J a byte
	mobileNet  = 504e-6
	reserve    = 0.2 // of a battery, D
	minCharge  = 0.3 // D
	boardsOn   = 0.95
	phonesOn   = 0.6 // D: at night and on a charger, roughly
	meanAbsent = 5.0 // rounds, D
)

type radio struct{ tx, rx, idle float64 }

// Draw returns a fleet of n clients. Config must be valid.
func Draw(c Config, n int, root uint64) (*Fleet, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if n < 1 || n > 1<<22 {
		return nil, fmt.Errorf("%w: fleet of %d clients, want 1 to %d", costcurve.ErrInvalid, n, 1<<22)
	}
	all, err := Classes()
	if err != nil {
		return nil, err
	}
	f := &Fleet{Config: c, Seed: root, Zones: slices.Sorted(maps.Keys(c.Zones)), Clients: make([]Client, n)}
	for i := range f.Clients {
		f.Clients[i] = f.draw(i, all)
	}
	f.Terms = costcurve.Terms{DownBytes: c.Workload.DownBytes, UpBytes: c.Workload.UpBytes}
	f.Terms.Deadline = c.Round.Deadline
	if f.Terms.Deadline == 0 {
		f.Terms.Deadline = f.deadline()
	}
	f.Terms.Margin = c.Round.Margin * f.Terms.Deadline
	return f, f.Terms.Validate()
}

func (f *Fleet) draw(i int, all []Class) Client {
	c := f.Config
	rng := seed.New(f.Seed, "fleet/client", i, "")
	var sum float64
	for _, k := range all {
		sum += c.Mix[k.ID]
	}
	at, class := rng.Float64()*sum, all[0]
	for _, k := range all {
		if c.Mix[k.ID] == 0 {
			continue
		}
		class = k
		if at -= c.Mix[k.ID]; at < 0 {
			break
		}
	}
	slow, dear := 1+c.Spread*rng.Float64(), 1+c.Spread*rng.Float64()
	client := Client{Class: class.ID, Zone: rng.IntN(len(f.Zones)), Availability: boardsOn, BatteryJoules: class.BatteryWh * 3600}
	client.Intensity = c.Zones[f.Zones[client.Zone]]
	phone := class.BatteryWh > 0
	client.Mobile = rng.Float64() < c.Mobile && phone
	r := wifi
	client.NetworkJoulesPerByte = fixedNet
	if client.Mobile {
		r, client.NetworkJoulesPerByte = mobile, mobileNet
	}
	client.WaitWatts = r.idle
	down, up := quantile(&downRates, rng.Float64()), quantile(&upRates, rng.Float64())
	d := &client.Device
	d.IdleWatts = class.IdleWatts * dear
	d.Link = costcurve.Link{DownBytesPerSecond: down, UpBytesPerSecond: up, DownJoulesPerByte: r.rx / down, UpJoulesPerByte: r.tx / up}
	gflop := c.Workload.MFLOPPerExample * float64(c.Round.Batch) / 1e3
	for _, m := range class.Modes {
		d.Modes = append(d.Modes, costcurve.Mode{
			Name: m.Name, ActiveWatts: (m.Watts + class.AwakeWatts) * dear, SecondsPerTask: gflop / (m.GFLOPS * class.Efficiency) * slow,
		})
	}
	charge := minCharge + (1-minCharge)*rng.Float64()
	if phone {
		client.Availability = phonesOn
		d.Battery = costcurve.Battery{Joules: charge * client.BatteryJoules, Reserve: reserve * client.BatteryJoules}
	}
	return client
}

// quantile interpolates between the percentiles of a distribution.
func quantile(values *[7]float64, u float64) float64 {
	j := min(max(sort.SearchFloat64s(rates[:], u), 1), len(rates)-1)
	part := (u - rates[j-1]) / (rates[j] - rates[j-1])
	return values[j-1] + part*(values[j]-values[j-1])
}

// deadline is long enough for nine in ten to do the mean work in their cheapest mode.
func (f *Fleet) deadline() float64 {
	mean := float64(f.Config.Round.Tasks) / float64(f.Config.Round.Cohort)
	times := make([]float64, len(f.Clients))
	for i := range f.Clients {
		d := &f.Clients[i].Device
		best := slices.MinFunc(d.Modes, func(a, b costcurve.Mode) int {
			return cmp.Compare((a.ActiveWatts-d.IdleWatts)*a.SecondsPerTask, (b.ActiveWatts-d.IdleWatts)*b.SecondsPerTask)
		})
		times[i] = mean*best.SecondsPerTask + f.Config.Workload.DownBytes/d.Link.DownBytesPerSecond + f.Config.Workload.UpBytes/d.Link.UpBytesPerSecond
	}
	slices.Sort(times)
	return times[(len(times)-1)*9/10] / (1 - f.Config.Round.Margin)
}

// Bounds are the least and the most tasks of a client in a round: the mean, divided
// and multiplied by the root of the ratio.
func (c Config) Bounds() (least, most int64) {
	mean := float64(c.Round.Tasks) / float64(c.Round.Cohort)
	root := math.Sqrt(c.Round.Ratio)
	return max(1, int64(mean/root+0.5)), max(1, int64(mean*root+0.5))
}

// Habits walks through the rounds and says who is there.
type Habits struct {
	fleet *Fleet
	rng   []*rand.Rand
	there []bool
}

// Habits returns a new walk, before the first round.
func (f *Fleet) Habits() *Habits {
	h := &Habits{fleet: f, rng: make([]*rand.Rand, len(f.Clients)), there: make([]bool, len(f.Clients))}
	for i := range h.rng {
		h.rng[i] = seed.New(f.Seed, "fleet/availability", i, "")
		h.there[i] = h.rng[i].Float64() < f.Clients[i].Availability
	}
	return h
}

// Next moves on by one round and returns who is there for it: a chain of two states
// for each client, absent for five rounds on average, and there for the share of all
// rounds that Availability says. The slice is valid until the next call.
func (h *Habits) Next() []bool {
	for i := range h.there {
		a := h.fleet.Clients[i].Availability
		comes := 1 / meanAbsent
		goes := comes * (1 - a) / a
		u := h.rng[i].Float64()
		if h.there[i] {
			h.there[i] = u >= goes
		} else {
			h.there[i] = u < comes
		}
	}
	return h.there
}
