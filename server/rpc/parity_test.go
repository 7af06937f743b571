package rpc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	clientid "github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/client/participant"
	client "github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/identity"
	"github.com/sotto-fl/sotto/server/store"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

func smallScenario() scenario.Scenario {
	s := scenario.Plain()
	s.Clients = 4
	s.Run.Rounds.Count = 2
	s.Run.Rounds.MinClients = 4
	s.Run.Task.MaxSteps = 4
	s.Run.Encryption = "none"
	return s
}

// wire connects the clients of a scenario as a deployment does: invitations,
// certificates, TCP on loopback.
type wire struct {
	t         *testing.T
	authority *identity.Authority
	book      *committee.Book
	listener  *breakable
	once      sync.Once
	server    *Server
}

func newWire(t *testing.T) *wire {
	t.Helper()
	dir := t.TempDir()
	if err := identity.Init(t.Context(), dir, []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	a, err := identity.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	book, err := committee.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, authority: a, book: book, listener: &breakable{Listener: l}}
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		w.server.Shutdown(now)
		book.Close()
		a.Close()
	})
	return w
}

func (w *wire) connect(c *coordinator.Coordinator, name string) (participant.Server, error) {
	return w.join(c, name)
}

// hold gives a key holder its stream.
func (w *wire) hold(c *coordinator.Coordinator, member string, key ed25519.PrivateKey) (keyholder.Server, error) {
	s, err := c.AttachHolder(member, statement.PublicKey(key))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	joined, err := w.join(c, member)
	if err != nil {
		return nil, err
	}
	h := joined.Holder(key, s.Ring())
	w.t.Cleanup(h.Close)
	return h, nil
}

func (w *wire) join(c *coordinator.Coordinator, name string) (*client.Client, error) {
	w.once.Do(func() {
		w.server = New(w.authority, OfCoordinator(c), Config{Committee: w.book, Holders: c}, zerolog.New(io.Discard))
		go w.server.Serve(w.listener)
	})
	inv, err := w.authority.Invite(w.t.Context(), name, w.listener.Addr().String(), time.Hour)
	if err != nil {
		return nil, err
	}
	parsed, err := clientid.ParseInvitation(inv.String())
	if err != nil {
		return nil, err
	}
	dir := w.t.TempDir()
	if _, err := client.Join(w.t.Context(), parsed, dir); err != nil {
		return nil, err
	}
	member, err := client.Dial(dir)
	if err == nil {
		w.t.Cleanup(func() { member.Close() })
	}
	return member, err
}

// The same scenario gives the same model, bit for bit, in one process and over
// gRPC with a durable store.
func TestSameModelOverTheWire(t *testing.T) {
	local, err := scenario.Run(t.Context(), smallScenario(), scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	st, err := store.Open(t.Context(), dir, local.Model.Layout)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	remote, err := scenario.Run(t.Context(), smallScenario(), scenario.Options{Workers: 1, Store: st, Connect: newWire(t).connect})
	if err != nil {
		t.Fatal(err)
	}
	if remote.ModelSHA256 != local.ModelSHA256 {
		t.Errorf("over the wire %s, in process %s", remote.ModelSHA256, local.ModelSHA256)
	}
	if remote.BytesUp != local.BytesUp || remote.BytesUp == 0 {
		t.Errorf("bytes up: %d over the wire, %d in process", remote.BytesUp, local.BytesUp)
	}
	m, _, err := checkpoint.ReadFile(st.Checkpoint(2), local.Model.Layout)
	if err != nil {
		t.Fatal(err)
	}
	if m.SHA256() != local.Model.SHA256() {
		t.Error("the checkpoint file holds another model")
	}
	if got, err := st.Latest(t.Context()); err != nil || got.Round != 2 || len(got.History) != 2 {
		t.Errorf("stored: %+v, %v", got, err)
	}
}

// Under an energy policy clients do unequal work in modes of their own: orders and offers
// reach them over gRPC as in process, in the clear and encrypted, and give the same model.
func TestSameModelUnderAnEnergyPolicyOverTheWire(t *testing.T) {
	s := smallScenario()
	s.Run.Task.MaxSteps = 0
	s.Fleet = "../../simulations/fleets/mixed.yaml"
	s.Run.Energy.Policy, s.Run.Energy.Tasks = "price", 24
	local, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	remote, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 1, Connect: newWire(t).connect})
	if err != nil {
		t.Fatal(err)
	}
	s.Run.Encryption = coordinator.EncryptionThreshold
	w := newWire(t)
	sealed, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2, Connect: w.connect, ConnectHolder: w.hold})
	if err != nil {
		t.Fatal(err)
	}
	if remote.ModelSHA256 != local.ModelSHA256 || sealed.ModelSHA256 != local.ModelSHA256 {
		t.Errorf("over the wire %s, encrypted %s, in process %s", remote.ModelSHA256, sealed.ModelSHA256, local.ModelSHA256)
	}
	for i, r := range sealed.Records {
		works := map[int64]bool{}
		for j, o := range r.Energy.Orders {
			works[o.Tasks] = true
			if l := local.Records[i].Energy.Orders[j]; o != l {
				t.Errorf("round %d: ordered %+v over the wire, %+v in process", r.Round, o, l)
			}
		}
		if len(works) < 2 || r.Energy.Tasks != 24 {
			t.Errorf("round %d: works %v", r.Round, works)
		}
	}
}

