package keyholder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/policy"
)

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

func TestRoundOfOneHolder(t *testing.T) {
	c := mustCommittee(t)
	for point := 1; point <= 4; point++ { // seeds and whole shares
		h := mustOpen(t, c.config(t.TempDir(), point))
		s := c.mustSeal(t, h, 1, 0, 1, 2)
		got := h.mustSign(t, s)
		if err := got.Verify(&c.signed.Record, "run-1", 1, s.set.Hash()); err != nil {
			t.Fatal(err)
		}
		a, err := h.Answer(c.certificate(s, 1, 2, 3))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(&c.signed.Record, testInsecureRing, s.set.Hash(), 1); err != nil {
			t.Fatal(err)
		}
	}
}

// A second set is refused for ever: at once, by its verdict, in a new process, and
// when its own certificate is shown. The first is repeated byte for byte.
func TestSecondSet(t *testing.T) {
	quote(t, "R20", "Asked again for the set that it signed, it repeats signature and sums byte for byte; asked for another, it refuses for ever.")
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 4))
	first := c.mustSeal(t, h, 1, 0, 1)
	second := c.mustSeal(t, h, 1, 0, 1, 2)
	signature := h.mustSign(t, first)
	answer, err := h.Answer(c.certificate(first, 1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	for restart := range 2 {
		v, err := h.Look(second.proposal())
		if err != nil || v.Yes() || !strings.Contains(v.Refusal, keyshare.ErrSecondSet.Error()) {
			t.Errorf("restart %d: verdict %+v, %v", restart, v, err)
		}
		_, err = h.Sign(second.wanted())
		want(t, "sign the second set", err, keyshare.ErrSecondSet)
		_, err = h.Answer(c.certificate(second, 1, 2, 3))
		want(t, "open the second set", err, keyshare.ErrSecondSet)

		if v, err := h.Look(first.proposal()); err != nil || !v.Yes() {
			t.Errorf("restart %d: first set again: %+v, %v", restart, v, err)
		}
		if again, err := h.Sign(first.wanted()); err != nil || again != signature {
			t.Errorf("restart %d: signature again: %v", restart, err)
		}
		again, err := h.Answer(c.certificate(first, 1, 2, 3))
		if err != nil || !bytes.Equal(again.Bytes(testInsecureRing), answer.Bytes(testInsecureRing)) {
			t.Errorf("restart %d: answer again: %v", restart, err)
		}
		h.Close()
		h = mustOpen(t, c.config(dir, 4))
	}
}

func TestAnswerNeedsCertificate(t *testing.T) {
	quote(t, "R22", "A holder releases its sums, one plain sum of shares for each group, only for the set it signed and when it has seen t members' signatures on that set.")
	c := mustCommittee(t)
	h := mustOpen(t, c.config(t.TempDir(), 2))
	s := c.mustSeal(t, h, 1, 0, 1)
	_, err := h.Answer(c.certificate(s, 1, 3, 4))
	want(t, "before signing", err, keyshare.ErrCertificate)
	h.mustSign(t, s)
	_, err = h.Answer(c.certificate(s, 1, 2))
	want(t, "two of three", err, keyshare.ErrCertificate)
	_, err = h.Answer(c.certificate(s, 1, 2, 2))
	want(t, "one twice", err, keyshare.ErrCertificate)
	bad := c.certificate(s, 1, 2, 3)
	bad.Signatures[2].Signature[0] ^= 1
	_, err = h.Answer(bad)
	want(t, "forged", err, keyshare.ErrCertificate)
	other := c.certificate(s, 1, 2, 3)
	other.Round = 2
	_, err = h.Answer(other)
	want(t, "another round", err, keyshare.ErrCertificate)
	if _, err := h.Answer(c.certificate(s, 1, 3, 4)); err != nil {
		t.Error(err)
	}
}

// The private key is gone once the signature is out: nothing can be opened after
// that, by anybody who takes the machine.
func TestKeysAreErased(t *testing.T) {
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 3))
	if _, err := h.Keys(KeysWanted{"run-1", 1, 3}); err != nil {
		t.Fatal(err)
	}
	s := c.mustSeal(t, h, 2, 0, 1)
	h.mustSign(t, s)
	names, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(names) != 1 || !strings.HasSuffix(names[0].Name(), "-3") {
		t.Errorf("keys left: %v, %v; want that of round 3", names, err)
	}
	if _, ok := h.fresh[Head{"run-1", 3}]; !ok || len(h.fresh) != 1 {
		t.Errorf("%d keys left in memory, want that of round 3", len(h.fresh))
	}
	_, err = h.Keys(KeysWanted{"run-1", 2, 1})
	want(t, "keys for a signed round", err, keyshare.ErrSpent)
	_, err = h.Keys(KeysWanted{"run-1", 1, 1})
	want(t, "keys for an earlier round", err, keyshare.ErrSpent)
}

