package coordinator

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// clientsConfig is a run of the six-parameter model that protects clients.
func clientsConfig() Config {
	c := privateConfig()
	c.Contract = privacy.Contract{
		Unit: privacy.UnitClient, Adjacency: privacy.ZeroOut, Clip: 1, Mechanism: privacy.DiscreteGaussian, Noise: 2, Grid: 4096, Rounding: privacy.RoundRecord,
		Lane: privacy.LaneA, Rounds: 2, MaxParticipations: 2, Epsilon: 8, Delta: 1e-3,
		Colluders: 1, MinCohort: 3, MaxCohort: 4, MinRecords: 4, Counts: privacy.CountsPublic, Parameters: 6,
	}
	return c
}

func TestClientContractIsHeldAgainstConfiguration(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"":                          func(*Config) {},
		"task.validation_fraction:": func(c *Config) { c.Task.ValidationFraction = 0.1 },
		"contract.parameters:":      func(c *Config) { c.Contract.Parameters = 7 },
		"encryption: got none":      func(c *Config) { c.Encryption = "none" },
		"schedule, early_stopping:": func(c *Config) { c.EarlyStop.Patience = 3 },
		"rounds.cohort: got 3": func(c *Config) {
			c.Rounds.Cohort, c.Contract.Lane, c.Contract.SamplingRate = 3, privacy.LaneB, 0.5
		},
	} {
		c := clientsConfig()
		change(&c)
		err := c.Validate()
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a problem with %q", err, want)
		}
	}
}

// What the server reads of a sum is the clients' sum over the public constant and noise, whoever did not
// come; and the bits move the clip norm.
func TestReadUpdates(t *testing.T) {
	const d, clients = 300, 3
	k := clientsConfig().Contract
	k.Parameters, k.Noise, k.Epsilon, k.Delta = d, 2, 50, 1e-2
	k.Adaptive = privacy.AdaptiveClip{Quantile: 0.5, Rate: 0.2, BitNoise: 2}
	derived, err := k.Derive()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := k.Hash()
	if err != nil {
		t.Fatal(err)
	}
	share, err := derived.Sampler()
	if err != nil {
		t.Fatal(err)
	}
	const round, clip = 7, 0.25
	rotation := privatise.NewRotation(d, privacy.RotationSeed(hash, round))
	fields := rotation.Fields()
	sum, want := make([]int64, derived.Fields), make([]float64, d)
	rng := rand.New(rand.NewPCG(1, 1))
	for client := range clients {
		v := make([]float32, d)
		for i := range v {
			v[i] = float32(rng.NormFloat64() * 0.01) // a norm of 0.17, within the clip norm
			want[i] += float64(v[i]) / k.Divisor()
		}
		e, err := privatise.NewEncoder(rotation, derived.Grid, share)
		if err != nil {
			t.Fatal(err)
		}
		stream := noise.NewDRBG(noise.Seed{byte(client)})
		values := make([]int32, derived.Fields)
		out, err := e.Update(values[:fields], v, clip, derived.Clamp(0), stream)
		if err != nil {
			t.Fatal(err)
		}
		values[fields] = e.Bit(out, derived.BitHeight, stream)
		for i, x := range values {
			sum[i] += int64(x)
		}
	}
	rec := Record{Clip: clip}
	got, err := clientMean{k, derived, hash}.read(round, sum, nil, &rec)
	if err != nil {
		t.Fatal(err)
	}
	// Six standard deviations of the clients' noise in a coordinate.
	limit := 6 * math.Sqrt(clients*float64(derived.ShareVariance)) * clip / float64(derived.Grid) / k.Divisor()
	for i := range got {
		if math.Abs(got[i]-want[i]) > limit {
			t.Fatalf("coordinate %d is %g, want %g", i, got[i], want[i])
		}
	}
	next, err := privatise.NextClip(clip, sum[fields], derived.BitHeight, k.Divisor(), 0.5, 0.2)
	if err != nil || rec.NextClip != next || next == clip {
		t.Errorf("next clip norm %g, %v, want %g", rec.NextClip, err, next)
	}
	if _, err := (clientMean{k, derived, hash}).read(round, sum[:fields], nil, &Record{Clip: clip}); err == nil {
		t.Error("a sum without its bits passes")
	}
}

// A client that has spent its budget is not drawn; too few others halt the run.
func TestEligible(t *testing.T) {
	c := &Coordinator{cfg: clientsConfig(), state: &State{Participations: map[string]int{"b": 2, "c": 1}}}
	all := []Info{{Client: "a"}, {Client: "b"}, {Client: "c"}, {Client: "d"}}
	left, err := c.eligible(all)
	if err != nil || !slices.Equal(left, []Info{{Client: "a"}, {Client: "c"}, {Client: "d"}}) {
		t.Errorf("%v, %v, want all but b", left, err)
	}
	c.state.Participations = c.participated(c.state.Participations, []string{"a", "c"})
	if got := c.state.Participations; got["a"] != 1 || got["b"] != 2 || got["c"] != 2 {
		t.Errorf("participations %v", got)
	}
	if _, err := c.eligible(all); !errors.Is(err, ErrHalted) {
		t.Errorf("two of four left: got %v, want ErrHalted", err)
	}
	c.cfg.Contract.Lane = privacy.LaneB
	if left, err := c.eligible(all); err != nil || len(left) != 4 || c.participated(nil, []string{"a"}) != nil {
		t.Errorf("lane B counts participations, which are secret: %v, %v", left, err)
	}
}

// A round never takes more clients than the contract's integers are sized for: others are drawn, and in lane B, where
// nobody is drawn, the run halts.
func TestCohortStaysWithinTheContract(t *testing.T) {
	ready := make([]Info, 6)
	for i := range ready {
		ready[i] = Info{Client: string(rune('a' + i)), Examples: 10}
	}
	c := &Coordinator{cfg: clientsConfig(), state: &State{}}
	got, err := c.eligible(ready)
	if err != nil || len(got) != 6 {
		t.Fatalf("%d clients, %v", len(got), err)
	}
	if got := c.draw(1, ready); len(got) != 4 {
		t.Errorf("drew %d of 6, the contract is for 4", len(got))
	}
	c.cfg.Contract.Lane, c.cfg.Contract.SamplingRate = privacy.LaneB, 0.5
	if _, err := c.eligible(ready); !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "6 clients are ready, the contract is for 4") {
		t.Errorf("lane B with too many: %v", err)
	}
	if _, err := c.eligible(ready[:4]); err != nil {
		t.Errorf("lane B with enough: %v", err)
	}
}

// Owners who declare other numbers than the contract was planned for are mentioned, once.
func TestDeclaredRecordsAreCompared(t *testing.T) {
	for total, want := range map[int]int{41: 1, 40: 0, 20: 0, 19: 1} {
		c := &Coordinator{cfg: privateConfig()} // 40 records of 4 owners
		cohort := make([]Info, 4)
		for i := range cohort {
			cohort[i] = Info{Examples: total / 4}
		}
		cohort[0].Examples += total % 4
		var log bytes.Buffer
		ctx := zerolog.New(&log).WithContext(t.Context())
		c.compare(ctx, cohort)
		c.compare(ctx, cohort)
		if got := strings.Count(log.String(), "another number of records"); got != want {
			t.Errorf("%d records declared: said %d times, want %d", total, got, want)
		}
	}
}
