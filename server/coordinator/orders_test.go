package coordinator

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/energy"
)

// offerOf is a device of one mode; a step takes a second and two joules.
func offerOf(t *testing.T, state costcurve.State) *energy.Offer {
	t.Helper()
	c, err := costcurve.Device{Modes: []costcurve.Mode{{Name: "one", ActiveWatts: 2, SecondsPerTask: 1}}}.Curve(costcurve.Terms{Deadline: 86400})
	if err != nil {
		t.Fatal(err)
	}
	return &energy.Offer{Task: energy.TaskName("tiny", 1), Curve: c, Tier: costcurve.TierCounter, State: state}
}

// orderTo attaches a client with an offer and waits for its order.
func orderTo(t *testing.T, c *Coordinator, name string, o *energy.Offer) <-chan Order {
	t.Helper()
	s, err := c.Attach(Info{Client: name, Examples: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(o, nil); err != nil {
		t.Fatal(err)
	}
	got := make(chan Order, 1)
	go func() {
		if order, err := s.Next(t.Context()); err == nil {
			got <- order
		}
	}()
	return got
}

func report(t *testing.T, c *Coordinator, name string, o Order) error {
	t.Helper()
	_, err := c.Report(t.Context(), name, answer(t, o, 1))
	return err
}

// A client that takes longer than its own figures say, a quarter and the grace on top, is
// lost: the others stop waiting, long before the deadline.
func TestPatienceEndsRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(1, 4)
		cfg.Rounds.Deadline, cfg.Energy.Policy, cfg.Energy.Tasks, cfg.Energy.Ratio = time.Hour, "price", 400, 1
		c := newCoordinator(t, cfg, &memory{})
		done := make(chan error, 1)
		go func() { done <- c.Run(t.Context()) }()
		var orders []<-chan Order
		names := []string{"a", "b", "c", "d"}
		for _, name := range names {
			orders = append(orders, orderTo(t, c, name, offerOf(t, costcurve.State{})))
		}
		start := time.Now()
		for i, got := range orders[:3] {
			if err := report(t, c, names[i], <-got); err != nil {
				t.Fatal(err)
			}
		}
		late := <-orders[3]
		if late.Plan.Tasks != 100 {
			t.Fatalf("ordered %+v, want a hundred steps each", late.Plan)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// 100 s of work, a quarter more, 5 s of grace.
		if took := time.Since(start); took != 130*time.Second {
			t.Errorf("the round took %v, want 130 s", took)
		}
		if r := c.Snapshot().History[0]; r.Accepted != 3 || r.Void != "" {
			t.Errorf("%+v", r)
		}
	})
}

// A battery that does not pay for the least work leaves its client out, while enough others are
// there; a full one limits the work.
func TestBatteriesLimitOrders(t *testing.T) {
	state := func(percent int) costcurve.State { return costcurve.Charge(float64(percent), false, 512) } // 20 % of it is kept
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(1, 5)
		cfg.Rounds.Deadline, cfg.Energy.Policy, cfg.Energy.Tasks = time.Hour, "price", 400
		c := newCoordinator(t, cfg, &memory{})
		go c.Run(t.Context())
		var orders []<-chan Order
		for i, s := range []costcurve.State{state(50), {}, {}, {}, state(0)} {
			orders = append(orders, orderTo(t, c, string(rune('a'+i)), offerOf(t, s)))
		}
		synctest.Wait()
		// Half of 512 J, less the 102.4 that are kept: 76 steps of 2 J.
		// Of equals the first is ordered most: up to 160.
		if o := <-orders[0]; o.Plan.Tasks != 76 {
			t.Errorf("a half empty battery is ordered %d steps", o.Plan.Tasks)
		}
		if o := <-orders[1]; o.Plan.Tasks != 160 {
			t.Errorf("mains power is ordered %d steps", o.Plan.Tasks)
		}
		select {
		case o := <-orders[4]:
			t.Errorf("an empty battery is ordered %+v", o.Plan)
		default:
		}
	})
	// With three clients there is nobody to spare.
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(1, 3)
		cfg.Energy.Policy = "price"
		c := newCoordinator(t, cfg, &memory{})
		go c.Run(t.Context())
		for _, name := range []string{"a", "b", "c"} {
			orderTo(t, c, name, offerOf(t, state(0)))
		}
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open == nil || len(c.open.cohort) != 3 {
			t.Errorf("%+v (%v): three clients with empty batteries", c.open, c.over)
		}
	})
}

