package report

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Version of the JSON form. Fields are only ever added.
const Version = 1

// Report is everything that a reader is told. Epsilons are upper bounds unless they say otherwise.
type Report struct {
	Version  int                 `json:"version"`
	Run      string              `json:"run"`
	Study    ledger.Study        `json:"study"`
	Contract privacy.Contract    `json:"contract"`
	Budget   Budget              `json:"budget"`
	Against  []Guarantee         `json:"against"`
	Deltas   []AtDelta           `json:"deltas"` // against Against[0]
	Gaussian *Gaussian           `json:"gaussian,omitempty"`
	Attack   []Attack            `json:"attack"` // what membership inference can reach, at most
	Noise    Noise               `json:"noise"`
	Rounds   []Round             `json:"rounds"`
	Dropouts Dropouts            `json:"dropouts"`
	Clients  []Share             `json:"clients"` // how many clients spent how much
	Metrics  []Metric            `json:"metrics"`
	Releases []*ledger.Release   `json:"releases"`
	Excluded []*ledger.Exclusion `json:"excluded"`
	Notes    []string            `json:"notes"`
	Audits   []Audit             `json:"audits"` // beside the ledger; see AddAudit
	Assumed  []Assumption        `json:"assumptions"`
	Limits   []string            `json:"limits"`
	Ledger   Ledger              `json:"ledger"`
}

// Budget is planned, spent and left.
type Budget struct {
	Epsilon      ledger.Epsilon        `json:"epsilon"` // allowed
	Delta        float64               `json:"delta"`
	Rounds       int                   `json:"rounds"`  // allowed
	Planned      ledger.Epsilon        `json:"planned"` // by all rounds of the plan
	Spent        ledger.Epsilon        `json:"spent"`   // as the ledger charges
	Claim        ledger.Epsilon        `json:"claim"`   // with reservations that are open
	Left         ledger.Epsilon        `json:"left"`
	Charged      int                   `json:"charged"`
	Reserved     int                   `json:"reserved"`
	MetricsSpent ledger.Epsilon        `json:"metrics_spent"`
	Metrics      *ledger.MetricsBudget `json:"metrics,omitempty"`
}

// Guarantee is what holds against one adversary.
type Guarantee struct {
	Adversary   string       `json:"adversary"`
	Event       ledger.Event `json:"event"`   // of one round
	Spent       Bound        `json:"spent"`   // by the rounds charged so far
	Planned     Bound        `json:"planned"` // by all rounds; it holds wherever the run stops
	Method      string       `json:"method"`
	Unsupported string       `json:"unsupported,omitempty"` // why there is no number
	Assumptions []string     `json:"assumptions,omitempty"`
}

// Bound is an interval that holds the true epsilon.
type Bound struct {
	Lower ledger.Epsilon `json:"lower"`
	Upper ledger.Epsilon `json:"upper"`
}

// AtDelta is a point of the curve of epsilon over delta.
type AtDelta struct {
	Delta float64 `json:"delta"`
	Bound
}

// Gaussian describes runs that sample nothing, whose releases together are one Gaussian: mu of Gaussian DP and rho of zCDP.
type Gaussian struct {
	Mu  float64 `json:"mu"`
	Rho float64 `json:"rho"`
}

// Attack bounds the true positive rate of any test for one unit's membership at a false positive rate.
type Attack struct {
	FalsePositives float64 `json:"false_positive_rate"`
	TruePositives  float64 `json:"true_positive_rate"`
}

