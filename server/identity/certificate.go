package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// The CA outlives any run. The server's key lies beside the CA's, so a shorter
	// life of its certificate would protect nothing.
	authorityLifetime = 10 * 365 * 24 * time.Hour

	// ClientLifetime is how long a client certificate lasts; clients renew in its
	// last third.
	ClientLifetime = 90 * 24 * time.Hour

	// Certificates start a little in the past: the clocks of clients differ.
	clockSkew = 10 * time.Minute

	// An Ed25519 request is about 200 bytes.
	maxRequest = 4 << 10
)

// newSerial returns 128 random bits, as RFC 5280 allows up to 159.
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] |= 0x40 // of constant length, and positive
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func newAuthority(now time.Time) (ed25519.PrivateKey, []byte, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: "Sotto certificate authority"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	return key, der, err
}

func newServer(now time.Time, hosts []string, ca *x509.Certificate, caKey ed25519.PrivateKey) (ed25519.PrivateKey, []byte, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: "Sotto server"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              ca.NotAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, pub, caKey)
	return key, der, err
}

// newClient signs a certificate for name and the key of a checked request.
func (a *Authority) newClient(name string, pub ed25519.PublicKey) (*x509.Certificate, error) {
	now := a.now()
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(ClientLifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca, pub, a.caKey)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	return x509.ParseCertificate(der)
}

// checkRequest returns the key of a certificate request after checking that the
// sender holds it.
func checkRequest(der []byte) (ed25519.PublicKey, error) {
	if len(der) == 0 || len(der) > maxRequest {
		return nil, fmt.Errorf("%w: it has %d bytes, want 1 to %d", ErrBadRequest, len(der), maxRequest)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	pub, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: its key is %s, want Ed25519", ErrBadRequest, csr.PublicKeyAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return pub, nil
}

func writeKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeNew(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func writeCertificate(path string, der []byte) error {
	return writeNew(path, 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// writeNew creates a file that must not exist, durably. A file that could not be
// written whole is removed: half a certificate would look like a finished Init.
func writeNew(path string, mode os.FileMode, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: no PEM block %q: restore the file from a backup", filepath.Base(path), kind)
	}
	return block.Bytes, nil
}
