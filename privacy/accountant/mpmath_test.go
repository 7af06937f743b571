package accountant

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// Values beyond the golden file, from formulas evaluated with 60 digits.
func TestAgainstManyDigits(t *testing.T) {
	b, err := os.ReadFile("testdata/mpmath.json")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]json.RawMessage
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	delete(v, "source")
	worst := map[string]float64{}
	for kind, raw := range v {
		var rows []map[string]float64
		if err := json.Unmarshal(raw, &rows); err != nil {
			t.Fatal(err)
		}
		if len(rows) < 30 {
			t.Errorf("%s: %d values, want at least 30", kind, len(rows))
		}
		for _, r := range rows {
			got, want, tolerance := manyDigits(t, kind, r)
			off := math.Abs(got/want - 1)
			if !(off <= tolerance) {
				t.Errorf("%s %v: got %.15g, off by %.2g", kind, r, got, off)
			}
			worst[kind] = math.Max(worst[kind], off)
		}
	}
	t.Log("largest relative differences:", worst)
}

func manyDigits(t *testing.T, kind string, r map[string]float64) (got, want, tolerance float64) {
	t.Helper()
	epsilon := func(a Accountant, e Event) float64 {
		x, err := a.Epsilon(SelfComposed{e, int64(r["steps"])}, r["delta"])
		if err != nil {
			t.Error(kind, r, err)
		}
		return x.Upper
	}
	switch kind {
	case "gaussian":
		gdp := epsilon(Accountant{Method: GDP}, Gaussian{r["multiplier"]})
		if exact := epsilon(Accountant{Method: Exact}, Gaussian{r["multiplier"]}); exact != gdp {
			t.Errorf("%v: exact %v, gdp %v", r, exact, gdp)
		}
		return gdp, r["epsilon"], 1e-9
	case "tau":
		return Tau(r["sigma"], int64(r["shares"])), r["tau"], 1e-9
	case "coupling":
		return CouplingDelta(r["epsilon"], int64(r["steps"]), int64(r["dims"]), r["t"]), r["delta"], 1e-9
	case "skellam":
		a := Accountant{Method: RDP, Orders: IntegerOrders(2, 79)}
		return epsilon(a, PoissonSampled{r["q"], Skellam{r["variance"], r["l1"], r["l2"]}}), r["epsilon"], 1e-6
	case "discrete":
		d, err := Accountant{Method: Exact}.Delta(DiscreteGaussian{Sigma: r["sigma"], Sensitivity: r["shift"], Dims: 1, Shares: 1, ShareSigma: r["sigma"]}, r["epsilon"])
		if err != nil {
			t.Error(kind, r, err)
		}
		return d.Upper, r["delta"], 1e-9
	case "rdp":
		c, err := Accountant{Method: RDP, Orders: []float64{r["order"]}}.Curve(PoissonSampled{r["q"], Gaussian{r["multiplier"]}})
		if err != nil {
			t.Fatal(kind, r, err)
		}
		return c[0], r["divergence"], 1e-9
	}
	t.Fatalf("%s: no such kind", kind)
	return 0, 0, 0
}
