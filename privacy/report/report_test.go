package report

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

type memory struct{ b []byte }

func (m *memory) Read() ([]byte, error) { return bytes.Clone(m.b), nil }
func (m *memory) Append(b []byte) error { m.b = append(m.b, b...); return nil }

func digest(format string, args ...any) ledger.Hash {
	return sha256.Sum256(fmt.Appendf(nil, format, args...))
}

// hospitals is a run of distributed DP-SGD; clients one of lane A.
func hospitals(rounds int) privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitExample, Adjacency: privacy.ZeroOut,
		Clip: 0.1, Mechanism: privacy.DiscreteGaussian, Noise: 0.709, Grid: 1 << 14, Rounding: privacy.RoundSum,
		Lane: privacy.DistributedDPSGD, SamplingRate: 0.01707, Rounds: rounds, MaxParticipations: rounds,
		Epsilon: 4, Delta: 1e-5, Colluders: 1, MinCohort: 7, MaxCohort: 10, MinRecords: 100, Records: 60000, MicroBatch: 64,
		Counts: privacy.CountsPublic, Parameters: 26010,
	}
}

func phones(rounds int) privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitClient, Adjacency: privacy.ZeroOut,
		Clip: 0.5, Mechanism: privacy.DiscreteGaussian, Noise: 3.025, Grid: 1 << 12, Rounding: privacy.RoundRecord,
		Lane: privacy.LaneA, Rounds: rounds, MaxParticipations: rounds,
		Epsilon: 8, Delta: 1.07e-3, Colluders: 1, MinCohort: 318, MaxCohort: 500, MinRecords: 1,
		Counts: privacy.CountsPublic, Parameters: 8340,
	}
}

