package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/server/coordinator"
)

func testLayout(n int) model.Layout {
	l, err := model.NewLayout([]model.Tensor{{Name: "fc.weight", Shape: []int{n - 1}}, {Name: "fc.bias", Shape: []int{1}}})
	if err != nil {
		panic(err)
	}
	return l
}

// state is what a run looks like after that many rounds: a function of round
// alone, so that a mixture of two is recognised.
func state(round, size int) *coordinator.State {
	st := &coordinator.State{Config: [32]byte{7}, Round: round, Params: make([]float32, size), Optimizer: []byte{byte(round), 1, 2}}
	if round > 0 {
		st.Participations = map[string]int{"a": round, "b": 1}
	}
	for i := range st.Params {
		st.Params[i] = float32(round) + float32(i)/1024
	}
	for r := 1; r <= round; r++ {
		st.History = append(st.History, coordinator.Record{
			Round: r, Attempt: 1, Accepted: r, Train: &coordinator.Metric{Loss: 1 / float64(r), Accuracy: 0.5, Examples: 3},
			Started: time.Unix(int64(r), 0).UTC(), Model: "ab",
		})
	}
	return st
}

func openTest(t *testing.T, dir string, size int) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, testLayout(size))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func latest(t *testing.T, s *Store) *coordinator.State {
	t.Helper()
	st, err := s.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func commit(t *testing.T, s *Store, st *coordinator.State) {
	t.Helper()
	if err := s.Commit(t.Context(), st); err != nil {
		t.Fatal(err)
	}
}

func TestStateSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 5)
	if _, err := s.Latest(t.Context()); !errors.Is(err, coordinator.ErrNoState) {
		t.Fatalf("empty store: %v", err)
	}
	first := state(0, 5)
	first.Params[1] = math.Float32frombits(0x7fc00123) // a NaN with a payload
	first.Params[2] = float32(math.Copysign(0, -1))
	commit(t, s, first)
	if got := latest(t, s); math.Float32bits(got.Params[1]) != 0x7fc00123 || math.Float32bits(got.Params[2]) != 1<<31 {
		t.Error("parameters are not kept bit for bit")
	}
	if err := s.Begin(t.Context(), 1, 1, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if got := latest(t, s); got.Round != 0 || got.Attempt != 1 {
		t.Errorf("after Begin: round %d attempt %d", got.Round, got.Attempt)
	}
	commit(t, s, state(1, 5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, 5)
	if diff := cmp.Diff(state(1, 5), latest(t, s)); diff != "" {
		t.Errorf("after reopening (-want +got):\n%s", diff)
	}
}

func TestVoidAttemptKeepsTheModel(t *testing.T) {
	s := openTest(t, t.TempDir(), 5)
	commit(t, s, state(0, 5))
	if err := s.Begin(t.Context(), 1, 1, nil); err != nil {
		t.Fatal(err)
	}
	st := state(0, 5)
	st.Attempt = 1
	st.History = append(st.History, coordinator.Record{Round: 1, Attempt: 1, Void: "too few reports"})
	commit(t, s, st)
	if diff := cmp.Diff(st, latest(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := s.Begin(t.Context(), 1, 2, nil); err != nil {
		t.Errorf("next attempt: %v", err)
	}
}

func TestRefusesWhatDoesNotFollow(t *testing.T) {
	s := openTest(t, t.TempDir(), 5)
	ctx := t.Context()
	if err := s.Begin(ctx, 1, 1, nil); !errors.Is(err, ErrOrder) {
		t.Errorf("Begin without a run: %v", err)
	}
	commit(t, s, state(0, 5))
	commit(t, s, state(1, 5))
	for _, round := range []int{0, 3} {
		if err := s.Commit(ctx, state(round, 5)); !errors.Is(err, ErrOrder) {
			t.Errorf("round %d after 1: %v", round, err)
		}
	}
	if err := s.Begin(ctx, 1, 1, nil); !errors.Is(err, ErrOrder) {
		t.Errorf("Begin of a completed round: %v", err)
	}
	if err := s.Begin(ctx, 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(ctx, 2, 1, nil); !errors.Is(err, ErrOrder) {
		t.Errorf("the same attempt again: %v", err)
	}
	shorter := state(2, 5)
	shorter.History = nil
	if err := s.Commit(ctx, shorter); !errors.Is(err, ErrOrder) {
		t.Errorf("history lost: %v", err)
	}
	if err := s.Commit(ctx, state(2, 6)); err == nil {
		t.Error("parameters of another size were committed")
	}
	want := state(1, 5)
	want.Attempt = 1
	if diff := cmp.Diff(want, latest(t, s)); diff != "" {
		t.Errorf("a refused call changed the state (-want +got):\n%s", diff)
	}
}

func TestOneProcessServesADirectory(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 5)
	if _, err := Open(t.Context(), dir, testLayout(5)); !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v", err)
	}
	s.Close()
	openTest(t, dir, 5)
}

func TestCheckpointsAreReadableAndRecovered(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 5)
	commit(t, s, state(0, 5))
	commit(t, s, state(1, 5))
	for round := range 2 {
		m, meta, err := checkpoint.ReadFile(s.Checkpoint(round), testLayout(5))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(state(round, 5).Params, m.Params); diff != "" || meta["round"] == "" {
			t.Errorf("round %d: %s %v", round, diff, meta)
		}
	}
	// As if the power had failed between the commit and the file.
	if err := os.Remove(s.Checkpoint(1)); err != nil {
		t.Fatal(err)
	}
	half := s.Checkpoint(2) + ".tmp-123"
	if err := os.WriteFile(half, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openTest(t, dir, 5)
	if _, err := os.Stat(half); err == nil {
		t.Error("a half-written file is left")
	}
	if _, _, err := checkpoint.ReadFile(s.Checkpoint(1), testLayout(5)); err != nil {
		t.Error(err)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for name, statement := range map[string]string{
		"parameters": `UPDATE run SET params = zeroblob(20)`,
		"checksum":   `UPDATE run SET params_sha = zeroblob(32)`,
		"odd size":   `UPDATE run SET params = zeroblob(3)`,
		"history":    `DELETE FROM history WHERE position = 0`,
		"record":     `UPDATE history SET record = '{' WHERE position = 0`,
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, t.TempDir(), 5)
			commit(t, s, state(0, 5))
			commit(t, s, state(1, 5))
			if _, err := s.db.Exec(statement); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Latest(t.Context()); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want %v", err, ErrDamaged)
			}
		})
	}
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, runFile), []byte(strings.Repeat("hello", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, testLayout(5)); err == nil || !strings.Contains(err.Error(), runFile) {
		t.Errorf("got %v", err)
	}
	// The lock was given back.
	os.Remove(filepath.Join(dir, runFile))
	openTest(t, dir, 5)
}

func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with ?#% in its name.db")
	steps := []string{`CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)`, `ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1`}
	reopen := func(m []string) (*sql.DB, error) { return OpenSQLite(context.Background(), path, m) }
	db, err := reopen(steps[:1])
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	for range 2 { // the second finds nothing to do
		if db, err = reopen(steps); err != nil {
			t.Fatal(err)
		}
		var y int
		if err := db.QueryRow(`SELECT y FROM a`).Scan(&y); err != nil || y != 2 {
			t.Errorf("y = %d, %v", y, err)
		}
		db.Close()
	}
	if _, err := reopen(steps[:1]); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("older program: %v", err)
	}
	// A step that fails leaves the version before it, whole.
	if _, err := reopen(append(steps, `CREATE TABLE b (x INTEGER); nonsense`)); err == nil {
		t.Error("a failing step went unnoticed")
	}
	if db, err = reopen(append(steps, `CREATE TABLE b (x INTEGER)`)); err != nil {
		t.Fatalf("after a failed step: %v", err)
	}
	db.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestDurabilitySettings(t *testing.T) {
	s := openTest(t, t.TempDir(), 5)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000"} {
		var got string
		if err := s.db.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", pragma, got, err, want)
		}
	}
}
