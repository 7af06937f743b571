package kahe

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sotto-fl/sotto/aggregation/pack"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// golden compares got with a file under testdata, as indented JSON.
func golden(t *testing.T, path string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("testdata/"+path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("testdata/%s differs (-want +got):\n%s", path, cmp.Diff(string(want), string(text)))
	}
}

type goldenPreset struct {
	Name   string   `json:"name"`
	N      int      `json:"n"`
	Bits   int      `json:"bits"`
	Primes []string `json:"primes"`
	Levels []string `json:"levels"`
}

// Presets are pinned: name, degree, explicit primes, levels.
func TestPresetsEqualTheFile(t *testing.T) {
	var got []goldenPreset
	for _, p := range Presets() {
		g := goldenPreset{Name: p.Name, N: p.N, Bits: p.Bits}
		for _, q := range p.Primes {
			g.Primes = append(g.Primes, new(big.Int).SetUint64(q).String())
		}
		for _, level := range []string{Classical128, Conservative} {
			if p.Allowed(level) {
				g.Levels = append(g.Levels, level)
			}
		}
		got = append(got, g)
	}
	golden(t, "v1/presets.json", got)
}

// Every prime is one, allows the transform, and is as close below its power of two
// as such primes come; a preset's q has as many bits as its primes together.
func TestPrimes(t *testing.T) {
	for n, sizes := range primes {
		for size, list := range sizes {
			q := new(big.Int).Lsh(big.NewInt(1), uint(size))
			q.Add(q, big.NewInt(1))
			for _, want := range list {
				for {
					if q.Sub(q, big.NewInt(int64(2*n))); q.ProbablyPrime(20) {
						break
					}
				}
				if q.Uint64() != want {
					t.Errorf("N=%d, %d bits: got %d, want %v", n, size, want, q)
				}
			}
		}
	}
	if len(Presets()) < 60 {
		t.Errorf("only %d presets", len(Presets()))
	}
	for _, p := range Presets() {
		q := big.NewInt(1)
		for _, prime := range p.Primes {
			q.Mul(q, new(big.Int).SetUint64(prime))
		}
		if q.BitLen() != p.Bits {
			t.Errorf("%s: q has %d bits", p.Name, q.BitLen())
		}
		if len(p.Primes) > 1 && p.Primes[0]>>2 >= p.Primes[len(p.Primes)-1] {
			t.Errorf("%s: primes too far apart for Garner's offsets", p.Name)
		}
		if !p.Allowed(Classical128) {
			t.Errorf("%s is within no table", p.Name)
		}
	}
	if q := presets()["n2048-q53"].Primes[0]; q != 1<<53-126975 {
		t.Errorf("prime of n2048-q53 is %d", q)
	}
}

// The table of largest moduli is that of the record of estimates.
func TestLimitsEqualTheRecord(t *testing.T) {
	text, err := os.ReadFile("testdata/security.json")
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Limits []struct {
			Level     string `json:"level"`
			N         int    `json:"n"`
			MostBits  int    `json:"most_bits"`
			Published int    `json:"published_bits"`
			Source    string `json:"source"`
		} `json:"limits"`
		Estimates []struct {
			Level      string  `json:"level"`
			N          int     `json:"n"`
			Bits       int     `json:"bits"`
			Sigma      float64 `json:"sigma"`
			Model      string  `json:"model"`
			USVP       float64 `json:"usvp"`
			BDD        float64 `json:"bdd"`
			DualHybrid float64 `json:"dual_hybrid"`
		} `json:"estimates"`
	}
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[int]int{}
	for _, l := range record.Limits {
		if l.MostBits > l.Published || l.Source == "" {
			t.Errorf("%s, N=%d: %d bits, published are %d by %q", l.Level, l.N, l.MostBits, l.Published, l.Source)
		}
		if got[l.Level] == nil {
			got[l.Level] = map[int]int{}
		}
		got[l.Level][l.N] = l.MostBits
	}
	if diff := cmp.Diff(mostBits, got); diff != "" {
		t.Errorf("limits (-code +record):\n%s", diff)
	}
	// Every limit, and so every preset below it, was estimated: in its level's model, at
	// the width that the leak of the sums leaves, at 128 bits or more.
	models := map[string]string{Classical128: "MATZOV", Conservative: "ChaLoy21"}
	estimated := map[string]map[int]int{}
	for _, e := range record.Estimates {
		if e.Model != models[e.Level] || e.Sigma != Sigma/2 {
			t.Errorf("%s, N=%d: estimated by %s at width %g, want %s at %g", e.Level, e.N, e.Model, e.Sigma, models[e.Level], Sigma/2)
		}
		if least := min(e.USVP, e.BDD, e.DualHybrid); least < 128 {
			t.Errorf("%s, N=%d: %.1f bits, want 128", e.Level, e.N, least)
		}
		if estimated[e.Level] == nil {
			estimated[e.Level] = map[int]int{}
		}
		estimated[e.Level][e.N] = e.Bits
	}
	if diff := cmp.Diff(mostBits, estimated); diff != "" {
		t.Errorf("limits without an estimate (-code +record):\n%s", diff)
	}
}

