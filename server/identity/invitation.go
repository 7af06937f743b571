package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	invitationPrefix  = "sotto-invite-"
	invitationVersion = 1
	secretSize        = 16 // 128 bits: beyond guessing, also offline
)

// Invitation is what its text tells a client.
type Invitation struct {
	Name      string
	Address   string // host:port of the server
	Secret    [secretSize]byte
	Authority [32]byte // SHA-256 of the CA certificate
	Expires   time.Time
}

// String is the text to hand to the client, once and in private: whoever has it
// can join under the name.
//
// It is the prefix "sotto-invite-" and lower-case base32 without padding of:
// version (1 byte), SHA-256 of the CA certificate (32), secret (16), length and
// bytes of the name, length and bytes of the address, and the first 4 bytes of
// the SHA-256 of all before them. Base32 survives lost case and is one word to a
// double click.
func (i Invitation) String() string {
	b := []byte{invitationVersion}
	b = append(b, i.Authority[:]...)
	b = append(b, i.Secret[:]...)
	b = append(b, byte(len(i.Name)))
	b = append(b, i.Name...)
	b = append(b, byte(len(i.Address)))
	b = append(b, i.Address...)
	sum := sha256.Sum256(b)
	return invitationPrefix + invitationText.EncodeToString(append(b, sum[:4]...))
}

var invitationText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Invite makes an invitation for name that works once, until ttl from now.
// address is where clients reach the server; its host must be in the server's
// certificate. Only the secret's hash is kept.
func (a *Authority) Invite(ctx context.Context, name, address string, ttl time.Duration) (Invitation, error) {
	if err := CheckName(name); err != nil {
		return Invitation{}, err
	}
	if ttl <= 0 {
		return Invitation{}, fmt.Errorf("invitation for %s: lifetime %s, want more than 0", name, ttl)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" || len(address) > 255 {
		return Invitation{}, fmt.Errorf("server address %q: want host:port, e.g. fl.example.org:7443", address)
	}
	leaf, err := x509.ParseCertificate(a.server.Certificate[0])
	if err != nil {
		return Invitation{}, err
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return Invitation{}, fmt.Errorf("server address %s: the server's certificate is not for that host, clients would refuse it: %w", address, err)
	}
	inv := Invitation{Name: name, Address: address, Authority: a.Fingerprint(), Expires: a.now().Add(ttl).Truncate(time.Second)}
	rand.Read(inv.Secret[:])
	hash := sha256.Sum256(inv.Secret[:])

	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return Invitation{}, err
	}
	defer tx.Rollback()
	if err := a.nameFree(ctx, tx, name); err != nil {
		return Invitation{}, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO invitations (secret_sha256, name, expires) VALUES (?, ?, ?)`, hash[:], name, inv.Expires.Unix()); err != nil {
		return Invitation{}, fmt.Errorf("store the invitation for %s: %w", name, err)
	}
	return inv, tx.Commit()
}

// Redeem trades the secret of an invitation and a certificate request (PKCS #10,
// DER) for a client certificate. The same secret and key again give the same
// certificate, for a client whose answer was lost; the same secret with another
// key gives ErrInvitationUsed. Other refusals: ErrUnknownInvitation,
// ErrInvitationExpired, ErrNameTaken, ErrBadRequest. Nothing changes when it refuses.
func (a *Authority) Redeem(ctx context.Context, secret, csr []byte) (*x509.Certificate, error) {
	pub, err := checkRequest(csr)
	if err != nil {
		return nil, err
	}
	if len(secret) != secretSize {
		return nil, ErrUnknownInvitation
	}
	hash := sha256.Sum256(secret)
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	var name string
	var expires int64
	var used []byte
	err = tx.QueryRowContext(ctx, `SELECT name, expires, used_key FROM invitations WHERE secret_sha256 = ?`, hash[:]).Scan(&name, &expires, &used)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrUnknownInvitation
	case err != nil:
		return nil, err
	case used != nil && subtle.ConstantTimeCompare(used, pub) != 1:
		return nil, ErrInvitationUsed
	case a.now().Unix() >= expires:
		return nil, ErrInvitationExpired
	case used != nil:
		return a.issued(ctx, tx, name, pub)
	}
	if err := a.nameFree(ctx, tx, name); err != nil {
		return nil, err
	}
	cert, err := a.newClient(name, pub)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE invitations SET used_key = ? WHERE secret_sha256 = ?`, []byte(pub), hash[:]); err != nil {
		return nil, err
	}
	if err := record(ctx, tx, cert, pub, a.now()); err != nil {
		return nil, err
	}
	return cert, tx.Commit()
}

// issued finds the certificate that a used invitation bought.
func (a *Authority) issued(ctx context.Context, tx *sql.Tx, name string, pub []byte) (*x509.Certificate, error) {
	var der []byte
	err := tx.QueryRowContext(ctx, `SELECT der FROM certificates WHERE name = ? AND public_key = ? AND revoked IS NULL ORDER BY issued LIMIT 1`, name, pub).Scan(&der)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrRevoked
	}
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// nameFree refuses a name that a valid certificate holds.
func (a *Authority) nameFree(ctx context.Context, tx *sql.Tx, name string) error {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM certificates WHERE name = ? AND revoked IS NULL AND expires > ?`, name, a.now().Unix()).Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	return err
}
