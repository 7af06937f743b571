package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/server/coordinator"
)

const (
	runFile        = "run.db"
	lockFile       = "serve.lock"
	checkpointsDir = "checkpoints"
)

var migrations = []string{`
CREATE TABLE run (
	id         INTEGER PRIMARY KEY CHECK (id = 1),
	config     BLOB NOT NULL,    -- 32 bytes
	round      INTEGER NOT NULL, -- completed
	attempt    INTEGER NOT NULL, -- newest begun at round + 1; 0: none
	params     BLOB NOT NULL,    -- float32, little-endian
	params_sha BLOB NOT NULL,    -- SHA-256 of params
	optimizer  BLOB NOT NULL,
	records    INTEGER NOT NULL  -- rows of history
);
CREATE TABLE history (
	position INTEGER PRIMARY KEY, -- from 0
	record   TEXT NOT NULL        -- coordinator.Record as JSON
);
CREATE TABLE attempts (
	round   INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	cohort  TEXT NOT NULL,        -- JSON list of names
	PRIMARY KEY (round, attempt)
);`, `
ALTER TABLE run ADD COLUMN spent INTEGER NOT NULL DEFAULT 0; -- times key holders were asked to sign a set that was not opened
`, `
ALTER TABLE run ADD COLUMN participations TEXT NOT NULL DEFAULT 'null'; -- JSON: charged rounds by client
`, `
ALTER TABLE run ADD COLUMN pending TEXT; -- coordinator.Pending as JSON: the attempt that key holders have seen; NULL: none
`, `
ALTER TABLE run ADD COLUMN isolation TEXT NOT NULL DEFAULT '{"active":false}'; -- isolate.State as JSON
`}

// Errors that callers branch on.
var (
	ErrDamaged = errors.New("the stored run is damaged: restore the directory from a backup")
	ErrOrder   = errors.New("the store and the run disagree on what came before")
)

// Store is a directory with one run. It implements coordinator.Store and is safe
// for concurrent use. Close it to let another process have the directory.
type Store struct {
	dir    string
	layout model.Layout
	db     *sql.DB
	unlock func() error
}

var _ coordinator.Store = (*Store)(nil)

// Open opens the run in dir, or makes an empty store. layout describes the
// parameters. It returns ErrLocked while another process holds the directory.
func Open(ctx context.Context, dir string, layout model.Layout) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, checkpointsDir), 0o755); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	db, err := OpenSQLite(ctx, filepath.Join(dir, runFile), migrations)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	s := &Store{dir: dir, layout: layout, db: db, unlock: unlock}
	if err := s.recoverCheckpoint(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close releases the directory.
func (s *Store) Close() error { return errors.Join(s.db.Close(), s.unlock()) }

// Latest returns the newest committed state, coordinator.ErrNoState if there is
// none, or ErrDamaged.
func (s *Store) Latest(ctx context.Context) (*coordinator.State, error) {
	tx, err := s.db.BeginTx(ctx, nil) // one view of three tables
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	var st coordinator.State
	var config, params, sum, participations, pending, isolation []byte
	var records int
	err = tx.QueryRowContext(ctx, `SELECT config, round, attempt, spent, pending, params, params_sha, optimizer, records, participations, isolation FROM run`).
		Scan(&config, &st.Round, &st.Attempt, &st.Spent, &pending, &params, &sum, &st.Optimizer, &records, &participations, &isolation)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, coordinator.ErrNoState
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(), err)
	}
	if got := sha256.Sum256(params); string(got[:]) != string(sum) || len(config) != 32 || len(params)%4 != 0 {
		return nil, fmt.Errorf("%s: the parameters of round %d do not match their SHA-256: %w", s.path(), st.Round, ErrDamaged)
	}
	if err := json.Unmarshal(participations, &st.Participations); err != nil {
		return nil, fmt.Errorf("%s: participations: %w: %w", s.path(), ErrDamaged, err)
	}
	st.Config = [32]byte(config)
	if err := json.Unmarshal(isolation, &st.Isolation); err != nil {
		return nil, fmt.Errorf("%s: isolation: %w: %w", s.path(), ErrDamaged, err)
	}
	if pending != nil {
		if err := json.Unmarshal(pending, &st.Pending); err != nil {
			return nil, fmt.Errorf("%s: attempt %d of round %d: %w: %w", s.path(), st.Attempt, st.Round+1, ErrDamaged, err)
		}
	}
	st.Params = make([]float32, len(params)/4)
	for i := range st.Params {
		st.Params[i] = math.Float32frombits(binary.LittleEndian.Uint32(params[4*i:]))
	}
	rows, err := tx.QueryContext(ctx, `SELECT record FROM history ORDER BY position`)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(), err)
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		var r coordinator.Record
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path(), err)
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: record %d: %w: %w", s.path(), len(st.History), ErrDamaged, err)
		}
		st.History = append(st.History, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(), err)
	}
	if len(st.History) != records {
		return nil, fmt.Errorf("%s: %d records, want %d: %w", s.path(), len(st.History), records, ErrDamaged)
	}
	return &st, nil
}

