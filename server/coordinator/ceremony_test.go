package coordinator

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
)

// moved says by how much the mean of those clients moves the parameters.
func moved(clients string) float64 {
	sum := 0.0
	for _, c := range clients {
		sum += delta(string(c))
	}
	return sum / float64(len(clients))
}

func checkParams(t *testing.T, s *State, want float64) {
	t.Helper()
	for _, p := range s.Params {
		if math.Abs(float64(p)-want) > 1e-3 {
			t.Fatalf("parameters are %v, want %g", s.Params, want)
		}
	}
}

func outline(s *State) (out []string) {
	for _, r := range s.History {
		out = append(out, fmt.Sprintf("%d.%d void=%t objected=%d", r.Round, r.Attempt, r.Void != "", r.Objected))
	}
	return out
}

func TestObjections(t *testing.T) {
	for _, c := range []struct {
		name     string
		clients  int
		points   []int
		objected int
		sum      string
	}{
		{"two holders object", 4, []int{1, 3}, 1, "abc"},
		{"all object", 4, []int{1, 2, 3, 4}, 1, "abc"},
		{"one objects, and enough are left", 4, []int{4}, 1, "abc"},
		{"one objects, and the client is needed", 3, []int{2}, 0, "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2, c.clients)
				bad := string(rune('a' + c.clients - 1))
				got, err := w.run(func(o Order, client string, u *terms.Upload) {
					if client == bad && o.Round == 1 {
						badShares(u, c.points...)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				s := got.Snapshot()
				want := []string{fmt.Sprintf("1.1 void=false objected=%d", c.objected), "2.1 void=false objected=0"}
				if d := cmp.Diff(want, outline(s)); d != "" {
					t.Fatal(d)
				}
				checkParams(t, s, moved(c.sum)+moved("abcd"[:c.clients]))
				if s.Spent != 0 {
					t.Errorf("%d rounds are spent, want none", s.Spent)
				}
			})
		})
	}
}

// refusing says no to the set as such, in the given attempts at round 1.
func refusing(m *member, attempts ...uint64) {
	m.odd = func(s *HolderSession, t HolderTask) bool {
		if t.Propose == nil || t.Propose.Set.Announcement.Round > 1 || !slices.Contains(attempts, t.Propose.Set.Announcement.Attempt) {
			return false
		}
		v := keyshare.Refuse(t.Propose.Set.Hash(), m.point, errors.New("not today"))
		if err := s.Verdict(&v); err != nil {
			m.w.t.Error(err)
		}
		return true
	}
}

func TestHolderRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		refusing(w.members[2], 1)
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		checkParams(t, c.Snapshot(), moved("abc"))
		if len(w.members[2].signed) != 0 || len(w.members[0].signed) != 1 {
			t.Error("the holder that refused was asked to sign, or the others were not")
		}
	})
}

// With too few holders the attempt is void, nobody has signed, and the next attempt
// has the same number.
func TestTooFewHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		refusing(w.members[0], 1)
		refusing(w.members[3], 1)
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Snapshot()
		if d := cmp.Diff([]string{"1.1 void=true objected=0", "1.2 void=false objected=0"}, outline(s)); d != "" {
			t.Fatal(d)
		}
		if s.Spent != 0 || !slices.Equal(w.members[1].signed, []uint64{1}) {
			t.Errorf("%d spent, signed in %v; want none, and round 1", s.Spent, w.members[1].signed)
		}
		if !strings.Contains(s.History[0].Void, "2 of them refuse the set") {
			t.Errorf("void because %q", s.History[0].Void)
		}
		checkParams(t, s, moved("abc"))
	})
}

// Holders that sign and then keep silent cost the round's number: the next attempt
// has another, and nobody signs twice.
func TestSilentAfterSigning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, 3)
		for _, m := range w.members[:2] {
			m.odd = func(_ *HolderSession, t HolderTask) bool { return t.Open != nil && t.Open.Round == 1 }
		}
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Snapshot()
		if d := cmp.Diff([]string{"1.1 void=true objected=0", "1.2 void=false objected=0", "2.1 void=false objected=0"}, outline(s)); d != "" {
			t.Fatal(d)
		}
		if s.Spent != 1 {
			t.Errorf("%d spent, want 1", s.Spent)
		}
		for _, m := range w.members {
			if !slices.Equal(m.signed, []uint64{1, 2, 3}) {
				t.Errorf("member %d signed in %v, want 1, 2, 3", m.point, m.signed)
			}
		}
		checkParams(t, s, 2*moved("abc"))
	})
}

