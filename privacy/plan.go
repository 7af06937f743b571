package privacy

import (
	"errors"
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

// ErrNone says that a contract promises no privacy, so that there is nothing to compute.
var ErrNone = errors.New("the contract promises no privacy")

// ErrOverBudget says that a contract's own plan costs more than its epsilon.
var ErrOverBudget = errors.New("the plan is over its budget")

// Adversaries that a guarantee is printed against.
const (
	Recipients       = "recipients of the model"
	OtherOwners      = "other owners"
	ServerAndOwners  = "the server with colluding owners"
	ServerAndHolders = "the server with enough key holders to decrypt"
)

// Charge is what one unit spends against one adversary if the run takes all its rounds.
type Charge struct {
	Adversary string
	// Round is one round's release, Run the whole plan with the deltas for what may be cut.
	Round, Run accountant.Event
}

// Guarantee is a row of the plan with its epsilon at the contract's delta.
type Guarantee struct {
	Charge
	accountant.Result
	// Claimed says that the contract's epsilon is promised against this adversary; the other rows are information.
	Claimed bool
}

// Certify computes the plan's epsilons: by privacy loss distributions, or by Rényi divergences for Skellam noise and for
// the epsilon of a single noise share, which is only information and far too large to be tight about. It
// takes up to a few tenths of a second. Beside the rows it returns ErrOverBudget if a claimed one is above the contract's
// epsilon: such a run must not start. Claimed is every adversary without the key holders' keys, in the local lane also with them; in
// lane B, the recipients alone.
func (c Contract) Certify() ([]Guarantee, error) {
	plan, err := c.Plan()
	if err != nil {
		return nil, err
	}
	known := map[string]accountant.Result{} // by event; rows of one event have one method
	var (
		rows []Guarantee
		over error
	)
	for _, charge := range plan {
		b, err := accountant.Encode(charge.Run)
		if err != nil {
			return nil, fmt.Errorf("certify against %s: %w", charge.Adversary, err)
		}
		claimed := charge.Adversary == Recipients || c.Lane == LocalDPSGD || charge.Adversary != ServerAndHolders && c.Lane != LaneB
		method := accountant.PLD
		if c.Mechanism == Skellam || !claimed && c.dpsgd() {
			method = accountant.RDP
		}
		r, ok := known[string(b)]
		if !ok {
			a := accountant.Accountant{Method: method}
			if r, err = a.Epsilon(charge.Run, c.Delta); err != nil {
				return nil, fmt.Errorf("certify against %s: %w", charge.Adversary, err)
			}
			known[string(b)] = r
		}
		if claimed && over == nil && !(r.Upper <= c.Epsilon) {
			over = fmt.Errorf("epsilon: the plan costs %.4g against %s, the budget is %g: raise noise_multiplier, or lower rounds or sampling_rate: %w", r.Upper, charge.Adversary, c.Epsilon, ErrOverBudget)
		}
		rows = append(rows, Guarantee{charge, r, claimed})
	}
	return rows, over
}

// Plan returns the rows of the report. All rest on the record's own owner being honest, and the
// first three on at least min_cohort - colluders owners adding their noise.
//
// Rows differ in the noise that is left (against key holders one owner's own share) and in whether
// secret coins amplify. Against recipients no more noise is credited than against colluding owners.
func (c Contract) Plan() ([]Charge, error) {
	d, err := c.Derive()
	if err != nil {
		return nil, err
	}
	sum := d.event(d.Shares, d.Sigma)
	alone := sum
	if d.Shares > 1 {
		alone = d.event(1, math.Sqrt(float64(d.ShareVariance)))
	}
	var coins func(accountant.Event, string) accountant.Event
	switch c.Lane {
	case LaneA:
		coins = func(e accountant.Event, _ string) accountant.Event { return e }
	case LaneB:
		// The server sees who takes part, and so do others who work with it.
		coins = func(e accountant.Event, adversary string) accountant.Event {
			if adversary == Recipients {
				return accountant.PoissonSampled{Q: c.SamplingRate, Event: e}
			}
			return e
		}
	default:
		// The coins never leave the owner of the record.
		coins = func(e accountant.Event, _ string) accountant.Event {
			return accountant.PoissonSampled{Q: c.SamplingRate, Event: e}
		}
	}
	var rows []Charge
	for _, adversary := range []string{Recipients, OtherOwners, ServerAndOwners, ServerAndHolders} {
		e := sum
		if adversary == ServerAndHolders {
			e = alone
		}
		round := coins(e, adversary)
		run := accountant.Composed{Events: []accountant.Event{
			accountant.SelfComposed{Event: round, Count: int64(c.MaxParticipations)},
			accountant.EpsilonDelta{Delta: d.MissDelta},
		}}
		rows = append(rows, Charge{adversary, round, run})
	}
	return rows, nil
}

// event is the release of one noisy vector.
func (d Derived) event(shares int, sigma float64) accountant.Event {
	if d.mechanism == Skellam {
		l2 := d.Sensitivity
		return accountant.Skellam{
			Variance: float64(shares) * float64(d.ShareVariance),
			L1:       math.Min(l2*l2, math.Sqrt(float64(d.Fields))*l2), L2: l2,
		}
	}
	return accountant.DiscreteGaussian{
		Sigma: sigma, Sensitivity: d.Sensitivity, Dims: int64(d.Fields),
		Shares: int64(shares), ShareSigma: math.Sqrt(float64(d.ShareVariance)),
	}
}