// Encrypted to four key holders, everything over gRPC: the same model as in one
// process, and as without encryption.
func TestSameModelEncryptedOverTheWire(t *testing.T) {
	s := smallScenario()
	plain, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.Run.Encryption = coordinator.EncryptionThreshold
	local, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t)
	remote, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2, Connect: w.connect, ConnectHolder: w.hold})
	if err != nil {
		t.Fatal(err)
	}
	if remote.ModelSHA256 != local.ModelSHA256 || remote.ModelSHA256 != plain.ModelSHA256 {
		t.Errorf("over the wire %s, in process %s, without encryption %s", remote.ModelSHA256, local.ModelSHA256, plain.ModelSHA256)
	}
	if remote.BytesUp != local.BytesUp || remote.BytesUp == plain.BytesUp {
		t.Errorf("bytes up: %d over the wire, %d in process, %d without encryption", remote.BytesUp, local.BytesUp, plain.BytesUp)
	}
}

// The same, with connections that break in the middle of rounds: of clients that
// upload and of holders that wait.
func TestSameModelEncryptedThroughBrokenConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for backoff")
	}
	s := smallScenario()
	s.Run.Encryption = coordinator.EncryptionThreshold
	s.Run.Rounds.Grace = time.Minute
	local, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t)
	var cuts atomic.Int32
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	remote, err := scenario.Run(ctx, s, scenario.Options{Workers: 2, Connect: w.connect, ConnectHolder: w.hold, Observer: cutting{w, &cuts}})
	if err != nil {
		t.Fatal(err)
	}
	if remote.ModelSHA256 != local.ModelSHA256 || cuts.Load() < 2 {
		t.Errorf("with %d cuts %s, in process %s", cuts.Load(), remote.ModelSHA256, local.ModelSHA256)
	}
}

// cutting cuts every connection once in each round, while reports come in.
type cutting struct {
	w    *wire
	cuts *atomic.Int32
}

func (c cutting) RoundStarted(int, int, int) {}
func (c cutting) ReportAccepted(_, accepted, _ int) {
	if accepted == 2 {
		c.cuts.Add(1)
		go c.w.listener.cut()
	}
}
func (c cutting) RoundFinished(coordinator.Record) {}

// Connections that break in the middle of rounds change nothing about the model.
func TestSameModelThroughBrokenConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for backoff")
	}
	s := smallScenario()
	s.Run.Rounds.Grace = time.Minute // who lost its connection is waited for
	local, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t)
	var cuts atomic.Int32
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	remote, err := scenario.Run(ctx, s, scenario.Options{Workers: 2, Connect: w.connect, Observer: cutting{w, &cuts}})
	if err != nil {
		t.Fatal(err)
	}
	if remote.ModelSHA256 != local.ModelSHA256 {
		t.Errorf("with %d cuts %s, in process %s", cuts.Load(), remote.ModelSHA256, local.ModelSHA256)
	}
	if cuts.Load() < 2 {
		t.Errorf("connections were cut %d times, want once a round", cuts.Load())
	}
}

