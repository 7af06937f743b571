package policy

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/schedule"
)

// fleet draws clients with three modes each: slow ones, fast ones, dirty and clean.
func fleet(t testing.TB, n int, seed uint64) []Candidate {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	clients := make([]Candidate, n)
	for i := range clients {
		w, s := 1+5*r.Float64(), 0.5+2*r.Float64()
		d := costcurve.Device{Modes: []costcurve.Mode{
			{Name: "low", ActiveWatts: w, SecondsPerTask: 2 * s},
			{Name: "mid", ActiveWatts: 1.6 * w, SecondsPerTask: 1.4 * s},
			{Name: "full", ActiveWatts: 3 * w, SecondsPerTask: s},
		}, WakeJoules: 1}
		c, err := d.Curve(costcurve.Terms{Deadline: 120, Boundary: costcurve.Total})
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = Candidate{
			Curve: c, Min: 4, Max: 40, Examples: 50 + r.Int64N(200), UploadSeconds: 3 * r.Float64(),
			Battery: r.Float64(), BatteryJoules: 40_000, Zone: i % 3, Intensity: 50 + 600*r.Float64(),
		}
		if r.IntN(3) > 0 {
			clients[i].History = History{Rounds: 1 + r.IntN(5), Last: 1 + r.IntN(5), Seconds: 60 * r.Float64(), Joules: 50, Queue: costcurve.Queue(r.IntN(20)), Loss: r.Float64()}
		}
	}
	return clients
}

func round(t testing.TB, lane Lane, n int) Round {
	return Round{Index: 6, Lane: lane, Cohort: 10, Tasks: 160, Clients: fleet(t, n, 3), Excess: []float64{500, 100, 0}, Rand: rand.New(rand.NewPCG(5, 5))}
}

