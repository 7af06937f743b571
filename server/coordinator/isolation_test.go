package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/isolate"
)

// wrongKey encrypts u anew under another key than its shares are of. Header and shares
// are in order: nobody sees it before the sum does not open.
func (w *world) wrongKey(o Order, u *terms.Upload) {
	w.t.Helper()
	a, err := keyshare.ParseAnnouncement(o.Sealing.Announcement)
	if err != nil {
		w.t.Error(err)
		return
	}
	secret, err := kahe.NewSecret(w.params, rand.Reader)
	if err != nil {
		w.t.Error(err)
		return
	}
	values := make([]int32, w.params.Spec().Values)
	if u.Ciphertext, err = w.params.Encrypt(nil, values, kahe.NewPublic(w.params, a.Seed()), secret, rand.Reader); err != nil {
		w.t.Error(err)
	}
	u.Header.Ciphertext = statement.Hash(u.Ciphertext)
}

func (w *world) spoiling(names ...string) func(Order, string, *terms.Upload) {
	return func(o Order, client string, u *terms.Upload) {
		if slices.Contains(names, client) {
			w.wrongKey(o, u)
		}
	}
}

// follow computes the model from a run's history: every group that opened moves it, and
// no other update does.
func follow(t *testing.T, s *State, all string) float64 {
	t.Helper()
	want, excluded := 0.0, ""
	for _, r := range s.History {
		in := ""
		for _, name := range all {
			if !strings.ContainsRune(excluded, name) {
				in += string(name)
			}
		}
		if len(r.Groups) > 0 {
			in = ""
			for _, g := range r.Groups {
				if len(g.Clients) < DefaultMinReports {
					t.Fatalf("round %d opens a group of %v", r.Round, g.Clients)
				}
				if g.Opened {
					in += strings.Join(g.Clients, "")
				}
			}
		}
		if r.Void == "" {
			want += moved(in)
		}
		excluded += strings.Join(r.Excluded, "")
	}
	return want
}

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

// A client that encrypts under another key than it shares voids one round. The next ones
// run in groups; it is found by elimination and asked no more, and the updates of the
// others are in the model. Nobody is opened alone.
func TestSpoilerIsFound(t *testing.T) {
	quote(t, "F5", "The culprit is found by elimination: it is the client that all groups that did not open have in common; no group below g is ever opened to find it.")
	quote(t, "F9", "A group that opens clears nobody: with k groups a round, one client spoils at most 1 + ceil(log_k n) rounds, and one more each time that rounds went back to one group.")
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "at once", true: "over restarts"}[restart], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 6, 7)
				var c *Coordinator
				var err error
				for number := uint64(2); restart && number < 4; number++ {
					ctx, kill := context.WithCancel(t.Context())
					for _, m := range w.members {
						m.odd = func(_ *HolderSession, task HolderTask) bool {
							if task.Propose != nil && task.Propose.Set.Announcement.Round == number {
								kill()
								return true
							}
							return false
						}
					}
					if _, err := w.runUntil(ctx, w.spoiling("c")); err == nil {
						t.Fatal("the run was not disturbed")
					}
					kill()
				}
				for _, m := range w.members {
					m.odd = nil
				}
				c, err = w.run(w.spoiling("c"))
				if err != nil {
					t.Fatal(err)
				}
				s := c.Snapshot()
				if !s.Isolation.Excludes("c") || len(s.Isolation.Excluded) != 1 || s.Isolation.Active {
					t.Fatalf("excluded %+v, active %t; want c alone, and an end", s.Isolation.Excluded, s.Isolation.Active)
				}
				spoiled := 0
				for i, r := range s.History {
					if (r.Void != "") != (i == 0) {
						t.Errorf("attempt %d.%d: void is %q", r.Round, r.Attempt, r.Void)
					}
					if slices.ContainsFunc(r.Groups, func(g isolate.Result) bool { return !g.Opened }) {
						spoiled++
					}
				}
				if spoiled > 4 {
					t.Errorf("%d rounds are spoiled, want at most 1 + log2(7)", spoiled)
				}
				checkParams(t, s, follow(t, s, "abcdefg"))
				if got := w.members[0].signed; len(got) != len(s.History) || s.Spent != 1 {
					t.Errorf("signed in %v, %d spent; %d attempts", got, s.Spent, len(s.History))
				}
				if _, err := c.Attach(Info{Client: "c", Examples: 10}); !errors.Is(err, ErrExcluded) {
					t.Errorf("attaching the culprit: got %v, want ErrExcluded", err)
				}
			})
		})
	}
}