// Begin records that an attempt at the round after the newest one starts.
func (s *Store) Begin(ctx context.Context, round, attempt int, cohort []string) error {
	names, err := json.Marshal(cohort)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	res, err := tx.ExecContext(ctx, `UPDATE run SET attempt = ? WHERE round = ? AND attempt < ?`, attempt, round-1, attempt)
	if err != nil {
		return fmt.Errorf("begin round %d: %w", round, err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n != 1 {
		return fmt.Errorf("begin round %d attempt %d: %w", round, attempt, ErrOrder)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO attempts (round, attempt, cohort) VALUES (?, ?, ?)`, round, attempt, string(names)); err != nil {
		return fmt.Errorf("begin round %d: %w", round, err)
	}
	return tx.Commit()
}

// Propose records an attempt that key holders are about to see. It replaces what was
// recorded of it before, and is part of the newest state until the next Commit.
func (s *Store) Propose(ctx context.Context, p *coordinator.Pending) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	res, err := s.db.ExecContext(ctx, `UPDATE run SET pending = ? WHERE attempt = ?`, string(text), p.Attempt)
	if err != nil {
		return fmt.Errorf("propose attempt %d: %w", p.Attempt, err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n != 1 {
		return fmt.Errorf("propose attempt %d: %w", p.Attempt, ErrOrder)
	}
	return nil
}

// Commit replaces the newest state by st, durably, then writes its checkpoint
// file. st.History must continue the stored one. It refuses a state that is not
// the stored round or the next, or of another size than the layout, before
// anything changes. An error in writing the checkpoint file is returned although
// the state is committed: Open writes the file again.
func (s *Store) Commit(ctx context.Context, st *coordinator.State) error {
	if len(st.Params) != s.layout.Size() {
		return fmt.Errorf("commit round %d: %d parameters, want %d", st.Round, len(st.Params), s.layout.Size())
	}
	params := make([]byte, 0, 4*len(st.Params))
	for _, v := range st.Params {
		params = binary.LittleEndian.AppendUint32(params, math.Float32bits(v))
	}
	sum := sha256.Sum256(params)
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	round, records := -1, 0
	err = tx.QueryRowContext(ctx, `SELECT round, records FROM run`).Scan(&round, &records)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("commit round %d: %w", st.Round, err)
	}
	if round >= 0 && st.Round != round && st.Round != round+1 || len(st.History) < records {
		return fmt.Errorf("commit round %d with %d records after round %d with %d: %w", st.Round, len(st.History), round, records, ErrOrder)
	}
	for i := records; i < len(st.History); i++ {
		text, err := json.Marshal(st.History[i])
		if err != nil {
			return fmt.Errorf("commit round %d: %w", st.Round, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO history (position, record) VALUES (?, ?)`, i, string(text)); err != nil {
			return fmt.Errorf("commit round %d: %w", st.Round, err)
		}
	}
	optimizer := st.Optimizer
	if optimizer == nil {
		optimizer = []byte{}
	}
	participations, err := json.Marshal(st.Participations)
	if err != nil {
		return fmt.Errorf("commit round %d: %w", st.Round, err)
	}
	isolation, err := json.Marshal(st.Isolation)
	if err != nil {
		return fmt.Errorf("commit round %d: %w", st.Round, err)
	}
	var pending any
	if st.Pending != nil {
		text, err := json.Marshal(st.Pending)
		if err != nil {
			return fmt.Errorf("commit round %d: %w", st.Round, err)
		}
		pending = string(text)
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO run (id, config, round, attempt, spent, pending, params, params_sha, optimizer, records, participations, isolation) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		st.Config[:], st.Round, st.Attempt, st.Spent, pending, params, sum[:], optimizer, len(st.History), string(participations), string(isolation))
	if err != nil {
		return fmt.Errorf("commit round %d: %w", st.Round, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit round %d: %w", st.Round, err)
	}
	if st.Round == round {
		return nil // a void attempt: the model is the old one
	}
	return s.writeCheckpoint(st)
}

// Checkpoint is the path of the checkpoint file of a completed round; round 0 is
// the initial model.
func (s *Store) Checkpoint(round int) string {
	return filepath.Join(s.dir, checkpointsDir, fmt.Sprintf("round-%06d.safetensors", round))
}

func (s *Store) writeCheckpoint(st *coordinator.State) error {
	m := &model.Model{Params: st.Params, Layout: s.layout}
	id := m.SHA256()
	meta := map[string]string{"round": strconv.Itoa(st.Round), "model_sha256": fmt.Sprintf("%x", id)}
	return checkpoint.WriteFile(s.Checkpoint(st.Round), m, meta)
}

// recoverCheckpoint writes the newest checkpoint file if a crash came between
// the commit and the file, and removes what a crash left half-written.
func (s *Store) recoverCheckpoint(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, checkpointsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), ".safetensors.tmp-") {
			if err := os.Remove(filepath.Join(s.dir, checkpointsDir, e.Name())); err != nil {
				return err
			}
		}
	}
	st, err := s.Latest(ctx)
	if errors.Is(err, coordinator.ErrNoState) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.Checkpoint(st.Round)); !errors.Is(err, fs.ErrNotExist) || len(st.Params) != s.layout.Size() {
		return err // the coordinator says clearly that the layout is another
	}
	return s.writeCheckpoint(st)
}

func (s *Store) path() string { return filepath.Join(s.dir, runFile) }
