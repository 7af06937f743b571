package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/sotto-fl/sotto/client/identity"
)

const address = "127.0.0.1:7443"

func newTestAuthority(t *testing.T) *Authority {
	t.Helper()
	dir := t.TempDir()
	if err := Init(t.Context(), dir, []string{"localhost", "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func request(t *testing.T) []byte {
	t.Helper()
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "whatever"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func invite(t *testing.T, a *Authority, name string) Invitation {
	t.Helper()
	inv, err := a.Invite(t.Context(), name, address, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func join(t *testing.T, a *Authority, name string) *x509.Certificate {
	t.Helper()
	inv := invite(t, a, name)
	c, err := a.Redeem(t.Context(), inv.Secret[:], request(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJoinGivesAClientCertificate(t *testing.T) {
	a := newTestAuthority(t)
	c := join(t, a, "clinic-1")
	roots := x509.NewCertPool()
	roots.AddCert(a.ca)
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("a client certificate is accepted as a server's")
	}
	if got := time.Until(c.NotAfter); got < ClientLifetime-time.Hour || got > ClientLifetime {
		t.Errorf("lifetime %s, want about %s", got, ClientLifetime)
	}
	name, err := a.Check(t.Context(), c)
	if err != nil || name != "clinic-1" {
		t.Errorf("Check = %q, %v", name, err)
	}
	members, err := a.Members(t.Context())
	if err != nil || len(members) != 1 || members[0].Name != "clinic-1" || members[0].LastSeen.IsZero() || members[0].Revoked {
		t.Errorf("Members = %+v, %v", members, err)
	}
}

func TestRedeemRefuses(t *testing.T) {
	a := newTestAuthority(t)
	used := invite(t, a, "used")
	if _, err := a.Redeem(t.Context(), used.Secret[:], request(t)); err != nil {
		t.Fatal(err)
	}
	expired := invite(t, a, "expired")
	fresh := invite(t, a, "fresh")
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecdsaRequest, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ec)
	if err != nil {
		t.Fatal(err)
	}
	forged := request(t)
	forged[len(forged)-1] ^= 1 // the signature
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }

	for _, tc := range []struct {
		name   string
		now    func() time.Time
		secret []byte
		csr    []byte
		want   error
	}{
		{"used", time.Now, used.Secret[:], request(t), ErrInvitationUsed},
		{"expired", later, expired.Secret[:], request(t), ErrInvitationExpired},
		{"unknown", time.Now, make([]byte, 16), request(t), ErrUnknownInvitation},
		{"short secret", time.Now, fresh.Secret[:15], request(t), ErrUnknownInvitation},
		{"empty request", time.Now, fresh.Secret[:], nil, ErrBadRequest},
		{"garbage request", time.Now, fresh.Secret[:], []byte("hello"), ErrBadRequest},
		{"huge request", time.Now, fresh.Secret[:], make([]byte, maxRequest+1), ErrBadRequest},
		{"other key type", time.Now, fresh.Secret[:], ecdsaRequest, ErrBadRequest},
		{"no possession", time.Now, fresh.Secret[:], forged, ErrBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.now = tc.now
			if _, err := a.Redeem(t.Context(), tc.secret, tc.csr); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	// None of the refusals used the invitation up.
	a.now = time.Now
	if _, err := a.Redeem(t.Context(), fresh.Secret[:], request(t)); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

// A client whose answer was lost asks again with the key it kept.
func TestRedeemTwiceWithOneKey(t *testing.T) {
	a := newTestAuthority(t)
	inv, csr := invite(t, a, "a"), request(t)
	first, err := a.Redeem(t.Context(), inv.Secret[:], csr)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Redeem(t.Context(), inv.Secret[:], csr)
	if err != nil || !again.Equal(first) {
		t.Fatalf("the same request again: %v", err)
	}
	if err := a.Revoke(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Redeem(t.Context(), inv.Secret[:], csr); !errors.Is(err, ErrRevoked) {
		t.Errorf("after revocation: got %v, want %v", err, ErrRevoked)
	}
}

// However many redeem one invitation at once, through two processes' worth of
// connections, one succeeds.
func TestInvitationWorksOnceConcurrently(t *testing.T) {
	a := newTestAuthority(t)
	b := open(t, a.dir)
	inv := invite(t, a, "a")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		csr := request(t)
		wg.Go(func() { _, errs[i] = []*Authority{a, b}[i%2].Redeem(context.Background(), inv.Secret[:], csr) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrInvitationUsed) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d redeemed one invitation, want 1", won)
	}
}

func TestRevokeAndRejoin(t *testing.T) {
	a := newTestAuthority(t)
	old := join(t, a, "a")
	if _, err := a.Invite(t.Context(), "a", address, time.Hour); !errors.Is(err, ErrNameTaken) {
		t.Errorf("inviting a member: got %v, want %v", err, ErrNameTaken)
	}
	other := open(t, a.dir) // `server revoke` while `server serve` runs
	if err := other.Revoke(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Check(t.Context(), old); !errors.Is(err, ErrRevoked) {
		t.Errorf("Check: got %v, want %v", err, ErrRevoked)
	}
	if _, err := a.Renew(t.Context(), old, request(t)); !errors.Is(err, ErrRevoked) {
		t.Errorf("Renew: got %v, want %v", err, ErrRevoked)
	}
	if err := a.Revoke(t.Context(), "a"); !errors.Is(err, ErrNotMember) {
		t.Errorf("revoking again: got %v, want %v", err, ErrNotMember)
	}
	fresh := join(t, a, "a")
	if _, err := a.Check(t.Context(), fresh); err != nil {
		t.Errorf("rejoined: %v", err)
	}
	if _, err := a.Check(t.Context(), old); !errors.Is(err, ErrRevoked) {
		t.Errorf("old certificate after rejoining: got %v, want %v", err, ErrRevoked)
	}
}

func TestRevokeWithdrawsInvitations(t *testing.T) {
	a := newTestAuthority(t)
	inv := invite(t, a, "a")
	if err := a.Revoke(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Redeem(t.Context(), inv.Secret[:], request(t)); !errors.Is(err, ErrUnknownInvitation) {
		t.Errorf("got %v, want %v", err, ErrUnknownInvitation)
	}
}

func TestRenew(t *testing.T) {
	a := newTestAuthority(t)
	old := join(t, a, "a")
	a.now = func() time.Time { return time.Now().Add(80 * 24 * time.Hour) }
	fresh, err := a.Renew(t.Context(), old, request(t))
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Subject.CommonName != "a" || !fresh.NotAfter.After(old.NotAfter) {
		t.Errorf("renewed for %q until %s", fresh.Subject.CommonName, fresh.NotAfter)
	}
	if _, err := a.Check(t.Context(), old); err != nil {
		t.Errorf("the older certificate is refused before it expires: %v", err)
	}
	a.now = func() time.Time { return time.Now().Add(100 * 24 * time.Hour) }
	if _, err := a.Check(t.Context(), old); !errors.Is(err, ErrNotMember) {
		t.Errorf("expired: got %v, want %v", err, ErrNotMember)
	}
	if _, err := a.Check(t.Context(), fresh); err != nil {
		t.Errorf("renewed: %v", err)
	}
}

// The CA key alone admits nobody: a certificate must be in the database.
func TestUnrecordedCertificateIsNoMember(t *testing.T) {
	a := newTestAuthority(t)
	pub, _, _ := ed25519.GenerateKey(rand.Reader)
	c, err := a.newClient("a", pub)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Check(t.Context(), c); !errors.Is(err, ErrNotMember) {
		t.Errorf("got %v, want %v", err, ErrNotMember)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "clinic-1", "0", strings.Repeat("a", 63)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-a", "A", "a_b", "a b", "a\n", "../a", "ä", strings.Repeat("a", 64)} {
		if err := CheckName(name); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestInitKeepsSecretsAndRefusesToOverwrite(t *testing.T) {
	a := newTestAuthority(t)
	for _, f := range []string{caKeyFile, serverKeyFile, membershipFile} {
		info, err := os.Stat(filepath.Join(a.dir, f))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", f, info.Mode().Perm())
		}
	}
	before, _ := os.ReadFile(filepath.Join(a.dir, caFile))
	if err := Init(t.Context(), a.dir, []string{"localhost"}); !errors.Is(err, ErrInitialized) {
		t.Errorf("second Init: got %v, want %v", err, ErrInitialized)
	}
	if after, _ := os.ReadFile(filepath.Join(a.dir, caFile)); string(after) != string(before) {
		t.Error("second Init changed the authority")
	}
	if _, err := Open(t.Context(), t.TempDir()); !errors.Is(err, ErrNotInitialized) {
		t.Errorf("Open of nothing: %v", err)
	}
	// An Init that was interrupted before its last file is simply done again.
	if err := os.Remove(filepath.Join(a.dir, serverFile)); err != nil {
		t.Fatal(err)
	}
	if err := Init(t.Context(), a.dir, []string{"localhost"}); err != nil {
		t.Errorf("Init after an interrupted one: %v", err)
	}
}

func TestOpenRefusesMixedFiles(t *testing.T) {
	a, b := newTestAuthority(t), newTestAuthority(t)
	ca, _ := os.ReadFile(filepath.Join(b.dir, caFile))
	if err := os.WriteFile(filepath.Join(a.dir, caFile), ca, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), a.dir); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("got %v", err)
	}
}

func TestInviteRefusesAddressOutsideTheCertificate(t *testing.T) {
	a := newTestAuthority(t)
	for _, addr := range []string{"elsewhere:7443", "localhost", ":7443", ""} {
		if _, err := a.Invite(t.Context(), "a", addr, time.Hour); err == nil {
			t.Errorf("%q accepted", addr)
		}
	}
}

// The text that the server writes is the text that a client reads, and the
// secret in it is nowhere on the server's disk.
func TestInvitationText(t *testing.T) {
	a := newTestAuthority(t)
	inv := invite(t, a, "clinic-1")
	text := inv.String()
	for _, form := range []string{text, " " + strings.ToUpper(text) + "\r\n", text[:40] + "\n  " + text[40:]} {
		got, err := client.ParseInvitation(form)
		if err != nil {
			t.Fatalf("%q: %v", form, err)
		}
		want := client.Invitation{Name: inv.Name, Address: inv.Address, Secret: inv.Secret, Authority: inv.Authority}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	files, _ := filepath.Glob(filepath.Join(a.dir, "*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), string(inv.Secret[:])) {
			t.Errorf("%s holds the secret", filepath.Base(f))
		}
	}
}