// A server killed between two rounds continues from its store to the same model.
func TestSameModelAfterRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	local, err := scenario.Run(t.Context(), smallScenario(), scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	open := func() *store.Store {
		st, err := store.Open(t.Context(), dir, local.Model.Layout)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := scenario.Run(ctx, smallScenario(), scenario.Options{Workers: 2, Store: st, Observer: stopAfter{cancel}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped run: %v", err)
	}
	st.Close()
	st = open()
	defer st.Close()
	if got, err := st.Latest(t.Context()); err != nil || got.Round != 1 {
		t.Fatalf("stored: %+v, %v", got, err)
	}
	resumed, err := scenario.Run(t.Context(), smallScenario(), scenario.Options{Workers: 2, Store: st})
	if err != nil {
		t.Fatal(err)
	}
	if resumed.ModelSHA256 != local.ModelSHA256 {
		t.Errorf("resumed %s, uninterrupted %s", resumed.ModelSHA256, local.ModelSHA256)
	}
}

type stopAfter struct{ cancel context.CancelFunc }

func (stopAfter) RoundStarted(int, int, int)         {}
func (stopAfter) ReportAccepted(int, int, int)       {}
func (s stopAfter) RoundFinished(coordinator.Record) { s.cancel() }

// In lane B clients answer a posted price from their own devices, over gRPC as in process, and
// with the same model. The server has neither curves nor answers; another price gives
// another model, so the price does act.
func TestSameModelByPostedPriceOverTheWire(t *testing.T) {
	if testing.Short() {
		t.Skip("trains and encrypts")
	}
	s := smallScenario()
	s.Fleet = "../../simulations/fleets/mixed.yaml"
	s.Run.Encryption, s.Run.Privacy, s.Run.Weights = coordinator.EncryptionThreshold, coordinator.PrivacyContract, "uniform"
	s.Run.Schedule.Kind = "constant"
	s.Run.Server = serveropt.Config{Name: serveropt.FedAvg, LR: 1}
	task := &s.Run.Task
	task.Architecture = nn.Architecture{Name: "linear", Input: nn.Shape{C: 1, H: 28, W: 28}, Layers: []nn.Layer{{Kind: nn.Flatten}, {Kind: nn.Dense, Out: 10}}}
	task.Batch, task.Epochs, task.MaxSteps, task.ValidationFraction = 32, 1, 0, 0
	s.Run.Contract = privacy.Contract{
		Unit: privacy.UnitClient, Adjacency: privacy.ZeroOut, Clip: 0.5, Mechanism: privacy.DiscreteGaussian, Noise: 1, Grid: 1 << 14,
		Rounding: privacy.RoundRecord, Lane: privacy.LaneB, SamplingRate: 0.5, Rounds: 2, MaxParticipations: 2,
		Epsilon: 20, Delta: 1e-2, Colluders: 1, MinCohort: 3, MaxCohort: 4, MinRecords: 20,
		Counts: privacy.CountsPublic, Parameters: 7850,
	}
	s.Run.Energy.Policy, s.Run.Energy.Tasks, s.Run.Energy.Price = "price", 12, 10
	local, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t)
	remote, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 1, Connect: w.connect, ConnectHolder: w.hold})
	if err != nil {
		t.Fatal(err)
	}
	if remote.ModelSHA256 != local.ModelSHA256 {
		t.Errorf("over the wire %s, in process %s", remote.ModelSHA256, local.ModelSHA256)
	}
	for _, r := range remote.Records {
		if e := r.Energy; e == nil || e.Clients != nil || len(e.Orders) != 0 || len(e.Bounded) != 0 {
			t.Errorf("round %d: the server has %+v", r.Round, e)
		}
	}
	s.Run.Energy.Price = 1e-6
	cheap, err := scenario.Run(t.Context(), s, scenario.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if cheap.ModelSHA256 == local.ModelSHA256 {
		t.Error("a price of nothing gives the same model: nobody answered it")
	}
}
