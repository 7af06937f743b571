package policy

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule"
)

// measured reads the devices that have modes with power and speed, as devices that
// need 20 GFLOP for a task.
func measured(t *testing.T) []costcurve.Device {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "golden", "device_profiles.json"))
	if err != nil {
		t.Skipf("../shared/golden/device_profiles.json is not there: %v", err)
	}
	var file struct {
		Devices []struct {
			ID         string  `json:"id"`
			Idle       float64 `json:"idle_w"`
			Efficiency float64 `json:"train_efficiency_D"`
			Modes      []struct {
				Name    string  `json:"name"`
				Active  float64 `json:"active_w"`
				Cluster float64 `json:"cluster_w"`
				GEMM    float64 `json:"gemm_gflops"`
				Peak    float64 `json:"peak_gflops_B"`
			} `json:"modes"`
		} `json:"devices"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var devices []costcurve.Device
	for _, d := range file.Devices {
		device := costcurve.Device{IdleWatts: d.Idle}
		for _, m := range d.Modes {
			watts, speed := m.Active, m.GEMM
			if m.Cluster > 0 { // a phone: the cluster alone, to which an awake chip adds about 0.6 W
				watts = m.Cluster + 0.6
			}
			if speed == 0 {
				speed = m.Peak
			}
			if watts > 0 && speed > 0 && d.Efficiency > 0 {
				device.Modes = append(device.Modes, costcurve.Mode{Name: m.Name, ActiveWatts: watts, SecondsPerTask: 20 / (speed * d.Efficiency)})
			}
		}
		if len(device.Modes) > 1 {
			devices = append(devices, device)
		}
	}
	return devices
}

// Forty rounds on a fleet of measured devices, each up to half as slow and dear again:
// joules a task of ours beside the others'. Accuracy is another matter, and is
// simulated elsewhere.
func TestMeasuredFleet(t *testing.T) {
	devices := measured(t)
	for _, ratio := range []int64{1, 4, 16} {
		sum, fair := map[string]float64{}, map[string]float64{}
		for seed := range uint64(2) {
			rnd := rand.New(rand.NewPCG(seed, 77))
			r := Round{Index: 1, Lane: LaneA, Cohort: 40, Tasks: 40 * 40}
			for len(r.Clients) < 400 {
				d := devices[rnd.IntN(len(devices))]
				slow, dear := 1+rnd.Float64()/2, 1+rnd.Float64()/2
				scaled := costcurve.Device{IdleWatts: d.IdleWatts * dear}
				for _, m := range d.Modes {
					scaled.Modes = append(scaled.Modes, costcurve.Mode{Name: m.Name, ActiveWatts: m.ActiveWatts * dear, SecondsPerTask: m.SecondsPerTask * slow})
				}
				curve, err := scaled.Curve(costcurve.Terms{Deadline: 300})
				if err != nil {
					t.Fatal(err)
				}
				// Bounds around the mean of 40 with max/min = ratio.
				low, high := int64(40), int64(40)
				switch ratio {
				case 4:
					low, high = 20, 80
				case 16:
					low, high = 10, 160
				}
				if curve.Max() >= low {
					r.Clients = append(r.Clients, Candidate{Curve: curve, Min: low, Max: high, Examples: 100, Intensity: 400})
				}
			}
			for _, name := range []string{"price", "price-uniform", "random-full", "random-best", "olar", "fedcs", "ecolearn", "oracle"} {
				p, err := New(name)
				if err != nil {
					t.Fatal(err)
				}
				r.Rand = rand.New(rand.NewPCG(seed, 1))
				for i := range r.Clients {
					r.Clients[i].History = History{}
				}
				counts := make([]float64, len(r.Clients))
				for r.Index = 1; r.Index <= 40; r.Index++ {
					plan, err := p.Plan(r)
					if err != nil {
						t.Fatal(err)
					}
					joules, tasks := energy(t, r, plan)
					sum[name] += joules / float64(tasks)
					for _, a := range plan {
						r.Clients[a.Client].History.Rounds++
						counts[a.Client]++
					}
				}
				fair[name] += schedule.Measure(counts).Jain / 2
			}
		}
		for _, name := range []string{"price-uniform", "random-full", "random-best", "olar", "fedcs", "ecolearn", "oracle"} {
			t.Logf("work ratio %d: joules a task of ours are %.2f of those of %s; Jain %.2f and %.2f", ratio, sum["price"]/sum[name], name, fair["price"], fair[name])
		}
		for _, name := range []string{"random-full", "random-best", "olar"} {
			if sum["price"] > sum[name]*(1+1e-9) {
				t.Errorf("work ratio %d: ours spends more a task than %s", ratio, name)
			}
		}
	}
}
