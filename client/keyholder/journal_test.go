package keyholder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

// load opens a journal of those bytes and returns its entries and what the file
// holds afterwards.
func load(t testing.TB, b []byte) (entries [][]byte, after []byte, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(path, func(e []byte) error {
		entries = append(entries, bytes.Clone(e))
		return nil
	})
	if err != nil {
		return entries, nil, err
	}
	defer j.close()
	after, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return entries, after, nil
}

func journalOf(t testing.TB, entries ...[]byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	for _, e := range entries {
		if err := j.append(e); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Cut anywhere, a journal is read up to its last whole entry and goes on from there:
// no crash during append makes it unreadable or loses an earlier entry.
func TestJournalTornTail(t *testing.T) {
	want := [][]byte{[]byte("first"), bytes.Repeat([]byte{0}, 100), []byte("third")}
	b := journalOf(t, want...)
	ends := []int{len(journalStart)}
	for i := range want {
		ends = append(ends, len(journalOf(t, want[:i+1]...)))
	}
	for n := range len(b) + 1 {
		whole := 0
		for whole+1 < len(ends) && ends[whole+1] <= n {
			whole++
		}
		for name, torn := range map[string][]byte{
			"cut":   b[:n],
			"zeros": append(bytes.Clone(b[:n]), make([]byte, 300)...),
		} {
			if name == "zeros" && n != ends[whole] {
				continue // half an entry and then zeros is no append that this program makes
			}
			entries, after, err := load(t, torn)
			if err != nil {
				t.Fatalf("%s at %d: %v", name, n, err)
			}
			if d := cmp.Diff(want[:whole], entries[:len(entries):len(entries)]); d != "" && whole+len(entries) > 0 {
				t.Errorf("%s at %d: %s", name, n, d)
			}
			if !bytes.Equal(after, b[:ends[whole]]) {
				t.Errorf("%s at %d: %d bytes kept, want %d", name, n, len(after), ends[whole])
			}
		}
	}
}

// A flipped bit anywhere is found: nothing but a missing end reads as a crash.
func TestJournalDamage(t *testing.T) {
	entries := [][]byte{[]byte("first"), []byte("second"), []byte("third")}
	b := journalOf(t, entries...)
	for i := range b {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(b)
			bad[i] ^= bit
			if got, _, err := load(t, bad); !errors.Is(err, ErrJournal) {
				t.Errorf("byte %d, bit %x: got %d entries and %v, want ErrJournal", i, bit, len(got), err)
			}
		}
	}
	one, two := len(journalOf(t, entries[0])), len(journalOf(t, entries[:2]...))
	swapped := slices.Concat(b[:len(journalStart)], b[one:two], b[len(journalStart):one], b[two:])
	if _, _, err := load(t, swapped); !errors.Is(err, ErrJournal) {
		t.Errorf("swapped entries: got %v, want ErrJournal", err)
	}
	if _, _, err := load(t, slices.Concat(b[:one], b[two:])); !errors.Is(err, ErrJournal) {
		t.Errorf("dropped entry: got %v, want ErrJournal", err)
	}
}

func TestJournalRefusesAfterFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	j.file.Close()
	if err := j.append([]byte("x")); err == nil {
		t.Fatal("append to a closed file: want an error")
	}
	if err := j.append([]byte("x")); !errors.Is(err, errBroken) {
		t.Errorf("append after a failure: got %v, want errBroken", err)
	}
}

func TestMemory(t *testing.T) {
	owner := entry{kind: kindOwner, key: statement.Key{1}}
	signed := func(round uint64, set byte) entry {
		return entry{kind: kindSigned, run: "r", round: round, set: statement.Digest{set}}
	}
	for name, c := range map[string]struct {
		entries []entry
		ok      bool
	}{
		"good":             {[]entry{owner, signed(1, 1), {kind: kindClosed, run: "r", round: 3}, signed(4, 2)}, true},
		"no owner":         {[]entry{signed(1, 1)}, false},
		"two owners":       {[]entry{owner, owner}, false},
		"two sets":         {[]entry{owner, signed(1, 1), signed(1, 2)}, false},
		"closed round":     {[]entry{owner, {kind: kindClosed, run: "r", round: 3}, signed(3, 1)}, false},
		"keys of 0 rounds": {[]entry{owner, {kind: kindPublished, run: "r", round: 1}}, false},
	} {
		var m memory
		var err error
		for _, e := range c.entries {
			if err = m.apply(e); err != nil {
				break
			}
		}
		if c.ok != (err == nil) || err != nil && !errors.Is(err, ErrJournal) {
			t.Errorf("%s: got %v, want ok %v", name, err, c.ok)
		}
	}
}

func FuzzJournal(f *testing.F) {
	owner := entry{kind: kindOwner, key: statement.Key{1}}
	signed := entry{kind: kindSigned, run: "run-1", round: 3, set: statement.Digest{2}, answer: statement.Digest{3}}
	published := entry{kind: kindPublished, run: "run-1", round: 1, count: 10}
	b := journalOf(f, owner.bytes(), published.bytes(), signed.bytes())
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(append(bytes.Clone(b), 0xff, 0xff, 0xff, 0xff))
	f.Add(append(bytes.Clone(b), make([]byte, 64)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, kept, err := load(t, b)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, kept) && len(b) >= len(journalStart) {
			t.Fatal("what is kept is not a prefix of what was there")
		}
		again, same, err := load(t, kept)
		if err != nil || !bytes.Equal(kept, same) || !slices.EqualFunc(first, again, bytes.Equal) {
			t.Fatalf("reading again differs: %v", err)
		}
		for _, e := range first {
			if x, err := parseEntry(e); err == nil && !bytes.Equal(x.bytes(), e) {
				t.Fatalf("entry %x reads as %x", e, x.bytes())
			}
		}
	})
}

func FuzzEntry(f *testing.F) {
	e := entry{kind: kindSigned, run: "run-1", round: 3, set: statement.Digest{2}, answer: statement.Digest{3}}
	f.Add(e.bytes())
	f.Add(e.bytes()[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := parseEntry(b); err == nil && !bytes.Equal(x.bytes(), b) {
			t.Fatalf("entry %x reads as %x", b, x.bytes())
		}
	})
}

// Whatever prefix of the directory's files a crash leaves, the holder that opens
// again never signs another set once the journal's last entry is whole.
func TestCrashAtEveryByteOfTheEntry(t *testing.T) {
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 4))
	first, second := c.mustSeal(t, h, 1, 0, 1), c.mustSeal(t, h, 1, 2, 3)
	before := t.TempDir() // keys and journal before signing
	if err := os.CopyFS(before, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	h.mustSign(t, first)
	h.Close()
	full, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(before, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	for n := len(old); n <= len(full); n++ {
		crashed := t.TempDir()
		if err := os.CopyFS(crashed, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(crashed, "journal"), full[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		chmod(t, crashed)
		h, err := Open(c.config(crashed, 4))
		if err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(full), err)
		}
		v, err := h.Look(second.proposal())
		if err != nil {
			t.Fatal(err)
		}
		if signed := n == len(full); v.Yes() == signed {
			t.Errorf("%d of %d bytes: second set accepted: %v", n, len(full), v.Yes())
		} else if signed {
			if _, err := h.Sign(second.wanted()); !errors.Is(err, keyshare.ErrSecondSet) {
				t.Errorf("second set after the whole entry: got %v, want ErrSecondSet", err)
			}
			if _, err := h.Sign(first.wanted()); err != nil {
				t.Errorf("first set again: %v", err)
			}
		}
		h.Close()
	}
}
