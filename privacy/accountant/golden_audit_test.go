package accountant_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/sotto-fl/sotto/privacy/audit"
)

// The facts about empirical audits are checked from outside, for package audit rests on this one.
func TestGoldenAudits(t *testing.T) {
	const path = "../../../shared/golden/dp_accounting.json"
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(path + " is not there: the golden file is kept outside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	var facts []struct {
		ID         int
		Accountant string
		Expected   json.RawMessage
		Delta      *float64
		Canaries   int `json:"m"`
		Guesses    int
		Correct    int
	}
	if err := json.Unmarshal(b, &facts); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range facts {
		if f.Accountant != "audit" {
			continue
		}
		n++
		var want float64
		if err := json.Unmarshal(f.Expected, &want); err != nil {
			t.Fatal(err)
		}
		got, err := audit.LowerBound(audit.Guesses{Canaries: f.Canaries, Made: f.Guesses, Right: f.Correct}, *f.Delta, 0.95)
		if err != nil || math.Abs(got-want) > 1e-5 {
			t.Errorf("fact %d: lower bound %v, %v, want %v", f.ID, got, err, want)
		}
	}
	if n < 6 {
		t.Errorf("%d facts about audits, want at least 6", n)
	}
}
