package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/server/round"
)

// testConfig is a run of a six-parameter model.
func testConfig(rounds, clients int) Config {
	r := DefaultRounds()
	r.Count, r.MinClients = rounds, clients
	r.Deadline, r.Grace, r.Gather = time.Minute, 5*time.Second, 0
	return Config{
		Name: "test", Seed: 1, Encryption: "none", Privacy: "none", Rounds: r,
		Update: aggregation.Codec{Bits: 16, Range: 8}, Weights: "examples",
		Server: serveropt.Config{Name: "fedavg", LR: 1}, Schedule: optim.Schedule{Kind: "constant"},
		Task: train.Config{
			Architecture: nn.Architecture{Name: "tiny", Input: nn.Shape{C: 1, H: 1, W: 2}, Layers: []nn.Layer{{Kind: nn.Flatten}, {Kind: nn.Dense, Out: 2}}},
			Classes:      []string{"a", "b"}, Normalization: dataset.Normalization{Mean: []float64{0}, Std: []float64{1}},
			Optimizer: optim.Config{Name: "sgd", LR: 0.1}, Batch: 1, Epochs: 1,
		},
	}
}

type memory struct {
	mu     sync.Mutex
	state  *State
	begun  []string
	failOn int                     // Commit of this round fails
	crash  func(call string) error // may stop the run before Begin, Propose or Commit
}

func (m *memory) Propose(_ context.Context, p *Pending) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crash != nil {
		if err := m.crash(fmt.Sprintf("propose certified=%t", p.Certified)); err != nil {
			return err
		}
	}
	s := *m.state
	s.Pending = p
	m.state = &s
	return nil
}

func (m *memory) Latest(context.Context) (*State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == nil {
		return nil, ErrNoState
	}
	return m.state, nil
}

func (m *memory) Begin(_ context.Context, number, try int, cohort []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := *m.state
	s.Attempt = try
	m.state = &s
	m.begun = append(m.begun, fmt.Sprintf("%d.%d %s", number, try, strings.Join(cohort, " ")))
	return nil
}

func (m *memory) Commit(_ context.Context, s *State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failOn > 0 && s.Round == m.failOn {
		return errors.New("no space left on device")
	}
	m.state = s
	return nil
}

func newCoordinator(t *testing.T, cfg Config, s Store) *Coordinator {
	t.Helper()
	c, err := New(t.Context(), cfg, s, Options{Initial: make([]float32, 6)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer makes the report of an order: every parameter moves by delta times the
// client's weight, which is what a client sends.
func answer(t *testing.T, o Order, delta float64) Report {
	t.Helper()
	values := make([]int32, 6)
	for i := range values {
		values[i] = int32(delta * o.Weight / o.Codec.Step())
	}
	values, err := o.Codec.EncodeMetrics(values, aggregation.Metrics{Examples: 1, TrainExamples: 2, TrainLoss: 1})
	if err != nil {
		t.Fatal(err)
	}
	return Report{Run: o.Run, Round: o.Round, Attempt: o.Attempt, Model: o.Model, TaskHash: o.TaskHash, Body: aggregation.AppendPacked(nil, values, o.Codec.Bits)}
}

// client attaches and answers every order until the run ends.
func client(t *testing.T, c *Coordinator, name string, examples int, delta float64) error {
	s, err := c.Attach(Info{Client: name, Examples: examples})
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		o, err := s.Next(t.Context())
		if err != nil {
			return err
		}
		if _, err := c.Report(t.Context(), name, answer(t, o, delta)); err != nil {
			return err
		}
	}
}

func TestWeightedMean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoordinator(t, testConfig(2, 3), &memory{})
		var wg sync.WaitGroup
		for i, d := range []float64{1, 2, 4} {
			wg.Go(func() {
				if err := client(t, c, fmt.Sprint("c", i), 100*(i+1), d); !errors.Is(err, ErrFinished) {
					t.Errorf("client %d ended with %v, want ErrFinished", i, err)
				}
			})
		}
		if err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		s := c.Snapshot()
		// (1*100 + 2*200 + 4*300)/600 a round; the codec's step is 2.4e-4.
		want := 2 * 1700.0 / 600
		for _, p := range s.Params {
			if diff := float64(p) - want; diff < -1e-3 || diff > 1e-3 {
				t.Fatalf("parameters are %v, want %g", s.Params, want)
			}
		}
		if len(s.History) != 2 || s.History[1].Accepted != 3 || s.History[1].Train.Loss != 0.5 {
			t.Errorf("history is %+v", s.History)
		}
	})
}

func TestRefusedReportsLeaveTheSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(1, 3)
		cfg.Weights = "uniform"
		c := newCoordinator(t, cfg, &memory{})
		go func() {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		orders := map[string]Order{}
		for _, name := range []string{"a", "b", "c"} {
			s, err := c.Attach(Info{Client: name, Examples: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			go func() {
				o, err := s.Next(t.Context())
				if err != nil {
					t.Error(err)
				}
				c.mu.Lock()
				orders[name] = o
				c.mu.Unlock()
			}()
		}
		synctest.Wait()
		good := answer(t, orders["a"], 1)
		for want, change := range map[error]func(*Report){
			ErrMalformed: func(r *Report) { r.Body = r.Body[1:] },
			ErrStale:     func(r *Report) { r.Round++ },
		} {
			bad := good
			change(&bad)
			if _, err := c.Report(t.Context(), "a", bad); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		for name, change := range map[string]func(*Report){
			"attempt": func(r *Report) { r.Attempt++ }, "run": func(r *Report) { r.Run = "other" },
			"model": func(r *Report) { r.Model[0]++ }, "task": func(r *Report) { r.TaskHash[0]++ },
		} {
			bad := good
			change(&bad)
			if _, err := c.Report(t.Context(), "a", bad); !errors.Is(err, ErrStale) {
				t.Errorf("another %s: got %v, want ErrStale", name, err)
			}
		}
		if _, err := c.Report(t.Context(), "stranger", good); !errors.Is(err, round.ErrNotSelected) {
			t.Errorf("a stranger's report: got %v, want ErrNotSelected", err)
		}
		for i, want := range []bool{false, true} {
			if r, err := c.Report(t.Context(), "a", good); err != nil || r.Repeated != want {
				t.Errorf("sending %d gave %+v, %v", i, r, err)
			}
		}
		if _, err := c.Report(t.Context(), "a", answer(t, orders["a"], 2)); !errors.Is(err, round.ErrDuplicate) {
			t.Errorf("a second report: got %v, want ErrDuplicate", err)
		}
		for _, name := range []string{"b", "c"} {
			if _, err := c.Report(t.Context(), name, answer(t, orders[name], 1)); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		s := c.Snapshot()
		if p := s.Params[0]; p < 0.999 || p > 1.001 {
			t.Errorf("parameter moved by %g, want 1", p)
		}
		if r := s.History[0]; r.Accepted != 3 || r.Rejected != 3 {
			t.Errorf("accepted %d, rejected %d, want 3 and 3 (malformed, stranger, duplicate)", r.Accepted, r.Rejected)
		}
	})
}

// A client that loses its connection within a round is given the same order
// again; one that stays away is waited for no longer than the grace time.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoordinator(t, testConfig(1, 4), &memory{})
		go func() {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		for _, name := range []string{"a", "b"} {
			go client(t, c, name, 1, 1)
		}
		lost, err := c.Attach(Info{Client: "c", Examples: 1})
		if err != nil {
			t.Fatal(err)
		}
		dead, err := c.Attach(Info{Client: "d", Examples: 1})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan Order, 2)
		for _, s := range []*Session{lost, dead} {
			go func() {
				o, err := s.Next(t.Context())
				if err != nil {
					t.Error(err)
				}
				got <- o
				s.Close()
			}()
		}
		first := <-got
		<-got
		time.Sleep(3 * time.Second) // less than the grace
		again, err := c.Attach(Info{Client: "c", Examples: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		o, err := again.Next(t.Context())
		if err != nil || o.Round != first.Round || o.Attempt != first.Attempt || o.Model != first.Model {
			t.Fatalf("after reconnecting: %+v, %v; want the order of round %d attempt %d", o, err, first.Round, first.Attempt)
		}
		if _, err := c.Report(t.Context(), "c", answer(t, o, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // the dead client's grace is over
		synctest.Wait()
		h := c.Snapshot().History
		if len(h) != 1 || h[0].Accepted != 3 || h[0].Cohort != 4 || h[0].Seconds > 6 {
			t.Errorf("history is %+v, want 3 of 4 within 6 s", h)
		}
	})
}

func TestVoidRoundsAreTriedAgainAndThenHalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(2, 3)
		cfg.Rounds.MaxVoid = 2
		store := &memory{}
		c := newCoordinator(t, cfg, store)
		for _, name := range []string{"a", "b", "silent"} {
			s, err := c.Attach(Info{Client: name, Examples: 1})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer s.Close()
				for {
					o, err := s.Next(t.Context())
					if err != nil {
						return
					}
					if name == "silent" && o.Attempt != 2 && o.Round == 1 || name == "silent" && o.Round == 2 {
						select { // far too late
						case <-time.After(2 * cfg.Rounds.Deadline):
						case <-t.Context().Done():
						}
						continue
					}
					c.Report(t.Context(), name, answer(t, o, 1))
				}
			}()
		}
		err := c.Run(t.Context())
		if !errors.Is(err, ErrHalted) {
			t.Fatalf("run ended with %v, want ErrHalted", err)
		}
		var got []string
		for _, r := range c.Snapshot().History {
			got = append(got, fmt.Sprintf("%d.%d void=%t", r.Round, r.Attempt, r.Void != ""))
		}
		want := []string{"1.1 void=true", "1.2 void=false", "2.1 void=true", "2.2 void=true"}
		if !slices.Equal(got, want) {
			t.Errorf("attempts were %v, want %v", got, want)
		}
	})
}

