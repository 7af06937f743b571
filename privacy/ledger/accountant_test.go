package ledger

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

// A plan says how its epsilons were computed. A program that computes them in another way says so, and which two ways these are.
func TestPlanPinsItsAccountant(t *testing.T) {
	w := newWorld(t, contract(3), true)
	w.round(1, 10)
	plan := w.verify().Plan
	if plan.AccountantVersion != accountant.Version(plan.Accountant) || plan.AccountantVersion < 1 {
		t.Errorf("accountant %s version %d, want that of the program", plan.Accountant, plan.AccountantVersion)
	}
	frames, _, _, err := scan(w.storage.b)
	if err != nil {
		t.Fatal(err)
	}
	for change, want := range map[string]string{
		`"accountant_version":2`:  "accountant gdp version 2, this program has version 1",
		`"accountant_version":0`:  "canonical form",
		`"accountant_version":-1`: "version",
	} {
		b := []byte(fileStart)
		for i, f := range frames {
			body := f.body
			if i == 0 {
				body = bytes.Replace(body, []byte(`"accountant_version":1`), []byte(change), 1)
			}
			b = appendFrame(b, f.typ, body)
		}
		if d := different(t, change, b, w.public); d.Index != 0 || !strings.Contains(d.Error(), want) {
			t.Errorf("%s: %v, want record 0 and %q", change, d, want)
		}
	}
	// Plans that were written before say nothing, and mean version 1.
	plan.AccountantVersion = 0
	if err := plan.validate(); err != nil {
		t.Error(err)
	}
}
