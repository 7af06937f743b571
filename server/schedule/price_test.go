package schedule

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// answer is the order of one client, as the bytes that would be sent.
func answer(t *testing.T, c Client, p costcurve.Price, q costcurve.Queue) []byte {
	t.Helper()
	o, err := costcurve.Respond(c.Curve, p, costcurve.Limits{Min: c.Min, Max: c.Max, Queue: q})
	if err != nil {
		t.Fatal(err)
	}
	return o.Append(nil)
}

// Everett: what the answers realise is a least-energy allocation of their own total.
func TestAnswersToAPriceHaveNoRegret(t *testing.T) {
	r := rand.New(rand.NewPCG(81, 82))
	for name, family := range convexFamilies {
		for range instances {
			clients := drawClients(r, family)
			price := costcurve.Price{Lambda: 12 * r.Float64()}
			var total int64
			var joules float64
			a := Allocation{Lambda: price.Lambda}
			for _, c := range clients {
				o, err := costcurve.Respond(c.Curve, price, costcurve.Limits{Min: c.Min, Max: c.Max})
				if err != nil {
					t.Fatal(err)
				}
				a.Tasks = append(a.Tasks, o.Tasks)
				total += o.Tasks
				joules += c.Curve.At(o.Tasks)
			}
			best, err := SolveConvex(clients, total) // itself held to brute force
			if err != nil || best.Joules != joules {
				t.Fatalf("%s: answers cost %v J, the optimum for %d tasks %v (%v)", name, joules, total, best.Joules, err)
			}
			a.Joules = joules
			if err := Verify(clients, total, a); err != nil {
				t.Fatalf("%s: the posted price is no certificate: %v", name, err)
			}
		}
	}
}

// The test of lane B: one client more leaves every other order byte for byte as it
// was. The joint optimum does not pass it, which is why it is not used there.
func TestAddingAClientLeavesOtherOrdersAlone(t *testing.T) {
	clients, total := fleet(200, 9)
	price, err := FirstPrice(clients, 0.5, total/2)
	if err != nil {
		t.Fatal(err)
	}
	orders := func(clients []Client) (all [][]byte) {
		for i, c := range clients {
			all = append(all, answer(t, c, price, costcurve.Queue(i%7)))
		}
		return all
	}
	before, after := orders(clients[:199]), orders(clients)
	for i := range before {
		if !bytes.Equal(before[i], after[i]) {
			t.Fatalf("order of client %d changed", i)
		}
	}
	a, err := SolveConvex(clients[:199], total)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SolveConvex(clients, total)
	if err != nil {
		t.Fatal(err)
	}
	same := true
	for i := range a.Tasks {
		same = same && a.Tasks[i] == b.Tasks[i]
	}
	if same {
		t.Error("the joint optimum did not move either; the test shows nothing")
	}
}

func TestFirstPriceMeetsTheExpectation(t *testing.T) {
	clients, _ := fleet(5000, 4)
	price, err := FirstPrice(clients, 0.2, 50_000)
	if err != nil {
		t.Fatal(err)
	}
	var tasks int64
	for _, c := range clients {
		tasks += c.Curve.Fill(price.Lambda, c.Min, min(c.Max, c.Curve.Max()))
	}
	if got := 0.2 * float64(tasks); math.Abs(got-50_000) > 500 {
		t.Errorf("expects %v tasks a round, want 50000", got)
	}
	if _, err := FirstPrice(clients, 0, 1); !errors.Is(err, costcurve.ErrInvalid) {
		t.Errorf("rate 0: got %v, want ErrInvalid", err)
	}
}

func TestNextPriceSettles(t *testing.T) {
	clients, total := fleet(2000, 6)
	price := costcurve.Price{Lambda: 0.01}
	var got float64
	for range 40 {
		var tasks int64
		for _, c := range clients {
			tasks += c.Curve.Fill(price.Lambda, c.Min, min(c.Max, c.Curve.Max()))
		}
		got = float64(tasks)
		var err error
		if price, err = NextPrice(price, float64(total), got, DefaultGain, 1e-3); err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(got/float64(total)-1) > 0.01 {
		t.Errorf("does %v tasks after 40 rounds, want %d", got, total)
	}
	if _, err := NextPrice(price, 1, math.NaN(), 1, 0); !errors.Is(err, costcurve.ErrInvalid) {
		t.Errorf("NaN: got %v, want ErrInvalid", err)
	}
}

func TestMeasure(t *testing.T) {
	for _, c := range []struct {
		shares []float64
		want   Fairness
	}{
		{[]float64{2, 2, 2, 2}, Fairness{1, 0}},
		{[]float64{0, 8, 0, 0}, Fairness{0.25, 0.75}},
		{[]float64{3, 1}, Fairness{0.8, 0.25}},
		{nil, Fairness{1, 0}},
	} {
		if got := Measure(c.shares); math.Abs(got.Jain-c.want.Jain) > 1e-12 || math.Abs(got.Gini-c.want.Gini) > 1e-12 {
			t.Errorf("%v: got %+v, want %+v", c.shares, got, c.want)
		}
	}
}
