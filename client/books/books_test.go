package books

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

func now() time.Time { return time.Unix(1_800_000_000, 0) }

// study is a run's ledger at its server.
type study struct {
	t        *testing.T
	run      string
	ledger   *ledger.Ledger
	storage  *pages
	private  string
	public   string
	contract []byte
	record   statement.Digest
	reserved int64
	round    int
	asked    int
}

func newStudy(t *testing.T, run string) *study {
	t.Helper()
	c := privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut, Clip: 1, Mechanism: privacy.Skellam, Noise: 2, Grid: 1 << 12, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.1, Rounds: 4, MaxParticipations: 4, Epsilon: 4, Delta: 1e-5,
		Colluders: 1, MinCohort: 3, MaxCohort: 4, MinRecords: 4, Records: 400, Counts: privacy.CountsPublic, Parameters: 100, MicroBatch: 2,
	}
	p, err := ledger.NewPlan(run, c)
	if err != nil {
		t.Fatal(err)
	}
	p.Encryption, p.Initial = "threshold", ledger.Hash{1}
	s := &study{t: t, run: run, storage: &pages{}, contract: p.Contract, record: statement.Digest{7}}
	p.Committee = &ledger.Committee{Record: ledger.Hash(s.record), Threshold: 3, Corrupt: 1}
	for i := range 4 {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
		p.Committee.Members = append(p.Committee.Members, ledger.Key(key.Public().(ed25519.PublicKey)))
	}
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
	random := &counter{}
	if s.private, s.public, err = ledger.GenerateKey(random, "server.example"); err != nil {
		t.Fatal(err)
	}
	if s.ledger, err = ledger.Create(s.storage, s.private, now(), p); err != nil {
		t.Fatal(err)
	}
	return s
}

// counter gives the same key to every study of a test.
type counter struct{ n byte }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}

