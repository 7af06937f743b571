package policy

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

func testRecord(roster keyshare.Roster) *keyshare.Record {
	key := func(b byte) statement.Key {
		return statement.PublicKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), b)))
	}
	r := &keyshare.Record{Name: "test", Threshold: 2, Corrupt: 1, Preset: "p", Roster: roster,
		Members: []keyshare.Member{{Name: "a", Key: key(1)}, {Name: "b", Key: key(2)}}}
	if roster == keyshare.RosterPinned {
		r.Vouchers = []keyshare.Voucher{{Name: "org", Key: key(3)}}
	}
	return r
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hexHash(r *keyshare.Record) string {
	h := r.Hash()
	return hex.EncodeToString(h[:])
}

func TestLoad(t *testing.T) {
	r := testRecord(keyshare.RosterPinned)
	p, err := Load(write(t, "committee: "+hexHash(r)+"\nsmallest_cohort: 7\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Committee, want.Cohort = hexHash(r), 7
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	if err := p.CheckRecord(r); err != nil {
		t.Error(err)
	}
}

// Every line that could weaken the policy by accident is refused, with the place.
func TestLoadRefuses(t *testing.T) {
	hash := "committee: " + strings.Repeat("ab", 32) + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"no committee":    {"smallest_cohort: 3\n", "committee"},
		"empty":           {"", "committee"},
		"fingerprint":     {"committee: abcd-efgh\n", "committee"},
		"short hash":      {"committee: " + strings.Repeat("ab", 31) + "\n", "committee"},
		"cohort of one":   {hash + "smallest_organisations: 1\nsmallest_cohort: 1\n", "smallest_organisations"},
		"cohort below":    {hash + "smallest_organisations: 5\n", "smallest_cohort"},
		"unknown key":     {hash + "smalest_cohort: 9\n", "smalest_cohort"},
		"roster":          {hash + "roster: any\n", "roster"},
		"weight":          {hash + "smallest_weight: 0\n", "smallest_weight"},
		"share":           {hash + "largest_share: 1.5\n", "largest_share"},
		"weight not real": {hash + "smallest_weight: .nan\n", "smallest_weight"},
	} {
		p, err := Load(write(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error about %s", name, err, c.want)
		}
		if !cmp.Equal(p, Policy{}) {
			t.Errorf("%s: a policy comes with the error", name)
		}
	}
	if _, err := Load(""); err == nil {
		t.Error("no file: want an error")
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent.yaml")); err == nil {
		t.Error("absent file: want an error")
	}
}

func TestZeroPolicyRefusesEverything(t *testing.T) {
	var p Policy
	if err := p.CheckRecord(testRecord(keyshare.RosterPinned)); !errors.Is(err, ErrRefused) {
		t.Errorf("record: got %v, want ErrRefused", err)
	}
	if l := p.Raise(keyshare.Limits{KMin: 2, MinCohort: 2}); l.MinCohort <= keyshare.MaxUploads {
		t.Errorf("limits: got %+v, want more than any set has", l)
	}
}

func TestCheckRecord(t *testing.T) {
	pinned, open := testRecord(keyshare.RosterPinned), testRecord(keyshare.RosterOpen)
	p := Default()
	p.Committee = hexHash(pinned)
	swapped := *pinned
	swapped.Members = []keyshare.Member{pinned.Members[1], pinned.Members[0]}
	if err := p.CheckRecord(&swapped); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), keyshare.Fingerprint(swapped.Hash())) {
		t.Errorf("swapped committee: got %v, want ErrRefused with its fingerprint", err)
	}
	p.Committee = hexHash(open)
	if err := p.CheckRecord(open); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "roster") {
		t.Errorf("open roster: got %v, want ErrRefused", err)
	}
	p.Roster = "open"
	if err := p.CheckRecord(open); err != nil {
		t.Errorf("open roster accepted by policy: %v", err)
	}
}

func TestLimits(t *testing.T) {
	p := Default()
	p.Committee, p.Organisations, p.Cohort, p.Work, p.Weight = strings.Repeat("00", 32), 4, 6, 100, 0.1
	l := keyshare.Limits{KMin: 3, MinCohort: 8, MinWork: 50, MinWeight: 0.2}
	want := keyshare.Limits{KMin: 4, MinCohort: 8, MinWork: 100, MinWeight: 0.2, MaxShare: 0.9}
	if d := cmp.Diff(want, p.Raise(l)); d != "" {
		t.Error(d)
	}
	p.Share = 0.6
	if got := p.Raise(keyshare.Limits{MaxShare: 0.5}).MaxShare; got != 0.5 {
		t.Errorf("share %g, want the contract's 0.5", got)
	}
	if got := p.Raise(keyshare.Limits{MaxShare: 0.7}).MaxShare; got != 0.6 {
		t.Errorf("share %g, want the policy's 0.6", got)
	}
	if err := p.CheckContract(l); !errors.Is(err, ErrRefused) {
		t.Errorf("contract below the policy: got %v, want ErrRefused", err)
	}
	if err := p.CheckContract(want); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		o  keyshare.Order
		ok bool
	}{
		{keyshare.Order{Work: 100, Weight: 0.2}, true},
		{keyshare.Order{Work: 99, Weight: 0.2}, false},
		{keyshare.Order{Work: 100, Weight: 0.19}, false},
	} {
		if err := p.CheckOrder(c.o, l); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("order %+v: got %v, want allowed %v", c.o, err, c.ok)
		}
	}
}
