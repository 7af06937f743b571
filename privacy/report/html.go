package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"epsilon": epsilonText,
	"least":   leastText,
	"up":      func(v float64) string { return epsilonText(ledger.Epsilon(v)) },
	"down":    func(v float64) string { return leastText(ledger.Epsilon(v)) },
	"most":    func(v float64) string { return mostText(100 * v) },
	"percent": func(v float64) string { return percentText(100 * v) },
	"number":  func(v float64) string { return fmt.Sprintf("%.4g", v) },
	"time":    func(t time.Time) string { return t.UTC().Format("2 January 2006 15:04 UTC") },
	"join":    strings.Join,
	"event": func(e ledger.Event) string {
		b, err := accountant.Encode(e.Event)
		if err != nil {
			return err.Error()
		}
		return string(b)
	},
	"short": func(h fmt.Stringer) string { return h.String()[:16] },
	"name":  titleCase,
	"sentence": func(s string) string {
		if s = strings.TrimSpace(s); s != "" && !strings.ContainsAny(s[len(s)-1:], ".!?") {
			s += "."
		}
		return s
	},
}).Parse(page))

// HTML writes the report as one page that needs nothing else: no script, no font, no picture from elsewhere.
func (r *Report) HTML() ([]byte, error) {
	contract, err := json.MarshalIndent(r.Contract, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report as HTML: %w", err)
	}
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, map[string]any{
		"R": r, "Contract": string(contract), "Plain": r.plain(), "None": r.Contract.None(), "Unit": unit(r.Contract), "Mechanism": mechanism(r.Contract),
		"Epsilon": r.epsilonChart(), "Accuracy": r.accuracyChart(), "Clients": r.clientsChart(), "History": r.lines(), "LaneB": r.Contract.Lane == privacy.LaneB,
	})
	if err != nil {
		return nil, fmt.Errorf("report as HTML: %w", err)
	}
	return b.Bytes(), nil
}

// Title is the study's, or the run's.
func (r *Report) Title() string {
	if r.Study.Title != "" {
		return r.Study.Title
	}
	return "Run " + r.Run
}

// maxLines bounds the table of rounds in the page; the JSON form has all.
const maxLines = 60

// lines are the rounds for the table: all void ones, all whose accuracy was measured if those are few, and of the others
// as many as fit.
func (r *Report) lines() []Round {
	if len(r.Rounds) <= maxLines {
		return r.Rounds
	}
	step := (len(r.Rounds) + maxLines - 1) / maxLines
	var out []Round
	voids, measured := 0, 0
	for _, o := range r.Rounds {
		if o.Accuracy != nil {
			measured++
		}
	}
	for i, o := range r.Rounds {
		void := o.Phase == ledger.Voided.String()
		if void {
			voids++
		}
		if i%step == 0 || i == len(r.Rounds)-1 || void && voids <= maxLines || o.Accuracy != nil && measured <= maxLines/2 {
			out = append(out, o)
		}
	}
	return out
}

// plain is the first page.
type plain struct {
	Verdict  string
	Good     bool
	Protects string
	Before   string
	After    string // belief that a unit was used, from 50 %, at most
	Chance   string // of delta
	Strength string
	Used     float64 // share of the budget, in per cent, at most 100
	Who      []line
	Attack   string
	Accuracy string
	Audit    string // what an attack on the program showed
}

type line struct{ Name, Text, Epsilon string }

func (r *Report) plain() plain {
	c := r.Contract
	if c.None() {
		return plain{Verdict: "This run promises no privacy.", Protects: "nothing"}
	}
	spent := float64(r.Against[0].Spent.Upper)
	p := plain{
		Good: true, Protects: map[string]string{
			privacy.UnitExample: "every single record (for example, one image)",
			privacy.UnitGroup:   "everything that an owner holds about one person or device",
			privacy.UnitClient:  "everything that one participant holds",
		}[c.Unit],
		After:  beliefText(spent),
		Chance: fmt.Sprintf("1 in %s", thousands(math.Round(1/c.Delta))),
		Used:   min(100, 100*float64(r.Budget.Claim)/c.Epsilon),
	}
	switch {
	case r.Budget.Claim > r.Budget.Epsilon:
		p.Good, p.Verdict = false, "The run spent more than its budget."
	case r.Budget.Charged == 0:
		p.Verdict = "Nothing has been released yet."
	default:
		p.Verdict = "The run stayed within its privacy budget."
	}
	switch {
	case spent <= 1:
		p.Strength = "strong"
	case spent <= 10:
		p.Strength = "moderate"
	default:
		p.Good, p.Strength = false, "weak"
	}
	who := map[string]string{
		privacy.Recipients:       "Anyone who gets the model",
		privacy.OtherOwners:      "Another organisation in the run",
		privacy.ServerAndOwners:  "The server together with " + colluders(c.Colluders),
		privacy.ServerAndHolders: "The server together with enough key holders to decrypt",
	}
	for _, g := range r.Against {
		text := "can raise a fifty-fifty guess to at most " + beliefText(float64(g.Spent.Upper))
		switch {
		case g.Unsupported != "":
			text = "no bound is known"
		case g.Spent.Upper > certain:
			text = "may become almost certain: no useful protection"
		}
		p.Who = append(p.Who, line{who[g.Adversary], text, epsilonText(g.Spent.Upper)})
	}
	for _, a := range r.Attack {
		if a.FalsePositives == 0.01 {
			p.Attack = mostText(100 * a.TruePositives)
		}
	}
	shown := 0.0
	for _, a := range r.Audits {
		if a.Refuted() {
			p.Good, p.Verdict = false, "An audit shows that the program leaks more than this run promises."
		}
		shown = max(shown, a.LowerBound)
		p.Audit = leastText(ledger.Epsilon(shown))
	}
	for _, o := range r.Rounds {
		if o.Accuracy != nil {
			p.Accuracy = fmt.Sprintf("%.1f %%", 100**o.Accuracy)
		}
	}
	return p
}

func colluders(n int) string {
	if n == 1 {
		return "one other organisation"
	}
	return fmt.Sprintf("%d other organisations", n)
}

// certain is the epsilon from which on a fifty-fifty belief can pass 99.9 %.
const certain = 6.9

// beliefText is the most that a fifty-fifty belief becomes, rounded up.
func beliefText(epsilon float64) string {
	p := 100 / (1 + math.Exp(-epsilon))
	if epsilon > certain {
		return "almost certainty"
	}
	return fmt.Sprintf("%.1f %%", math.Ceil(p*10)/10)
}

// epsilonText rounds up: a printed bound is still a bound.
func epsilonText(e ledger.Epsilon) string {
	v := float64(e)
	switch {
	case math.IsInf(v, 1):
		return "unbounded"
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", math.Ceil(v))
	}
	return fmt.Sprintf("%.3f", math.Ceil(v*1000-1e-9)/1000)
}

// leastText rounds down: it prints lower bounds, and what is left.
func leastText(e ledger.Epsilon) string {
	if math.IsInf(float64(e), 1) {
		return "unbounded"
	}
	return fmt.Sprintf("%.3f", math.Floor(float64(e)*1000+1e-9)/1000)
}

// mostText is a percentage rounded up.
func mostText(v float64) string {
	if v > 99.9 {
		return "100 %"
	}
	return fmt.Sprintf("%.2f %%", math.Ceil(v*100)/100)
}

func percentText(v float64) string { return fmt.Sprintf("%.3g %%", v) }

func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func titleCase(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
