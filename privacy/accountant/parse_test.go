package accountant

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsWhatPeopleWrite(t *testing.T) {
	for in, want := range map[string]Event{
		` { "noise_multiplier": 1.0, "kind": "gaussian" } `:                                                        Gaussian{1},
		`{"event":{"kind":"laplace","noise_multiplier":2e0},"q":1e-1,"kind":"poisson-sampled"}`:                    PoissonSampled{0.1, Laplace{2}},
		`{"kind":"matrix","steps":10,"separation":5,"participations":2,"noise_multiplier":1,"coefficients":[1.0]}`: Matrix{1, []float64{1}, 10, 5, 2},
	} {
		got, err := Parse([]byte(in))
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		``, `{}`, `[]`, `null`, `{"kind":"magic"}`, `{"kind":"gaussian"}`, `{"kind":"gaussian","noise_multiplier":1,"q":0.5}`, `{"kind":"gaussian","Noise_multiplier":1}`,
		`{"kind":"zcdp","rho":1}`, `{"kind":"gaussian","noise_multiplier":1} x`, strings.Repeat(" ", MaxEncoded+1),
	} {
		if e, err := Parse([]byte(in)); !errors.Is(err, ErrInvalid) || e != nil {
			t.Errorf("%.80s: %+v, %v, want ErrInvalid", in, e, err)
		}
	}
}

func TestFieldsOfEveryKind(t *testing.T) {
	for _, e := range everyKind {
		names, err := Fields(e.kind())
		if err != nil {
			t.Fatal(err)
		}
		b, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if !strings.Contains(string(b), `"`+n+`":`) {
				t.Errorf("%s has no %s", b, n)
			}
		}
		if got, err := Parse(b); err != nil || !cmp.Equal(got, e) {
			t.Errorf("%s: %+v, %v", b, got, err)
		}
	}
	if _, err := Fields("magic"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
