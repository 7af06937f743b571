package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/privacy"
)

// memory is storage that can fail.
type memory struct {
	b    []byte
	fail bool // the next Append writes half of it and returns an error
}

var errDisk = errors.New("disk full")

func (m *memory) Read() ([]byte, error) { return slices.Clone(m.b), nil }

func (m *memory) Append(b []byte) error {
	if m.fail {
		m.b = append(m.b, b[:len(b)/2]...)
		return errDisk
	}
	m.b = append(m.b, b...)
	return nil
}

// deterministic is a stream of bytes for keys in tests.
type deterministic struct{ *rand.ChaCha8 }

func testRandom(n uint64) deterministic {
	var seed [32]byte
	seed[0] = byte(n)
	return deterministic{rand.NewChaCha8(seed)}
}

var start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func at(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }

func digest(format string, args ...any) Hash {
	return sha256.Sum256(fmt.Appendf(nil, format, args...))
}

// contract is one of lane A for ten hospitals: Gaussian DP, which is quick to price.
func contract(rounds int) privacy.Contract {
	c := clients(rounds)
	c.Noise, c.Epsilon, c.Delta, c.MinCohort, c.MaxCohort = 6, 4, 1e-5, 7, 10
	return c
}

// examples is one of distributed DP-SGD, priced by privacy loss distributions.
func examples(rounds int) privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut,
		Clip: 0.1, Mechanism: privacy.DiscreteGaussian, Noise: 1.81, Grid: 1 << 14, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.0341, Rounds: rounds, MaxParticipations: rounds,
		Epsilon: 4, Delta: 1e-5,
		Colluders: 1, MinCohort: 7, MaxCohort: 10, MinRecords: 100, Records: 60000, MicroBatch: 64,
		Counts: privacy.CountsPublic, Parameters: 8340,
	}
}

// clients is a contract of lane A without encryption, priced by Gaussian DP, which is quick.
func clients(rounds int) privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitClient, Adjacency: privacy.ZeroOut,
		Clip: 0.5, Mechanism: privacy.DiscreteGaussian, Noise: 3.025, Grid: 1 << 12, Rounding: privacy.RoundRecord,
		Lane: privacy.LaneA, Rounds: rounds, MaxParticipations: rounds,
		Epsilon: 8, Delta: 1.07e-3,
		Colluders: 1, MinCohort: 318, MaxCohort: 500, MinRecords: 1,
		Counts: privacy.CountsPublic, Parameters: 8340,
	}
}

// world is a run with its keys.
type world struct {
	t               testing.TB
	private, public string
	holders         []ed25519.PrivateKey
	storage         *memory
	ledger          *Ledger
	now             int
}

func committee(n int) (*Committee, []ed25519.PrivateKey) {
	c := &Committee{Record: digest("committee record"), Threshold: 3, Corrupt: 1}
	var keys []ed25519.PrivateKey
	for i := range n {
		seed := digest("holder %d", i)
		k := ed25519.NewKeyFromSeed(seed[:])
		keys = append(keys, k)
		c.Members = append(c.Members, Key(k.Public().(ed25519.PublicKey)))
	}
	return c, keys
}

func newPlan(t testing.TB, c privacy.Contract, encrypted bool) (*Plan, []ed25519.PrivateKey) {
	t.Helper()
	p, err := NewPlan("digits", c)
	if err != nil {
		t.Fatal(err)
	}
	p.Study = Study{Title: "Reading digits", Purpose: "a test", Data: "handwritten digits", Curators: []string{"a hospital"}}
	p.Architecture, p.Initial, p.Sampler, p.Encryption = "dp-cnn", digest("model 0"), "discrete-gaussian/v1", "none"
	p.Metrics = &MetricsBudget{Epsilon: 1, Delta: 1e-6, Order: 16}
	var keys []ed25519.PrivateKey
	if encrypted {
		p.Encryption = "threshold"
		p.Committee, keys = committee(4)
	}
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
	return p, keys
}

func newWorld(t testing.TB, c privacy.Contract, encrypted bool) *world {
	t.Helper()
	p, keys := newPlan(t, c, encrypted)
	return worldWith(t, p, keys)
}

func worldWith(t testing.TB, p *Plan, keys []ed25519.PrivateKey) *world {
	t.Helper()
	w := &world{t: t, holders: keys, storage: &memory{}}
	var err error
	if w.private, w.public, err = GenerateKey(testRandom(1), "ledger.example"); err != nil {
		t.Fatal(err)
	}
	if w.ledger, err = Create(w.storage, w.private, w.tick(), p); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) tick() time.Time { w.now++; return at(w.now) }

