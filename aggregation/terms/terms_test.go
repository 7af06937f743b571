package terms

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/internal/statement"
)

func valid(t testing.TB) Terms {
	t.Helper()
	codec := aggregation.Codec{Bits: 16, Range: 1}
	p, err := kahe.Plan(kahe.Requirement{Values: 40, Width: codec.SumBits(10), Uploads: 10, Security: kahe.Classical128})
	if err != nil {
		t.Fatal(err)
	}
	return Terms{Run: "test", Encryption: p.Spec(), Codec: codec, Organisations: 3, Cohort: 4, MinWork: 2, MinWeight: 0.25}
}

func encoded(t testing.TB) []byte {
	t.Helper()
	b, err := valid(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodeThenDecode(t *testing.T) {
	private := valid(t)
	private.Codec, private.Privacy = aggregation.Codec{}, []byte("a contract")
	for _, want := range []Terms{valid(t), private} {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

// One value has one encoding: clients and key holders compare hashes of it.
func TestDecodeRefusesOtherForms(t *testing.T) {
	good := string(encoded(t))
	for name, bad := range map[string]string{
		"empty":           "",
		"null":            "null",
		"no object":       "[]",
		"cut":             good[:len(good)-1],
		"two":             good + good,
		"newline":         good + "\n",
		"space":           strings.Replace(good, ":", ": ", 1),
		"unknown field":   strings.Replace(good, `{"run"`, `{"runs":1,"run"`, 1),
		"field twice":     strings.Replace(good, `{"run":"test"`, `{"run":"test","run":"test"`, 1),
		"case of a field": strings.Replace(good, `"run"`, `"Run"`, 1),
		"escape":          strings.Replace(good, `"test"`, `"t\u0065st"`, 1),
		"other number":    strings.Replace(good, `"min_weight":0.25`, `"min_weight":2.5e-1`, 1),
		"privacy as text": strings.Replace(good, `"privacy":null`, `"privacy":""`, 1),
		"half a field":    strings.Replace(good, `"cohort":4`, `"cohort":4.5`, 1),
		"negative work":   strings.Replace(good, `"min_work":2`, `"min_work":-2`, 1),
		"too long":        strings.Replace(good, `"test"`, `"`+strings.Repeat("t", maxEncoded)+`"`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: changes nothing", name)
		}
		if _, err := Decode([]byte(bad)); !errors.Is(err, ErrTerms) {
			t.Errorf("%s: got %v, want ErrTerms", name, err)
		}
		if _, err := Limits([]byte(bad)); !errors.Is(err, ErrTerms) {
			t.Errorf("limits, %s: got %v, want ErrTerms", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, change := range map[string]func(*Terms){
		"no run":                 func(t *Terms) { t.Run = "" },
		"one organisation":       func(t *Terms) { t.Organisations = 1 },
		"cohort below":           func(t *Terms) { t.Cohort = t.Organisations - 1 },
		"no work":                func(t *Terms) { t.MinWork = 0 },
		"no weight":              func(t *Terms) { t.MinWeight = 0 },
		"weight above one":       func(t *Terms) { t.MinWeight = 1.5 },
		"weight NaN":             func(t *Terms) { t.MinWeight = math.NaN() },
		"no codec":               func(t *Terms) { t.Codec = aggregation.Codec{} },
		"field too narrow":       func(t *Terms) { t.Encryption.Width-- },
		"more uploads than fit":  func(t *Terms) { t.Encryption.Uploads = 1 << 20 },
		"no uploads":             func(t *Terms) { t.Encryption.Uploads = 0 },
		"less than none":         func(t *Terms) { t.Encryption.Uploads = math.MinInt },
		"two codecs":             func(t *Terms) { t.Privacy = []byte("a contract") },
		"ring of its own":        func(t *Terms) { t.Encryption.Preset = "n16-q12" },
		"noise without room":     func(t *Terms) { t.Encryption.NoiseBits = 2 },
		"uploads beyond numbers": func(t *Terms) { t.Encryption.Uploads = math.MaxInt },
	} {
		x := valid(t)
		change(&x)
		if _, err := x.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestLimits(t *testing.T) {
	b := encoded(t)
	l, err := Limits(b)
	if err != nil {
		t.Fatal(err)
	}
	if l.Contract != statement.Hash(b) || l.KMin != 3 || l.MinCohort != 4 || l.MinWork != 2 || l.MinWeight != 0.25 {
		t.Errorf("limits are %+v", l)
	}
}

func TestWorkHashCoversEverything(t *testing.T) {
	task := [32]byte{1}
	base := WorkHash(task, 0.5, 0.1, 0, 0)
	for name, other := range map[string]statement.Digest{
		"task": WorkHash([32]byte{2}, 0.5, 0.1, 0, 0), "epochs": WorkHash(task, 0.25, 0.1, 0, 0),
		"learning rate": WorkHash(task, 0.5, 0.2, 0, 0), "order": WorkHash(task, 0.1, 0.5, 0, 0), "clip norm": WorkHash(task, 0.5, 0.1, 0.1, 0), "reference": WorkHash(task, 0.5, 0.1, 0, 9),
	} {
		if other == base {
			t.Errorf("another %s gives the same hash", name)
		}
	}
}

// Whatever decodes is what Encode writes, is fit for its ring, and is small.
func FuzzDecode(f *testing.F) {
	good := encoded(f)
	f.Add(good)
	for _, n := range []int{0, 1, 2, len(good) / 2, len(good) - 1} {
		f.Add(good[:n])
	}
	f.Add(append(bytes.Clone(good), ' '))
	f.Add(append(bytes.Clone(good), good...))
	for _, change := range []struct{ from, to string }{
		{`"uploads":10`, `"uploads":-1`}, {`"uploads":10`, `"uploads":9223372036854775807`},
		{`"values":40`, `"values":268435457`}, {`"width":20`, `"width":64`},
		{`"bits":16`, `"bits":63`}, {`"range":1`, `"range":1e308`}, {`"range":1`, `"range":5e-324`},
		{`"privacy":null`, `"privacy":"AA=="`}, {`"min_weight":0.25`, `"min_weight":1e999`},
	} {
		f.Add(bytes.Replace(good, []byte(change.from), []byte(change.to), 1))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrTerms) {
				t.Fatalf("got %v, want ErrTerms", err)
			}
			return
		}
		again, err := x.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q decodes and encodes as %q, %v", b, again, err)
		}
		if !json.Valid(b) || len(b) > maxEncoded {
			t.Fatalf("%d bytes that should not decode", len(b))
		}
	})
}
