package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// memory is a ledger's storage.
type memory struct{ b []byte }

func (m *memory) Read() ([]byte, error) { return slices.Clone(m.b), nil }
func (m *memory) Append(b []byte) error { m.b = append(m.b, b...); return nil }

// book is a run of the suite's contract with four key holders; its server is where the bugs are.
type book struct {
	*ledger.Ledger
	storage *memory
	public  string
	record  ledger.Hash
	keys    []ed25519.PrivateKey
}

var (
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	set  = ledger.Hash(sha256.Sum256([]byte("set")))
)

func newBook(t *testing.T) *book {
	t.Helper()
	c := SkellamContract() // priced quickly
	c.Rounds, c.MaxParticipations = 4, 4
	p, err := ledger.NewPlan("audit", c)
	if err != nil {
		t.Fatal(err)
	}
	b := &book{storage: &memory{}, record: sha256.Sum256([]byte("committee"))}
	p.Study = ledger.Study{Title: "Audit", Purpose: "a test", Data: "synthetic", Curators: []string{"an auditor"}}
	p.Architecture, p.Initial, p.Sampler, p.Encryption = "linear", sha256.Sum256([]byte("model")), "skellam/v1", "threshold"
	p.Metrics = &ledger.MetricsBudget{Epsilon: 1, Delta: 1e-6, Order: 16}
	p.Committee = &ledger.Committee{Record: b.record, Threshold: 3, Corrupt: 1}
	for i := range 4 {
		seed := sha256.Sum256([]byte{byte(i)})
		k := ed25519.NewKeyFromSeed(seed[:])
		b.keys = append(b.keys, k)
		p.Committee.Members = append(p.Committee.Members, ledger.Key(k.Public().(ed25519.PublicKey)))
	}
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
	var private string
	if private, b.public, err = ledger.GenerateKey(rand.NewChaCha8([32]byte{1}), "ledger.example"); err != nil {
		t.Fatal(err)
	}
	if b.Ledger, err = ledger.Create(b.storage, private, noon, p); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reserve(noon, ledger.Reserve{Round: 1, Attempt: 1, ModelIn: p.Initial}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *book) certify(survivors int) error {
	_, err := b.Certify(noon, ledger.Certified{
		Round: 1, Attempt: 1, Set: set, Cohort: sha256.Sum256([]byte("cohort")),
		Counts: &ledger.Counts{Target: owners, Sampled: owners, Survived: survivors},
	})
	return err
}

func (b *book) void() error {
	_, err := b.Void(noon, ledger.Void{Round: 1, Attempt: 1, Reason: "a test"})
	return err
}

// refund gives round 1 back with the signatures of that many holders.
func (b *book) refund(holders int) error {
	message := ledger.ClosureStatement(b.record, "audit", 1)
	var signed []ledger.Signed
	for i := range holders {
		signed = append(signed, ledger.Signed{Point: i + 1, Signature: ledger.Sig(ed25519.Sign(b.keys[i], message))})
	}
	_, err := b.Close(noon, ledger.Closed{Round: 1, Closures: signed})
	return err
}

// refused is what a server must not do, with the error it gets, and what it may do right beside.
var refused = map[string]struct {
	before, wrong func(*book) error
	want          error
	right         func(*book) error
}{
	"set below the floor": {
		func(*book) error { return nil },
		func(b *book) error { return b.certify(6) }, ledger.ErrFloor,
		func(b *book) error { return b.certify(7) },
	},
	"refund twice": {
		func(b *book) error { return errors.Join(b.void(), b.refund(3)) },
		func(b *book) error { return b.refund(4) }, ledger.ErrOrder,
		func(*book) error { return nil },
	},
	"refund by too few holders": {
		(*book).void,
		func(b *book) error { return b.refund(2) }, ledger.ErrInvalid,
		func(b *book) error { return b.refund(3) },
	},
	"un-noised metric": {
		func(*book) error { return nil },
		func(b *book) error {
			_, err := b.Add(noon, &ledger.Metric{Name: "training loss", Values: []float64{0.3}})
			return err
		}, accountant.ErrInvalid,
		func(b *book) error {
			noised := ledger.Event{Event: accountant.Laplace{NoiseMultiplier: 10}}
			_, err := b.Add(noon, &ledger.Metric{Name: "training loss", Event: noised, Values: []float64{0.3}})
			return err
		},
	},
}

// What a server must not do, the ledger refuses without a trace; what it may do right beside, it takes.
func TestLedgerRefusesPlantedBugs(t *testing.T) {
	for name, bug := range refused {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			if err := bug.before(b); err != nil {
				t.Fatal(err)
			}
			size, balance := len(b.storage.b), b.Balance()
			if err := bug.wrong(b); !errors.Is(err, bug.want) {
				t.Fatalf("got %v, want %v", err, bug.want)
			}
			if len(b.storage.b) != size || b.Balance() != balance {
				t.Error("the refusal left a trace")
			}
			if err := bug.right(b); err != nil {
				t.Errorf("allowed, but: %v", err)
			}
			if _, err := ledger.Verify(b.storage.b, b.public); err != nil {
				t.Error(err)
			}
		})
	}
}

// Closures of all holders are taken down for a round whose set was certified, and give the server nothing
// back: only data holders may take back charges of their own on them.
func TestRefundAfterOpeningStaysCharged(t *testing.T) {
	b := newBook(t)
	if err := errors.Join(b.certify(7), b.void()); err != nil {
		t.Fatal(err)
	}
	before := b.Balance()
	if before.Rounds != 1 {
		t.Fatalf("%d rounds charged, want 1", before.Rounds)
	}
	if err := b.refund(4); err != nil {
		t.Fatal(err)
	}
	if got := b.Balance(); got != before {
		t.Errorf("the balance went from %+v to %+v", before, got)
	}
}
