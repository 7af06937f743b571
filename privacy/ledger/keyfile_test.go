package ledger

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.key")
	private, public, err := OpenKey(path, "ledger.example", testRandom(3))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	again, same, err := OpenKey(path, "another.example", testRandom(4))
	if err != nil || again != private || same != public {
		t.Errorf("the key changed: %v", err)
	}
	m := &memory{}
	p, _ := newPlan(t, clients(4), false)
	if _, err := Create(m, again, start, p); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(m.b, same); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenKey(path, "ledger.example", testRandom(3)); err == nil {
		t.Error("a key that everyone can read is used")
	}
	for _, bad := range []string{"", "x", "PRIVATE+KEY+a+00000000+AAAA", public} {
		if _, err := PublicKey(bad); err == nil {
			t.Errorf("%q is taken for a private key", bad)
		}
	}
	if _, _, err := OpenKey(filepath.Join(t.TempDir(), "k"), "a name", testRandom(3)); err == nil {
		t.Error("a name with a space is accepted")
	}
}

func TestParticipationsLimitAndSpread(t *testing.T) {
	c := contract(6)
	c.MaxParticipations = 2
	w := newWorld(t, c, true)
	p := NewParticipations(c.MaxParticipations)
	all := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	for round := 1; round <= 2; round++ {
		w.round(round, 8)
		p.Charge(all[round : round+8])
	}
	if p.Eligible("c") || !p.Eligible("b") || !p.Eligible("a") {
		t.Errorf("rounds %v with limit 2", p.Rounds)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Participations
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*p, back); diff != "" {
		t.Error(diff)
	}
	s := back.Spread(2)
	if diff := cmp.Diff([]Tally{{1, 2}, {2, 7}}, s.Counts); diff != "" {
		t.Error(diff)
	}
	w.must(w.ledger.Add(w.tick(), s))
	// Whoever took part as often as allowed has spent the whole plan, and further rounds cost nobody more than that.
	if b := w.verify().Balance; b.Spent != w.ledger.state.Plan.After(2) {
		t.Errorf("balance %+v", b)
	}
	if _, err := w.ledger.Add(w.tick(), &Spread{Round: 2, Counts: []Tally{{3, 2}, {2, 5}}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("beyond the limit: %v", err)
	}
}
