package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

var errCrash = errors.New("the server is killed")

// pages is a ledger's storage in memory, which may fail before a record of a kind.
type pages struct {
	b      []byte
	fail   string
	public string
}

func (p *pages) Read() ([]byte, error) { return slices.Clone(p.b), nil }

func (p *pages) Append(b []byte) error {
	if p.fail != "" && strings.Contains(string(b), `"`+p.fail+`"`) {
		p.fail = ""
		return errCrash
	}
	p.b = append(p.b, b...)
	return nil
}

// newPrivateWorld is a run under a contract, with a ledger that can be opened again.
func newPrivateWorld(t *testing.T) (w *world, p *pages, reopen func()) {
	t.Helper()
	return newPrivateWorldOf(t, func(*Config) {})
}

func newPrivateWorldOf(t *testing.T, change func(*Config)) (w *world, p *pages, reopen func()) {
	t.Helper()
	cfg := privateConfig()
	change(&cfg)
	w, p = newWorldOf(t, cfg, 4), &pages{}
	layout, err := w.cfg.Task.Architecture.Layout()
	if err != nil {
		t.Fatal(err)
	}
	first := model.Model{Params: make([]float32, layout.Size()), Layout: layout}
	plan, err := w.cfg.PlanOf(&Committee{w.record}, first.SHA256())
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ledger.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	p.public = public
	l, err := ledger.Create(p, private, time.Now(), plan)
	if err != nil {
		t.Fatal(err)
	}
	w.books = &Books{Ledger: l, Key: public, Secret: make([]byte, 32)}
	return w, p, func() {
		t.Helper()
		if l, err = ledger.Open(p, private, public); err != nil {
			t.Fatal(err)
		}
		w.books = &Books{Ledger: l, Key: public, Secret: make([]byte, 32)}
	}
}

// killAt stops the run at a point of the round's last part, once.
func killAt(w *world, p *pages, point string, kill func()) {
	var once atomic.Bool // members run at once
	switch point {
	case "before the set is stored", "set stored, nobody has signed":
		call := map[string]string{"before the set is stored": "propose certified=false", "set stored, nobody has signed": "propose certified=true"}[point]
		w.store.crash = func(got string) error {
			if got == call && once.CompareAndSwap(false, true) {
				return errCrash
			}
			return nil
		}
	case "set final, not in the ledger":
		p.fail = "certified"
	case "one holder has signed", "all have signed":
		for i, m := range w.members {
			m.odd = func(s *HolderSession, t HolderTask) bool {
				first := point == "one holder has signed"
				if (first && (t.Sign == nil || i > 0)) || (!first && t.Open == nil) || !once.CompareAndSwap(false, true) {
					return false
				}
				if first {
					if err := m.do(s, t); err != nil {
						w.t.Error(err)
					}
				}
				kill()
				return true
			}
		}
	case "opened, not committed":
		w.store.failOn = 1
	case "committed, not in the ledger":
		p.fail = "commit"
	}
}