func TestKeysAreRepeated(t *testing.T) {
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 3))
	a, err := h.Keys(KeysWanted{"run-1", 5, 4})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	h = mustOpen(t, c.config(dir, 3))
	b, err := h.Keys(KeysWanted{"run-1", 7, 4})
	if err != nil || !slices.Equal(a[2:], b[:2]) {
		t.Errorf("keys of rounds 7 and 8 changed: %v", err)
	}
	for i, k := range b {
		if err := k.Verify(&c.signed.Record, c.signed.Record.Hash(), "run-1", uint64(7+i)); err != nil {
			t.Error(err)
		}
	}
	// Lost keys are not made anew: that is what a restored backup looks like.
	if err := os.RemoveAll(filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	h.Close()
	h = mustOpen(t, c.config(dir, 3))
	_, err = h.Keys(KeysWanted{"run-1", 10, 1})
	want(t, "key that was lost", err, keyshare.ErrSpent)
	// The server is told by what is missing which rounds it cannot have.
	if k, err := h.Keys(KeysWanted{"run-1", 9, 4}); err != nil || len(k) != 2 || k[0].Round != 11 || k[1].Round != 12 {
		t.Errorf("keys of rounds 9 to 12, of which 9 and 10 are gone: %d, %v", len(k), err)
	}
	for _, w := range []KeysWanted{{"", 1, 1}, {"run-1", 0, 1}, {"run-1", 20, 0}, {"run-1", 20, maxBatch + 1}, {"run-1", 1<<64 - 1, 2}, {strings.Repeat("x", 200), 1, 1}} {
		_, err := h.Keys(w)
		want(t, "bad request", err, keyshare.ErrRoundKey)
	}
}