func (w *world) must(_ Head, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reserve(round, attempt int) error {
	_, err := w.ledger.Reserve(w.tick(), Reserve{Round: round, Attempt: attempt, ModelIn: w.ledger.state.Model})
	return err
}

func counts(c privacy.Contract, survived int) *Counts {
	return &Counts{Target: c.MaxCohort, Sampled: c.MaxCohort, Survived: survived}
}

func (w *world) certify(round, attempt, survived int) error {
	_, err := w.ledger.Certify(w.tick(), Certified{
		Round: round, Attempt: attempt, Set: digest("set %d %d", round, attempt), Cohort: digest("cohort %d %d", round, attempt),
		Counts: counts(w.ledger.state.Contract, survived),
	})
	return err
}

func (w *world) sign(message []byte, n int) []Signed {
	var out []Signed
	for i := range n {
		out = append(out, Signed{Point: i + 1, Signature: Sig(ed25519.Sign(w.holders[i], message))})
	}
	return out
}

func (w *world) commit(round, attempt, survived int) error {
	c := Commit{
		Round: round, Attempt: attempt, Set: digest("set %d %d", round, attempt), Cohort: digest("cohort %d %d", round, attempt),
		Counts: counts(w.ledger.state.Contract, survived), Clip: 0.1, Sum: digest("sum %d", round),
		ModelIn: w.ledger.state.Model, ModelOut: digest("model %d", round),
		Public: &Evaluation{Accuracy: 1 - 0.9/math.Sqrt(float64(round)), Loss: 2.3 / math.Sqrt(float64(round)), Examples: 10000},
	}
	if k := w.ledger.state.Plan.Committee; k != nil {
		c.Certificate = w.sign(CertificateStatement(k.Record, "digits", round, c.Set), k.Threshold)
	}
	_, err := w.ledger.Commit(w.tick(), c)
	return err
}

func (w *world) void(round, attempt int) error {
	_, err := w.ledger.Void(w.tick(), Void{Round: round, Attempt: attempt, Reason: "too few updates"})
	return err
}

// round runs one whole round.
func (w *world) round(number, survived int) {
	w.t.Helper()
	for _, err := range []error{w.reserve(number, 1), w.certify(number, 1, survived), w.commit(number, 1, survived)} {
		if err != nil {
			w.t.Fatalf("round %d: %v", number, err)
		}
	}
}

func (w *world) verify(options ...Option) *Verified {
	w.t.Helper()
	v, err := Verify(w.storage.b, w.public, options...)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// reopen continues from the bytes in storage, as after a crash.
func (w *world) reopen() {
	w.t.Helper()
	l, err := Open(w.storage, w.private, w.public)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ledger = l
}

// busy is a ledger with every kind of record.
func busy(t testing.TB) *world {
	w := newWorld(t, contract(24), true)
	w.round(1, 10)
	if err := w.reserve(2, 1); err != nil {
		t.Fatal(err)
	}
	w.must(Head{}, w.void(2, 1))
	w.must(w.ledger.Close(w.tick(), Closed{Round: 2, Closures: w.sign(ClosureStatement(w.ledger.state.Plan.Committee.Record, "digits", 2), 3)}))
	w.must(Head{}, w.reserve(3, 1))
	w.must(Head{}, w.void(3, 1))
	w.must(Head{}, w.reserve(3, 2))
	w.must(Head{}, w.certify(3, 2, 8))
	w.must(Head{}, w.void(3, 2))
	w.round(4, 7)
	w.must(w.ledger.Add(w.tick(), &Metric{Name: "clients that charge", Event: Event{laplace}, Values: []float64{6.5}}))
	w.must(w.ledger.Add(w.tick(), &Exclusion{Participant: digest("somebody"), Round: 3, Reason: "wrong shares", Evidence: digest("evidence")}))
	w.must(w.ledger.Add(w.tick(), &Spread{Round: 4, Counts: []Tally{{1, 1}, {2, 3}, {3, 6}}}))
	w.must(w.ledger.Add(w.tick(), &Release{Round: 4, Model: digest("model 4"), File: digest("file"), Name: "digits.safetensors"}))
	w.must(w.ledger.Add(w.tick(), &Note{Text: "audit: the one-run lower bound is 0.4"}))
	return w
}

func equal(a, b []byte) bool { return bytes.Equal(a, b) }
