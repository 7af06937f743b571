package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sotto-fl/sotto/server/store"
)

const (
	caKeyFile      = "ca.key"
	caFile         = "ca.pem"
	serverKeyFile  = "server.key"
	serverFile     = "server.pem"
	membershipFile = "identity.db"
)

var migrations = []string{`
CREATE TABLE invitations (
	secret_sha256 BLOB PRIMARY KEY,
	name          TEXT NOT NULL,
	expires       INTEGER NOT NULL, -- Unix seconds, as all times here
	used_key      BLOB              -- public key that redeemed it
);
CREATE TABLE certificates (
	serial     TEXT PRIMARY KEY,    -- hexadecimal
	name       TEXT NOT NULL,
	public_key BLOB NOT NULL,
	der        BLOB NOT NULL,
	issued     INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	revoked    INTEGER              -- when, NULL: valid
);
CREATE INDEX certificates_by_name ON certificates (name);
CREATE TABLE seen (
	name TEXT PRIMARY KEY,
	at   INTEGER NOT NULL
);`}

// Authority issues and checks identities. It is safe for concurrent use, and
// several processes may use one directory at once.
type Authority struct {
	dir    string
	db     *sql.DB
	ca     *x509.Certificate
	caKey  ed25519.PrivateKey
	server tls.Certificate
	now    func() time.Time // tests move it

	mu   sync.Mutex
	seen map[string]time.Time // last time written for a name
}

// Init makes a new authority and a server certificate for hosts (DNS names and
// IP addresses under which clients reach the server) in dir. Keys have mode
// 0600. It refuses a directory that holds an authority: replacing it would lock
// out every member.
func Init(ctx context.Context, dir string, hosts []string) error {
	if len(hosts) == 0 {
		return errors.New("a server certificate needs at least one host name or IP address")
	}
	for _, h := range hosts {
		if _, _, err := net.SplitHostPort(h); h == "" || err == nil {
			return fmt.Errorf("host %q: want a name or an IP address without a port", h)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, serverFile)); err == nil {
		return fmt.Errorf("%s: %w", dir, ErrInitialized)
	}
	now := time.Now()
	caKey, caDER, err := newAuthority(now)
	if err != nil {
		return fmt.Errorf("make the certificate authority: %w", err)
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		return fmt.Errorf("make the certificate authority: %w", err)
	}
	key, der, err := newServer(now, hosts, ca, caKey)
	if err != nil {
		return fmt.Errorf("make the server certificate: %w", err)
	}
	// The server certificate is written last and marks a complete directory. What
	// an interrupted Init left has admitted nobody and is replaced.
	for _, f := range []string{caKeyFile, caFile, serverKeyFile} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, write := range []func() error{
		func() error { return writeKey(filepath.Join(dir, caKeyFile), caKey) },
		func() error { return writeCertificate(filepath.Join(dir, caFile), caDER) },
		func() error { return writeKey(filepath.Join(dir, serverKeyFile), key) },
		func() error { return writeCertificate(filepath.Join(dir, serverFile), der) },
	} {
		if err := write(); err != nil {
			return fmt.Errorf("write the new identity: %w", err)
		}
	}
	a, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	return a.Close()
}

// Open loads the authority that Init made in dir.
func Open(ctx context.Context, dir string) (*Authority, error) {
	if _, err := os.Stat(filepath.Join(dir, serverFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotInitialized)
	}
	a := &Authority{dir: dir, now: time.Now, seen: map[string]time.Time{}}
	caDER, err := readPEM(filepath.Join(dir, caFile), "CERTIFICATE")
	if err != nil {
		return nil, fmt.Errorf("load the certificate authority: %w", err)
	}
	if a.ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, fmt.Errorf("load the certificate authority: %w", err)
	}
	if a.caKey, err = readKey(filepath.Join(dir, caKeyFile)); err != nil {
		return nil, fmt.Errorf("load the certificate authority: %w", err)
	}
	if !a.caKey.Public().(ed25519.PublicKey).Equal(a.ca.PublicKey) {
		return nil, fmt.Errorf("%s and %s in %s do not belong together: restore both from one backup", caKeyFile, caFile, dir)
	}
	a.server, err = tls.LoadX509KeyPair(filepath.Join(dir, serverFile), filepath.Join(dir, serverKeyFile))
	if err != nil {
		return nil, fmt.Errorf("load the server certificate: %w", err)
	}
	// A joining client knows only the hash of the CA's certificate: it is sent along.
	a.server.Certificate = append(a.server.Certificate, caDER)
	if a.db, err = store.OpenSQLite(ctx, filepath.Join(dir, membershipFile), migrations); err != nil {
		return nil, err
	}
	return a, nil
}

// Close releases the database.
func (a *Authority) Close() error { return a.db.Close() }

// Certificate is the authority's own, DER. The caller must not change it.
func (a *Authority) Certificate() []byte { return a.ca.Raw }

// Fingerprint is the SHA-256 of the authority's certificate, to which
// invitations pin.
func (a *Authority) Fingerprint() [32]byte { return sha256.Sum256(a.ca.Raw) }

// TLS is the server's side of a connection: TLS 1.3, and any client certificate
// that is shown must be of this authority. A connection without one is let
// through, to Join; refusing it elsewhere, and refusing revoked ones, is up to
// Check on every call.
func (a *Authority) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.ca)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{a.server},
		ClientCAs:    pool,
		ClientAuth:   tls.VerifyClientCertIfGiven,
	}
}

func readKey(path string) (ed25519.PrivateKey, error) {
	der, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: the key is not Ed25519", filepath.Base(path))
	}
	return k, nil
}
