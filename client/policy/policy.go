// Package policy is what a data holder permits: whose committee may hold the keys
// of its updates, how small a sum may be, how much privacy a run may cost, and what may
// be trained.
//
// It is written by the data holder, in a file of its own, and no server can change
// it. It fails closed: without a policy nothing is permitted, and the zero value
// refuses everything. Participants check it before they train, key holders before
// they sign.
package policy

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/statement"
)

// ErrRefused says that the data holder's policy does not permit something.
var ErrRefused = errors.New("refused by this data holder's policy")

// Policy is the file's content.
type Policy struct {
	Committee     string  `yaml:"committee" doc:"hash of the committee record that was approved, 64 hexadecimal digits"`
	Roster        string  `yaml:"roster" doc:"pinned: only clients for whom an organisation of the record vouches; open: permit records that admit everyone"`
	Organisations int     `yaml:"smallest_organisations" doc:"fewest organisations in a sum (clients, where the roster is open)"`
	Cohort        int     `yaml:"smallest_cohort" doc:"fewest clients in a sum"`
	Work          uint64  `yaml:"smallest_work" doc:"fewest training records that any client of a sum may be asked to process"`
	Weight        float64 `yaml:"smallest_weight" doc:"least weight that any client's update may be given, above 0, at most 1"`
	Share         float64 `yaml:"largest_share" doc:"largest part of a sum's weight that one client may have, above 0, at most 1; 0 means 0.9"`

	Privacy       string   `yaml:"privacy" doc:"contract: take part in runs with a privacy contract only; none: also in runs that promise no privacy"`
	Units         []string `yaml:"units" doc:"what a contract may protect: example, group, client; empty for any"`
	Noise         float64  `yaml:"smallest_noise" doc:"least noise multiplier of a contract"`
	Epsilon       float64  `yaml:"largest_epsilon" doc:"largest epsilon that one run may promise"`
	Delta         float64  `yaml:"largest_delta" doc:"largest delta that one run may promise"`
	BudgetEpsilon float64  `yaml:"budget_epsilon" doc:"largest epsilon over all runs, of all servers, that touch the same data"`
	BudgetDelta   float64  `yaml:"budget_delta" doc:"largest delta over all of them"`
	Architectures []string `yaml:"architectures" doc:"hashes of the networks that may be trained, as client check prints them; empty for any"`
	Tasks         []string `yaml:"tasks" doc:"SHA-256 of the tasks that may be trained; empty for any"`
}

// defaultShare lets sites of very different size take part and still keeps a sum
// from being one update in all but name.
const defaultShare = 0.9

// Default is a policy that lacks only the committee: sums of three and more, of
// clients that all did something, and runs with a privacy contract only. Up to epsilon
// 10 a guarantee is commonly called reasonable (Ponomareva et al., "How to DP-fy ML",
// 2023, section 5.2), so that is the most that all runs together may reach.
func Default() Policy {
	return Policy{
		Roster: string(keyshare.RosterPinned), Organisations: 3, Cohort: 3, Work: 1, Weight: 1e-3, Share: defaultShare,
		Privacy: WithContract, Noise: 0.5, Epsilon: 8, Delta: 1e-5, BudgetEpsilon: 10, BudgetDelta: 1e-4,
	}
}

// Load reads a policy from a YAML file over Default. Nothing else, no variable and
// no flag, changes a policy.
func Load(path string) (Policy, error) {
	p := Default()
	if path == "" {
		return Policy{}, fmt.Errorf("policy: no file given: name the file that says what this data holder permits")
	}
	if err := config.Load(&p, config.Sources{File: path}); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Validate reports every field that does not permit anything sensible.
func (p Policy) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if _, err := p.hash(); err != nil {
		bad("committee: %w", err)
	}
	if p.Roster != string(keyshare.RosterPinned) && p.Roster != string(keyshare.RosterOpen) {
		bad("roster: got %q, want %s or %s", p.Roster, keyshare.RosterPinned, keyshare.RosterOpen)
	}
	if p.Organisations < 2 {
		bad("smallest_organisations: got %d, want at least 2: a sum of one is an update", p.Organisations)
	}
	if p.Cohort < p.Organisations {
		bad("smallest_cohort: got %d, want at least smallest_organisations (%d)", p.Cohort, p.Organisations)
	}
	if !(p.Weight > 0 && p.Weight <= 1) {
		bad("smallest_weight: got %g, want above 0, at most 1", p.Weight)
	}
	if !(p.Share >= 0 && p.Share <= 1) {
		bad("largest_share: got %g, want above 0, at most 1", p.Share)
	}
	problems = append(problems, p.validatePrivacy()...)
	return errors.Join(problems...)
}

