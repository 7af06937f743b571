package rpc

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/terms"
	clientid "github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/participant"
	client "github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/identity"
	"github.com/sotto-fl/sotto/server/round"
)

// fakeRun is a Run whose answers a test sets.
type fakeRun struct {
	params []float32
	size   int
	orders chan coordinator.Order

	discloses costcurve.Disclosure
	declared  []*energy.Offer
	spent     []coordinator.Spent

	mu      sync.Mutex
	attach  error
	next    error
	report  error
	reports []coordinator.Report
	events  chan string // "attach NAME", "close NAME", "next NAME"
}

func newFakeRun() *fakeRun {
	return &fakeRun{size: 700_000, orders: make(chan coordinator.Order, 10), events: make(chan string, 100)}
}

type fakeSession struct {
	run  *fakeRun
	name string
}

func (f *fakeRun) Attach(info coordinator.Info) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attach != nil {
		return nil, f.attach
	}
	f.events <- "attach " + info.Client
	return fakeSession{f, info.Client}, nil
}

func (s fakeSession) Discloses() costcurve.Disclosure { return s.run.discloses }

func (s fakeSession) Declare(o *energy.Offer, spent []coordinator.Spent) error {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	s.run.declared, s.run.spent = append(s.run.declared, o), append(s.run.spent, spent...)
	return nil
}

func (s fakeSession) Close() { s.run.events <- "close " + s.name }

func (s fakeSession) Next(ctx context.Context) (coordinator.Order, error) {
	s.run.mu.Lock()
	err := s.run.next
	s.run.mu.Unlock()
	if err != nil {
		return coordinator.Order{}, err
	}
	s.run.events <- "next " + s.name
	select {
	case o := <-s.run.orders:
		return o, nil
	case <-ctx.Done():
		return coordinator.Order{}, ctx.Err()
	}
}

func (f *fakeRun) Model([32]byte) ([]float32, error) {
	if f.params == nil {
		return nil, coordinator.ErrStale
	}
	return f.params, nil
}

func (f *fakeRun) Hasher() *terms.Hasher { return nil }

func (f *fakeRun) BodySize() int { return f.size }

func (f *fakeRun) Show(int64, bool) (ledger.Shown, error) {
	return ledger.Shown{}, coordinator.ErrNoLedger
}

func (f *fakeRun) Report(_ context.Context, _ string, r coordinator.Report) (coordinator.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.report != nil {
		return coordinator.Receipt{}, f.report
	}
	if len(r.Body) != f.size {
		return coordinator.Receipt{}, coordinator.ErrMalformed
	}
	r.Body = slices.Clone(r.Body)
	f.reports = append(f.reports, r)
	return coordinator.Receipt{}, nil
}

func (f *fakeRun) accepted() []coordinator.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reports)
}

// expect waits for an event; a test that hangs here has failed.
func (f *fakeRun) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-f.events:
		if got != want {
			t.Fatalf("event %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no event, want %q", want)
	}
}

// site is a server on loopback.
type site struct {
	dir       string
	authority *identity.Authority
	run       *fakeRun
	listener  *breakable
	address   string
}

func newSite(t *testing.T, c Config) *site {
	t.Helper()
	run := newFakeRun()
	s := serve(t, run, c)
	s.run = run
	return s
}

func serve(t testing.TB, run Run, c Config) *site {
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
	s := &site{dir: dir, authority: a, listener: &breakable{Listener: l}, address: l.Addr().String()}
	server := New(a, run, c, zerolog.New(io.Discard))
	go server.Serve(s.listener)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		server.Shutdown(ctx)
		a.Close()
	})
	return s
}

