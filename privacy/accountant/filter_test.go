package accountant

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
)

func TestFilterStopsAtTheBudget(t *testing.T) {
	const epsilon, delta = 3, 1e-5
	for _, c := range []struct {
		m     Method
		order float64
		event Event
	}{
		{GDP, 0, Gaussian{12}},
		{ZCDP, 0, Gaussian{12}},
		{RDP, 8, Gaussian{12}},
		{RDP, 8, PoissonSampled{0.05, Gaussian{2}}},
		{GDP, 0, DiscreteGaussian{Sigma: 1024, Sensitivity: 100, Dims: 26010, Shares: 7, ShareSigma: 400}},
	} {
		f, err := NewFilter(c.m, epsilon, delta, c.order)
		if err != nil {
			t.Fatalf("%s: %v", c.m, err)
		}
		n := int64(0)
		for f.Try(c.event) == nil {
			before := f
			if f, err = f.Spend(c.event); err != nil {
				t.Fatal(err)
			}
			if n++; n > 1e6 || !(f.Spent > before.Spent) {
				t.Fatalf("%s: %d events and no end: %+v", c.m, n, f)
			}
		}
		if err := f.Try(c.event); !errors.Is(err, ErrBudget) {
			t.Errorf("%s: %v, want ErrBudget", c.m, err)
		}
		a := Accountant{Method: c.m}
		if c.m == RDP {
			a.Orders = []float64{c.order}
		}
		// What was let through keeps the promise, and one more event would not, but for the delta set aside.
		in, err := a.Epsilon(SelfComposed{c.event, n}, delta)
		if err != nil || in.Upper > epsilon {
			t.Errorf("%s: %d events have epsilon %v, %v, want at most %v", c.m, n, in.Upper, err, epsilon)
		}
		over, err := a.Epsilon(SelfComposed{c.event, n + 1}, delta)
		if err != nil || over.Upper < epsilon*0.999 {
			t.Errorf("%s: it stopped after %d events, at epsilon %v of %v", c.m, n, over.Upper, epsilon)
		}
		if err := f.Try(NoOp{}); err != nil {
			t.Errorf("%s: a full filter refuses nothing: %v", c.m, err)
		}
		if err := f.Try(NonPrivate{}); !errors.Is(err, ErrBudget) {
			t.Errorf("%s: non-private release: %v, want ErrBudget", c.m, err)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	f, err := NewFilter(GDP, 3, 1e-5, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Try(PoissonSampled{0.1, Gaussian{1}}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("sampled Gaussian under gdp: %v, want ErrUnsupported", err)
	}
	if err := f.Try(EpsilonDelta{0, 1e-6}); !errors.Is(err, ErrBudget) {
		t.Errorf("failure beyond what is set aside: %v, want ErrBudget", err)
	}
	if err := (Filter{}).Try(Gaussian{1e6}); !errors.Is(err, ErrInvalid) {
		t.Errorf("zero filter: %v, want ErrInvalid", err)
	}
	for _, m := range []Method{PLD, Exact, ""} {
		if _, err := NewFilter(m, 3, 1e-5, 0); !errors.Is(err, ErrUnsupported) {
			t.Errorf("filter %q: %v, want ErrUnsupported", m, err)
		}
	}
	for _, v := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := NewFilter(GDP, v, 1e-5, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("epsilon %v: %v, want ErrInvalid", v, err)
		}
	}
}

func TestFilterState(t *testing.T) {
	f, err := NewFilter(RDP, 3, 1e-5, 8)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.Spend(Gaussian{20}); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeFilter(b); err != nil || got != f {
		t.Errorf("got %+v, %v, want %+v", got, err, f)
	}
	for _, bad := range []string{``, `{}`, string(b) + " ", `{"method":"gdp","epsilon":3,"budget":1,"spent":2}`, `{"method":"gdp","epsilon":3,"budget":1,"spent":-1}`} {
		if _, err := DecodeFilter([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
}
