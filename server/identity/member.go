package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Member is one name that holds, or held, a certificate.
type Member struct {
	Name     string
	Joined   time.Time // first certificate
	Expires  time.Time // of the newest certificate
	LastSeen time.Time // to about a minute; zero: never
	Revoked  bool      // no certificate of the name is accepted
}

// record stores a certificate that is about to be handed out.
func record(ctx context.Context, tx *sql.Tx, c *x509.Certificate, pub ed25519.PublicKey, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO certificates (serial, name, public_key, der, issued, expires) VALUES (?, ?, ?, ?, ?, ?)`,
		c.SerialNumber.Text(16), c.Subject.CommonName, []byte(pub), c.Raw, now.Unix(), c.NotAfter.Unix())
	if err != nil {
		return fmt.Errorf("store the certificate of %s: %w", c.Subject.CommonName, err)
	}
	return nil
}

// Check returns the name in a certificate that TLS has already verified against
// this authority. Errors: ErrRevoked, ErrNotMember. It notes that the client was
// seen.
func (a *Authority) Check(ctx context.Context, c *x509.Certificate) (string, error) {
	var name string
	var revoked sql.NullInt64
	err := a.db.QueryRowContext(ctx, `SELECT name, revoked FROM certificates WHERE serial = ?`, c.SerialNumber.Text(16)).Scan(&name, &revoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", ErrNotMember
	case err != nil:
		return "", fmt.Errorf("check a certificate: %w", err)
	case name != c.Subject.CommonName:
		return "", ErrNotMember
	case revoked.Valid:
		return "", fmt.Errorf("%s: %w", name, ErrRevoked)
	}
	// A connection may outlive the certificate it was made with.
	if !a.now().Before(c.NotAfter) {
		return "", fmt.Errorf("the certificate of %s expired on %s: %w", name, c.NotAfter.Format(time.DateOnly), ErrNotMember)
	}
	return name, a.saw(ctx, name)
}

// saw writes at most once a minute for each name: every write is an fsync.
func (a *Authority) saw(ctx context.Context, name string) error {
	now := a.now()
	a.mu.Lock()
	recent := now.Sub(a.seen[name]) < time.Minute
	if !recent {
		a.seen[name] = now
	}
	a.mu.Unlock()
	if recent {
		return nil
	}
	_, err := a.db.ExecContext(ctx, `INSERT INTO seen (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at`, name, now.Unix())
	return err
}

// Renew issues a fresh certificate to the holder of current, for the key in csr.
// The older one stays valid until it expires, so that a client that loses the
// answer is not locked out.
func (a *Authority) Renew(ctx context.Context, current *x509.Certificate, csr []byte) (*x509.Certificate, error) {
	name, err := a.Check(ctx, current)
	if err != nil {
		return nil, err
	}
	pub, err := checkRequest(csr)
	if err != nil {
		return nil, err
	}
	cert, err := a.newClient(name, pub)
	if err != nil {
		return nil, err
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	// Revoke may have come between the check and here.
	var n int
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM certificates WHERE serial = ? AND revoked IS NULL`, current.SerialNumber.Text(16)).Scan(&n)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: %w", name, ErrRevoked)
	}
	if err != nil {
		return nil, err
	}
	if err := record(ctx, tx, cert, pub, a.now()); err != nil {
		return nil, err
	}
	return cert, tx.Commit()
}

// Revoke refuses every certificate of name from now on and withdraws its open
// invitations. Inviting the name again later starts it afresh. It returns
// ErrNotMember if there is nothing to revoke.
func (a *Authority) Revoke(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	certs, err := tx.ExecContext(ctx, `UPDATE certificates SET revoked = ? WHERE name = ? AND revoked IS NULL`, a.now().Unix(), name)
	if err != nil {
		return err
	}
	invitations, err := tx.ExecContext(ctx, `DELETE FROM invitations WHERE name = ? AND used_key IS NULL`, name)
	if err != nil {
		return err
	}
	m, err := certs.RowsAffected()
	if err != nil {
		return err
	}
	n, err := invitations.RowsAffected()
	if err != nil {
		return err
	}
	if m+n == 0 {
		return fmt.Errorf("%s has no valid certificate and no open invitation: %w", name, ErrNotMember)
	}
	return tx.Commit()
}

// Members lists every name that ever joined, sorted.
func (a *Authority) Members(ctx context.Context) ([]Member, error) {
	rows, err := a.db.QueryContext(ctx, `
		SELECT c.name, MIN(c.issued), MAX(c.expires), COUNT(*) = COUNT(c.revoked), COALESCE(s.at, 0)
		FROM certificates c LEFT JOIN seen s ON s.name = c.name
		GROUP BY c.name ORDER BY c.name`)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	defer rows.Close()
	var members []Member
	for rows.Next() {
		var m Member
		var joined, expires, seen int64
		if err := rows.Scan(&m.Name, &joined, &expires, &m.Revoked, &seen); err != nil {
			return nil, fmt.Errorf("list members: %w", err)
		}
		m.Joined, m.Expires = time.Unix(joined, 0), time.Unix(expires, 0)
		if seen != 0 {
			m.LastSeen = time.Unix(seen, 0)
		}
		members = append(members, m)
	}
	return members, rows.Err()
}