// What no table allows is refused, by name and by numbers.
func TestRefusals(t *testing.T) {
	good := Spec{Preset: "n2048-q53", Values: 1000, Fields: 2, Width: 20, NoiseBits: 11, Uploads: 100}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Spec){
		"54 bits at 2048":         func(s *Spec) { s.Preset = "n2048-q54" },
		"109 bits at 4096":        func(s *Spec) { s.Preset = "n4096-q109" },
		"106 bits at 4096":        func(s *Spec) { s.Preset = "n4096-q106" },
		"218 bits at 8192":        func(s *Spec) { s.Preset = "n8192-q218" },
		"212 bits at 8192":        func(s *Spec) { s.Preset = "n8192-q212" },
		"degree 1024":             func(s *Spec) { s.Preset = "n1024-q27" },
		"no preset":               func(s *Spec) { s.Preset = "" },
		"a bit too wide":          func(s *Spec) { s.Fields, s.Width = 2, 21 },
		"a field too many":        func(s *Spec) { s.Fields = 3 },
		"a noise bit too few":     func(s *Spec) { s.NoiseBits = 10 },
		"a noise bit too many":    func(s *Spec) { s.NoiseBits = 13 },
		"more uploads than noise": func(s *Spec) { s.Uploads = 500 },
		"rounding without noise":  func(s *Spec) { s.DropBits = 6 },
		"too much rounding":       func(s *Spec) { s.DropBits, s.NoiseBits, s.Width = 9, 15, 10 },
		"negative rounding":       func(s *Spec) { s.DropBits = -1 },
		"no values":               func(s *Spec) { s.Values = 0 },
		"too many values":         func(s *Spec) { s.Values = MaxValues + 1 },
		"no uploads":              func(s *Spec) { s.Uploads = 0 },
		"too many uploads":        func(s *Spec) { s.Uploads = MaxUploads + 1 },
		"no fields":               func(s *Spec) { s.Fields = 0 },
		"endless fields":          func(s *Spec) { s.Fields = math.MaxInt },
		"no width":                func(s *Spec) { s.Width = 0 },
		"endless width":           func(s *Spec) { s.Width = math.MaxInt },
		"endless noise":           func(s *Spec) { s.NoiseBits = math.MaxInt },
	} {
		s := good
		change(&s)
		if _, err := New(s); !errors.Is(err, ErrParams) {
			t.Errorf("%s: got %v, want ErrParams", name, err)
		}
	}
	plan := Requirement{Values: 1000, Width: 20, Uploads: 100, Security: Classical128}
	for name, change := range map[string]func(*Requirement){
		"unknown level":     func(r *Requirement) { r.Security = "ternary" },
		"no level":          func(r *Requirement) { r.Security = "" },
		"width of 1":        func(r *Requirement) { r.Width = 1 },
		"width of 49":       func(r *Requirement) { r.Width = 49 },
		"no values":         func(r *Requirement) { r.Values = 0 },
		"endless values":    func(r *Requirement) { r.Values = math.MaxInt },
		"no uploads":        func(r *Requirement) { r.Uploads = 0 },
		"endless uploads":   func(r *Requirement) { r.Uploads = math.MaxInt },
		"negative shares":   func(r *Requirement) { r.Shares = -1 },
		"negative uploads":  func(r *Requirement) { r.Uploads = math.MinInt },
		"level of the past": func(r *Requirement) { r.Security = "conservative128" },
	} {
		r := plan
		change(&r)
		if _, err := Plan(r); !errors.Is(err, ErrParams) {
			t.Errorf("%s: got %v, want ErrParams", name, err)
		}
	}
}

// "k is the least with (2B+1)/2^k <= 0.9. n=100: k=11; n=10,000: k=14."
func TestNoiseBitsOfTheProtocol(t *testing.T) {
	for uploads, want := range map[int]int{100: 11, 10000: 14} {
		for k := 1; ; k++ {
			s := Spec{Uploads: uploads, NoiseBits: k}
			if _, err := noiseBound(s, 1<<18); err == nil {
				if k != want {
					t.Errorf("%d uploads: %d noise bits, want %d", uploads, k, want)
				}
				break
			}
		}
	}
}

