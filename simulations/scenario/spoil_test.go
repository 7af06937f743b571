package scenario

import (
	"slices"
	"strings"
	"testing"
)

// A malicious client that encrypts under another key than it shares voids one round, is
// found within 1 + log2(8) of them without anybody being opened alone, and is asked no more;
// the others train on. Who is in which group does not depend on timing.
func TestSpoiler(t *testing.T) {
	s := small()
	s.Clients, s.Run.Rounds.Count = 8, 6
	s.Faults.Spoil = []string{"client-0003"}
	r := run(t, s, 2)
	spoiled, excluded := 0, []string{}
	for i, rec := range r.Records {
		if (rec.Void != "") != (i == 0) {
			t.Errorf("attempt %d: void is %q, want it of the first alone", i, rec.Void)
		}
		bad := false
		for _, g := range rec.Groups {
			if len(g.Clients) < s.Run.Rounds.MinReports {
				t.Errorf("attempt %d opens a group of %v", i, g.Clients)
			}
			if !g.Opened {
				bad = true
				if !slices.Contains(g.Clients, "client-0003") {
					t.Errorf("attempt %d: %v did not open without the culprit", i, g.Clients)
				}
			}
		}
		if bad {
			spoiled++
		}
		excluded = append(excluded, rec.Excluded...)
	}
	if !slices.Equal(excluded, []string{"client-0003"}) || spoiled > 4 {
		t.Errorf("excluded are %v after %d spoiled rounds, want client-0003 after at most 4", excluded, spoiled)
	}
	if last := r.Records[len(r.Records)-1]; last.Round != 6 || last.Accepted != 7 {
		t.Errorf("the last round is %+v, want round 6 of 7 clients", last)
	}
	if again := run(t, s, 1); again.ModelSHA256 != r.ModelSHA256 {
		t.Error("the model depends on the number of workers")
	}
}

// Five clients of whom three make a sum are too few without noise: the run halts.
func TestSpoilerAmongTooFew(t *testing.T) {
	s := small()
	s.Faults.Spoil = []string{"client-0002"}
	_, err := Run(t.Context(), s, Options{Workers: 2})
	if err == nil || !strings.Contains(err.Error(), "5 clients are too few to find out whose") || strings.Contains(err.Error(), "client-0002") {
		t.Errorf("got %v, want a halt that names nobody", err)
	}
}
