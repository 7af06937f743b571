package accountant

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fact is one record of ../shared/golden/dp_accounting.json; testdata/facts.json holds some of them unchanged.
type fact struct {
	ID            int                `json:"id"`
	Accountant    string             `json:"accountant"`
	Mechanism     string             `json:"mechanism"`
	Sampling      string             `json:"sampling"`
	Q             any                `json:"q"`
	Noise         any                `json:"noise_multiplier"`
	Steps         any                `json:"steps"`
	Delta         *float64           `json:"delta"`
	Expected      json.RawMessage    `json:"expected"`
	Tolerance     string             `json:"tolerance"`
	Note          string             `json:"note"`
	TargetEpsilon float64            `json:"target_epsilon"`
	Sensitivity   float64            `json:"sensitivity"`
	Order         int                `json:"order"`
	Rho           float64            `json:"rho"`
	Gaussian      float64            `json:"expected_gaussian"`
	ByInterval    map[string]float64 `json:"by_interval"`
	Params        struct {
		Clip, Gamma, Beta float64
		Stddev            float64 `json:"local_stddev"`
		N, Dim            int64
	} `json:"params"`
}

func (f fact) value(t *testing.T) float64 {
	var v float64
	if err := json.Unmarshal(f.Expected, &v); err != nil {
		t.Fatalf("fact %d: expected %s: %v", f.ID, f.Expected, err)
	}
	return v
}

func (f fact) q() float64     { return number(f.Q, 1) }
func (f fact) z() float64     { return number(f.Noise, 0) }
func (f fact) steps() int64   { return int64(number(f.Steps, 1)) }
func (f fact) delta() float64 { return *f.Delta }

func number(v any, absent float64) float64 {
	if x, ok := v.(float64); ok {
		return x
	}
	return absent
}

// within reads "x in the note, as a number".
func (f fact) within(pattern string) (float64, bool) {
	m := regexp.MustCompile(pattern).FindStringSubmatch(f.Note)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.TrimRight(m[1], ".,;"), 64)
	return v, err == nil
}

func (f fact) must(t *testing.T, pattern string) float64 {
	v, ok := f.within(pattern)
	if !ok {
		t.Fatalf("fact %d: no %q in %q", f.ID, pattern, f.Note)
	}
	return v
}

func readFacts(t *testing.T, path string) []fact {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not there: the golden file is kept outside the repository; testdata/facts.json has a part of it", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	var facts []fact
	if err := json.Unmarshal(b, &facts); err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestGoldenSubset(t *testing.T) { checkFacts(t, readFacts(t, "testdata/facts.json")) }

func TestGoldenAll(t *testing.T) {
	facts := readFacts(t, filepath.FromSlash("../../../shared/golden/dp_accounting.json"))
	if testing.Short() {
		t.Skip("the whole file takes some seconds")
	}
	if len(facts) < 700 {
		t.Errorf("%d facts, want at least 700", len(facts))
	}
	checkFacts(t, facts)
}

func checkFacts(t *testing.T, facts []fact) {
	done, left := map[string]int{}, map[string]int{}
	for _, f := range facts {
		kind := f.Accountant + ", " + f.Mechanism + ", " + f.Sampling
		if why := elsewhere(f); why != "" {
			left[why]++
			continue
		}
		if !f.check(t) {
			t.Errorf("fact %d (%s): no check knows this kind; note %q", f.ID, kind, f.Note)
		}
		done[f.Accountant+", "+f.Sampling]++
	}
	total := func(m map[string]int) (n int, lines []string) {
		for k, v := range m {
			n += v
			lines = append(lines, fmt.Sprintf("%5d  %s", v, k))
		}
		slices.Sort(lines)
		return n, lines
	}
	n, lines := total(done)
	m, rest := total(left)
	t.Logf("%d facts checked:\n%s\n%d belong elsewhere:\n%s", n, strings.Join(lines, "\n"), m, strings.Join(rest, "\n"))
	if n+m != len(facts) {
		t.Errorf("%d checked and %d elsewhere, of %d", n, m, len(facts))
	}
}

// elsewhere says why a fact is not this package's, or nothing.
func elsewhere(f fact) string {
	switch {
	case f.Accountant == "audit":
		return "empirical audits: TestGoldenAudits"
	}
	return ""
}

// near fails unless got is within tol of want, relative where rel, else absolute.
func (f fact) near(t *testing.T, what string, got, want, tol float64, rel bool) {
	t.Helper()
	d := math.Abs(got - want)
	if rel && want != 0 {
		d /= math.Abs(want)
	}
	if !(d <= tol) {
		t.Errorf("fact %d: %s %.12g, want %.12g within %g (%s, %s; %s)", f.ID, what, got, want, tol, f.Mechanism, f.Sampling, f.Note)
	}
}

func (f fact) epsilon(t *testing.T, a Accountant, e Event) Result {
	t.Helper()
	r, err := a.Epsilon(e, f.delta())
	if err != nil {
		t.Errorf("fact %d: %v", f.ID, err)
		return r
	}
	if !(0 <= r.Lower && r.Lower <= r.Estimate && r.Estimate <= r.Upper) {
		t.Errorf("fact %d: bounds out of order: %+v", f.ID, r.Bound)
	}
	return r
}

// event is the run of sampled Gaussians that most facts speak of.
func (f fact) event() Event {
	if qs, ok := f.Q.([]any); ok {
		zs, ts := f.Noise.([]any), f.Steps.([]any)
		var c Composed
		for i := range qs {
			c.Events = append(c.Events, SelfComposed{PoissonSampled{qs[i].(float64), Gaussian{zs[i].(float64)}}, int64(ts[i].(float64))})
		}
		return c
	}
	z := f.z()
	if strings.Contains(f.Note, "mb_no_sub") && !strings.Contains(f.Note, "no_mb") || strings.Contains(f.Note, "microbatching (effective") || strings.Contains(f.Note, " mb_sub") {
		z /= 2 // a micro-batch's mean has twice the sensitivity of a clipped record
	}
	if n := f.steps(); n > 0 {
		return SelfComposed{PoissonSampled{f.q(), Gaussian{z}}, n}
	}
	return NoOp{}
}