// Noise compares what was charged with what was added, over the committed rounds.
type Noise struct {
	Planned float64 `json:"planned"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
}

// Round is one line of the history.
type Round struct {
	Round    int            `json:"round"`
	Phase    string         `json:"phase"`
	Charged  bool           `json:"charged"`
	Reason   string         `json:"reason,omitempty"`
	Counts   *ledger.Counts `json:"counts,omitempty"`
	Noise    float64        `json:"noise,omitempty"`
	Spent    ledger.Epsilon `json:"spent"` // after it
	Accuracy *float64       `json:"accuracy,omitempty"`
	Model    *ledger.Hash   `json:"model,omitempty"`
}

// Dropouts are sums over the rounds whose counts are in the ledger.
type Dropouts struct {
	Sampled   int     `json:"sampled"`
	Survived  int     `json:"survived"`
	Share     float64 `json:"share"` // that dropped out
	Committed int     `json:"committed"`
	Void      int     `json:"void"`         // attempts
	VoidSpent int     `json:"void_charged"` // rounds charged without a release
}

// Share is one bar of the distribution over clients.
type Share struct {
	Rounds  int            `json:"rounds"`
	Clients int            `json:"clients"`
	Epsilon ledger.Epsilon `json:"epsilon"`
}

// Metric is a released statistic.
type Metric struct {
	Name   string       `json:"name"`
	Event  ledger.Event `json:"event"`
	Values []float64    `json:"values"`
}

// Ledger identifies what the report was made from.
type Ledger struct {
	Key       string      `json:"key"`
	Records   int64       `json:"records"`
	Root      ledger.Hash `json:"root"`
	Plan      ledger.Hash `json:"plan"`
	Model     ledger.Hash `json:"model"`
	Binary    ledger.Hash `json:"binary"`
	Build     string      `json:"build"`
	Sampler   string      `json:"sampler"`
	First     time.Time   `json:"first"`
	Last      time.Time   `json:"last"`
	Holders   int         `json:"key_holders"`
	Threshold int         `json:"threshold"`
	Corrupt   int         `json:"corrupt"`
}

// New derives a report. It takes up to a few seconds for long runs of sampled rounds.
func New(v *ledger.Verified) (*Report, error) {
	c := v.Contract
	p := v.Plan
	r := &Report{
		Version: Version, Run: p.Run, Study: p.Study, Contract: c, Releases: v.Releases, Excluded: v.Excluded,
		Budget: Budget{
			Epsilon: ledger.Epsilon(c.Epsilon), Delta: c.Delta, Rounds: c.Rounds, Spent: v.Balance.Spent, Claim: v.Balance.Claim, Left: v.Balance.Left,
			Charged: v.Balance.Rounds, Reserved: v.Balance.Reserved, MetricsSpent: v.Balance.Metrics, Metrics: p.Metrics,
			Planned: p.Milestones[len(p.Milestones)-1].Epsilon,
		},
		Ledger: Ledger{
			Key: v.Key, Records: v.Head.Size, Root: v.Head.Root, Plan: v.PlanHash, Model: v.Model, Binary: p.Binary, Build: p.Build, Sampler: p.Sampler,
			First: v.Records[0].Time, Last: v.Records[len(v.Records)-1].Time,
		},
	}
	if c.None() {
		r.Budget.Epsilon = ledger.Epsilon(math.Inf(1))
	}
	if k := p.Committee; k != nil {
		r.Ledger.Holders, r.Ledger.Threshold, r.Ledger.Corrupt = len(k.Members), k.Threshold, k.Corrupt
	}
	for _, m := range v.Metrics {
		r.Metrics = append(r.Metrics, Metric{m.Name, m.Event, m.Values})
	}
	for _, n := range v.Notes {
		r.Notes = append(r.Notes, n.Text)
	}
	r.history(v)
	if err := r.guarantees(v); err != nil {
		return nil, err
	}
	r.Assumed, r.Limits = assumptions(v), limits(v)
	return r, nil
}

// history walks over the records, for a round's own figures and the balance after it.
func (r *Report) history(v *ledger.Verified) {
	spent := map[int]ledger.Epsilon{}
	for _, s := range v.Records {
		switch x := s.Record.(type) {
		case *ledger.Reserve:
			spent[x.Round] = x.Balance.Spent
		case *ledger.Certified:
			spent[x.Round] = x.Balance.Spent
		case *ledger.Commit:
			spent[x.Round] = x.Balance.Spent
		case *ledger.Void:
			spent[x.Round] = x.Balance.Spent
		}
	}
	r.Noise.Planned = v.Contract.Noise
	for _, o := range v.Rounds {
		line := Round{Round: o.Number, Phase: o.Phase.String(), Charged: o.Charged, Spent: spent[o.Number]}
		r.Dropouts.Void += o.Voids
		if o.Void != nil && o.Phase == ledger.Voided {
			line.Reason, line.Counts = o.Void.Reason, o.Void.Counts
			if o.Charged {
				r.Dropouts.VoidSpent++
			}
		}
		if o.Certified != nil && o.Phase >= ledger.InCertifying && o.Charged {
			line.Counts, line.Noise = o.Certified.Counts, o.Certified.Noise.Effective
		}
		if k := o.Commit; k != nil {
			line.Counts, line.Noise, line.Model = k.Counts, k.Noise.Effective, &k.ModelOut
			if k.Public != nil {
				line.Accuracy = &k.Public.Accuracy
			}
			r.Dropouts.Committed++
			if r.Noise.Least == 0 || k.Noise.Effective < r.Noise.Least {
				r.Noise.Least = k.Noise.Effective
			}
			r.Noise.Most = max(r.Noise.Most, k.Noise.Effective)
		}
		if n := line.Counts; n != nil {
			r.Dropouts.Sampled += n.Sampled
			r.Dropouts.Survived += n.Survived
		}
		r.Rounds = append(r.Rounds, line)
	}
	if r.Dropouts.Sampled > 0 {
		r.Dropouts.Share = 1 - float64(r.Dropouts.Survived)/float64(r.Dropouts.Sampled)
	}
	if v.Spread != nil {
		for _, t := range v.Spread.Counts {
			r.Clients = append(r.Clients, Share{t.Rounds, t.Clients, v.Plan.After(t.Rounds)})
		}
	}
}

// guarantees asks the accountant about every adversary, delta and attack.
func (r *Report) guarantees(v *ledger.Verified) error {
	p, c := v.Plan, v.Contract
	most := p.Milestones[len(p.Milestones)-1].Rounds
	charged := min(v.Balance.Rounds, most)
	acc := accountant.Accountant{Method: p.Accountant}
	known := map[string]accountant.Result{}
	ask := func(i, n int, delta float64) (accountant.Result, error) {
		if c.None() {
			return acc.Epsilon(p.Charges[i].Event.Event, 0.5)
		}
		b, err := accountant.Encode(p.Charges[i].Event.Event)
		if err != nil {
			return accountant.Result{}, err
		}
		key := fmt.Sprintf("%s %d %g", b, n, delta)
		if x, ok := known[key]; ok {
			return x, nil
		}
		x, err := acc.Epsilon(p.Cost(i, n), delta)
		if err == nil {
			known[key] = x
		}
		return x, err
	}
	bound := func(x accountant.Result) Bound { return Bound{ledger.Epsilon(x.Lower), ledger.Epsilon(x.Upper)} }
	for i, k := range p.Charges {
		g := Guarantee{Adversary: k.Adversary, Event: k.Event}
		spent, err := ask(i, charged, c.Delta)
		if err == nil {
			var planned accountant.Result
			if planned, err = ask(i, most, c.Delta); err == nil {
				g.Spent, g.Planned, g.Method, g.Assumptions = bound(spent), bound(planned), planned.Method, planned.Assumptions
			}
		}
		if err != nil {
			if i == 0 {
				return fmt.Errorf("report: %w", err)
			}
			g.Unsupported = err.Error()
			g.Spent, g.Planned = Bound{0, ledger.Epsilon(math.Inf(1))}, Bound{0, ledger.Epsilon(math.Inf(1))}
		}
		r.Against = append(r.Against, g)
	}
	if c.None() {
		r.Attack = []Attack{{0.01, 1}}
		return nil
	}
	for _, f := range []float64{10, 1, 1e-1, 1e-2, 1e-3} {
		delta := c.Delta * f
		if delta <= 2*p.Slack || delta >= 0.5 {
			continue
		}
		x, err := ask(0, charged, delta)
		if err != nil {
			return fmt.Errorf("report: epsilon at delta %g: %w", delta, err)
		}
		r.Deltas = append(r.Deltas, AtDelta{delta, bound(x)})
	}
	for _, fpr := range []float64{0.001, 0.01, 0.1} {
		tpr := 1.0
		for _, d := range r.Deltas {
			e := math.Exp(float64(d.Upper))
			tpr = min(tpr, e*fpr+d.Delta, 1-(1-fpr-d.Delta)/e)
		}
		r.Attack = append(r.Attack, Attack{fpr, tpr})
	}
	if c.SamplingRate == 0 && c.Mechanism == privacy.DiscreteGaussian && charged > 0 {
		mu := math.Sqrt(float64(charged)) / c.Noise
		r.Gaussian = &Gaussian{Mu: mu, Rho: mu * mu / 2}
	}
	return nil
}

// JSON writes the report, indented.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report as JSON: %w", err)
	}
	return append(b, '\n'), nil
}
