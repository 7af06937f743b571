package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/accountant"
)

// Plan is the first record: everything about privacy that a run promises before round 1. Fill in the fields up to
// Metrics and call Complete.
type Plan struct {
	Version  int             `json:"version"`
	Run      string          `json:"run"`
	Contract json.RawMessage `json:"contract"` // canonical, of package privacy
	Study    Study           `json:"study"`

	Encryption   string     `json:"encryption"`          // of uploads: none or threshold
	Committee    *Committee `json:"committee,omitempty"` // the key holders, under threshold
	Architecture string     `json:"architecture"`        // of the model
	Task         Hash       `json:"task,omitzero"`       // SHA-256 of the task that clients train
	Initial      Hash       `json:"initial"`             // identity of the first model
	Binary       Hash       `json:"binary,omitzero"`     // SHA-256 of the server's program, by its own word
	Build        string     `json:"build,omitempty"`     // version of the program
	Sampler      string     `json:"sampler"`             // of the noise

	Metrics *MetricsBudget `json:"metrics,omitempty"` // of noised statistics; absent: none may be released

	// What follows is computed by Complete, and again by Verify.
	Accountant        accountant.Method `json:"accountant"`
	AccountantVersion int               `json:"accountant_version,omitempty"` // of its method; absent, as before it was written, is 1
	Slack             float64           `json:"slack"`                        // part of delta for batches that a cap may cut
	Charges           []Charge          `json:"charges"`                      // one release against each adversary; the first is what the budget pays
	Milestones        []Milestone       `json:"milestones"`                   // epsilon after so many charged rounds
}

// Study says in plain words what the run is for; the report repeats it. It is the curator's word.
type Study struct {
	Title    string   `json:"title" yaml:"title" doc:"title of the study"`
	Purpose  string   `json:"purpose" yaml:"purpose" doc:"what the model is for"`
	Data     string   `json:"data" yaml:"data" doc:"whose records, of what"`
	Curators []string `json:"curators" yaml:"curators" doc:"who answers for the run"`
	Contact  string   `json:"contact,omitempty" yaml:"contact" doc:"where to write"`
	Region   string   `json:"region,omitempty" yaml:"region" doc:"where the data comes from"`
	Sector   string   `json:"sector,omitempty" yaml:"sector" doc:"for example health"`
}

// Committee is what a ledger must know of a committee record to check signatures.
type Committee struct {
	Record    Hash  `json:"record"`    // hash of the committee record
	Members   []Key `json:"members"`   // by point, from 1
	Threshold int   `json:"threshold"` // t: so many open
	Corrupt   int   `json:"corrupt"`   // c: so many may lie
}

// Closures returns m-t+1+c: when so many members have closed a round, fewer than t can still open it, liars included.
func (c *Committee) Closures() int { return len(c.Members) - c.Threshold + 1 + c.Corrupt }

// MetricsBudget is the budget of noised statistics about clients: a Rényi filter at one order fixed in advance, so
// that what is released next may depend on what was released before (Feldman, Zrnic 2021).
type MetricsBudget struct {
	Epsilon float64 `json:"epsilon"`
	Delta   float64 `json:"delta"`
	Order   float64 `json:"order"`
}

// Charge is the event of one round against one adversary.
type Charge struct {
	Adversary string `json:"adversary"`
	Event     Event  `json:"event"`
}

// Milestone bounds epsilon after any number of charged rounds up to Rounds.
type Milestone struct {
	Rounds  int     `json:"rounds"`
	Epsilon Epsilon `json:"epsilon"`
}

const (
	planVersion = 1
	// maxMilestones keeps Verify quick: each costs one run of the accountant.
	maxMilestones = 24
)

// NewPlan starts a plan for a contract.
func NewPlan(run string, c privacy.Contract) (*Plan, error) {
	b, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return &Plan{Version: planVersion, Run: run, Contract: b}, nil
}

// Terms decodes the contract.
func (p *Plan) Terms() (privacy.Contract, error) { return privacy.Decode(p.Contract) }