// fresh returns the policy, ready for the lane.
func fresh(t testing.TB, name string) Policy {
	t.Helper()
	p, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	if ours, ok := p.(Poster); ok {
		lambda := 6.0
		if strings.Contains(name, "carbon") {
			lambda *= 300
		}
		if err := ours.Post(costcurve.Price{Lambda: lambda}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

var lanes = []Lane{None, LaneA, LaneB, Distributed}

// every calls do for each policy in each lane that it may run in.
func every(t *testing.T, do func(t *testing.T, name string, lane Lane)) {
	for _, name := range Names() {
		allowed, _ := fresh(t, name).Lanes()
		for _, lane := range allowed {
			t.Run(fmt.Sprintf("%s/%s", name, lane), func(t *testing.T) { do(t, name, lane) })
		}
	}
}

func TestOrdersAreFeasible(t *testing.T) {
	every(t, func(t *testing.T, name string, lane Lane) {
		r := round(t, lane, 40)
		plan, err := fresh(t, name).Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := Permitted(r, plan); err != nil {
			t.Fatal(err)
		}
		last := -1
		for _, a := range plan {
			if a.Client <= last || a.Client >= len(r.Clients) {
				t.Fatalf("client %d after %d", a.Client, last)
			}
			last = a.Client
			c := r.Clients[a.Client]
			if err := a.Order.Validate(); err != nil {
				t.Fatal(err)
			}
			joules, seconds, ok := c.Curve.Spend(a.Order)
			if !ok || seconds > c.Curve.Window*(1+1e-9) {
				t.Fatalf("client %d: %+v takes %v s of %v", a.Client, a.Order, seconds, c.Curve.Window)
			}
			if lane == Distributed {
				if a.Order.Tasks != 0 {
					t.Fatalf("client %d: %d tasks ordered, the batch is its secret", a.Client, a.Order.Tasks)
				}
				continue
			}
			if x := a.Order.Tasks; x < c.Min || x > c.most() {
				t.Fatalf("client %d: %d tasks, bounds are %d to %d", a.Client, x, c.Min, c.most())
			}
			if best := c.Curve.At(a.Order.Tasks); joules < best*(1-1e-9) {
				t.Fatalf("client %d: %v J, less than the least %v", a.Client, joules, best)
			}
		}
		switch want := len(r.Clients); {
		case lane == LaneB || lane == Distributed:
			if len(plan) != want {
				t.Errorf("%d orders, want one for each of %d", len(plan), want)
			}
		case name == "ecolearn" || name == "cafe":
			if len(plan) < 3 || len(plan) > 14 {
				t.Errorf("%d orders, want about %d", len(plan), r.Cohort)
			}
		case len(plan) != r.Cohort:
			t.Errorf("%d orders, want %d", len(plan), r.Cohort)
		}
	})
}

func reason(p Policy) string {
	_, why := p.Lanes()
	return why
}

func TestLanesAreRefusedWithTheReason(t *testing.T) {
	want := map[string]string{ // lanes allowed: none, A, B, distributed
		"price": "yyyy", "price-carbon": "yyyy", "price-uniform": "yyyy", "price-fair": "yyyy", "random-full": "yyyy", "random-best": "yyyy",
		"fedcs": "yynn", "olar": "yynn", "ecolearn": "yynn", "oracle": "yynn",
		"oort": "ynnn", "eafl": "ynnn", "autofl": "ynnn", "fedzero": "ynnn", "cafe": "ynnn",
	}
	if len(want) != len(Names()) {
		t.Fatalf("policies %v", Names())
	}
	for name, allowed := range want {
		for k, lane := range lanes {
			p := fresh(t, name)
			_, err := p.Plan(round(t, lane, 20))
			if ok := allowed[k] == 'y'; ok != (err == nil) || ok != (Check(p, lane) == nil) {
				t.Errorf("%s under lane %s: got %v, allowed %v", name, lane, err, ok)
			} else if !ok && (!errors.Is(err, ErrLane) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), reason(p))) {
				t.Errorf("%s under lane %s: %v does not say why", name, lane, err)
			}
		}
	}
}

// Lane B and distributed DP-SGD: one client more, whoever it is, leaves every other
// order byte-identical.
func TestOthersDoNotMove(t *testing.T) {
	every(t, func(t *testing.T, name string, lane Lane) {
		if lane != LaneB && lane != Distributed {
			return
		}
		r := round(t, lane, 30)
		for out := range r.Clients {
			less := r
			less.Clients = slices.Delete(slices.Clone(r.Clients), out, out+1)
			less.Rand = rand.New(rand.NewPCG(9, 9)) // its coins are its own too
			with, err := fresh(t, name).Plan(r)
			if err != nil {
				t.Fatal(err)
			}
			without, err := fresh(t, name).Plan(less)
			if err != nil {
				t.Fatal(err)
			}
			for k, a := range without {
				i := k
				if k >= out {
					i++
				}
				if !bytes.Equal(a.Order.Append(nil), with[i].Order.Append(nil)) {
					t.Fatalf("without client %d, client %d does %+v instead of %+v", out, i, a.Order, with[i].Order)
				}
			}
		}
	})
}

// What depends on data runs under privacy none alone: elsewhere, losses and accuracy
// change nothing.
func TestDataDoesNotSteer(t *testing.T) {
	every(t, func(t *testing.T, name string, lane Lane) {
		if lane == None {
			return
		}
		plan := func(scale float64) []Assignment {
			p := fresh(t, name)
			r := round(t, lane, 40)
			for i := range r.Clients {
				r.Clients[i].History.Loss *= scale * float64(i)
			}
			if _, err := p.Plan(r); err != nil {
				t.Fatal(err)
			}
			p.Observe(Outcome{Accuracy: scale, Released: 150})
			a, err := p.Plan(r)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		if diff := cmp.Diff(plan(0), plan(0.9)); diff != "" {
			t.Errorf("losses or accuracy change the plan:\n%s", diff)
		}
	})
}

func TestPlansRepeat(t *testing.T) {
	every(t, func(t *testing.T, name string, lane Lane) {
		run := func() (all [][]Assignment) {
			p := fresh(t, name)
			r := round(t, lane, 40)
			for r.Index = 1; r.Index < 45; r.Index++ {
				plan, err := p.Plan(r)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, plan)
				o := Outcome{Accuracy: 1 - 1/float64(r.Index), Released: 150}
				for _, a := range plan {
					c := r.Clients[a.Client]
					joules, seconds, _ := c.Curve.Spend(a.Order)
					o.Reports = append(o.Reports, Report{c, a.Order, seconds, joules, true})
				}
				p.Observe(o)
			}
			return all
		}
		if diff := cmp.Diff(run(), run()); diff != "" {
			t.Errorf("a repeated run differs:\n%s", diff)
		}
	})
}

func energy(t *testing.T, r Round, plan []Assignment) (joules float64, tasks int64) {
	t.Helper()
	for _, a := range plan {
		e, _, ok := r.Clients[a.Client].Curve.Spend(a.Order)
		if !ok {
			t.Fatalf("order %+v", a.Order)
		}
		joules += e
		tasks += a.Order.Tasks
	}
	return joules, tasks
}

// Ours is the optimum for its cohort: no dearer than any other policy on the same one,
// and the oracle no dearer than ours.
func TestOursIsTheLeastForItsCohort(t *testing.T) {
	for seed := range uint64(20) {
		r := round(t, LaneA, 60)
		r.Clients = fleet(t, 60, seed)
		spend := func(name string) float64 {
			p, err := New(name) // without fairness weights
			if err != nil {
				t.Fatal(err)
			}
			r.Rand = rand.New(rand.NewPCG(seed, seed)) // the same cohort
			plan, err := p.Plan(r)
			if err != nil {
				t.Fatal(err)
			}
			joules, tasks := energy(t, r, plan)
			if tasks != r.Tasks {
				t.Fatalf("%s: %d tasks, want %d", name, tasks, r.Tasks)
			}
			return joules
		}
		ours := spend("price-uniform")
		for _, name := range []string{"random-full", "random-best", "olar"} {
			if e := spend(name); e < ours*(1-1e-12) {
				t.Errorf("seed %d: %s spends %v J, ours %v", seed, name, e, ours)
			}
		}
		if e := spend("oracle"); e > ours*(1+1e-12) {
			t.Errorf("seed %d: the oracle spends %v J, ours %v", seed, e, ours)
		}
	}
}

// Leaning towards cheap clients stays as fair as promised once a client has been due
// three times, leaves nobody out, and pays.
func TestLeanIsFair(t *testing.T) {
	for _, k := range []struct{ clients, cohort, rounds int }{{200, 20, 100}, {60, 10, 30}, {400, 40, 300}, {50, 40, 40}} {
		joules := map[string]float64{}
		jain := map[string][]float64{}
		for _, name := range []string{"price-uniform", "price"} {
			p, err := New(name)
			if err != nil {
				t.Fatal(err)
			}
			r := Round{Lane: LaneA, Cohort: k.cohort, Tasks: int64(16 * k.cohort), Clients: fleet(t, k.clients, 4), Rand: rand.New(rand.NewPCG(3, 3))}
			for i := range r.Clients {
				r.Clients[i].History = History{}
			}
			for r.Index = 1; r.Index <= k.rounds; r.Index++ {
				plan, err := p.Plan(r)
				if err != nil {
					t.Fatal(err)
				}
				e, _ := energy(t, r, plan)
				joules[name] += e
				for _, a := range plan {
					r.Clients[a.Client].History.Rounds++
				}
				counts := make([]float64, k.clients) // Measure sorts it
				for i, c := range r.Clients {
					counts[i] = float64(c.History.Rounds)
				}
				jain[name] = append(jain[name], schedule.Measure(counts).Jain)
				if r.Index == k.rounds && float64(k.rounds*k.cohort) >= 8*float64(k.clients) && slices.Min(counts) == 0 {
					t.Errorf("%+v: with %s a client never took part", k, name)
				}
			}
		}
		for round := range jain["price"] {
			due := float64((round+1)*k.cohort) / float64(k.clients)
			if ours, random := jain["price"][round], jain["price-uniform"][round]; due >= 3 && ours < 0.95*random {
				t.Errorf("%+v, round %d: Jain %.3f, uniform %.3f", k, round+1, ours, random)
				break
			}
		}
		t.Logf("%+v: energy %.2f of a uniform cohort's, Jain %.3f beside %.3f", k, joules["price"]/joules["price-uniform"],
			jain["price"][k.rounds-1], jain["price-uniform"][k.rounds-1])
		if joules["price"] >= joules["price-uniform"] {
			t.Errorf("%+v: leaning spends %v J, a uniform cohort %v", k, joules["price"], joules["price-uniform"])
		}
	}
}

// Absence takes fairness from every policy; ours leaves itself no more than what is left.
// Half of the clients, cheap and dear, are there for three rounds in five.
func TestLeanIsFairToAll(t *testing.T) {
	const clients, cohort, rounds, seeds = 100, 20, 40, 8
	mean := 0.0
	for seed := range uint64(seeds) {
		jain := map[string]float64{}
		for _, name := range []string{"price-uniform", "price"} {
			p, err := New(name)
			if err != nil {
				t.Fatal(err)
			}
			all := fleet(t, clients, seed)
			for i := range all {
				all[i].History = History{}
			}
			there := rand.New(rand.NewPCG(seed, 4))
			r := Round{Lane: LaneA, Cohort: cohort, Tasks: 16 * cohort, Rand: rand.New(rand.NewPCG(seed, 3))}
			for r.Index = 1; r.Index <= rounds; r.Index++ {
				var index []int
				r.Clients, r.Away = nil, nil
				for i := range all {
					if there.Float64() < 0.4 && i%2 == 0 {
						r.Away = append(r.Away, all[i].History)
						continue
					}
					all[i].History.Offered++
					r.Clients, index = append(r.Clients, all[i]), append(index, i)
				}
				plan, err := p.Plan(r)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range plan {
					all[index[a.Client]].History.Rounds++
				}
			}
			counts := make([]float64, clients)
			for i := range all {
				counts[i] = float64(all[i].History.Rounds)
			}
			jain[name] = schedule.Measure(counts).Jain
		}
		ratio := jain["price"] / jain["price-uniform"]
		mean += ratio / seeds
		if ratio < 0.94 { // a uniform draw may be lucky
			t.Errorf("seed %d: Jain %.3f, uniform %.3f", seed, jain["price"], jain["price-uniform"])
		}
	}
	if mean < 0.96 || mean > 1.01 {
		t.Errorf("Jain is %.3f of a uniform draw's in the mean, want a little above 0.95: none is given away", mean)
	}
}

// A client that joins late is not called up round after round to catch up.
func TestLateClientsAreNotCalledUp(t *testing.T) {
	p, calls := &Price{}, 0
	r := round(t, LaneA, 50)
	for i := range r.Clients {
		r.Clients[i].History = History{Rounds: 20, Offered: 100}
	}
	r.Clients[7].History = History{}
	for k := range 20 {
		r.Index = 101 + k
		for i := range r.Clients {
			r.Clients[i].History.Offered++
		}
		plan, err := p.Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range plan {
			r.Clients[a.Client].History.Rounds++
			calls += boolInt(a.Client == 7)
		}
	}
	if calls > 10 { // 4 are due at the uniform rate, 10 at the greatest
		t.Errorf("called up in %d of 20 rounds", calls)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The price converges on the expected total from what is released alone.
func TestPostedPriceFollowsReleasedTotals(t *testing.T) {
	r := round(t, LaneB, 400)
	for i := range r.Clients {
		r.Clients[i].History.Queue = 0
	}
	enrolled := make([]schedule.Client, len(r.Clients))
	for i, c := range r.Clients {
		enrolled[i] = schedule.Client{Curve: c.Curve, Min: c.Min, Max: c.Max}
	}
	r.Tasks = 400 * 16
	p := &Price{}
	first, err := schedule.FirstPrice(enrolled, 1, r.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(costcurve.Price{Lambda: first.Lambda / 8}); err != nil {
		t.Fatal(err)
	}
	var tasks int64
	for range 40 {
		plan, err := p.Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		_, tasks = energy(t, r, plan)
		p.Observe(Outcome{Released: float64(tasks)})
	}
	if math.Abs(float64(tasks)/float64(r.Tasks)-1) > 0.1 {
		t.Errorf("%d tasks after 40 rounds, want about %d", tasks, r.Tasks)
	}
}

// What no lane, or not this one, allows is refused by name, whoever planned it.
func TestPermittedRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		lane   Lane
		change func(r *Round, plan []Assignment) []Assignment
	}{
		"a secret batch's size": {Distributed, func(_ *Round, p []Assignment) []Assignment { p[3].Order.Tasks = 5; return p }},
		"two modes in one": {Distributed, func(_ *Round, p []Assignment) []Assignment {
			p[3].Order.SwitchTo = "low"
			p[3].Order.SwitchAfter = 1
			return p
		}},
		"too much":         {LaneB, func(_ *Round, p []Assignment) []Assignment { p[0].Order.Tasks = 41; return p }},
		"too little":       {LaneA, func(_ *Round, p []Assignment) []Assignment { p[0].Order.Tasks = 3; return p }},
		"a choice of who":  {LaneB, func(_ *Round, p []Assignment) []Assignment { return p[1:] }},
		"the same, DP-SGD": {Distributed, func(_ *Round, p []Assignment) []Assignment { return p[1:] }},
		"twice":            {None, func(_ *Round, p []Assignment) []Assignment { p[1] = p[0]; return p }},
		"a stranger":       {None, func(r *Round, p []Assignment) []Assignment { p[9].Client = len(r.Clients); return p }},
		"before the round": {None, func(_ *Round, p []Assignment) []Assignment { p[2].Order.StartAt = -1; return p }},
	} {
		r := round(t, c.lane, 30)
		plan, err := fresh(t, "price").Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := Permitted(r, plan); err != nil {
			t.Fatalf("%s, untouched: %v", name, err)
		}
		if err := Permitted(r, c.change(&r, plan)); !errors.Is(err, ErrLane) {
			t.Errorf("%s: got %v, want ErrLane", name, err)
		}
	}
}

// Clients behind their share do more, in every lane that may order work: those ahead less.
func TestFairQueuesMoveWork(t *testing.T) {
	for _, lane := range []Lane{None, LaneA, LaneB} {
		tasks := map[string][]int64{}
		for _, name := range []string{"price-uniform", "price-uniform-fair"} {
			r := round(t, lane, 40)
			for i := range r.Clients {
				r.Clients[i].History.Queue = costcurve.Queue(40 * (i % 2))
			}
			plan, err := fresh(t, name).Plan(r)
			if err != nil {
				t.Fatal(err)
			}
			owed := make([]int64, 2)
			for _, a := range plan {
				owed[a.Client%2] += a.Order.Tasks
			}
			tasks[name] = owed
		}
		plain, fair := tasks["price-uniform"], tasks["price-uniform-fair"]
		if fair[1] <= plain[1] || lane != LaneB && fair[0] >= plain[0] || fair[0] > plain[0] {
			t.Errorf("lane %s: those ahead and behind do %v, with queues %v", lane, plain, fair)
		}
	}
}

// A flat battery is not drawn on: ours asks nobody for more than is stored above the
// reserve. Baselines at full clocks do, as published; they are told only what the client
// can do in its cheapest modes.
func TestBatteriesLimitWork(t *testing.T) {
	every(t, func(t *testing.T, name string, lane Lane) {
		if !strings.HasPrefix(name, "price") && name != "oracle" {
			return
		}
		r := round(t, lane, 40)
		d := costcurve.Device{Modes: []costcurve.Mode{{Name: "low", ActiveWatts: 1, SecondsPerTask: 2}, {Name: "full", ActiveWatts: 3, SecondsPerTask: 1}}}
		for i := range r.Clients {
			if i%2 == 0 {
				d.Battery = costcurve.Battery{Joules: 30, Reserve: 10} // seven tasks at the greatest clock
				c, err := d.Curve(costcurve.Terms{Deadline: 120, Boundary: costcurve.Total})
				if err != nil {
					t.Fatal(err)
				}
				r.Clients[i].Curve = c
			}
		}
		plan, err := fresh(t, name).Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range plan {
			c := &r.Clients[a.Client]
			if joules, _, _ := c.Curve.Spend(a.Order); a.Client%2 == 0 && joules > 20*(1+1e-9) {
				t.Errorf("client %d: %+v draws %v J, 20 are there", a.Client, a.Order, joules)
			}
		}
	})
}

func TestNewRefusesUnknownNames(t *testing.T) {
	if _, err := New("fedprox"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "price") {
		t.Errorf("got %v, want ErrUnknown with the names", err)
	}
}

func TestHostileRounds(t *testing.T) {
	every(t, func(t *testing.T, name string, lane Lane) {
		for what, change := range map[string]func(r *Round){
			"no modes":    func(r *Round) { r.Clients[1].Curve.Points = nil },
			"bounds":      func(r *Round) { r.Clients[1].Min = 1000 },
			"no cohort":   func(r *Round) { r.Cohort = 0 },
			"round zero":  func(r *Round) { r.Index = 0 },
			"no rand":     func(r *Round) { r.Rand = nil },
			"NaN":         func(r *Round) { r.Clients[1].Intensity = math.NaN() },
			"tasks below": func(r *Round) { r.Tasks = -1 },
		} {
			r := round(t, lane, 10)
			change(&r)
			if _, err := fresh(t, name).Plan(r); !errors.Is(err, costcurve.ErrInvalid) {
				t.Errorf("%s: got %v, want ErrInvalid", what, err)
			}
		}
		// Odd, but no reason to fail: nobody there, NaN histories, no battery.
		r := round(t, lane, 12)
		for i := range r.Clients {
			r.Clients[i].History = History{Rounds: 3, Last: 1, Seconds: math.NaN(), Joules: math.Inf(1), Loss: math.NaN()}
			r.Clients[i].Examples, r.Clients[i].Intensity, r.Clients[i].Zone = 0, 0, 99
		}
		if _, err := fresh(t, name).Plan(r); err != nil {
			t.Error(err)
		}
		r.Clients = nil
		if plan, err := fresh(t, name).Plan(r); err != nil || len(plan) != 0 {
			t.Errorf("nobody available: %v, %v", plan, err)
		}
	})
}
