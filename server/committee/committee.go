// Package committee keeps, for a server, who may hold keys and who does: the
// members' signing keys, the draft of a committee record, and the members'
// signatures on it. The server stores these; it cannot forge them, and clients and
// key holders check every one.
package committee

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/server/store"
)

// Outcomes that callers branch on.
var (
	// ErrNoRecord: nobody has drafted a record yet.
	ErrNoRecord = errors.New("no committee record yet: the operator drafts one with server committee")
	// ErrOtherKey: a member's signing key never changes; a lost one takes a new member.
	ErrOtherKey = errors.New("the member has registered another signing key before: revoke the member and invite it again")
	// ErrSignature: not a member's signature on the record.
	ErrSignature = errors.New("not a member's signature on the committee record")
)

// Book is a server's committee.db. It is safe for concurrent use, also by several
// processes.
type Book struct{ db *sql.DB }

var migrations = []string{`
CREATE TABLE signing_keys (
	name TEXT PRIMARY KEY,
	key  BLOB NOT NULL      -- Ed25519, 32 bytes
);
CREATE TABLE record (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	record BLOB NOT NULL    -- keyshare.Record.Bytes
);
CREATE TABLE signatures (
	point     INTEGER PRIMARY KEY,
	signature BLOB NOT NULL -- Ed25519, 64 bytes
);`}

// Open opens the book in a server's directory, or makes an empty one.
func Open(ctx context.Context, dir string) (*Book, error) {
	db, err := store.OpenSQLite(ctx, filepath.Join(dir, "committee.db"), migrations)
	if err != nil {
		return nil, err
	}
	return &Book{db}, nil
}

// Close releases the database.
func (b *Book) Close() error { return b.db.Close() }

// Register keeps a member's signing key. Registering the same key again is
// harmless; another is ErrOtherKey.
func (b *Book) Register(ctx context.Context, name string, key statement.Key) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var old []byte
	switch err := tx.QueryRowContext(ctx, `SELECT key FROM signing_keys WHERE name = ?`, name).Scan(&old); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return fmt.Errorf("register the signing key of %s: %w", name, err)
	case string(old) != string(key[:]):
		return fmt.Errorf("%s: %w", name, ErrOtherKey)
	default:
		return nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO signing_keys (name, key) VALUES (?, ?)`, name, key[:]); err != nil {
		return fmt.Errorf("register the signing key of %s: %w", name, err)
	}
	return tx.Commit()
}

// Forget drops the signing key of a member that was revoked.
func (b *Book) Forget(ctx context.Context, name string) error {
	_, err := b.db.ExecContext(ctx, `DELETE FROM signing_keys WHERE name = ?`, name)
	return err
}

// Keys returns the registered signing keys by name, sorted.
func (b *Book) Keys(ctx context.Context) ([]keyshare.Voucher, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT name, key FROM signing_keys ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	defer rows.Close()
	var out []keyshare.Voucher
	for rows.Next() {
		var v keyshare.Voucher
		var key []byte
		if err := rows.Scan(&v.Name, &key); err != nil {
			return nil, fmt.Errorf("list signing keys: %w", err)
		}
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("signing key of %s has %d bytes: committee.db is damaged, restore it from a backup", v.Name, len(key))
		}
		v.Key = statement.Key(key)
		out = append(out, v)
	}
	return out, rows.Err()
}

// Draft replaces the record. Signatures on another record are dropped.
func (b *Book) Draft(ctx context.Context, r *keyshare.Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var old []byte
	err = tx.QueryRowContext(ctx, `SELECT record FROM record`).Scan(&old)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if string(old) != string(r.Bytes()) {
		if _, err := tx.ExecContext(ctx, `DELETE FROM signatures`); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO record (id, record) VALUES (1, ?)`, r.Bytes()); err != nil {
		return err
	}
	return tx.Commit()
}

// Record returns the record and the signatures on it so far, by point; ErrNoRecord
// if there is none.
func (b *Book) Record(ctx context.Context) (*keyshare.Record, map[int]statement.Signature, error) {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	defer tx.Rollback()
	var text []byte
	if err := tx.QueryRowContext(ctx, `SELECT record FROM record`).Scan(&text); errors.Is(err, sql.ErrNoRows) {
		return nil, nil, ErrNoRecord
	} else if err != nil {
		return nil, nil, err
	}
	r, err := keyshare.ParseRecord(text)
	if err != nil {
		return nil, nil, fmt.Errorf("committee.db is damaged, restore it from a backup: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT point, signature FROM signatures`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	signatures := map[int]statement.Signature{}
	for rows.Next() {
		var point int
		var s []byte
		if err := rows.Scan(&point, &s); err != nil {
			return nil, nil, err
		}
		if len(s) == ed25519.SignatureSize {
			signatures[point] = statement.Signature(s)
		}
	}
	return r, signatures, rows.Err()
}

// Sign keeps a member's signature on the record with that hash.
func (b *Book) Sign(ctx context.Context, name string, hash statement.Digest, s statement.Signature) error {
	r, _, err := b.Record(ctx)
	if err != nil {
		return err
	}
	if r.Hash() != hash {
		return fmt.Errorf("%w: the record is %s, the signature is on %s", ErrSignature, keyshare.Fingerprint(r.Hash()), keyshare.Fingerprint(hash))
	}
	for i, m := range r.Members {
		if m.Name != name {
			continue
		}
		if err := statement.Verify(m.Key, r.Bytes(), s); err != nil {
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
		_, err := b.db.ExecContext(ctx, `INSERT OR REPLACE INTO signatures (point, signature) VALUES (?, ?)`, i+1, s[:])
		return err
	}
	return fmt.Errorf("%w: %s is none of its members", ErrSignature, name)
}

// Signed returns the record with all signatures; ok is false while some are missing.
func (b *Book) Signed(ctx context.Context) (s *keyshare.SignedRecord, ok bool, err error) {
	r, signatures, err := b.Record(ctx)
	if err != nil {
		return nil, false, err
	}
	s = &keyshare.SignedRecord{Record: *r}
	for p := range r.Members {
		x, ok := signatures[p+1]
		if !ok {
			return nil, false, nil
		}
		s.Signatures = append(s.Signatures, x)
	}
	return s, true, s.Verify()
}