// A commit that fails ends the run with nothing of the round visible, and the run
// continues from what the store holds.
func TestCommitFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{failOn: 2}
		c := newCoordinator(t, testConfig(3, 3), store)
		serve := func(c *Coordinator) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for _, name := range []string{"a", "b", "c"} {
				s, err := c.Attach(Info{Client: name, Examples: 1})
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					defer s.Close()
					for {
						o, err := s.Next(ctx)
						if err != nil {
							return
						}
						c.Report(ctx, name, answer(t, o, 1))
					}
				}()
			}
			return c.Run(ctx)
		}
		if err := serve(c); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("run ended with %v, want the store's error", err)
		}
		if s := c.Snapshot(); s.Round != 1 || s.Params[0] > 1.01 {
			t.Fatalf("round %d with %g is visible, want round 1 with 1", s.Round, s.Params[0])
		}
		store.failOn = 0
		c = newCoordinator(t, testConfig(3, 3), store)
		if err := serve(c); err != nil {
			t.Fatal(err)
		}
		if s := c.Snapshot(); s.Round != 3 || s.Params[0] < 2.99 || s.Params[0] > 3.01 {
			t.Errorf("round %d with %g, want round 3 with 3", s.Round, s.Params[0])
		}
	})
}

func TestAnotherConfigurationIsRefused(t *testing.T) {
	store := &memory{}
	newCoordinator(t, testConfig(2, 3), store)
	cfg := testConfig(2, 3)
	cfg.Task.Optimizer.LR = 0.2
	if _, err := New(t.Context(), cfg, store, Options{}); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestSupersededSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoordinator(t, testConfig(1, 3), &memory{})
		ghost, err := c.Attach(Info{Client: "a", Examples: 1})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := ghost.Next(t.Context())
			ended <- err
		}()
		synctest.Wait()
		if _, err := c.Attach(Info{Client: "a", Examples: 1}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, ErrSuperseded) {
			t.Errorf("the older session ended with %v, want ErrSuperseded", err)
		}
		ghost.Close() // must not detach the newer one
		if c.sessions["a"] == nil {
			t.Error("closing the ghost detached the client")
		}
	})
}

func TestAttachRefuses(t *testing.T) {
	c := newCoordinator(t, testConfig(1, 3), &memory{})
	for _, info := range []Info{{Client: "", Examples: 1}, {Client: "a", Examples: 0}, {Client: "a", Examples: -1}, {Client: "a", Examples: maxExamples + 1}} {
		if _, err := c.Attach(info); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: got %v, want ErrMalformed", info, err)
		}
	}
}