// run writes a ledger of n rounds in which every 9th attempt is void, and every 27th of these after certification.
func run(t testing.TB, c privacy.Contract, n int, holders int) *ledger.Verified {
	t.Helper()
	p, err := ledger.NewPlan("digits-7", c)
	if err != nil {
		t.Fatal(err)
	}
	p.Study = ledger.Study{
		Title: "Reading handwritten digits without sharing them", Purpose: "A model that reads digits in scanned forms.",
		Data: "60,000 scanned digits, held by ten hospitals.", Curators: []string{"North Clinic", "University Hospital"}, Region: "Europe", Sector: "health",
	}
	p.Architecture, p.Initial, p.Sampler, p.Encryption, p.Build = "dp-cnn", digest("model 0"), "discrete-gaussian/v1", "none", "sotto 0.1.0"
	p.Binary = digest("binary")
	p.Metrics = &ledger.MetricsBudget{Epsilon: 1, Delta: 1e-6, Order: 16}
	var keys []ed25519.PrivateKey
	if holders > 0 {
		p.Encryption = "threshold"
		p.Committee = &ledger.Committee{Record: digest("record"), Threshold: 3, Corrupt: 1}
		for i := range holders {
			seed := digest("holder %d", i)
			keys = append(keys, ed25519.NewKeyFromSeed(seed[:]))
			p.Committee.Members = append(p.Committee.Members, ledger.Key(keys[i].Public().(ed25519.PublicKey)))
		}
	}
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
	var seed [32]byte
	private, public, err := ledger.GenerateKey(rand.NewChaCha8(seed), "ledger.example")
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	l, err := ledger.Create(m, private, start, p)
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ ledger.Head, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	model := p.Initial
	taken := 0
	number := 1
	for i := 1; number <= n; i++ {
		now := start.Add(time.Duration(i) * 4 * time.Second)
		survived := c.MinCohort + rng.IntN(c.MaxCohort-c.MinCohort+1)
		counts := &ledger.Counts{Target: c.MaxCohort, Sampled: c.MaxCohort, Survived: survived}
		if c.None() {
			counts = nil
		}
		attempt := 1
		must(l.Reserve(now, ledger.Reserve{Round: number, Attempt: attempt, ModelIn: model}))
		if i%9 == 0 && i%27 != 0 {
			must(l.Void(now, ledger.Void{Round: number, Attempt: attempt, Reason: "6 updates arrived, want at least 7"}))
			attempt++
			must(l.Reserve(now, ledger.Reserve{Round: number, Attempt: attempt, ModelIn: model}))
		}
		set := digest("set %d", number)
		must(l.Certify(now, ledger.Certified{Round: number, Attempt: attempt, Set: set, Cohort: digest("cohort %d", number), Counts: counts}))
		if counts != nil {
			taken += survived
		}
		if i%27 == 0 {
			must(l.Void(now, ledger.Void{Round: number, Attempt: attempt, Reason: "the key holders' answers do not open the sum"}))
			number++
			continue
		}
		k := ledger.Commit{
			Round: number, Attempt: attempt, Set: set, Cohort: digest("cohort %d", number), Counts: counts, Clip: c.Clip, Sum: digest("sum %d", number),
			ModelIn: model, ModelOut: digest("model %d", number),
			Public: &ledger.Evaluation{Accuracy: 0.963 - 0.85*math.Exp(-float64(number)/18) + 0.004*rng.Float64(), Loss: 0.2, Examples: 10000},
		}
		for j := range min(3, len(keys)) {
			sig := ed25519.Sign(keys[j], ledger.CertificateStatement(p.Committee.Record, p.Run, number, set))
			k.Certificate = append(k.Certificate, ledger.Signed{Point: j + 1, Signature: ledger.Sig(sig)})
		}
		must(l.Commit(now, k))
		model = k.ModelOut
		number++
	}
	end := start.Add(time.Hour)
	if c.Unit == privacy.UnitClient && taken > 0 {
		// Some took part less often than others.
		rounds := l.Balance().Rounds
		counts := map[int]int{}
		for left := taken; left > 0; {
			k := min(left, max(1, rounds-rng.IntN(rounds/2+1)))
			counts[k]++
			left -= k
		}
		s := &ledger.Spread{Round: number - 1}
		for k := 1; k <= rounds; k++ {
			if counts[k] > 0 {
				s.Counts = append(s.Counts, ledger.Tally{Rounds: k, Clients: counts[k]})
			}
		}
		must(l.Add(end, s))
	}
	must(l.Add(end, &ledger.Metric{Name: "clients that were charging", Event: ledger.Event{Event: accountant.Laplace{NoiseMultiplier: 5}}, Values: []float64{6.5}}))
	must(l.Add(end, &ledger.Exclusion{Participant: digest("x"), Round: 3, Reason: "shares that do not fit <script>alert(1)</script>", Evidence: digest("evidence")}))
	must(l.Add(end, &ledger.Release{Round: number - 1, Model: model, File: digest("file"), Name: "digits.safetensors"}))
	must(l.Add(end, &ledger.Note{Text: "one-run audit at epsilon 1: lower bound 0.41 at 95 % confidence"}))
	v, err := ledger.Verify(m.b, public)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNumbersComeFromTheLedger(t *testing.T) {
	v := run(t, hospitals(12), 10, 4)
	r, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	want, err := accountant.Accountant{Method: accountant.PLD}.Epsilon(v.Plan.Cost(0, v.Balance.Rounds), 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	g := r.Against[0]
	if float64(g.Spent.Upper) != want.Upper || float64(g.Spent.Lower) != want.Lower || g.Planned.Upper < g.Spent.Upper {
		t.Errorf("got %+v, the accountant says %v", g, want.Bound)
	}
	if r.Budget.Spent < g.Spent.Upper-1e-9 {
		t.Errorf("the ledger charges %v, less than %v", r.Budget.Spent, g.Spent.Upper)
	}
	if len(r.Against) != 4 || r.Against[3].Unsupported == "" && r.Against[3].Spent.Upper <= g.Spent.Upper {
		t.Errorf("against key holders: %+v", r.Against[3])
	}
	if r.Noise.Least < r.Noise.Planned || r.Noise.Planned != 0.709 {
		t.Errorf("noise %+v", r.Noise)
	}
	if d := r.Dropouts; d.Committed != 10 || d.Void != 1 || d.Sampled != 100 || d.Share < 0 || d.Share > 0.3 {
		t.Errorf("dropouts %+v", d)
	}
	for i := 1; i < len(r.Deltas); i++ {
		if r.Deltas[i].Delta >= r.Deltas[i-1].Delta || r.Deltas[i].Upper < r.Deltas[i-1].Upper {
			t.Errorf("epsilon falls as delta does: %+v", r.Deltas)
		}
	}
	for _, a := range r.Attack {
		if a.TruePositives < a.FalsePositives || a.TruePositives > 1 {
			t.Errorf("attack %+v", a)
		}
	}
	statuses := map[Status]int{}
	for _, a := range r.Assumed {
		statuses[a.Status]++
	}
	if statuses[Enforced] == 0 || statuses[Attested] == 0 || statuses[Assumed] == 0 || len(statuses) != 3 {
		t.Errorf("statuses %v", statuses)
	}
}

func TestForms(t *testing.T) {
	for name, v := range map[string]*ledger.Verified{
		"hospitals": run(t, hospitals(12), 9, 4), "phones": run(t, phones(40), 40, 0), "none": run(t, privacy.Contract{Unit: privacy.UnitNone}, 3, 0), "empty": run(t, phones(40), 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(v)
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.JSON()
			if err != nil {
				t.Fatal(err)
			}
			var back Report
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if again, _ := back.JSON(); !bytes.Equal(again, b) {
				t.Error("the JSON form does not come back")
			}
			page, err := r.HTML()
			if err != nil {
				t.Fatal(err)
			}
			checkPage(t, page)
			again, err := New(v)
			if err != nil {
				t.Fatal(err)
			}
			if other, _ := again.HTML(); !bytes.Equal(other, page) {
				t.Error("the same ledger gives another page")
			}
			y, err := r.Registry()
			if err != nil {
				t.Fatal(err)
			}
			var entry map[string]any
			if err := yaml.Unmarshal(y, &entry); err != nil {
				t.Fatal(err)
			}
			for _, k := range []string{"product", "dp_flavor", "privacy_loss", "model", "accounting", "implementation"} {
				if _, ok := entry[k].(map[string]any); !ok {
					t.Errorf("the registry's entry lacks %s", k)
				}
			}
			if dir := os.Getenv("SOTTO_REPORT_DIR"); dir != "" {
				for form, content := range map[string][]byte{"html": page, "json": b, "yaml": y} {
					if err := os.WriteFile(filepath.Join(dir, name+"."+form), content, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

var outside = regexp.MustCompile(`(?i)(src|href|srcset|url)\s*[=(]|<script|<link|<iframe|@import|javascript:`)

// checkPage holds a page to being well-formed and needing nothing from elsewhere.
func checkPage(t *testing.T, page []byte) {
	t.Helper()
	if m := outside.Find(page); m != nil {
		t.Errorf("the page has %q", m)
	}
	if bytes.Contains(page, []byte("ZgotmplZ")) || bytes.Contains(page, []byte("NaN")) || bytes.Contains(page, []byte("%!")) || bytes.Contains(page, []byte("&lt;nil")) {
		t.Error("the page has a value that was not written out")
	}
	svg := regexp.MustCompile(`(?s)<svg.*?</svg>`)
	for _, s := range svg.FindAll(page, -1) {
		d := xml.NewDecoder(bytes.NewReader(s))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a chart is not well-formed: %v", err)
			}
		}
	}
	if !strings.Contains(string(page), "<h1>Reading handwritten digits without sharing them</h1>") {
		t.Error("the page lacks its title")
	}
}

// A printed bound is never below the bound.
func TestPrintedBoundsAreRoundedUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		v := math.Exp(rng.NormFloat64() * 3)
		var got float64
		if _, err := fmt.Sscanf(epsilonText(ledger.Epsilon(v)), "%g", &got); err != nil || got < v-1e-9 || v < 100 && got > v+0.0011 {
			t.Fatalf("%v is printed as %s", v, epsilonText(ledger.Epsilon(v)))
		}
	}
	if got := epsilonText(ledger.Epsilon(math.Inf(1))); got != "unbounded" {
		t.Errorf("infinity is printed as %s", got)
	}
}