// invitation goes through the text, as a person would carry it.
func (s *site) invitation(t testing.TB, name string, ttl time.Duration) clientid.Invitation {
	t.Helper()
	inv, err := s.authority.Invite(t.Context(), name, s.address, ttl)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := clientid.ParseInvitation(inv.String())
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// member joins and returns the directory of the identity.
func (s *site) member(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	id, err := client.Join(t.Context(), s.invitation(t, name, time.Hour), dir)
	if err != nil {
		t.Fatal(err)
	}
	if id.Name != name {
		t.Fatalf("joined as %q, want %q", id.Name, name)
	}
	return dir
}

func connect(t testing.TB, dir string) *client.Client {
	t.Helper()
	c, err := client.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// breakable can cut all connections it accepted, as a router that restarts does.
type breakable struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (b *breakable) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		b.mu.Lock()
		b.conns = append(b.conns, c)
		b.mu.Unlock()
	}
	return c, err
}

func (b *breakable) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

var order = coordinator.Order{
	Run: "r", Round: 3, Attempt: 2, Task: []byte(`{"batch":32}`), TaskHash: [32]byte{1}, Model: [32]byte{2},
	Codec: aggregation.Codec{Bits: 16, Range: 0.5}, Epochs: 1.5, LR: 0.05, Weight: 0.25, Deadline: time.Minute,
}

