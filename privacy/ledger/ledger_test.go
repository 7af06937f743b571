package ledger

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/accountant"
)

var laplace = accountant.Laplace{NoiseMultiplier: 5}

func TestRoundsAreChargedAndVerified(t *testing.T) {
	w := busy(t)
	v := w.verify()
	b := v.Balance
	if b.Rounds != 3 || b.Reserved != 0 {
		t.Fatalf("charged %d, reserved %d, want 3 and 0: rounds 1, 3 (void after certification) and 4", b.Rounds, b.Reserved)
	}
	r, err := accountant.Accountant{Method: accountant.GDP}.Epsilon(v.Plan.Cost(0, 3), 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(b.Spent); math.Abs(got-r.Upper) > 1e-9 || b.Claim != b.Spent || math.Abs(float64(b.Left)-(4-got)) > 1e-9 {
		t.Errorf("balance %+v, the accountant says %v", b, r.Upper)
	}
	if b.Metrics <= 0 || b.Metrics > 1 {
		t.Errorf("epsilon of the metrics %v", b.Metrics)
	}
	if len(v.Records) != 20 || len(v.Rounds) != 4 || v.Model != digest("model 4") {
		t.Errorf("%d records, %d rounds, model %v", len(v.Records), len(v.Rounds), v.Model)
	}
	w.reopen()
	w.round(5, 9)
	if b := w.verify().Balance; b.Rounds != 4 {
		t.Errorf("after reopening %d rounds are charged, want 4", b.Rounds)
	}
}

// Distributed DP-SGD: sampled events, priced by privacy loss distributions, with a share of delta for cut batches.
func TestSampledRounds(t *testing.T) {
	w := newWorld(t, examples(3), true)
	w.round(1, 10)
	w.round(2, 7)
	v := w.verify()
	r, err := accountant.Accountant{Method: accountant.PLD}.Epsilon(v.Plan.Cost(0, 2), 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(v.Balance.Spent); math.Abs(got-r.Upper) > 1e-9 || v.Plan.Slack <= 0 {
		t.Errorf("spent %v, the accountant says %v; slack %v", got, r.Upper, v.Plan.Slack)
	}
	if n := v.Rounds[1].Commit.Noise; n.Planned != 1.81 || n.Effective < 1.81 {
		t.Errorf("noise %+v", n)
	}
}

// The table's steps never claim less than the accountant says of the number of rounds.
func TestMilestonesBoundEveryRound(t *testing.T) {
	p, _ := newPlan(t, clients(200), false)
	for n := 0; n <= 200; n++ {
		want := 0.0
		if n > 0 {
			r, err := accountant.Accountant{Method: p.Accountant}.Epsilon(p.Cost(0, n), 1.07e-3)
			if err != nil {
				t.Fatal(err)
			}
			want = r.Upper
		}
		if got := float64(p.After(n)); got < want*(1-1e-12) {
			t.Errorf("after %d rounds %v, less than %v", n, got, want)
		}
	}
	if got := milestones(10000); len(got) > maxMilestones+4 || got[len(got)-1] != 10000 {
		t.Errorf("milestones of 10,000 rounds: %v", got)
	}
}

func TestReserveRefusesToOverspend(t *testing.T) {
	c := clients(40)
	c.Epsilon = 4
	w := newWorld(t, c, false)
	rounds := 0
	var over *Overspend
	for i := 1; ; i++ {
		err := w.reserve(i, 1)
		if errors.As(err, &over) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		w.must(Head{}, w.certify(i, 1, 400))
		w.must(Head{}, w.commit(i, 1, 400))
		rounds++
	}
	b := w.ledger.Balance()
	if rounds == 0 || rounds >= 40 || float64(b.Claim) > 4 || over.Need <= 4 || over.Rounds != 0 || !errors.Is(over, ErrOverspend) {
		t.Errorf("after %d rounds: %+v, %+v", rounds, b, over)
	}
	if left := over.Left(); math.Abs(left-float64(b.Left)) > 1e-12 || !strings.Contains(over.Error(), "left") {
		t.Errorf("%v", over)
	}
	size := len(w.storage.b)
	if err := w.reserve(rounds+1, 1); err == nil || len(w.storage.b) != size {
		t.Error("a refused reservation left a trace")
	}
	w.verify()
}

// Exactly 3 of 10 drop out each round: the noise is at least the planned. A fourth makes the round void.
func TestFloor(t *testing.T) {
	w := newWorld(t, contract(24), true)
	for i := 1; i <= 3; i++ {
		w.round(i, 7)
	}
	v := w.verify()
	for _, r := range v.Rounds {
		if n := r.Commit.Noise; n.Effective < n.Planned || n.Effective > 1.001*n.Planned || n.Planned != 6 {
			t.Errorf("round %d: noise %+v", r.Number, n)
		}
	}
	if got, want := float64(v.Balance.Spent), float64(v.Plan.After(3)); got != want {
		t.Errorf("spent %v, want the planned %v", got, want)
	}
	w.must(Head{}, w.reserve(4, 1))
	if err := w.certify(4, 1, 6); !errors.Is(err, ErrFloor) {
		t.Errorf("six updates: %v, want ErrFloor", err)
	}
	w.must(Head{}, w.void(4, 1))
	if b := w.ledger.Balance(); b.Rounds != 3 || b.Reserved != 1 {
		t.Errorf("balance %+v, want the reservation held for the next attempt", b)
	}
	w.must(Head{}, w.reserve(4, 2))
	if b := w.ledger.Balance(); b.Reserved != 1 {
		t.Errorf("balance %+v, want the same reservation", b)
	}
}

func TestOrderIsKept(t *testing.T) {
	fresh := func() *world { return newWorld(t, clients(24), false) }
	encrypted := func() *world { return newWorld(t, contract(24), true) }
	for name, test := range map[string]struct {
		world func() *world
		do    func(w *world) error
		want  error
	}{
		"certified without a reservation": {fresh, func(w *world) error { return w.certify(1, 1, 400) }, ErrOrder},
		"commit without a reservation":    {fresh, func(w *world) error { return w.commit(1, 1, 400) }, ErrOrder},
		"two reservations": {fresh, func(w *world) error {
			w.must(Head{}, w.reserve(1, 1))
			return w.reserve(2, 1)
		}, ErrOrder},
		"a round again":  {fresh, func(w *world) error { w.round(1, 400); return w.reserve(1, 2) }, ErrOrder},
		"an older round": {fresh, func(w *world) error { w.round(2, 400); return w.reserve(1, 1) }, ErrOrder},
		"an attempt again": {fresh, func(w *world) error {
			w.must(Head{}, w.reserve(1, 2))
			w.must(Head{}, w.void(1, 2))
			return w.reserve(1, 2)
		}, ErrOrder},
		"another attempt's commit": {fresh, func(w *world) error {
			w.must(Head{}, w.reserve(1, 2))
			return w.commit(1, 1, 400)
		}, ErrOrder},
		"commit without certificate": {encrypted, func(w *world) error {
			w.must(Head{}, w.reserve(1, 1))
			return w.commit(1, 1, 8)
		}, ErrOrder},
		"a second set": {encrypted, func(w *world) error {
			w.must(Head{}, w.reserve(1, 1))
			w.must(Head{}, w.certify(1, 1, 8))
			return w.certify(1, 1, 9)
		}, ErrOrder},
		"another set than certified": {encrypted, func(w *world) error {
			w.must(Head{}, w.reserve(1, 1))
			w.must(Head{}, w.certify(1, 1, 8))
			return w.commit(1, 1, 9)
		}, ErrInvalid},
		"a wrong signature": {encrypted, func(w *world) error {
			w.holders[1] = w.holders[0]
			w.must(Head{}, w.reserve(1, 1))
			w.must(Head{}, w.certify(1, 1, 8))
			return w.commit(1, 1, 8)
		}, ErrInvalid},
		"refund with too few closures": {encrypted, func(w *world) error {
			w.must(Head{}, w.reserve(1, 1))
			w.must(Head{}, w.void(1, 1))
			_, err := w.ledger.Close(w.tick(), Closed{Round: 1, Closures: w.sign(ClosureStatement(w.ledger.state.Plan.Committee.Record, "digits", 1), 2)})
			return err
		}, ErrInvalid},
		"refund with closures of another round": {encrypted, func(w *world) error {
			w.must(Head{}, w.reserve(1, 1))
			w.must(Head{}, w.void(1, 1))
			_, err := w.ledger.Close(w.tick(), Closed{Round: 1, Closures: w.sign(ClosureStatement(w.ledger.state.Plan.Committee.Record, "digits", 2), 3)})
			return err
		}, ErrInvalid},
		"another model than the newest": {fresh, func(w *world) error {
			_, err := w.ledger.Reserve(w.tick(), Reserve{Round: 1, Attempt: 1, ModelIn: digest("another")})
			return err
		}, ErrInvalid},
		"release of an unknown model": {fresh, func(w *world) error {
			_, err := w.ledger.Add(w.tick(), &Release{Model: digest("another"), Name: "x"})
			return err
		}, ErrInvalid},
		"metrics beyond their budget": {fresh, func(w *world) error {
			_, err := w.ledger.Add(w.tick(), &Metric{Name: "x", Event: Event{accountant.Laplace{NoiseMultiplier: 0.5}}})
			return err
		}, ErrOverspend},
		"a metric without noise": {fresh, func(w *world) error {
			_, err := w.ledger.Add(w.tick(), &Metric{Name: "x", Event: Event{accountant.NonPrivate{}}})
			return err
		}, ErrOverspend},
		"a spread that does not add up": {fresh, func(w *world) error {
			w.round(1, 400)
			_, err := w.ledger.Add(w.tick(), &Spread{Round: 1, Counts: []Tally{{1, 399}}})
			return err
		}, ErrInvalid},
		"a second plan": {fresh, func(w *world) error {
			_, err := w.ledger.Add(w.tick(), w.ledger.state.Plan)
			return err
		}, ErrOrder},
		"a number that is none": {fresh, func(w *world) error {
			_, err := w.ledger.Add(w.tick(), &Metric{Name: "x", Event: Event{laplace}, Values: []float64{math.NaN()}})
			return err
		}, nil},
		"control characters": {fresh, func(w *world) error {
			_, err := w.ledger.Add(w.tick(), &Note{Text: "\x1b[2J"})
			return err
		}, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := test.world()
			err := test.do(w)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			w.verify() // nothing of it is in the ledger
		})
	}
}

func TestLaneBHidesCounts(t *testing.T) {
	c := clients(20)
	c.Lane, c.SamplingRate = privacy.LaneB, 0.5
	w := newWorld(t, c, false)
	w.must(Head{}, w.reserve(1, 1))
	if err := w.certify(1, 1, 400); !errors.Is(err, ErrInvalid) {
		t.Errorf("counts in lane B: %v", err)
	}
	w.must(w.ledger.Certify(w.tick(), Certified{Round: 1, Attempt: 1, Cohort: digest("hiding")}))
	if v := w.verify(); v.Rounds[0].Certified.Noise.Effective < c.Noise {
		t.Errorf("noise %+v", v.Rounds[0].Certified.Noise)
	}
}

func TestNoPrivacyIsWrittenOut(t *testing.T) {
	w := newWorld(t, privacy.Contract{Unit: privacy.UnitNone}, false)
	w.must(Head{}, w.reserve(1, 1))
	w.must(Head{}, w.commit(1, 1, 0))
	if b := w.verify().Balance; !math.IsInf(float64(b.Spent), 1) {
		t.Errorf("a run without privacy claims epsilon %v", b.Spent)
	}
}

// After a failed write the ledger takes nothing more, and what is on disk continues.
func TestFailedWrite(t *testing.T) {
	w := newWorld(t, clients(24), false)
	w.round(1, 400)
	before := len(w.storage.b)
	w.storage.fail = true
	if err := w.reserve(2, 1); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	w.storage.fail = false
	if err := w.reserve(2, 1); !errors.Is(err, errDisk) {
		t.Errorf("a ledger with an unknown end goes on: %v", err)
	}
	if _, err := Verify(w.storage.b, w.public); !errors.Is(err, ErrDifferent) {
		t.Errorf("half a record: %v", err)
	}
	w.storage.b = w.storage.b[:before]
	w.reopen()
	w.round(2, 400)
	w.verify()
}

// Closures of a certified round are kept, for its participants; on the server it stays charged.
func TestClosuresRefundNothingThatWasCertified(t *testing.T) {
	w := newWorld(t, contract(24), true)
	w.must(Head{}, w.reserve(1, 1))
	w.must(Head{}, w.certify(1, 1, 8))
	w.must(Head{}, w.void(1, 1))
	before := w.ledger.Balance()
	if got := w.ledger.Closable(2, 4); len(got) != 1 || got[0] != 1 {
		t.Errorf("closable: %v, want round 1", got)
	}
	closed := Closed{Round: 1, Closures: w.sign(ClosureStatement(w.ledger.state.Plan.Committee.Record, "digits", 1), 3)}
	w.must(w.ledger.Close(w.tick(), closed))
	if got := w.ledger.Balance(); got != before || got.Rounds != 1 {
		t.Errorf("balance %+v, want %+v", got, before)
	}
	if _, err := w.ledger.Close(w.tick(), closed); !errors.Is(err, ErrOrder) {
		t.Errorf("closed twice: %v", err)
	}
	w.verify()
	w.reopen()
	w.must(Head{}, w.reserve(2, 1))
	shown, err := w.ledger.Show(w.public, 2, 5, false)
	if err != nil || len(shown.Closed) != 1 {
		t.Fatalf("%d closures are shown after a restart, %v", len(shown.Closed), err)
	}
	h := newHolder(t, w, 4, 1e-5)
	if _, err := h.accept(w); err != nil {
		t.Fatal(err)
	}
	if err := h.charge(w, 1, 1); err != nil {
		t.Fatal(err)
	}
	k, err := ParseClosed(shown.Closed[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.data.Closed(at(3), w.ledger.PlanHash(), k.Round, k.Closures); err != nil {
		t.Fatal(err)
	}
	if b := h.data.Balance(); b.Rounds != 0 {
		t.Errorf("the participant's charge: %+v", b)
	}
	if _, err := ParseClosed(shown.Reservation.Record); !errors.Is(err, ErrProof) {
		t.Errorf("a reservation as closures: %v", err)
	}
}