// A false answer among four is found, and the round opens; among three it voids the
// round, within the holders' time.
func TestFalseAnswer(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent=%t", silent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 3)
				w.members[1].odd = func(s *HolderSession, task HolderTask) bool {
					if task.Open == nil || task.Open.Round > 1 {
						return false
					}
					if err := s.Answer(w.members[1].lie(task.Open.Set)); err != nil {
						t.Error(err)
					}
					return true
				}
				if silent {
					w.members[3].odd = func(s *HolderSession, task HolderTask) bool {
						if task.Open != nil && task.Open.Round == 1 {
							s.Close() // gone after its signature
							return true
						}
						return false
					}
				}
				got, err := w.run(nil)
				s := got.Snapshot()
				if !silent {
					if err != nil || len(s.History) != 1 || s.Spent != 0 {
						t.Fatalf("%v, history %v, %d spent", err, outline(s), s.Spent)
					}
					checkParams(t, s, moved("abc"))
					return
				}
				if err != nil || len(s.History) != 2 || s.Spent != 1 || !strings.Contains(s.History[0].Void, "do not open the sum") {
					t.Fatalf("%v, history %+v, %d spent", err, s.History, s.Spent)
				}
				if s.History[0].Seconds > w.cfg.Rounds.HolderTime.Seconds()+1 {
					t.Errorf("void after %g s", s.History[0].Seconds)
				}
			})
		})
	}
}

// What is for another set, or in another's name, changes nothing.
func TestMessagesForAnotherSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		other := statement.Hash([]byte("another set"))
		m := w.members[0]
		m.odd = func(s *HolderSession, task HolderTask) bool {
			note := func(what string, err, want error) {
				if !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", what, err, want)
				}
			}
			switch {
			case task.Propose != nil:
				v := keyshare.Refuse(other, m.point, errors.New("late"))
				note("verdict on another set", s.Verdict(&v), nil)
				v = keyshare.Refuse(task.Propose.Set.Hash(), 2, errors.New("in another's name"))
				note("verdict in another's name", s.Verdict(&v), ErrMalformed)
			case task.Sign != nil:
				r := w.record.Record.Hash()
				g := keyshare.SignSet(r, task.Sign.Run, task.Sign.Round, other, m.point, m.key)
				note("signature on another set", s.Signature(&g), nil)
				g = keyshare.SignSet(r, task.Sign.Run, task.Sign.Round, task.Sign.Set, 2, m.key)
				note("signature in another's name", s.Signature(&g), nil)
				g = keyshare.SignSet(r, task.Sign.Run, task.Sign.Round+1, task.Sign.Set, m.point, m.key)
				note("signature for another round", s.Signature(&g), ErrMalformed)
				g = keyshare.SignSet(r, task.Sign.Run, task.Sign.Round, task.Sign.Set, m.point, w.members[1].key)
				note("signature with another key", s.Signature(&g), ErrMalformed)
			case task.Open != nil:
				a := *m.answers[task.Open.Set]
				a.Set = other
				note("answer for another set", s.Answer(&a), nil)
				a = *m.answers[task.Open.Set]
				a.Point = 2
				note("answer in another's name", s.Answer(&a), nil)
				a = *m.answers[task.Open.Set]
				a.Signature[0] ^= 1
				note("answer that is not signed", s.Answer(&a), ErrMalformed)
			}
			return false
		}
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		checkParams(t, c.Snapshot(), moved("abc"))
		if got := outline(c.Snapshot()); len(got) != 1 {
			t.Errorf("attempts were %v, want one", got)
		}
	})
}

// A holder cannot stop rounds by objecting to a client that is not in the set.
func TestObjectionToAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		m := w.members[0]
		m.odd = func(s *HolderSession, task HolderTask) bool {
			if task.Propose == nil {
				return false
			}
			v := keyshare.Verdict{Set: task.Propose.Set.Hash(), Point: m.point, Objections: []keyshare.Objection{{Client: "stranger", Reason: keyshare.ReasonBox}}}
			if err := s.Verdict(&v); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
			return true
		}
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"1.1 void=false objected=0"}, outline(c.Snapshot())); d != "" {
			t.Error(d)
		}
	})
}