// next reserves a round and returns what a client is asked for in it.
func (s *study) next() participant.Release {
	s.t.Helper()
	if s.round > 0 {
		if _, err := s.ledger.Void(now(), ledger.Void{Round: s.round, Attempt: 1, Reason: "test"}); err != nil {
			s.t.Fatal(err)
		}
	}
	s.round++
	h, err := s.ledger.Reserve(now(), ledger.Reserve{Round: s.round, Attempt: 1, ModelIn: ledger.Hash{1}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.reserved = h.Size - 1
	return participant.Release{Run: s.run, Round: uint64(s.round), Attempt: 1, Contract: s.contract, Record: s.record, Ledger: statement.Digest(h.Root), Work: statement.Digest{byte(s.round)}}
}

func (s *study) Ledger(_ context.Context, seen int64, plan bool) (ledger.Shown, error) {
	s.asked++
	return s.ledger.Show(s.public, seen, s.reserved, plan)
}

func generous() Limit { return Limit{Epsilon: 100, Delta: 0.1} }

func open(t *testing.T, dir string, l Limit) *Folder {
	t.Helper()
	f, err := OpenFolder(dir, l, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func key(t *testing.T) KeyFile { return KeyFile(filepath.Join(t.TempDir(), "server.pub")) }

func balance(t *testing.T, a Account) (b ledger.Balance) {
	t.Helper()
	if err := a.With(func(d *ledger.Data) error { b = d.Balance(); return nil }); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARunIsJoinedWhollyOrNotAtAll(t *testing.T) {
	first, second := newStudy(t, "first"), newStudy(t, "second")
	dir := t.TempDir()
	cost := func() float64 {
		m, err := NewMemory("x", generous(), nil, now())
		if err != nil {
			t.Fatal(err)
		}
		if err := New(m, first, m, generous(), now).Permit(t.Context(), first.next()); err != nil {
			t.Fatal(err)
		}
		return float64(balance(t, m).Claim)
	}()
	account := open(t, dir, Limit{Epsilon: 1.9 * cost, Delta: 1e-4})
	a := New(account, first, key(t), generous(), now)
	for range 2 {
		r := first.next()
		if err := a.Permit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for range 2 { // sent again after a crash
			if err := a.Charge(t.Context(), r, [32]byte{9}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := balance(t, account); got.Rounds != 2 || !(got.Spent < got.Claim) {
		t.Errorf("after two uploads: %+v", got)
	}

	// Another study, another process, the same data.
	other := open(t, dir, generous())
	b := New(other, second, key(t), generous(), now)
	err := b.Permit(t.Context(), second.next())
	if !errors.Is(err, participant.ErrDeclined) || !errors.Is(err, ledger.ErrOverspend) {
		t.Fatalf("a second study over the budget: %v", err)
	}
	if !strings.Contains(err.Error(), "over all runs") {
		t.Errorf("says %q", err)
	}
	if err := b.Charge(t.Context(), participant.Release{Run: "second", Round: 1, Attempt: 1}, [32]byte{}); !errors.Is(err, participant.ErrDeclined) {
		t.Errorf("charged in a run that was not joined: %v", err)
	}

	// When the first ends, what it did not take is free again.
	if err := a.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Permit(t.Context(), second.next()); err != nil {
		t.Errorf("after the first study has ended: %v", err)
	}
	if err := a.Permit(t.Context(), first.next()); !errors.Is(err, participant.ErrDeclined) {
		t.Errorf("a run that goes on after it was finished: %v", err)
	}
	if got := balance(t, account); got.Rounds != 2 {
		t.Errorf("%+v", got)
	}
}

func TestThePolicyOfOneClientMayBeLower(t *testing.T) {
	s := newStudy(t, "first")
	account := open(t, t.TempDir(), generous())
	b := New(account, s, key(t), Limit{Epsilon: 0.01, Delta: 1e-4}, now)
	if err := b.Permit(t.Context(), s.next()); !errors.Is(err, ledger.ErrOverspend) {
		t.Errorf("epsilon: %v", err)
	}
	b = New(account, s, key(t), Limit{Epsilon: 50, Delta: 1e-6}, now)
	if err := b.Permit(t.Context(), s.next()); !errors.Is(err, ledger.ErrOverspend) || !strings.Contains(err.Error(), "deltas") {
		t.Errorf("delta: %v", err)
	}
}

func TestALoweredBudgetStopsTheNextUpload(t *testing.T) {
	s := newStudy(t, "first")
	account := open(t, t.TempDir(), generous())
	b := New(account, s, key(t), generous(), now)
	r := s.next()
	if err := b.Permit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := b.Charge(t.Context(), r, [32]byte{}); err != nil {
		t.Fatal(err)
	}
	if err := account.With(func(d *ledger.Data) error { return d.Rebudget(now(), d.Balance().Spent, 1e-4) }); err != nil {
		t.Fatal(err)
	}
	if err := b.Permit(t.Context(), s.next()); !errors.Is(err, ledger.ErrOverspend) {
		t.Errorf("a round beyond the lowered budget: %v", err)
	}
}

// The clients are witnesses: a server's ledger that went back, that was started anew with
// the same key, or that is signed by another, is refused, and the evidence is kept.
func TestAServersLedgerMustGoOn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*study)
		want   error
	}{
		"went back": {func(s *study) {
			l, err := ledger.Open(&pages{b: s.storage.b[:len(s.storage.b)-lastRecord(t, s)]}, s.private, s.public)
			if err != nil {
				t.Fatal(err)
			}
			s.ledger = l
			s.reserved = 1
		}, ledger.ErrRollback},
		"started anew": {func(s *study) {
			n := newStudy(t, s.run)
			if _, err := n.ledger.Add(now(), &ledger.Note{Text: "another history"}); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				n.next()
			}
			s.ledger, s.reserved = n.ledger, n.reserved
		}, ledger.ErrSplitView},
		"another key": {func(s *study) {
			s.public = strings.Replace(s.public, "server", "gerver", 1)
		}, participant.ErrDeclined},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudy(t, "first")
			account := open(t, t.TempDir(), generous())
			b := New(account, s, key(t), generous(), now)
			r := s.next()
			for range 2 {
				if err := b.Permit(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				r = s.next()
			}
			if err := b.Permit(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			c.change(s)
			err := b.Permit(t.Context(), r)
			if !errors.Is(err, participant.ErrDeclined) || !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			_ = account.With(func(d *ledger.Data) error {
				snapshot, _ := d.Snapshot()
				if len(snapshot.Refusals) != 1 || errors.Is(c.want, ledger.ErrRollback) && len(snapshot.Alarms) != 1 {
					t.Errorf("%d refusals, %d alarms are kept", len(snapshot.Refusals), len(snapshot.Alarms))
				}
				return nil
			})
		})
	}
}

// lastRecord is the length of the newest record with its checkpoint.
func lastRecord(t *testing.T, s *study) int {
	v, err := ledger.Verify(s.storage.b, s.public)
	if err != nil {
		t.Fatal(err)
	}
	return v.Records[len(v.Records)-1].Size
}

func TestOrderAndPlanMustAgree(t *testing.T) {
	for name, change := range map[string]func(*participant.Release){
		"contract":  func(r *participant.Release) { r.Contract = []byte("{}") },
		"committee": func(r *participant.Release) { r.Record[0]++ },
		"round":     func(r *participant.Release) { r.Round++ },
		"attempt":   func(r *participant.Release) { r.Attempt++ },
	} {
		s := newStudy(t, "first")
		m, err := NewMemory("x", generous(), nil, now())
		if err != nil {
			t.Fatal(err)
		}
		r := s.next()
		change(&r)
		if err := New(m, s, m, generous(), now).Permit(t.Context(), r); !errors.Is(err, participant.ErrDeclined) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	s := newStudy(t, "first")
	m, _ := NewMemory("x", generous(), nil, now())
	r := s.next()
	r.Ledger[0]++
	if err := New(m, s, m, generous(), now).Permit(t.Context(), r); !errors.Is(err, errStale) || errors.Is(err, participant.ErrDeclined) {
		t.Errorf("a head that is not the announced one: %v", err)
	}
}

// Wherever the file is cut off, as kill -9 cuts it, the account opens and claims at least
// what had left by then.
func TestACutOffLedgerClaimsWhatLeft(t *testing.T) {
	s := newStudy(t, "first")
	dir := t.TempDir()
	account := open(t, dir, generous())
	b := New(account, s, key(t), generous(), now)
	path := filepath.Join(dir, LedgerFile)
	size := func() int {
		i, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return int(i.Size())
	}
	var left []int // size of the file when each upload was free to leave
	for range 3 {
		r := s.next()
		if err := b.Permit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := b.Charge(t.Context(), r, [32]byte{}); err != nil {
			t.Fatal(err)
		}
		left = append(left, size())
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole); cut > 0; cut -= 97 {
		copied := t.TempDir()
		for _, name := range []string{LedgerFile, keyFile} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if name == LedgerFile {
				b = b[:cut]
			}
			if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f, err := OpenFolder(copied, generous(), now)
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
		}
		gone := 0
		for _, n := range left {
			if n <= cut {
				gone++
			}
		}
		if got := balance(t, f).Rounds; got < gone {
			t.Errorf("cut at %d: %d rounds are charged, %d had left", cut, got, gone)
		}
		f.Close()
	}
}
