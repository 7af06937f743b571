package ledger

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// holder is a data holder beside a server.
type holder struct {
	*world
	own     *memory
	private string
	public  string
	data    *Data
}

func newHolder(t *testing.T, w *world, epsilon, delta float64) *holder {
	h := &holder{world: w, own: &memory{}}
	var err error
	if h.private, h.public, err = GenerateKey(testRandom(7), "hospital-a.example"); err != nil {
		t.Fatal(err)
	}
	if h.data, err = CreateData(h.own, h.private, at(0), DataSet{ID: "ward 3", Epsilon: Epsilon(epsilon), Delta: delta}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *holder) accept(w *world) (int, error) {
	p, err := w.ledger.Prove(0)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.data.Accept(at(1), w.public, p)
}

func (h *holder) charge(w *world, round, attempt int) error {
	_, head := w.ledger.Checkpoint()
	return h.data.Charge(at(2), Upload{Plan: w.ledger.PlanHash(), Round: round, Attempt: attempt, Work: digest("work %d", round), Upload: digest("upload %d %d", round, attempt), Ledger: head})
}

func (h *holder) verifyData() *VerifiedData {
	h.t.Helper()
	v, err := VerifyData(h.own.b, h.public)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func TestDataBudgetOverRuns(t *testing.T) {
	first := newWorld(t, contract(24), true)
	p, keys := newPlan(t, contract(24), true)
	p.Run = "letters"
	second := worldWith(t, p, keys)
	whole := float64(first.ledger.state.Plan.After(24))
	h := newHolder(t, first, whole*1.4, 2e-5)

	if n, err := h.accept(first); err != nil || n != 24 {
		t.Fatalf("first run: %d rounds, %v", n, err)
	}
	if _, err := h.accept(first); !errors.Is(err, ErrOrder) {
		t.Errorf("the same plan twice: %v", err)
	}
	n, err := h.accept(second)
	if err != nil || n < 1 || n >= 24 {
		t.Fatalf("second run: %d rounds of 24, %v", n, err)
	}
	for i := 1; i <= 24; i++ {
		if err := h.charge(first, i, 1); err != nil {
			t.Fatal(err)
		}
	}
	var over *Overspend
	if err := h.charge(first, 25, 1); !errors.As(err, &over) {
		t.Errorf("round 25 of 24: %v", err)
	}
	for i := 1; i <= n; i++ {
		if err := h.charge(second, i, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.charge(second, n+1, 1); !errors.Is(err, ErrOverspend) {
		t.Errorf("beyond the limit: %v", err)
	}
	b := h.data.Balance()
	if want := whole + float64(second.ledger.state.Plan.After(n)); math.Abs(float64(b.Spent)-want) > 1e-9 || float64(b.Claim) > whole*1.4 {
		t.Errorf("balance %+v, want %v spent", b, want)
	}
	p, keys = newPlan(t, contract(24), true)
	p.Run = "words"
	if _, err := h.accept(worldWith(t, p, keys)); !errors.Is(err, ErrOverspend) {
		t.Errorf("a third delta: %v", err)
	}
	h.verifyData()
	d, err := OpenData(h.own, h.private, h.public)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Balance(); got != b {
		t.Errorf("after reopening %+v, want %+v", got, b)
	}
}

func TestUncharge(t *testing.T) {
	w := newWorld(t, contract(24), true)
	h := newHolder(t, w, 4, 1e-5)
	if _, err := h.accept(w); err != nil {
		t.Fatal(err)
	}
	plan, record := w.ledger.PlanHash(), w.ledger.state.Plan.Committee.Record
	for _, attempt := range []int{1, 2} { // the second repeats coins and noise
		if err := h.charge(w, 1, attempt); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.data.Charge(at(2), Upload{Plan: plan, Round: 1, Attempt: 3, Work: digest("another model")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("the same noise on another model: %v", err)
	}
	if b := h.data.Balance(); b.Rounds != 1 {
		t.Errorf("two attempts charge %d rounds", b.Rounds)
	}
	if err := h.data.Closed(at(3), plan, 1, w.sign(ClosureStatement(record, "digits", 1), 2)); !errors.Is(err, ErrInvalid) {
		t.Errorf("two closures: %v", err)
	}
	if err := h.data.Closed(at(3), plan, 1, w.sign(ClosureStatement(record, "digits", 2), 3)); !errors.Is(err, ErrInvalid) {
		t.Errorf("closures of another round: %v", err)
	}
	if err := h.data.Closed(at(3), plan, 1, w.sign(ClosureStatement(record, "digits", 1), 3)); err != nil {
		t.Fatal(err)
	}
	if b := h.data.Balance(); b.Rounds != 0 || b.Spent != 0 {
		t.Errorf("after closures: %+v", b)
	}
	if err := h.charge(w, 1, 3); !errors.Is(err, ErrOrder) {
		t.Errorf("an upload to a closed round: %v", err)
	}
	if err := h.charge(w, 2, 1); err != nil {
		t.Fatal(err)
	}
	set := digest("a set without us")
	if err := h.data.Omitted(at(4), plan, 2, set, w.sign(CertificateStatement(record, "digits", 2, digest("another")), 3)); !errors.Is(err, ErrInvalid) {
		t.Errorf("certificate of another set: %v", err)
	}
	if err := h.data.Omitted(at(4), plan, 2, set, w.sign(CertificateStatement(record, "digits", 2, set), 3)); err != nil {
		t.Fatal(err)
	}
	if err := h.data.Finish(at(5), plan); err != nil {
		t.Fatal(err)
	}
	if b := h.data.Balance(); b.Claim != 0 || b.Left != 4 {
		t.Errorf("after the run: %+v", b)
	}
	if err := h.data.Refuse(at(6), "letters", 1, "noise below the policy's least"); err != nil {
		t.Fatal(err)
	}
	if v := h.verifyData(); len(v.Refusals) != 1 || len(v.Runs) != 1 {
		t.Errorf("%+v", v.DataState)
	}
}

func TestPinsMakeClientsWitnesses(t *testing.T) {
	w := newWorld(t, contract(24), true)
	h := newHolder(t, w, 4, 1e-5)
	pin := func() error {
		c, _ := w.ledger.Checkpoint()
		var p []Hash
		if n := h.data.Seen(w.public, "digits").Size; n > 0 {
			p, _ = w.ledger.Consistency(n)
		}
		return h.data.Pin(at(1), w.public, c, p)
	}
	for i := 1; i <= 3; i++ {
		w.round(i, 8)
		for range 2 {
			if err := pin(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, head := w.ledger.Checkpoint()
	if got := h.data.Seen(w.public, "digits"); got != head || len(h.verifyData().Records) != 4 {
		t.Errorf("seen %+v in %d records, want %+v in 4", got, len(h.verifyData().Records), head)
	}
	whole := slices.Clone(w.storage.b)
	v := w.verify()
	w.storage.b = whole[:v.Records[7].Offset]
	w.reopen()
	if err := pin(); !errors.Is(err, ErrRollback) {
		t.Errorf("rolled back: %v", err)
	}
	for i := 0; len(w.verify().Records) < len(v.Records)+3; i++ {
		w.must(w.ledger.Add(w.tick(), &Note{Text: "another history"}))
	}
	if err := pin(); !errors.Is(err, ErrSplitView) {
		t.Errorf("another history: %v", err)
	}
	if err := pin(); !errors.Is(err, ErrSplitView) {
		t.Errorf("another history, again: %v", err)
	}
	d := h.verifyData()
	if len(d.Alarms) != 2 || d.Alarms[1].Seen != string(c) || h.data.Seen(w.public, "digits") != head {
		t.Errorf("%d alarms, pinned %+v", len(d.Alarms), h.data.Seen(w.public, "digits"))
	}
	if err := h.data.Pin(at(1), h.public, c, nil); err == nil {
		t.Error("a checkpoint under another key is pinned")
	}
}

func TestClientSeesItsReservation(t *testing.T) {
	w := newWorld(t, contract(24), true)
	head, err := w.ledger.Reserve(w.tick(), Reserve{Round: 1, Attempt: 1, ModelIn: w.ledger.state.Model})
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.ledger.Prove(head.Size - 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reserves(w.public, head, w.ledger.PlanHash(), 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := p.Reserves(w.public, head, w.ledger.PlanHash(), 1, 2); !errors.Is(err, ErrProof) {
		t.Errorf("another attempt: %v", err)
	}
	head.Size++
	if err := p.Reserves(w.public, head, w.ledger.PlanHash(), 1, 1); !errors.Is(err, ErrProof) {
		t.Errorf("another head: %v", err)
	}
}
