package accountant

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var everyKind = []Event{
	NoOp{},
	NonPrivate{},
	Gaussian{1.5},
	DiscreteGaussian{Sigma: 512, Sensitivity: 300, Dims: 26010, Shares: 7, ShareSigma: 194},
	Skellam{Variance: 1e6, L1: 2048, L2: 512},
	Concentrated{Rho: 0.25},
	EpsilonDelta{0.5, 1e-9},
	Laplace{2},
	PoissonSampled{0.01, Gaussian{1}},
	TruncatedPoisson{Records: 1000, Q: 0.05, Cap: 80, NoiseMultiplier: 1},
	FixedSize{Records: 1000, Batch: 10, Event: Gaussian{1}},
	Tree{NoiseMultiplier: 8, Steps: 100},
	Composed{[]Event{Gaussian{1}, SelfComposed{PoissonSampled{0.5, Laplace{1e-7}}, 12}}},
	Composed{[]Event{}},
	SelfComposed{Gaussian{1e21}, 3},
	Matrix{NoiseMultiplier: 4, Coefficients: []float64{1, 0.5}, Steps: 100, Separation: 10, Participations: 3},
	Exponential{0.5},
	RandomizedResponse{P: 0.3, K: 10},
}

func TestEncodeRoundTrip(t *testing.T) {
	for _, e := range everyKind {
		b, err := Encode(e)
		if err != nil {
			t.Errorf("%#v: %v", e, err)
			continue
		}
		got, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		if d := cmp.Diff(e, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", b, d)
		}
	}
}

// These bytes are in ledgers: they must never change.
func TestEncodeIsStable(t *testing.T) {
	for want, e := range map[string]Event{
		`{"kind":"no-op"}`:                           NoOp{},
		`{"kind":"gaussian","noise_multiplier":1.5}`: everyKind[2],
		`{"kind":"discrete-gaussian","sigma":512,"sensitivity":300,"dims":26010,"shares":7,"share_sigma":194}`:         everyKind[3],
		`{"kind":"skellam","variance":1000000,"l1":2048,"l2":512}`:                                                     everyKind[4],
		`{"kind":"zcdp","rho":0.25,"xi":0}`:                                                                            everyKind[5],
		`{"kind":"epsilon-delta","epsilon":0.5,"delta":1e-9}`:                                                          everyKind[6],
		`{"kind":"poisson-sampled","q":0.01,"event":{"kind":"gaussian","noise_multiplier":1}}`:                         everyKind[8],
		`{"kind":"truncated-poisson","records":1000,"q":0.05,"cap":80,"noise_multiplier":1}`:                           everyKind[9],
		`{"kind":"fixed-size","records":1000,"batch":10,"event":{"kind":"gaussian","noise_multiplier":1}}`:             everyKind[10],
		`{"kind":"tree","noise_multiplier":8,"steps":100}`:                                                             everyKind[11],
		`{"kind":"self-composed","event":{"kind":"gaussian","noise_multiplier":1e+21},"count":3}`:                      everyKind[14],
		`{"kind":"composed","events":[{"kind":"laplace","noise_multiplier":2},{"kind":"no-op"}]}`:                      Composed{[]Event{Laplace{2}, NoOp{}}},
		`{"kind":"matrix","noise_multiplier":4,"coefficients":[1,0.5],"steps":100,"separation":10,"participations":3}`: everyKind[15],
		`{"kind":"exponential","epsilon":0.5}`:                                                                         everyKind[16],
		`{"kind":"randomized-response","p":0.3,"k":10}`:                                                                everyKind[17],
	} {
		got, err := Encode(e)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":            ``,
		"null":               `null`,
		"array":              `[]`,
		"unknown kind":       `{"kind":"magic"}`,
		"no kind":            `{"noise_multiplier":1}`,
		"unknown field":      `{"kind":"gaussian","noise_multiplier":1,"x":1}`,
		"field of another":   `{"kind":"gaussian","noise_multiplier":1,"q":1}`,
		"missing field":      `{"kind":"gaussian"}`,
		"white space":        `{"kind":"gaussian", "noise_multiplier":1}`,
		"trailing bytes":     `{"kind":"no-op"}{}`,
		"another order":      `{"noise_multiplier":1,"kind":"gaussian"}`,
		"another spelling":   `{"kind":"gaussian","noise_multiplier":1.0}`,
		"another case":       `{"Kind":"gaussian","noise_multiplier":1}`,
		"duplicate":          `{"kind":"gaussian","noise_multiplier":1,"noise_multiplier":1}`,
		"negative noise":     `{"kind":"gaussian","noise_multiplier":-1}`,
		"no noise":           `{"kind":"gaussian","noise_multiplier":0}`,
		"overflow":           `{"kind":"gaussian","noise_multiplier":1e999}`,
		"q above one":        `{"kind":"poisson-sampled","q":1.1,"event":{"kind":"no-op"}}`,
		"negative zero":      `{"kind":"poisson-sampled","q":-0,"event":{"kind":"no-op"}}`,
		"no event":           `{"kind":"poisson-sampled","q":0.5,"event":null}`,
		"no repetition":      `{"kind":"self-composed","event":{"kind":"no-op"},"count":0}`,
		"too many":           `{"kind":"self-composed","event":{"kind":"no-op"},"count":1099511627777}`,
		"batch over records": `{"kind":"fixed-size","records":1,"batch":2,"event":{"kind":"no-op"}}`,
		"shares short":       `{"kind":"discrete-gaussian","sigma":512,"sensitivity":300,"dims":10,"shares":6,"share_sigma":194}`,
		"delta above one":    `{"kind":"epsilon-delta","epsilon":1,"delta":2}`,
		"no coefficients":    `{"kind":"matrix","noise_multiplier":4,"coefficients":[],"steps":100,"separation":10,"participations":3}`,
		"p of 0":             `{"kind":"randomized-response","p":0,"k":2}`,
		"too deep":           strings.Repeat(`{"kind":"self-composed","event":`, 20) + `{"kind":"no-op"}` + strings.Repeat(`,"count":1}`, 20),
	} {
		if e, err := Decode([]byte(in)); err == nil || e != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, %v, want ErrInvalid and no event", name, e, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range everyKind {
		b, err := Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			if e != nil {
				t.Errorf("event %v beside error %v", e, err)
			}
			return
		}
		again, err := Encode(e)
		if err != nil || string(again) != string(b) {
			t.Errorf("decoded %q, encoded %q, %v", b, again, err)
		}
	})
}