// "k + p*w <= floor(log2 q)", and the plan is the smallest upload of all choices.
func TestPlanIsSoundAndMinimal(t *testing.T) {
	leastNoise := func(uploads, drop, coefficients int) int {
		variance := 6.5*6.5 + (math.Pow(4, float64(drop))-1)/12
		b := max(9.05, pack.TailFactor(coefficients))*math.Sqrt(float64(uploads)*variance) + float64(min(drop, 1))
		return int(math.Ceil(math.Log2((2*b + 1) / 0.9)))
	}
	rapid.Check(t, func(t *rapid.T) {
		r := Requirement{
			Values:   rapid.SampledFrom([]int{1, 26010, 545098, 10_000_000}).Draw(t, "d"),
			Width:    rapid.IntRange(8, 32).Draw(t, "w"),
			Uploads:  rapid.SampledFrom([]int{2, 10, 100, 1000, 10000}).Draw(t, "n"),
			Security: rapid.SampledFrom([]string{Classical128, Conservative}).Draw(t, "level"),
			Shares:   rapid.IntRange(0, 3).Draw(t, "shares"),
		}
		p, err := Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		s := p.Spec()
		if !p.Preset().Allowed(r.Security) {
			t.Fatalf("%v is not %s", p, r.Security)
		}
		if s.NoiseBits+s.Fields*s.Width > p.Preset().Bits-1 || s.Width != r.Width || s.Values != r.Values || s.Uploads != r.Uploads {
			t.Fatalf("plan %+v for %+v", s, r)
		}
		shares := r.Shares
		if shares == 0 {
			shares = 2
		}
		size := func(n, bits, drop, fields int) int {
			c := max(n, (r.Values+fields-1)/fields)
			return (c*(bits-drop)+7)/8 + shares*n*bits/8
		}
		got := size(p.Preset().N, p.Preset().Bits, s.DropBits, s.Fields)
		for _, q := range Presets() {
			for drop := 0; q.Allowed(r.Security) && drop <= maxDrop; drop++ {
				for fields := 1; fields*r.Width < q.Bits; fields++ {
					c := max(q.N, (r.Values+fields-1)/fields)
					k := leastNoise(r.Uploads, drop, c)
					if k+fields*r.Width > q.Bits-1 || len(q.Primes) == 1 && q.Bits-drop+14 > 64 {
						continue
					}
					if other := size(q.N, q.Bits, drop, fields); other < got {
						t.Fatalf("plan %v takes %d, but %s with %d fields, %d noise bits and %d rounded off takes %d", p, got, q.Name, fields, k, drop, other)
					}
				}
			}
		}
	})
}

// Whatever numbers a contract holds, they are refused or they work.
func TestAnySpecIsRefusedOrWorks(t *testing.T) {
	number := rapid.OneOf(rapid.IntRange(-1, 60), rapid.SampledFrom([]int{0, 1, 100, 10000, MaxUploads, math.MaxInt, math.MinInt}))
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		s := Spec{
			Preset: rapid.SampledFrom([]string{"n2048-q36", "n2048-q53", "n4096-q72", "n4096-q105", "n8192-q132", "n8192-q208", "other"}).Draw(t, "preset"),
			Values: rapid.OneOf(rapid.IntRange(1, 9000), number).Draw(t, "d"), Fields: number.Draw(t, "p"), Width: number.Draw(t, "w"),
			NoiseBits: number.Draw(t, "k"), DropBits: number.Draw(t, "r"), Uploads: number.Draw(t, "n"),
		}
		if rapid.Bool().Draw(t, "plausible") {
			s.Width, s.DropBits = rapid.IntRange(2, 48).Draw(t, "width"), rapid.IntRange(0, maxDrop).Draw(t, "drop")
			s.Values, s.Uploads = rapid.IntRange(1, 9000).Draw(t, "values"), rapid.SampledFrom([]int{1, 2, 100, 10000, MaxUploads}).Draw(t, "uploads")
			if preset, ok := presets()[s.Preset]; ok {
				fill(&s, preset)
			}
			s.NoiseBits += rapid.IntRange(-1, 1).Draw(t, "more noise")
			s.Fields += rapid.IntRange(-1, 1).Draw(t, "more fields")
		}
		p, err := New(s)
		if err != nil {
			if !errors.Is(err, ErrParams) {
				t.Fatalf("%+v: %v, want ErrParams", s, err)
			}
			return
		}
		accepted++
		values := make([]int32, s.Values)
		for i := range values {
			values[i] = int32(min(p.fields.Max(), math.MaxInt32)) * int32(1-2*(i%2))
		}
		src := source(uint64(s.Values))
		sum, keys := run(t, p, NewPublic(p, [32]byte{}), [][]int32{values}, src)
		got, noise, err := sum.Open(NewPublic(p, [32]byte{}), keys, 1)
		if err != nil {
			t.Fatalf("%v: %v, %+v", p, err, noise)
		}
		for i, v := range got {
			if v != int64(values[i]) {
				t.Fatalf("%v: value %d is %d, want %d", p, i, v, values[i])
			}
		}
	})
	if accepted == 0 {
		t.Error("every specification was refused")
	}
}
