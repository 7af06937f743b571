package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the "sqlite" driver
)

// OpenSQLite opens the database file at path, creating it with mode 0600 if it
// is missing, and brings its schema to the newest version. migrations[i] takes
// version i to i+1; entries are only ever appended. A database written by a
// newer program is refused.
//
// Transactions are durable when Commit returns (write-ahead log, synchronous
// FULL) and take the write lock when they begin, so that two processes wait for
// each other, up to ten seconds, and never deadlock.
func OpenSQLite(ctx context.Context, path string, migrations []string) (*sql.DB, error) {
	// SQLite would create the file with the umask's mode; its log files copy it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	f.Close()
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := migrate(ctx, db, migrations); err != nil {
		db.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return db, nil
}

// dsn writes an SQLite URI. The path is escaped, so that '?' and '%' in a
// directory's name stay part of it.
func dsn(path string, pragmas ...string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String()
}

func migrate(ctx context.Context, db *sql.DB, migrations []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL)`); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema`).Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("schema version %d is newer than this program's %d: use a newer program", version, len(migrations))
	}
	if version == len(migrations) {
		return nil
	}
	for i, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return fmt.Errorf("schema version %d: %w", version+i+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM schema`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO schema (version) VALUES (?)`, len(migrations)); err != nil {
		return err
	}
	return tx.Commit()
}