// Of three clients none is found: the run halts and names nobody, and goes on when it is
// started again.
func TestSpoilerAmongTooFew(t *testing.T) {
	quote(t, "F6", "When there are fewer than two groups' worth of clients, later rounds use one random subset of g each, and only under a privacy contract; without one, or with g clients, the run halts and names nobody.")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, 3)
		c, err := w.run(w.spoiling("b"))
		if !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "3 clients are too few to find out whose") {
			t.Fatalf("got %v, want ErrHalted", err)
		}
		if s := c.Snapshot(); len(s.Isolation.Excluded) > 0 || s.Spent != 1 || len(s.History) != 1 {
			t.Fatalf("%+v, want nobody excluded", s)
		}
		if c, err = w.run(nil); err != nil {
			t.Fatal(err)
		}
		checkParams(t, c.Snapshot(), 2*moved("abc"))
	})
}

// A group that does not open with the answers of so few holders that one of them may lie
// accuses nobody; rounds in groups keep the run going.
func TestSpoilerWithAHolderAway(t *testing.T) {
	quote(t, "F8", "A group that did not open counts against its clients only if t + c holders answered, so that t honest ones are among them; a record with fewer than t + c members names nobody.")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 6)
		w.members[3].odd = func(s *HolderSession, task HolderTask) bool {
			if task.Open == nil {
				return false
			}
			if err := s.Decline("away"); err != nil {
				t.Error(err)
			}
			return true
		}
		c, err := w.run(w.spoiling("e"))
		if err != nil {
			t.Fatal(err)
		}
		s := c.Snapshot()
		if len(s.Isolation.Excluded) > 0 || len(s.Isolation.Void) > 0 || !s.Isolation.Active {
			t.Errorf("%+v, want nobody named, and rounds in groups", s.Isolation)
		}
		checkParams(t, s, follow(t, s, "abcdef"))
	})
}

// Under a contract four clients of whom three make a sum are enough: one random group a
// round. Each signed set is charged, and the exclusion is in the ledger.
func TestSpoilerUnderAContract(t *testing.T) {
	quote(t, "F10", "A client is named if no choice of as many others as may collude, at least one, explains every group that did not open; it is asked no more, and its exclusion is in the ledger with a hash of the sets and groups that show it.")
	synctest.Test(t, func(t *testing.T) {
		w, p, _ := newPrivateWorldOf(t, func(c *Config) {
			c.Rounds.Count, c.Contract.Rounds, c.Contract.MaxParticipations, c.Contract.Epsilon = 5, 16, 16, 100
		})
		c, err := w.run(w.spoiling("d"))
		if err != nil {
			t.Fatal(err)
		}
		s := c.Snapshot()
		if len(s.Isolation.Excluded) != 1 || !s.Isolation.Excludes("d") {
			t.Fatalf("excluded %+v, want d", s.Isolation.Excluded)
		}
		for _, r := range s.History {
			for _, g := range r.Groups {
				if n := len(g.Clients); n != 3 && n != 4 {
					t.Errorf("a group of %d, want 3 or all 4", n)
				}
			}
		}
		if b := w.books.Ledger.Balance(); b.Rounds != len(w.members[0].signed) || b.Rounds != s.Round+s.Spent || b.Reserved != 0 {
			t.Errorf("%d rounds are charged, %d reserved; %d were signed", b.Rounds, b.Reserved, len(w.members[0].signed))
		}
		v, err := ledger.Verify(p.b, p.public)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Excluded) != 1 || v.Excluded[0].Evidence != ledger.Hash(evidence(s.Isolation.Excluded[0])) {
			t.Errorf("the ledger excludes %+v", v.Excluded)
		}
		if math.IsNaN(float64(s.Params[0])) {
			t.Error("the model is not finite")
		}
	})
}