func (p Policy) hash() (statement.Digest, error) {
	b, err := hex.DecodeString(p.Committee)
	if err != nil || len(b) != len(statement.Digest{}) {
		return statement.Digest{}, fmt.Errorf("got %.80q, want the 64 hexadecimal digits that approving a committee record prints", p.Committee)
	}
	return statement.Digest(b), nil
}

// CheckRecord returns ErrRefused unless this is the committee record that the data
// holder approved. Names and signatures are for SignedRecord.Verify.
func (p Policy) CheckRecord(r *keyshare.Record) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("%w: the policy itself is not usable: %w", ErrRefused, err)
	}
	want, err := p.hash()
	if err != nil {
		return fmt.Errorf("%w: committee: %w", ErrRefused, err)
	}
	if got := r.Hash(); got != want {
		return fmt.Errorf("%w: committee record %s is not the approved one, %s: compare it with its members, approve it, and set committee in the policy",
			ErrRefused, keyshare.Fingerprint(got), keyshare.Fingerprint(want))
	}
	if r.Roster == keyshare.RosterOpen && p.Roster != string(keyshare.RosterOpen) {
		return fmt.Errorf("%w: the record's roster is open, so that a server can invent clients: set roster to open in the policy if that is accepted", ErrRefused)
	}
	return nil
}

// CheckOrder returns ErrRefused for an order with less work or weight than the
// policy or the contract's limits allow.
func (p Policy) CheckOrder(o keyshare.Order, l keyshare.Limits) error {
	l = p.Raise(l)
	if o.Work < l.MinWork {
		return fmt.Errorf("%w: order of %d training records, want at least %d", ErrRefused, o.Work, l.MinWork)
	}
	if !(o.Weight >= l.MinWeight) {
		return fmt.Errorf("%w: order with weight %g, want at least %g", ErrRefused, o.Weight, l.MinWeight)
	}
	return nil
}

// CheckContract returns ErrRefused for a contract under which sums may be smaller
// than the policy allows. A client cannot see the set that its update goes into, so
// it insists on the contract; holders check every set.
func (p Policy) CheckContract(l keyshare.Limits) error {
	if l.KMin < p.Organisations {
		return fmt.Errorf("%w: the contract allows sums of %d organisations, want at least %d", ErrRefused, l.KMin, p.Organisations)
	}
	if l.MinCohort < p.Cohort {
		return fmt.Errorf("%w: the contract allows sums of %d clients, want at least %d", ErrRefused, l.MinCohort, p.Cohort)
	}
	if l.MinWork < p.Work || !(l.MinWeight >= p.Weight) {
		return fmt.Errorf("%w: the contract allows orders of %d records with weight %g, want at least %d and %g", ErrRefused, l.MinWork, l.MinWeight, p.Work, p.Weight)
	}
	return nil
}

// Raise returns the limits of a contract, raised to this policy where it asks for
// more. The zero policy raises them beyond every set.
func (p Policy) Raise(l keyshare.Limits) keyshare.Limits {
	if p.Validate() != nil {
		l.KMin, l.MinCohort = keyshare.MaxUploads+1, keyshare.MaxUploads+1
		return l
	}
	l.KMin = max(l.KMin, p.Organisations)
	l.MinCohort = max(l.MinCohort, p.Cohort)
	l.MinWork = max(l.MinWork, p.Work)
	l.MinWeight = max(l.MinWeight, p.Weight)
	share := p.Share
	if share == 0 {
		share = defaultShare
	}
	if l.MaxShare == 0 || share < l.MaxShare {
		l.MaxShare = share
	}
	return l
}
