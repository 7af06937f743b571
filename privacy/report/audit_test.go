package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy/audit"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// attack is an audit that fits r.
func attack(t testing.TB, r *Report, right int) Audit {
	t.Helper()
	hash, err := r.Contract.Hash()
	if err != nil {
		t.Fatal(err)
	}
	a := Audit{
		Contract: fmt.Sprintf("%x", hash[:]), Build: "sotto 0.1.0", Seed: 1, Canaries: 600, Rounds: r.Contract.Rounds, Guesses: 400, Right: right,
		Delta: r.Contract.Delta, Confidence: 0.95, Certified: float64(r.Against[0].Planned.Upper), Assumptions: []string{"Key holders do not work with the adversary."},
	}
	if a.LowerBound, err = audit.LowerBound(audit.Guesses{Canaries: a.Canaries, Made: a.Guesses, Right: a.Right}, a.Delta, a.Confidence); err != nil {
		t.Fatal(err)
	}
	return a
}

// An audit stands beside the certified epsilon, with what it assumes, in both forms; one that refutes it is the verdict.
func TestAuditIsReported(t *testing.T) {
	first, err := New(run(t, hospitals(3), 3, 4))
	if err != nil {
		t.Fatal(err)
	}
	for right, want := range map[int]string{
		240: "The run stayed within its privacy budget.",
		400: "An audit shows that the program leaks more than this run promises.",
	} {
		r := *first
		a := attack(t, &r, right)
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ParseAudit(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.AddAudit(read); err != nil {
			t.Fatal(err)
		}
		page, err := r.HTML()
		if err != nil {
			t.Fatal(err)
		}
		text := string(page)
		for _, s := range []string{want, fmt.Sprintf("%d of 400", right), leastText(ledger.Epsilon(a.LowerBound)), epsilonText(ledger.Epsilon(a.Certified)), "95 %", a.Assumptions[0]} {
			if !strings.Contains(text, s) {
				t.Errorf("%d right: the page has no %q", right, s)
			}
		}
		j, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var again Report
		if err := json.Unmarshal(j, &again); err != nil || len(again.Audits) != 1 || again.Audits[0].LowerBound != a.LowerBound {
			t.Errorf("in JSON: %v, %+v", err, again.Audits)
		}
	}
}

func TestAuditThatDoesNotFit(t *testing.T) {
	r, err := New(run(t, hospitals(3), 3, 4))
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Audit){
		"it is about contract":      func(a *Audit) { a.Contract = strings.Repeat("0", 64) },
		"rounds at delta":           func(a *Audit) { a.Rounds++ },
		"at delta 1e-06":            func(a *Audit) { a.Delta = 1e-6 },
		"canaries, want at most":    func(a *Audit) { a.Canaries = 1 << 20 },
		"a confidence of":           func(a *Audit) { a.Confidence = 0.3 },
		"give a lower bound of":     func(a *Audit) { a.LowerBound /= 2 },
		"want 0 <= right":           func(a *Audit) { a.Right = 500 },
		"compares with a certified": func(a *Audit) { a.Certified *= 2 },
		"assumptions, want at most": func(a *Audit) { a.Assumptions = make([]string, 30) },
		"bytes, want at most":       func(a *Audit) { a.Build = strings.Repeat("x", 1000) },
	} {
		a := attack(t, r, 240)
		change(&a)
		if err := r.AddAudit(a); !errors.Is(err, ErrAudit) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if len(r.Audits) != 0 {
		t.Errorf("%d refused audits are in the report", len(r.Audits))
	}
	for _, s := range []string{"", "{", "[]", `{"right":1} {}`, `{"wrong":1}`, `{"right":"a"}`, strings.Repeat(" ", 1<<17)} {
		if _, err := ParseAudit([]byte(s)); !errors.Is(err, ErrAudit) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

func FuzzParseAudit(f *testing.F) {
	f.Add([]byte(`{"contract":"00","canaries":600,"guesses":400,"right":239,"delta":1e-5,"confidence":0.95}`))
	r, err := New(run(f, hospitals(3), 3, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAudit(b)
		if err != nil {
			return
		}
		if a.Contract = attack(t, r, 240).Contract; r.AddAudit(a) == nil {
			if _, err := r.HTML(); err != nil {
				t.Error(err)
			}
		}
		r.Audits = nil
	})
}
