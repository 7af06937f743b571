package keyholder

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
)

// quote fails unless docs/protocol.md says exactly this under that number.
func quote(t *testing.T, number, sentence string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "- **"+number+".** "+sentence+"\n") {
		t.Errorf("docs/protocol.md does not say %s: %s", number, sentence)
	}
}

func TestProtocolK10(t *testing.T) {
	quote(t, "K10", "A holder writes private key and journal entry to disk before the public key leaves it, and never makes a second key for a round.")
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 2))
	published, err := h.Keys(KeysWanted{"run-1", 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	// What another process finds at this moment, without Close.
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	chmod(t, copied)
	again, err := mustOpen(t, c.config(copied, 2)).Keys(KeysWanted{"run-1", 1, 2})
	if err != nil || again[0] != published[0] || again[1] != published[1] {
		t.Errorf("the keys that left are not on disk: %v", err)
	}
}

func TestProtocolK11(t *testing.T) {
	quote(t, "K11", "A holder's private key of a round is erased, with those of all earlier rounds of the run, before its signature on a set leaves it.")
	c := mustCommittee(t)
	h := mustOpen(t, c.config(t.TempDir(), 2))
	if _, err := h.Keys(KeysWanted{"run-1", 1, 2}); err != nil {
		t.Fatal(err)
	}
	h.mustSign(t, c.mustSeal(t, h, 2, 0, 1))
	for round := range uint64(3) {
		if _, err := h.keys.get("run-1", round); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("key of round %d after signing round 2: %v", round, err)
		}
	}
	// A crash between journal entry and erasure is made up for at the next start.
	if err := h.keys.put("run-1", 2, make([]byte, keyshare.PrivateKeySize)); err != nil {
		t.Fatal(err)
	}
	cfg := h.cfg
	h.Close()
	h = mustOpen(t, cfg)
	if _, err := h.keys.get("run-1", 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("key of a signed round after a restart: %v", err)
	}
}

func TestProtocolR19(t *testing.T) {
	quote(t, "R19", "Its journal entry, with run, round, set and the hash of its sums, is on disk before the signature leaves it.")
	// When the entry cannot be written, nothing leaves.
	c := mustCommittee(t)
	h := mustOpen(t, c.config(t.TempDir(), 2))
	s := c.mustSeal(t, h, 1, 0, 1)
	if v, err := h.Look(s.proposal()); err != nil || !v.Yes() {
		t.Fatal(err)
	}
	h.journal.file.Close()
	signature, err := h.Sign(s.wanted())
	if err == nil || signature != (keyshare.SetSignature{}) {
		t.Errorf("signed without a journal: %v", err)
	}
	if _, err := h.Answer(c.certificate(s, 1, 3, 4)); !errors.Is(err, keyshare.ErrCertificate) {
		t.Errorf("answered without a journal: %v", err)
	}
}

func TestProtocolF7(t *testing.T) {
	quote(t, "F7", "A holder whose directory came back from a copy refuses every round up to the newest that the ledger, or its operator, names; a journal that is damaged otherwise than by a missing end stops the holder.")
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 2))
	h.mustSign(t, c.mustSeal(t, h, 1, 0, 1))
	h.Close()
	b, err := os.ReadFile(dir + "/journal")
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(b)
	bad[len(bad)-40] ^= 1
	if err := os.WriteFile(dir+"/journal", bad, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(c.config(dir, 2))
	want(t, "damaged journal", err, ErrJournal)
}
