package ledger

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/v1 anew; ledgers in the world stay as they are")

// Version 1 of the form: a ledger that was written once must be read for ever. testdata/v1/run.ledger and
// data.ledger were written by this test with -update, from the keys of fixture_test.go (GenerateKey over ChaCha8 of the
// seeds 1 and 7), when the form was new. If this test fails, the form has changed: give it another number instead.
func TestGoldenLedgers(t *testing.T) {
	dir := filepath.Join("testdata", "v1")
	if *update {
		write(t, dir)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := strings.TrimSpace(string(read("run.pub")))
	v, err := Verify(read("run.ledger"), key)
	if err != nil {
		t.Fatal(err)
	}
	if v.Balance.Rounds != 3 || len(v.Records) != 20 || len(v.Notes) != 1 {
		t.Errorf("%+v in %d records", v.Balance, len(v.Records))
	}
	_, pinned, err := OpenCheckpoint(read("run.checkpoint"), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(read("run.ledger"), key, Pinned(pinned)); err != nil {
		t.Error(err)
	}
	cut := read("run.ledger")[:v.Records[19].Offset]
	if _, err := Verify(cut, key, Pinned(pinned)); !errors.Is(err, ErrDifferent) {
		t.Errorf("without its last record: %v", err)
	}
	d, err := VerifyData(read("data.ledger"), strings.TrimSpace(string(read("data.pub"))))
	if err != nil {
		t.Fatal(err)
	}
	if d.Balance.Rounds != 1 || len(d.Runs) != 1 || len(d.Pins) != 1 || len(d.Refusals) != 1 {
		t.Errorf("%+v", d.DataState)
	}
}

func write(t *testing.T, dir string) {
	t.Helper()
	w := busy(t)
	h := newHolder(t, w, 4, 1e-5)
	if _, err := h.accept(w); err != nil {
		t.Fatal(err)
	}
	for _, round := range []int{1, 2} {
		if err := h.charge(w, round, 1); err != nil {
			t.Fatal(err)
		}
	}
	record := w.ledger.state.Plan.Committee.Record
	if err := h.data.Closed(at(3), w.ledger.PlanHash(), 2, w.sign(ClosureStatement(record, "digits", 2), 3)); err != nil {
		t.Fatal(err)
	}
	checkpoint, _ := w.ledger.Checkpoint()
	if err := h.data.Pin(at(4), w.public, checkpoint, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.data.Refuse(at(5), "letters", 1, "noise below the policy's least"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"run.ledger": w.storage.b, "run.pub": []byte(w.public + "\n"), "run.checkpoint": checkpoint,
		"data.ledger": h.own.b, "data.pub": []byte(h.public + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
