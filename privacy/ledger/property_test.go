package ledger

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Whatever a server tries, in whatever order, with restarts in between: what the key holders may have opened is charged,
// epsilon spent never falls, the claim never passes the budget, and the ledger verifies.
func TestNeverClaimsLessThanReleased(t *testing.T) {
	c := contract(12)
	c.Epsilon = 2.6
	p, keys := newPlan(t, c, true)
	rapid.Check(t, func(rt *rapid.T) {
		w := worldWith(t, p, keys)
		released, spent := 0, Epsilon(0)
		round, attempt := 1, 1
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"reserve", "certify", "certify few", "commit", "void", "next", "attempt", "close", "restart", "back"}).Draw(rt, "step") {
			case "reserve":
				w.reserve(round, attempt)
			case "certify":
				if w.certify(round, attempt, rapid.IntRange(5, 11).Draw(rt, "survived")) == nil {
					released++ // from here on a holder may sign
				}
			case "certify few":
				if w.certify(round, attempt, 6) == nil {
					rt.Fatal("a set below the floor is certified")
				}
			case "commit":
				survived := 8
				if o := w.ledger.state.Open(); o != nil && o.Certified != nil && o.Phase == InCertifying {
					survived = o.Certified.Counts.Survived
				}
				w.commit(round, attempt, survived)
			case "void":
				w.void(round, attempt)
			case "next":
				round, attempt = round+1, 1
			case "attempt":
				attempt++
			case "back":
				round = max(1, round-1)
			case "close":
				w.ledger.Close(w.tick(), Closed{Round: round, Closures: w.sign(ClosureStatement(p.Committee.Record, "digits", round), 3)})
			case "restart":
				w.reopen()
			}
			b := w.ledger.Balance()
			if b.Rounds != released {
				rt.Fatalf("%d rounds may be released, %d are charged", released, b.Rounds)
			}
			if b.Spent < spent || b.Claim < b.Spent || b.Spent < p.After(released) {
				rt.Fatalf("spent fell from %v to %v, claim %v", spent, b.Spent, b.Claim)
			}
			if float64(b.Claim) > c.Epsilon || b.Reserved < 0 || math.Abs(float64(b.Claim+b.Left)-c.Epsilon) > 1e-9 {
				rt.Fatalf("%+v of %v", b, c.Epsilon)
			}
			spent = b.Spent
		}
		v, err := Verify(w.storage.b, w.public)
		if err != nil {
			rt.Fatal(err)
		}
		if v.Balance != w.ledger.Balance() {
			rt.Fatalf("verified %+v, the ledger says %+v", v.Balance, w.ledger.Balance())
		}
	})
}

// A data holder's ledger: the charge is there before the upload, and comes back only on signatures.
func TestDataNeverClaimsLess(t *testing.T) {
	c := contract(12)
	w := newWorld(t, c, true)
	inclusion, err := w.ledger.Prove(0)
	if err != nil {
		t.Fatal(err)
	}
	plan, record := w.ledger.PlanHash(), w.ledger.state.Plan.Committee.Record
	private, public, err := GenerateKey(testRandom(7), "hospital-a.example")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		own := &memory{}
		d, err := CreateData(own, private, at(0), DataSet{ID: "ward 3", Epsilon: Epsilon(rapid.Float64Range(0.9, 4).Draw(rt, "budget")), Delta: 1e-5})
		if err != nil {
			rt.Fatal(err)
		}
		if _, err := d.Accept(at(1), w.public, inclusion); err != nil {
			return // less than one round
		}
		uploaded := map[int]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			round := rapid.IntRange(1, 14).Draw(rt, "round")
			switch rapid.SampledFrom([]string{"upload", "upload", "closed", "forged", "restart"}).Draw(rt, "step") {
			case "upload":
				if d.Charge(at(2), Upload{Plan: plan, Round: round, Attempt: 1}) == nil {
					uploaded[round] = true
				}
			case "closed":
				if d.Closed(at(3), plan, round, w.sign(ClosureStatement(record, "digits", round), 3)) == nil {
					delete(uploaded, round)
				}
			case "forged":
				if d.Omitted(at(3), plan, round, digest("x"), w.sign(ClosureStatement(record, "digits", round), 3)) == nil {
					rt.Fatal("a charge is taken back on signatures of something else")
				}
			case "restart":
				if d, err = OpenData(own, private, public); err != nil {
					rt.Fatal(err)
				}
			}
			b := d.Balance()
			if b.Rounds != len(uploaded) || b.Spent != w.ledger.state.Plan.After(len(uploaded)) || b.Claim < b.Spent {
				rt.Fatalf("%d rounds uploaded: %+v", len(uploaded), b)
			}
		}
		if _, err := VerifyData(own.b, public); err != nil {
			rt.Fatal(err)
		}
	})
}