// Complete computes charges and milestones from the contract. It takes up to a few seconds.
func (p *Plan) Complete() error {
	c, err := p.Terms()
	if err != nil {
		return err
	}
	p.Accountant, p.Slack, p.Charges, err = charges(c)
	if err != nil {
		return err
	}
	p.AccountantVersion = accountant.Version(p.Accountant)
	p.Milestones = nil
	for _, n := range milestones(horizon(c)) {
		p.Milestones = append(p.Milestones, Milestone{Rounds: n})
	}
	if err := p.price(c, func(i int, e Epsilon) error { p.Milestones[i].Epsilon = e; return nil }); err != nil {
		return err
	}
	return p.validate()
}

// charges derives from a contract what a round costs, and how it is counted.
func charges(c privacy.Contract) (accountant.Method, float64, []Charge, error) {
	rows, err := c.Plan()
	if errors.Is(err, privacy.ErrNone) {
		return accountant.RDP, 0, []Charge{{"everyone", Event{accountant.NonPrivate{}}}}, nil
	}
	if err != nil {
		return "", 0, nil, err
	}
	d, err := c.Derive()
	if err != nil {
		return "", 0, nil, err
	}
	out := make([]Charge, len(rows))
	for i, r := range rows {
		out[i] = Charge{r.Adversary, Event{r.Round}}
	}
	return method(c), d.MissDelta, out, nil
}

// method is the tightest accountant with a proof for the contract's events.
func method(c privacy.Contract) accountant.Method {
	switch {
	case c.Mechanism == privacy.Skellam:
		return accountant.RDP
	case c.SamplingRate == 0:
		return accountant.GDP
	}
	return accountant.PLD
}

// horizon is the number of charged rounds after which no unit can take part any more.
func horizon(c privacy.Contract) int {
	if c.None() {
		return 1
	}
	return min(c.Rounds, c.MaxParticipations)
}

