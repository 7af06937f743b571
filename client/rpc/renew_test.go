package rpc

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sotto-fl/sotto/aggregation/terms"
	clientid "github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/identity"
	"github.com/sotto-fl/sotto/server/rpc"
)

// orders answers every Ready at once.
type orders struct{}

func (orders) Attach(coordinator.Info) (rpc.Session, error) { return orders{}, nil }
func (orders) Close()                                       {}
func (orders) Discloses() costcurve.Disclosure              { return costcurve.TellNothing }
func (orders) Model([32]byte) ([]float32, error)            { return nil, coordinator.ErrStale }

func (orders) BodySize() int { return 1 }
func (orders) Show(int64, bool) (ledger.Shown, error) {
	return ledger.Shown{}, coordinator.ErrNoLedger
}
func (orders) Hasher() *terms.Hasher                            { return nil }
func (orders) Declare(*energy.Offer, []coordinator.Spent) error { return nil }
func (orders) Next(context.Context) (coordinator.Order, error) {
	return coordinator.Order{Round: 1, Deadline: time.Minute}, nil
}
func (orders) Report(context.Context, string, coordinator.Report) (coordinator.Receipt, error) {
	return coordinator.Receipt{}, nil
}

// In virtual time: a certificate lasts 90 days and is renewed at a check-in of
// its last third, without anyone doing anything. A pause longer than its life
// ends the membership with a clear error.
func TestCertificateRenewsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		serverDir, dir := t.TempDir(), t.TempDir()
		if err := identity.Init(ctx, serverDir, []string{"127.0.0.1"}); err != nil {
			t.Fatal(err)
		}
		a, err := identity.Open(ctx, serverDir)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		const address = "127.0.0.1:7443"
		inv, err := a.Invite(ctx, "a", address, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		pending, err := clientid.Prepare(dir)
		if err != nil {
			t.Fatal(err)
		}
		request, err := pending.Request("a")
		if err != nil {
			t.Fatal(err)
		}
		cert, err := a.Redeem(ctx, inv.Secret[:], request)
		if err != nil {
			t.Fatal(err)
		}
		ca, err := x509.ParseCertificate(a.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pending.Complete(dir, address, ca, cert.Raw); err != nil {
			t.Fatal(err)
		}

		listener := bufconn.Listen(1 << 20)
		server := rpc.New(a, orders{}, rpc.Config{}, zerolog.New(io.Discard))
		go server.Serve(listener)
		defer func() {
			stop, cancel := context.WithCancel(context.Background())
			cancel()
			server.Shutdown(stop)
		}()
		open := func() *Client {
			c, err := newClient(dir, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		checkIn := func(c *Client) {
			t.Helper()
			if _, err := c.CheckIn(ctx, participant.Info{Examples: 1}); err != nil {
				t.Fatalf("on %s: %v", time.Now().Format(time.DateOnly), err)
			}
		}
		c := open()
		checkIn(c)
		first := c.id.NotAfter()
		c.Close()
		time.Sleep(59 * 24 * time.Hour)
		c = open()
		checkIn(c)
		if !c.id.NotAfter().Equal(first) {
			t.Error("renewed with more than a third of its life left")
		}
		c.Close()
		time.Sleep(30*24*time.Hour + 12*time.Hour)
		c = open()
		defer c.Close()
		checkIn(c)
		// The connection stays open past the end of the first certificate.
		time.Sleep(24 * time.Hour)
		if time.Now().Before(first) {
			t.Fatal("the first certificate is still valid")
		}
		checkIn(c)
		c.leave()
		stored, err := clientid.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !stored.NotAfter().After(first.Add(80*24*time.Hour)) || !stored.NotAfter().Equal(c.id.NotAfter()) {
			t.Errorf("the stored certificate ends %s, the first ended %s", stored.NotAfter(), first)
		}
		time.Sleep(100 * 24 * time.Hour)
		_, err = c.CheckIn(ctx, participant.Info{Examples: 1})
		if !errors.Is(err, participant.ErrRefused) || !errors.Is(err, clientid.ErrExpired) {
			t.Errorf("expired: %v", err)
		}
		if _, err := Dial(dir); !errors.Is(err, clientid.ErrExpired) {
			t.Errorf("dial with an expired certificate: %v", err)
		}
	})
}