// Killed at any point from the proposal on, the server carries on with the same
// attempt and the same set: nothing is trained again, nothing is charged twice, and the
// model is that of an undisturbed run.
func TestKilledBetweenProposeAndCommit(t *testing.T) {
	quote(t, "R12", "Before it proposes a set the server stores uploads and headers durably, and before it asks for the first signature the set itself; a crash before that starts a new attempt, one after it goes on with the same attempt and set.")
	const lost = "before the set is stored" // then the next attempt trains again
	points := []string{
		lost, "set stored, nobody has signed", "one holder has signed", "all have signed", "opened, not committed",
		"set final, not in the ledger", "committed, not in the ledger",
	}
	for _, private := range []bool{false, true} {
		for _, point := range points {
			if !private && strings.HasSuffix(point, "not in the ledger") {
				continue
			}
			t.Run(map[bool]string{false: "plain/", true: "contract/"}[private]+point, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					world := func() (*world, *pages, func()) {
						if private {
							return newPrivateWorld(t)
						}
						return newWorld(t, 2, 3), &pages{}, func() {}
					}
					calm, _, _ := world()
					want, err := calm.run(nil)
					if err != nil {
						t.Fatal(err)
					}
					w, p, reopen := world()
					ctx, kill := context.WithCancel(t.Context())
					defer kill()
					killAt(w, p, point, kill)
					if _, err := w.runUntil(ctx, nil); err == nil {
						t.Fatal("the run was not disturbed")
					}
					if s := w.store.state; point != lost && point != "committed, not in the ledger" && s.Pending == nil {
						t.Fatalf("the store holds %+v, want a pending attempt", s)
					}
					w.store.failOn, w.store.crash = 0, nil
					reopen()
					c, err := w.run(nil)
					if err != nil {
						t.Fatal(err)
					}
					history := []string{"1.1 void=false objected=0", "2.1 void=false objected=0"}
					if point == lost {
						history[0] = "1.2 void=false objected=0"
					}
					s := c.Snapshot()
					if d := cmp.Diff(history, outline(s)); d != "" {
						t.Error(d)
					}
					if c.model != want.model {
						t.Error("the model is not that of the undisturbed run")
					}
					if s.Spent != 0 || s.Pending != nil {
						t.Errorf("%d numbers are spent and pending is %v at the end", s.Spent, s.Pending)
					}
					for _, m := range w.members {
						if !slices.Equal(m.signed, []uint64{1, 2}) {
							t.Errorf("member %d signed in %v, want 1, 2", m.point, m.signed)
						}
					}
					if private {
						if b := w.books.Ledger.Balance(); b.Rounds != 2 {
							t.Errorf("%d rounds are charged, want 2", b.Rounds)
						}
					}
					if left, _ := filepath.Glob(filepath.Join(string(w.folder), "*")); len(left) > 0 {
						t.Errorf("the run leaves %v behind", left)
					}
				})
			})
		}
	}
}

// Uploads that are gone or changed are not opened; the round's number is used up if
// its set may have been signed.
func TestLostUploads(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 1000) },
		"changed": func(path string) error { return flip(path, 30_000) },
		"a share": func(path string) error { return flip(path, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 3)
				w.store.failOn = 1
				if _, err := w.run(nil); err == nil {
					t.Fatal("the run was not disturbed")
				}
				w.store.failOn = 0
				if err := damage(filepath.Join(string(w.folder), "uploads-1-1.spool")); err != nil {
					t.Fatal(err)
				}
				c, err := w.run(nil)
				if err != nil {
					t.Fatal(err)
				}
				s := c.Snapshot()
				if d := cmp.Diff([]string{"1.1 void=true objected=0", "1.2 void=false objected=0"}, outline(s)); d != "" || s.Spent != 1 {
					t.Errorf("%d spent\n%s", s.Spent, d)
				}
				checkParams(t, s, moved("abc"))
				if got := w.members[0].signed; !slices.Equal(got, []uint64{1, 2}) {
					t.Errorf("signed in %v, want 1, 2", got)
				}
			})
		})
	}
}

func flip(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// After a crash a client whose receipt was lost sends its report again, and learns that
// it is in; a report that never was is late.
func TestReportAfterResuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		w.store.failOn = 1
		var sent []Report
		w.sent = func(r Report) { sent = append(sent, r) }
		if _, err := w.run(nil); err == nil {
			t.Fatal("the run was not disturbed")
		}
		w.store.failOn = 0
		c := w.coordinator()
		go c.Run(t.Context())
		synctest.Wait() // waits for key holders
		for _, r := range sent {
			u, err := w.frame.Parse(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Report(t.Context(), u.Header.Client, r); err != nil || !got.Repeated {
				t.Errorf("a report that was in: %+v, %v", got, err)
			}
		}
	})
}