// milestones are 1, 2, 4, ... and equal steps up to n.
func milestones(n int) []int {
	var out []int
	if n <= maxMilestones {
		for i := 1; i <= n; i++ {
			out = append(out, i)
		}
		return out
	}
	const equal = 16
	for i := 1; i <= equal; i++ {
		out = append(out, int((int64(n)*int64(i)+equal-1)/equal))
	}
	for i := 1; i < n/equal && len(out) < maxMilestones; i *= 4 {
		out = append(out, i)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Cost is the event of n rounds against the adversary of charge i, the price of cut batches included.
func (p *Plan) Cost(i, n int) accountant.Event {
	e := accountant.Event(accountant.SelfComposed{Event: p.Charges[i].Event.Event, Count: int64(max(n, 1))})
	if n == 0 {
		e = accountant.NoOp{}
	}
	if p.Slack > 0 {
		e = accountant.Composed{Events: []accountant.Event{e, accountant.EpsilonDelta{Delta: p.Slack}}}
	}
	return e
}

// price computes epsilon at each milestone, several at a time, and hands them to use in order.
func (p *Plan) price(c privacy.Contract, use func(i int, e Epsilon) error) error {
	type answer struct {
		e   Epsilon
		err error
	}
	answers := parallel(len(p.Milestones), func(i int) answer {
		if c.None() {
			return answer{Epsilon(math.Inf(1)), nil}
		}
		r, err := accountant.Accountant{Method: p.Accountant}.Epsilon(p.Cost(0, p.Milestones[i].Rounds), c.Delta)
		return answer{Epsilon(r.Upper), err}
	})
	for i, a := range answers {
		if a.err != nil {
			return fmt.Errorf("epsilon after %d rounds: %w", p.Milestones[i].Rounds, a.err)
		}
		// A bound after more rounds is one after fewer: a grid's rounding must not make the table fall.
		if i > 0 {
			a.e = max(a.e, answers[i-1].e)
			answers[i].e = a.e
		}
		if err := use(i, a.e); err != nil {
			return err
		}
	}
	return nil
}

// After bounds the epsilon of n charged rounds.
func (p *Plan) After(n int) Epsilon {
	if n <= 0 {
		return 0
	}
	i, _ := slices.BinarySearchFunc(p.Milestones, n, func(m Milestone, n int) int { return m.Rounds - n })
	return p.Milestones[min(i, len(p.Milestones)-1)].Epsilon
}

// Whole bounds the epsilon of one unit if the run takes all its rounds.
func (p *Plan) Whole() Epsilon { return p.After(p.last()) }

// version is that of the accountant.
func (p *Plan) version() int { return max(p.AccountantVersion, 1) }

// validate checks form and what is cheap. Verify computes the milestones again.
func (p *Plan) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: plan: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	if p.Version != planVersion {
		return bad("version %d, this program reads %d", p.Version, planVersion)
	}
	if err := errors.Join(text("run", p.Run, 1), text("title", p.Study.Title, 0), text("purpose", p.Study.Purpose, 0), text("data", p.Study.Data, 0),
		text("architecture", p.Architecture, 0), text("sampler", p.Sampler, 0), text("build", p.Build, 0), text("encryption", p.Encryption, 0)); err != nil {
		return err
	}
	c, err := p.Terms()
	if err != nil {
		return fmt.Errorf("%w: plan: %w", ErrInvalid, err)
	}
	m, slack, rows, err := charges(c)
	if err != nil {
		return fmt.Errorf("%w: plan: %w", ErrInvalid, err)
	}
	if p.Accountant != m {
		return bad("accountant %q, the contract's is %q", p.Accountant, m)
	}
	if has := accountant.Version(m); p.version() != has || p.AccountantVersion < 0 {
		return bad("epsilons are by accountant %s version %d, this program has version %d: verify with a program that has the former", m, p.version(), has)
	}
	if !(math.Abs(p.Slack-slack) <= Tolerance*slack) {
		return bad("slack %v of delta, the contract gives %v", p.Slack, slack)
	}
	if len(p.Charges) != len(rows) {
		return bad("%d charges, the contract gives %d", len(p.Charges), len(rows))
	}
	for i, want := range rows {
		got := p.Charges[i]
		a, err := accountant.Encode(got.Event.Event)
		if err != nil {
			return fmt.Errorf("%w: plan: %w", ErrInvalid, err)
		}
		b, err := accountant.Encode(want.Event.Event)
		if err != nil {
			return fmt.Errorf("%w: plan: %w", ErrInvalid, err)
		}
		if got.Adversary != want.Adversary || !bytes.Equal(a, b) {
			return bad("charge against %q is %s, the contract gives %q: %s", got.Adversary, a, want.Adversary, b)
		}
	}
	want := milestones(horizon(c))
	if len(p.Milestones) != len(want) {
		return bad("%d milestones, want %d: call Complete", len(p.Milestones), len(want))
	}
	for i, m := range p.Milestones {
		if m.Rounds != want[i] || !(m.Epsilon >= 0) || i > 0 && m.Epsilon < p.Milestones[i-1].Epsilon {
			return bad("milestone %d: epsilon %v after %d rounds, want one after %d rounds that does not fall", i, m.Epsilon, m.Rounds, want[i])
		}
	}
	if b := p.Metrics; b != nil && !(b.Epsilon > 0 && b.Epsilon < 1e6 && b.Delta > 0 && b.Delta < 1 && b.Order > 1 && b.Order <= 1024) {
		return bad("budget for metrics: epsilon %v, delta %v, order %v", b.Epsilon, b.Delta, b.Order)
	}
	return p.Committee.validate(p.Encryption)
}

func (c *Committee) validate(encryption string) error {
	if c == nil {
		if encryption == "threshold" {
			return fmt.Errorf("%w: plan: encryption threshold needs a committee", ErrInvalid)
		}
		return nil
	}
	m := len(c.Members)
	if m < 1 || m > maxMembers || c.Threshold < 1 || c.Threshold > m || c.Corrupt < 0 || c.Corrupt >= c.Threshold || 2*c.Threshold <= m+c.Corrupt {
		return fmt.Errorf("%w: plan: committee of %d members, threshold %d, %d corrupt: want t > (m+c)/2 and c < t", ErrInvalid, m, c.Threshold, c.Corrupt)
	}
	return nil
}

const maxMembers = 64

// noises are those of a round over the sensitivity: charged, and of so many survivors without the colluders.
func noises(c privacy.Contract, d privacy.Derived, survived int) Noise {
	if c.None() {
		return Noise{}
	}
	shares := survived - c.Colluders
	if c.Lane == privacy.LocalDPSGD || c.Lane == privacy.LaneB {
		shares = d.Shares
	}
	v := float64(max(shares, 0)) * float64(d.ShareVariance)
	if c.Mechanism == privacy.DiscreteGaussian {
		// Certified as a Gaussian of so much less.
		v -= float64(accountant.SmoothingScale * accountant.SmoothingScale)
	}
	return Noise{Planned: c.Noise, Effective: math.Sqrt(max(v, 0)) / d.Sensitivity}
}
