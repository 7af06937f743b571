package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Outcomes that callers branch on.
var (
	ErrNotJoined = errors.New("no certificate here yet: run `client join` with an invitation first")
	ErrJoined    = errors.New("this directory already belongs to a member: use another directory to join again")
	ErrExpired   = errors.New("the certificate has expired: ask the server's operator for a new invitation")
)

const (
	secretFile    = "identity.pem" // private key, then certificate
	authorityFile = "ca.pem"
	addressFile   = "server"
)

// Identity is a member's key, certificate, authority and server. It is immutable;
// renewal makes a new one.
type Identity struct {
	Name    string
	Address string // host:port of the server

	key  ed25519.PrivateKey
	cert *x509.Certificate
	ca   *x509.Certificate
}

// Pending is a key that waits for its certificate.
type Pending struct {
	key ed25519.PrivateKey
}

// Prepare makes a key for joining in dir, or takes up the one that an
// interrupted join left. It returns ErrJoined if dir holds a certificate.
func Prepare(dir string) (*Pending, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, secretFile)
	key, cert, err := readSecret(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case cert != nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrJoined)
	default:
		return &Pending{key: key}, nil
	}
	p, err := NewPending()
	if err != nil {
		return nil, err
	}
	if err := writeSecret(path, p.key, nil); err != nil {
		return nil, fmt.Errorf("store the new key: %w", err)
	}
	return p, nil
}

// NewPending makes a key in memory, for a renewal.
func NewPending() (*Pending, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Pending{key: key}, nil
}

// Request is the certificate request for the key: PKCS #10, DER. name is for
// readers; the server decides the name.
func (p *Pending) Request(name string) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, p.key)
}

// Complete checks a certificate that was issued for the key against the
// authority and stores the whole identity in dir, replacing what was there.
func (p *Pending) Complete(dir, address string, ca *x509.Certificate, der []byte) (*Identity, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate from the server: %w", err)
	}
	id := &Identity{Name: cert.Subject.CommonName, Address: address, key: p.key, cert: cert, ca: ca}
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("certificate from the server: %w", err)
	}
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	if err := writeFile(filepath.Join(dir, authorityFile), 0o644, caPEM); err != nil {
		return nil, fmt.Errorf("store the identity: %w", err)
	}
	if err := writeFile(filepath.Join(dir, addressFile), 0o644, []byte(address+"\n")); err != nil {
		return nil, fmt.Errorf("store the identity: %w", err)
	}
	// Last: only with the certificate is the directory a member's.
	if err := writeSecret(filepath.Join(dir, secretFile), p.key, cert.Raw); err != nil {
		return nil, fmt.Errorf("store the identity: %w", err)
	}
	return id, nil
}

// Load reads the identity in dir. It returns ErrNotJoined if there is none. An
// expired one is loaded: see Expired.
func Load(dir string) (*Identity, error) {
	path := filepath.Join(dir, secretFile)
	key, cert, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && cert == nil {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotJoined)
	}
	if err != nil {
		return nil, err
	}
	caPEM, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if err != nil {
		return nil, fmt.Errorf("load the identity: %w", err)
	}
	block, _ := pem.Decode(caPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: no certificate in it: restore the file from a backup, or join again", filepath.Join(dir, authorityFile))
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, authorityFile), err)
	}
	address, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return nil, fmt.Errorf("load the identity: %w", err)
	}
	id := &Identity{Name: cert.Subject.CommonName, Address: strings.TrimSpace(string(address)), key: key, cert: cert, ca: ca}
	if _, _, err := net.SplitHostPort(id.Address); err != nil {
		return nil, fmt.Errorf("%s: want host:port: %w", filepath.Join(dir, addressFile), err)
	}
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return id, nil
}

// check ties key, certificate and authority together. Expiry is not looked at.
func (id *Identity) check() error {
	if !id.key.Public().(ed25519.PublicKey).Equal(id.cert.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	roots := x509.NewCertPool()
	roots.AddCert(id.ca)
	_, err := id.cert.Verify(x509.VerifyOptions{
		Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: id.cert.NotBefore,
	})
	return err
}

// TLS is the client's side of a connection: TLS 1.3, this server's authority and
// no other, and the member's certificate.
func (id *Identity) TLS() *tls.Config {
	c := AuthorityTLS(id.ca, id.Address)
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{id.cert.Raw}, PrivateKey: id.key}}
	return c
}

// AuthorityTLS is the configuration of a client that has no certificate yet.
func AuthorityTLS(ca *x509.Certificate, address string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	host, _, _ := net.SplitHostPort(address)
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: host}
}

// Authority is the certificate of the server's authority.
func (id *Identity) Authority() *x509.Certificate { return id.ca }

// NotAfter is when the certificate expires.
func (id *Identity) NotAfter() time.Time { return id.cert.NotAfter }

// Expired returns ErrExpired when the certificate is no longer valid at now.
func (id *Identity) Expired(now time.Time) error {
	if now.After(id.cert.NotAfter) {
		return fmt.Errorf("%s, on %s: %w", id.Name, id.cert.NotAfter.Format(time.DateOnly), ErrExpired)
	}
	return nil
}

// RenewalDue reports whether less than a third of the certificate's life is left.
func (id *Identity) RenewalDue(now time.Time) bool {
	life := id.cert.NotAfter.Sub(id.cert.NotBefore)
	return id.cert.NotAfter.Sub(now) < life/3
}

func readSecret(path string) (ed25519.PrivateKey, *x509.Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return nil, nil, fmt.Errorf("%s: others may read the private key (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	damaged := func(err error) error {
		return fmt.Errorf("%s: damaged (%w): restore it from a backup, or join again in another directory", path, err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, nil, damaged(errors.New("no private key"))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, damaged(err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, nil, damaged(errors.New("the key is not Ed25519"))
	}
	if len(bytes.TrimSpace(rest)) == 0 {
		return key, nil, nil
	}
	block, _ = pem.Decode(rest)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, nil, damaged(errors.New("no certificate behind the key"))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, damaged(err)
	}
	return key, cert, nil
}

func writeSecret(path string, key ed25519.PrivateKey, cert []byte) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if cert != nil {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	}
	return writeFile(path, 0o600, b)
}

// writeFile replaces a file whole: a temporary one, synced, then renamed.
func writeFile(path string, mode os.FileMode, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