// A member that connects again takes over from its ghost, is asked again what it
// has not answered, and the ghost's end changes nothing.
func TestHolderConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		m := w.members[0]
		again := false
		m.odd = func(ghost *HolderSession, task HolderTask) bool {
			if task.Propose == nil || again {
				return false
			}
			again = true
			newer := m.attach(ghost.c)
			if _, err := ghost.Next(t.Context()); !errors.Is(err, ErrSuperseded) {
				t.Errorf("the ghost got %v, want ErrSuperseded", err)
			}
			v := keyshare.Verdict{Set: task.Propose.Set.Hash(), Point: m.point}
			if err := ghost.Verdict(&v); !errors.Is(err, ErrSuperseded) {
				t.Errorf("the ghost's verdict: got %v, want ErrSuperseded", err)
			}
			ghost.Close()
			if ghost.c.committee.holders[m.point] != newer {
				t.Error("closing the ghost detached the member")
			}
			newer.Close()
			go m.serve(t.Context(), ghost.c)
			return true
		}
		c, err := w.run(nil)
		if err != nil {
			t.Fatal(err)
		}
		checkParams(t, c.Snapshot(), moved("abc"))
		if !again || len(m.signed) != 1 {
			t.Errorf("connected again: %t; signed in %v, want one round", again, m.signed)
		}
	})
}

// A member that lost the keys of some rounds, and never makes one twice, costs these
// rounds' numbers and not the run.
func TestLostKeys(t *testing.T) {
	for _, gone := range []uint64{3, keysAhead + 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2, 3)
			w.coordinator()
			w.store.state.History = []Record{{Round: 1, Attempt: 1, Void: "some holders were silent"}}
			m := w.members[1]
			m.odd = func(s *HolderSession, task HolderTask) bool {
				if task.Publish == nil || task.Publish.First > gone {
					return false
				}
				later := *task.Publish
				if later.First = gone + 1; later.First >= task.Publish.First+uint64(task.Publish.Count) {
					if err := s.Decline("gone"); err != nil {
						t.Error(err)
					}
				} else if err := m.do(s, HolderTask{Publish: &later}); err != nil {
					t.Error(err)
				}
				return true
			}
			c, err := w.run(nil)
			if err != nil {
				t.Fatal(err)
			}
			s := c.Snapshot()
			if d := cmp.Diff([]string{"1.1 void=false objected=0", "2.1 void=false objected=0"}, outline(s)[1:]); d != "" {
				t.Fatal(d)
			}
			if s.Spent != int(gone) || !slices.Equal(m.signed, []uint64{gone + 1, gone + 2}) {
				t.Errorf("%d spent, signed in %v; want %d, and the two after it", s.Spent, m.signed, gone)
			}
			checkParams(t, s, 2*moved("abc"))
		})
	}
}

// A new run under a name whose rounds a key holder knows does not start.
func TestNameUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		m := w.members[2]
		m.odd = func(s *HolderSession, task HolderTask) bool {
			if task.Publish == nil || task.Publish.First > 2 {
				return false
			}
			later := *task.Publish
			later.First = 3
			if err := m.do(s, HolderTask{Publish: &later}); err != nil {
				t.Error(err)
			}
			return true
		}
		if _, err := w.run(nil); !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "a name is never used twice") {
			t.Errorf("got %v, want ErrHalted", err)
		}
		if len(m.signed) > 0 {
			t.Errorf("signed in %v", m.signed)
		}
	})
}

func TestAttachHolderRefuses(t *testing.T) {
	w := newWorld(t, 1, 3)
	c := w.coordinator()
	key := statement.PublicKey(w.members[0].key)
	for name, k := range map[string]statement.Key{"holder-2": key, "stranger": key, "": {}, "holder-1": statement.PublicKey(w.clients["a"])} {
		if _, err := c.AttachHolder(name, k); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", name, err)
		}
	}
	if _, err := newCoordinator(t, testConfig(1, 3), &memory{}).AttachHolder("holder-1", key); !errors.Is(err, ErrNoCommittee) {
		t.Errorf("a run without encryption: got %v, want ErrNoCommittee", err)
	}
}