func TestOneRound(t *testing.T) {
	s := newSite(t, Config{})
	s.run.params = make([]float32, 200_001) // several chunks and a rest
	for i := range s.run.params {
		s.run.params[i] = math.Float32frombits(uint32(i) * 2654435761)
	}
	c := connect(t, s.member(t, "a"))
	s.run.orders <- order
	got, err := c.CheckIn(t.Context(), participant.Info{Examples: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := order
	if string(got.Task) != string(want.Task) {
		t.Errorf("task %q", got.Task)
	}
	got.Task, want.Task = nil, nil
	if got.Run != want.Run || got.Round != want.Round || got.Attempt != want.Attempt || got.TaskHash != want.TaskHash || got.Model != want.Model ||
		got.Codec != want.Codec || got.Epochs != want.Epochs || got.LR != want.LR || got.Weight != want.Weight || got.Deadline != want.Deadline {
		t.Errorf("order %+v, want %+v", got, want)
	}
	params, err := c.Model(t.Context(), got.Model, len(s.run.params))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range params {
		if math.Float32bits(v) != math.Float32bits(s.run.params[i]) {
			t.Fatalf("parameter %d differs", i)
		}
	}
	if _, err := c.Model(t.Context(), got.Model, len(params)-1); err == nil {
		t.Error("a model of another size than expected was accepted")
	}
	body := make([]byte, s.run.size)
	for i := range body {
		body[i] = byte(i * i >> 3)
	}
	if err := c.Report(t.Context(), participant.Report{Run: "r", Round: 3, Attempt: 2, Model: got.Model, TaskHash: got.TaskHash, Body: body}); err != nil {
		t.Fatal(err)
	}
	reports := s.run.accepted()
	if len(reports) != 1 || string(reports[0].Body) != string(body) || reports[0].Round != 3 || reports[0].Attempt != 2 || reports[0].Model != order.Model {
		t.Error("the report did not arrive as it was sent")
	}
}

// The presence of a client is its open stream: closing ends the session.
func TestStreamBreakClosesTheSession(t *testing.T) {
	s := newSite(t, Config{})
	c := connect(t, s.member(t, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.CheckIn(ctx, participant.Info{Examples: 1})
		done <- err
	}()
	s.run.expect(t, "attach a")
	s.run.expect(t, "next a")
	s.listener.cut()
	s.run.expect(t, "close a")
	if err := <-done; err == nil || errors.Is(err, participant.ErrRefused) || errors.Is(err, participant.ErrFinished) {
		t.Errorf("a broken connection gives %v, want a passing error", err)
	}
	// The next check-in comes back; ending it leaves.
	go func() {
		_, err := c.CheckIn(ctx, participant.Info{Examples: 1})
		done <- err
	}()
	s.run.expect(t, "attach a")
	s.run.expect(t, "next a")
	cancel()
	s.run.expect(t, "close a")
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// A client that trains and loses its connection for a moment is soon present
// again, though nobody calls it.
func TestPresenceSurvivesABlipWhileTraining(t *testing.T) {
	s := newSite(t, Config{})
	c := connect(t, s.member(t, "a"))
	s.run.orders <- order
	if _, err := c.CheckIn(t.Context(), participant.Info{Examples: 1}); err != nil {
		t.Fatal(err)
	}
	s.run.expect(t, "attach a")
	s.run.expect(t, "next a")
	for range 2 {
		s.listener.cut()
		s.run.expect(t, "close a")
		s.run.expect(t, "attach a")
	}
	// Ready goes over the reopened stream: there is no second attach.
	s.run.orders <- order
	if _, err := c.CheckIn(t.Context(), participant.Info{Examples: 1}); err != nil {
		t.Fatal(err)
	}
	s.run.expect(t, "next a")
	c.Close()
	s.run.expect(t, "close a")
}

// Every outcome keeps its meaning over the wire, from wherever it is returned.
func TestOutcomesCrossTheWire(t *testing.T) {
	s := newSite(t, Config{})
	c := connect(t, s.member(t, "a"))
	for _, tc := range []struct{ server, client error }{
		{coordinator.ErrFinished, participant.ErrFinished},
		{coordinator.ErrSuperseded, participant.ErrRefused},
		{coordinator.ErrStale, participant.ErrClosed},
		{coordinator.ErrMalformed, participant.ErrRefused},
		{coordinator.ErrHalted, client.ErrHalted},
		{round.ErrClosed, participant.ErrClosed},
		{round.ErrNotSelected, participant.ErrClosed},
		{round.ErrDuplicate, participant.ErrClosed},
		{round.ErrMalformed, participant.ErrRefused},
		{errBusy, client.ErrBusy},
		{identity.ErrRevoked, participant.ErrRefused},
	} {
		t.Run(tc.server.Error(), func(t *testing.T) {
			var errs [3]error
			s.run.attach = tc.server
			_, errs[0] = c.CheckIn(t.Context(), participant.Info{Examples: 1})
			s.run.attach, s.run.next = nil, tc.server
			_, errs[1] = c.CheckIn(t.Context(), participant.Info{Examples: 1})
			s.run.next, s.run.report = nil, tc.server
			errs[2] = c.Report(t.Context(), participant.Report{Body: make([]byte, s.run.size)})
			s.run.report = nil
			for i, err := range errs {
				if !errors.Is(err, tc.client) {
					t.Errorf("%s: got %v, want %v", []string{"attach", "next", "report"}[i], err, tc.client)
				}
				if err != nil && !strings.Contains(err.Error(), tc.server.Error()) {
					t.Errorf("%q does not tell %q", err, tc.server)
				}
			}
			for len(s.run.events) > 0 {
				<-s.run.events
			}
		})
	}
	if _, ok := client.RetryAfter(c.Report(t.Context(), participant.Report{Body: make([]byte, s.run.size)})); ok {
		t.Error("an accepted report carries a retry hint")
	}
	s.run.report = errBusy
	if d, ok := client.RetryAfter(c.Report(t.Context(), participant.Report{Body: make([]byte, s.run.size)})); !ok || d != busyDelay {
		t.Errorf("busy: retry hint %v, %v", d, ok)
	}
}

// What is not in the table is the server's own business.
func TestInternalErrorsAreNotTold(t *testing.T) {
	s := newSite(t, Config{})
	c := connect(t, s.member(t, "a"))
	s.run.report = errors.New("open /var/secret/place: disk full")
	err := c.Report(t.Context(), participant.Report{Body: make([]byte, s.run.size)})
	if err == nil || strings.Contains(err.Error(), "secret") || errors.Is(err, participant.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestJoinRefusals(t *testing.T) {
	s := newSite(t, Config{})
	used := s.invitation(t, "used", time.Hour)
	if _, err := client.Join(t.Context(), used, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Join(t.Context(), used, t.TempDir()); !errors.Is(err, client.ErrInvitationUsed) {
		t.Errorf("used: %v", err)
	}
	expired := s.invitation(t, "expired", time.Nanosecond)
	if _, err := client.Join(t.Context(), expired, t.TempDir()); !errors.Is(err, client.ErrInvitationExpired) {
		t.Errorf("expired: %v", err)
	}
	unknown := s.invitation(t, "unknown", time.Hour)
	unknown.Secret[0] ^= 1
	if _, err := client.Join(t.Context(), unknown, t.TempDir()); !errors.Is(err, client.ErrInvitationUnknown) {
		t.Errorf("unknown: %v", err)
	}
	other := s.invitation(t, "other", time.Hour)
	other.Authority[0] ^= 1
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := client.Join(t.Context(), other, dir); !errors.Is(err, clientid.ErrWrongAuthority) {
		t.Errorf("wrong authority: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused server left a directory behind")
	}
	joined := s.member(t, "joined")
	if _, err := client.Join(t.Context(), s.invitation(t, "again", time.Hour), joined); !errors.Is(err, clientid.ErrJoined) {
		t.Errorf("into a member's directory: %v", err)
	}
}

// An answer that was lost on the way: the second try, from the same directory,
// gets the certificate.
func TestJoinCanBeRepeated(t *testing.T) {
	s := newSite(t, Config{})
	inv, dir := s.invitation(t, "a", time.Hour), t.TempDir()
	pending, err := clientid.Prepare(dir)
	if err != nil {
		t.Fatal(err)
	}
	request, err := pending.Request("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.authority.Redeem(t.Context(), inv.Secret[:], request); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Join(t.Context(), inv, dir); err != nil {
		t.Fatal(err)
	}
	if err := client.Reach(t.Context(), mustLoad(t, dir)); err != nil {
		t.Errorf("reach: %v", err)
	}
}

func mustLoad(t *testing.T, dir string) *clientid.Identity {
	t.Helper()
	id, err := clientid.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRevokedClientIsRefusedEverywhere(t *testing.T) {
	s := newSite(t, Config{})
	s.run.params = make([]float32, 4)
	c := connect(t, s.member(t, "a"))
	// It waits for an order while it is revoked; the order must not reach it.
	done := make(chan error)
	go func() {
		_, err := c.CheckIn(t.Context(), participant.Info{Examples: 1})
		done <- err
	}()
	s.run.expect(t, "attach a")
	s.run.expect(t, "next a")
	if err := s.authority.Revoke(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	s.run.orders <- order
	if err := <-done; !errors.Is(err, participant.ErrRefused) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("waiting: %v", err)
	}
	s.run.expect(t, "close a")
	_, err := c.CheckIn(t.Context(), participant.Info{Examples: 1})
	if !errors.Is(err, participant.ErrRefused) {
		t.Errorf("CheckIn: %v", err)
	}
	if _, err := c.Model(t.Context(), [32]byte{}, 4); !errors.Is(err, participant.ErrRefused) {
		t.Errorf("Model: %v", err)
	}
	if err := c.Report(t.Context(), participant.Report{Body: make([]byte, s.run.size)}); !errors.Is(err, participant.ErrRefused) {
		t.Errorf("Report: %v", err)
	}
	if n := len(s.run.accepted()); n != 0 {
		t.Errorf("%d reports accepted", n)
	}
}

// A server that was set up anew under the old address is not the one joined.
func TestOtherServerAtTheAddress(t *testing.T) {
	s, other := newSite(t, Config{}), newSite(t, Config{})
	dir := s.member(t, "a")
	if err := os.WriteFile(filepath.Join(dir, "server"), []byte(other.address+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := connect(t, dir)
	if _, err := c.CheckIn(t.Context(), participant.Info{Examples: 1}); !errors.Is(err, participant.ErrRefused) || !strings.Contains(err.Error(), "not the one joined") {
		t.Errorf("got %v", err)
	}
	if err := client.Reach(t.Context(), mustLoad(t, dir)); !errors.Is(err, participant.ErrRefused) {
		t.Errorf("reach: %v", err)
	}
}

func TestReachOfNobody(t *testing.T) {
	s := newSite(t, Config{})
	dir := s.member(t, "a")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.WriteFile(filepath.Join(dir, "server"), []byte(l.Addr().String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := client.Reach(t.Context(), mustLoad(t, dir)); err == nil || errors.Is(err, participant.ErrRefused) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}