// How long ago a client's last attempt ended is told with its next order, whoever was drawn
// in between.
func TestOrdersTellWhenTheLastAttemptEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoordinator(t, testConfig(2, 3), &memory{})
		go c.Run(t.Context())
		names := []string{"a", "b", "c"}
		for round, want := range []time.Duration{0, 7 * time.Second} {
			var orders []<-chan Order
			for _, name := range names {
				orders = append(orders, orderTo(t, c, name, nil))
			}
			for i, got := range orders {
				o := <-got
				if o.Settled != want {
					t.Errorf("round %d: settled %v ago, want %v", round+1, o.Settled, want)
				}
				if err := report(t, c, names[i], o); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			time.Sleep(7 * time.Second)
		}
	})
}

// Forecasts put rounds off: near starts are in the orders and lengthen the deadline, far ones
// are waited for here, planned anew in every slot.
func TestForecastsPutRoundsOff(t *testing.T) {
	for name, test := range map[string]struct {
		horizon time.Duration
		waits   time.Duration // here
		after   time.Duration // in the order
	}{
		"near": {4 * time.Minute, 0, 3 * time.Minute},
		"far":  {time.Hour, 54 * time.Minute, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig(1, 3)
			cfg.Energy = energy.Config{Policy: "random-full+forecast", Horizon: test.horizon, Slot: time.Minute, Deadline: 30 * time.Second, Carbon: energy.Carbon{Forecast: "file"}}
			start := time.Now()
			falling := make([]float64, 180)
			for i := range falling {
				falling[i] = 900 - float64(i)
			}
			s, err := carbon.New[carbon.Average](start, time.Minute, falling)
			if err != nil {
				t.Fatal(err)
			}
			read := 0
			c, err := New(t.Context(), cfg, &memory{}, Options{Initial: make([]float32, 6), Forecast: func() (Intensities, error) {
				read++
				return Intensities{"DE": s}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			go c.Run(t.Context())
			var orders []<-chan Order
			for _, who := range []string{"a", "b", "c"} {
				orders = append(orders, orderTo(t, c, who, nil))
			}
			for _, got := range orders {
				o := <-got
				if waited := time.Since(start); waited != test.waits || o.Plan.StartAt != test.after || o.Deadline != test.after+time.Minute {
					t.Errorf("%s: after %v ordered to start in %v within %v, want after %v in %v", name, waited, o.Plan.StartAt, o.Deadline, test.waits, test.after)
				}
			}
			if want := 1 + int(test.waits/time.Minute); read != want {
				t.Errorf("%s: the forecast was read %d times, want %d", name, read, want)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if w := c.open.plan.by["a"]; math.Abs(w.Intensity-(900-math.Floor((test.waits+test.after).Minutes()))) > 1e-9 {
				t.Errorf("%s: joules count at %v g/kWh", name, w.Intensity)
			}
		})
	}
}

// Without a forecast that can be used rounds begin at once: grams are not worth a run.
func TestNoForecastStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(1, 3)
		cfg.Energy = energy.Config{Policy: "random-full+forecast", Horizon: time.Hour, Slot: time.Minute, Carbon: energy.Carbon{Forecast: "file"}}
		c, err := New(t.Context(), cfg, &memory{}, Options{Initial: make([]float32, 6), Forecast: func() (Intensities, error) { return nil, errors.New("no such file") }})
		if err != nil {
			t.Fatal(err)
		}
		go c.Run(t.Context())
		var orders []<-chan Order
		for _, who := range []string{"a", "b", "c"} {
			orders = append(orders, orderTo(t, c, who, nil))
		}
		if o := <-orders[0]; o.Plan.StartAt != 0 || o.Deadline != time.Minute {
			t.Errorf("ordered %+v", o)
		}
	})
}
