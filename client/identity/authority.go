package identity

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrWrongAuthority says that whoever answers at the invitation's address is not
// the server that issued it.
var ErrWrongAuthority = errors.New("the server is not the one that issued the invitation: its certificate authority differs; someone may be in between, or the server was set up anew: ask its operator for a new invitation")

// FetchAuthority connects to the invitation's server and returns the certificate
// of its authority after comparing its SHA-256 with the invitation's and
// checking that it signed the server's certificate for that host. Nothing is
// sent over this connection.
func FetchAuthority(ctx context.Context, inv Invitation) (*x509.Certificate, error) {
	host, _, err := net.SplitHostPort(inv.Address)
	if err != nil {
		return nil, fmt.Errorf("server address %q: %w", inv.Address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var ca *x509.Certificate
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: host,
		NextProtos: []string{"h2"},
		// The usual check needs the authority, which is what this connection is to
		// find; pinned does it in full instead.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			var err error
			ca, err = pinned(s.PeerCertificates, inv.Authority, host)
			return err
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", inv.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", inv.Address, err)
	}
	conn.Close()
	return ca, nil
}

// pinned finds the certificate with that SHA-256 in a server's chain and checks
// the chain against it.
func pinned(chain []*x509.Certificate, pin [32]byte, host string) (*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, ErrWrongAuthority
	}
	for _, ca := range chain[1:] {
		if sha256.Sum256(ca.Raw) != pin {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err := chain[0].Verify(x509.VerifyOptions{
			Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return nil, fmt.Errorf("certificate of %s: %w", host, err)
		}
		return ca, nil
	}
	return nil, ErrWrongAuthority
}