// A whole machine comes back from a snapshot: journal, keys and answers are old.
// The ledger's head, or the operator, closes what was signed since.
func TestRestoredSnapshot(t *testing.T) {
	c := mustCommittee(t)
	for _, by := range []string{"ledger", "operator"} {
		dir, snapshot := t.TempDir(), t.TempDir()
		h := mustOpen(t, c.config(dir, 1))
		first := c.mustSeal(t, h, 1, 0, 1)
		second := c.mustSeal(t, h, 1, 0, 1, 2)
		h.Close()
		if err := os.CopyFS(snapshot, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		chmod(t, snapshot)
		h = mustOpen(t, c.config(dir, 1))
		h.mustSign(t, first)
		h.Close()

		cfg := c.config(snapshot, 1)
		if by == "operator" {
			cfg.Restored = []Head{{"run-1", 1}}
		}
		h = mustOpen(t, cfg)
		if by == "ledger" {
			if err := h.catchUp(t.Context(), &script{heads: []Head{{"run-1", 1}}}); err != nil {
				t.Fatal(err)
			}
		}
		for restart := range 2 {
			v, err := h.Look(second.proposal())
			if err != nil || v.Yes() || !strings.Contains(v.Refusal, keyshare.ErrSpent.Error()) {
				t.Errorf("%s, restart %d: verdict %+v, %v", by, restart, v, err)
			}
			_, err = h.Sign(second.wanted())
			want(t, by, err, keyshare.ErrSpent)
			h.Close()
			h = mustOpen(t, c.config(snapshot, 1)) // the floor is in the journal now
		}
	}
}

// Without the ledger's word and the operator's, a full snapshot does sign a second
// set: the limit that the threat model states.
func TestSnapshotWithoutHeadIsNotProtected(t *testing.T) {
	c := mustCommittee(t)
	dir, snapshot := t.TempDir(), t.TempDir()
	h := mustOpen(t, c.config(dir, 1))
	first, second := c.mustSeal(t, h, 1, 0, 1), c.mustSeal(t, h, 1, 0, 1, 2)
	h.Close()
	if err := os.CopyFS(snapshot, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	chmod(t, snapshot)
	a, b := mustOpen(t, c.config(dir, 1)), mustOpen(t, c.config(snapshot, 1))
	a.mustSign(t, first)
	b.mustSign(t, second)
}

func chmod(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(filepath.Join(dir, "journal"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 1))
	_, err := Open(c.config(dir, 1))
	want(t, "second process", err, ErrInUse)
	h.Close()
	_, err = Open(c.config(dir, 2))
	want(t, "journal of another member", err, ErrJournal)

	stranger := c.config(t.TempDir(), 1)
	stranger.Signing = testKey("stranger")
	_, err = Open(stranger)
	want(t, "stranger", err, keyshare.ErrRecord)

	unapproved := c.config(t.TempDir(), 1)
	unapproved.Policy.Committee = strings.Repeat("00", 32)
	_, err = Open(unapproved)
	want(t, "record that was not approved", err, policy.ErrRefused)

	unsigned := c.config(t.TempDir(), 1)
	record := *c.signed
	record.Signatures = slices.Clone(record.Signatures)
	record.Signatures[2][0] ^= 1
	unsigned.Record = &record
	_, err = Open(unsigned)
	want(t, "record that one member did not sign", err, keyshare.ErrRecord)
}

// The policy of the holder stands above the contract.
func TestPolicyRaisesContract(t *testing.T) {
	c := mustCommittee(t)
	cfg := c.config(t.TempDir(), 1)
	cfg.Policy.Cohort, cfg.Policy.Organisations = 3, 3
	h := mustOpen(t, cfg)
	s := c.mustSeal(t, h, 1, 0, 1)
	v, err := h.Look(s.proposal())
	if err != nil || !strings.Contains(v.Refusal, keyshare.ErrTooFew.Error()) {
		t.Errorf("two clients: %+v, %v", v, err)
	}
	p := s.proposal()
	p.Contract = []byte("another contract")
	if v, err := h.Look(p); err != nil || !strings.Contains(v.Refusal, keyshare.ErrAnnouncement.Error()) {
		t.Errorf("another contract: %+v, %v", v, err)
	}
	_, err = h.Sign(s.wanted())
	want(t, "sign what was refused", err, keyshare.ErrSet)
}

func TestBoxesThatCannotBeRead(t *testing.T) {
	c := mustCommittee(t)
	h := mustOpen(t, c.config(t.TempDir(), 1))
	s := c.mustSeal(t, h, 1, 0, 1)
	p := s.proposal()
	lost := errors.New("connection lost")
	p.Boxes = func(yield func([]byte, error) bool) { yield(nil, lost) }
	_, err := h.Look(p)
	want(t, "broken stream", err, lost)
	_, err = h.Sign(s.wanted())
	want(t, "sign after a broken stream", err, keyshare.ErrSet)
	h.mustSign(t, s)
}

func TestSecretFilesArePrivate(t *testing.T) {
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 1))
	s := c.mustSeal(t, h, 1, 0, 1)
	h.mustSign(t, s)
	if _, err := h.Keys(KeysWanted{"../run", 2, 1}); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files++
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", path, info.Mode().Perm())
			}
		}
		return err
	})
	if err != nil || files != 4 { // journal, lock, an answer, a key
		t.Errorf("%d files, %v", files, err)
	}
	h.Close()
	if err := os.Chmod(filepath.Join(dir, "journal"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.config(dir, 1)); err == nil {
		t.Error("a journal that others can read: want an error")
	}
}
