package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// Where `server init` is told nothing else, it plans for these. The budget and its delta are within what a client's
// policy permits by default.
const (
	defaultEpsilon = 4
	defaultDelta   = 1e-5
	defaultOwners  = 10
	defaultRecords = 10_000 // of all of them
	plannedBatch   = 1024   // records a round, of which at least minBatches make up all
	minBatches     = 4
	uploadAfter    = time.Minute
	// margin is left of the budget for what integers cost beside a continuous Gaussian.
	margin = 0.998
	unset  = -1 // of counts where 0 is somebody's mistake
)

// unchecked is a configuration that is not complete yet: it has no Validate.
type unchecked Config

// privateConfig is what a run with a privacy contract starts from: DP-SGD with the rates that were measured for the
// default simulation, or one averaged update a client. The contract is for fill.
func privateConfig(unit string) Config {
	c := defaultConfig()
	r := &c.Run
	r.Privacy, r.Contract.Unit = coordinator.PrivacyContract, unit
	r.Weights, r.Schedule = "uniform", optim.Schedule{Kind: optim.Constant}
	r.Task.Architecture, r.Task.ValidationFraction = nn.Architecture{Name: "dp-cnn"}, 0
	r.Task.Batch, r.Server = 64, serveropt.Config{Name: serveropt.FedAvgM, LR: 7, Momentum: 0.9, Average: 0.9}
	if unit == privacy.UnitClient {
		r.Server = serveropt.Config{Name: serveropt.FedAvg, LR: 1, Average: 0.9}
		r.Task.Architecture, r.Task.Optimizer, r.Task.Batch = nn.Architecture{Name: "scatter-linear"}, optim.Config{Name: optim.SGD, LR: 1}, 128
	}
	r.Rounds.Count, r.Rounds.MinClients, r.Rounds.MinReports, r.Committee.MaxUploads = unset, unset, unset, unset
	return c
}

// planFlags are names for the keys that a plan is made from, short enough to type.
type planFlags struct {
	unit           string
	epsilon, delta float64
	rounds         int
	clients, floor int
	records        int
	after          time.Duration
}

func (p *planFlags) register(f *flag.FlagSet) {
	f.StringVar(&p.unit, "unit", "", "")
	f.Float64Var(&p.epsilon, "epsilon", 0, "")
	f.Float64Var(&p.delta, "delta", 0, "")
	f.IntVar(&p.rounds, "rounds", 0, "")
	f.IntVar(&p.clients, "clients", 0, "")
	f.IntVar(&p.floor, "min-cohort", 0, "")
	f.IntVar(&p.records, "records", 0, "")
	f.DurationVar(&p.after, "upload-after", 0, "")
}

// into gives the contract what the flags say; what the contract has already was given by its key.
func (p *planFlags) into(k *privacy.Contract) error {
	return errors.Join(
		give(&k.Unit, p.unit, "unit", "unit"), give(&k.Epsilon, p.epsilon, "epsilon", "epsilon"), give(&k.Delta, p.delta, "delta", "delta"),
		give(&k.Rounds, p.rounds, "rounds", "rounds"), give(&k.MaxCohort, p.clients, "clients", "max_cohort"), give(&k.MinCohort, p.floor, "min-cohort", "min_cohort"),
		give(&k.Records, p.records, "records", "records"), give(&k.UploadAfter, p.after, "upload-after", "upload_after"))
}

func give[T comparable](field *T, v T, name, key string) error {
	var none T
	switch {
	case v == none:
		return nil
	case *field != none && *field != v:
		return config.Usagef("-%s: got %v, and run.contract.%s is %v: give one of them", name, v, key, *field)
	}
	*field = v
	return nil
}

// newConfig is the configuration that `server init` writes: a run with a privacy contract, unless one without is asked for
// in so many words. What args, the variables and the flags of f leave out is planned.
func newConfig(args []string, f *flag.FlagSet, name string) (Config, error) {
	var p planFlags
	p.register(f)
	d := unchecked(privateConfig(""))
	sources := config.Sources{Env: os.Environ(), Args: args, Flags: f}
	if err := config.Load(&d, sources); err != nil {
		return Config{}, err
	}
	if d.Run.Privacy == "none" {
		if p != (planFlags{}) {
			return Config{}, config.Usagef("-unit, -epsilon, -delta, -rounds, -clients, -min-cohort, -records and -upload-after plan a privacy contract, and -run.privacy is none: remove either")
		}
		c := defaultConfig()
		c.Run.Name = name
		return c, config.Load(&c, sources)
	}
	// Once more over what is right for the unit.
	unit := cmp.Or(d.Run.Contract.Unit, p.unit, privacy.UnitExample)
	d = unchecked(privateConfig(unit))
	d.Run.Name = name
	if err := config.Load(&d, sources); err != nil {
		return Config{}, err
	}
	c := Config(d)
	if p.unit != "" && p.unit != c.Run.Contract.Unit {
		return c, config.Usagef("-unit: got %s, and run.contract.unit is %s: give one of them", p.unit, c.Run.Contract.Unit)
	}
	if err := p.into(&c.Run.Contract); err != nil {
		return c, err
	}
	if err := c.Run.Complete(); err != nil {
		return c, &config.UsageError{Err: err}
	}
	if err := fill(&c.Run); err != nil {
		return c, err
	}
	// What was given is in c already; this says of each problem where it was set.
	return c, config.Load(&c, sources)
}

// fill plans what a run's contract leaves open, and what follows from it.
func fill(r *coordinator.Config) error {
	k := &r.Contract
	client := k.Unit == privacy.UnitClient
	def(&k.Adjacency, privacy.ZeroOut)
	def(&k.Mechanism, privacy.DiscreteGaussian)
	def(&k.Counts, privacy.CountsPublic)
	def(&k.Epsilon, defaultEpsilon)
	def(&k.Colluders, 1)
	if k.Rounds == 0 && r.Rounds.Count > 0 {
		k.Rounds = r.Rounds.Count
	}
	def(&k.MaxCohort, max(defaultOwners, k.MinCohort))
	def(&k.MinCohort, max((7*k.MaxCohort+9)/10, k.Colluders+2, coordinator.DefaultMinReports)) // three of ten may be away
	units := k.MaxCohort
	if client {
		def(&k.Clip, 0.5)
		def(&k.Rounding, privacy.RoundRecord)
		def(&k.Lane, privacy.LaneA)
		def(&k.Rounds, 40)
		def(&k.MinRecords, 10)
		def(&k.Grid, 1<<12)
	} else {
		def(&k.Clip, 0.1)
		def(&k.Rounding, privacy.RoundSum)
		def(&k.Lane, privacy.DistributedDPSGD)
		def(&k.Rounds, 200)
		def(&k.Records, defaultRecords)
		def(&k.MinRecords, min(100, max(1, k.Records/k.MaxCohort/10)))
		def(&k.MicroBatch, r.Task.Batch)
		def(&k.SamplingRate, round(min(plannedBatch/float64(k.Records), 1./minBatches), 4))
		units = k.Records
	}
	if k.SecretCoins() {
		def(&k.UploadAfter, uploadAfter)
	}
	def(&k.MaxParticipations, k.Rounds)
	def(&k.Delta, min(defaultDelta, math.Pow10(-int(math.Ceil(math.Log10(float64(units)))))))
	layout, err := r.Task.Architecture.Layout()
	if err != nil {
		return &config.UsageError{Err: fmt.Errorf("run.task.architecture: %w", err)}
	}
	def(&k.Parameters, layout.Size())
	def(&k.Grid, privacy.Grid(k.Parameters))
	for _, n := range []struct {
		count *int
		value int
	}{
		{&r.Rounds.Count, k.Rounds}, {&r.Rounds.MinReports, k.MinCohort}, {&r.Rounds.MinClients, max(k.MinCohort, r.Rounds.MinReports)},
		{&r.Committee.MaxUploads, max(k.MaxCohort, coordinator.DefaultCommittee().MaxUploads)},
	} {
		if *n.count == unset {
			*n.count = n.value
		}
	}
	if k.Noise != 0 {
		return nil
	}
	return calibrate(k)
}

func def[T comparable](field *T, v T) {
	var none T
	if *field == none {
		*field = v
	}
}

// calibrate finds the least noise multiplier, to three digits, whose plan is within the budget.
func calibrate(k *privacy.Contract) error {
	q := k.SamplingRate
	if k.Lane == privacy.LaneA {
		q = 1
	}
	k.Noise = 1
	if err := k.Validate(); err != nil { // whatever it says, it is not about the noise
		return &config.UsageError{Err: config.At("run.contract", err)}
	}
	p, err := accountant.Plan(accountant.PlanRequest{Method: accountant.PLD, Q: q, Steps: int64(k.MaxParticipations), Delta: k.Delta, TargetEpsilon: margin * k.Epsilon})
	if err != nil {
		return config.WithHint(config.Usagef("no noise reaches epsilon %g at delta %g in %d rounds at rate %g: %v", k.Epsilon, k.Delta, k.Rounds, q, err), "fewer -rounds, or a larger -epsilon")
	}
	for z := p.NoiseMultiplier; ; z *= 1.005 {
		k.Noise = round(z, 3)
		if _, err = k.Certify(); !errors.Is(err, privacy.ErrOverBudget) {
			break
		}
	}
	if err != nil {
		return &config.UsageError{Err: config.At("run.contract", err)}
	}
	return nil
}

// round keeps so many digits and rounds up, but for what is a rounding error itself.
func round(v float64, digits int) float64 {
	unit := math.Pow10(int(math.Floor(math.Log10(v))) + 1 - digits)
	r := math.Ceil(v/unit*(1-1e-12)) * unit
	return math.Round(r*1e9) / 1e9
}

// contractHeader says in server.yaml what was planned and what to choose.
func contractHeader(c Config) (string, error) {
	k := c.Run.Contract
	if k.None() || c.Run.Privacy == "none" {
		return "Privacy: none. Sums of updates are exact, and the models may give away single records. Clients take part only if their data holders permit that.", nil
	}
	e, err := promised(k)
	if err != nil {
		return "", err
	}
	who := map[string]string{privacy.UnitExample: "image", privacy.UnitGroup: "group of images, a patient's for example,", privacy.UnitClient: "data holder"}[k.Unit]
	of := fmt.Sprintf("%d data holders", k.MaxCohort)
	if k.Records > 0 {
		of += fmt.Sprintf(" who hold %d %ss together", k.Records, map[string]string{privacy.UnitExample: "image", privacy.UnitGroup: "group"}[k.Unit])
	}
	text := fmt.Sprintf("Privacy: whoever sees all models learns of no single %s more than epsilon %s allows, at delta %g, in %d rounds. This was planned for %s; a round with fewer than %d of them is void. To be chosen under run.contract before anyone joins:", who, e, k.Delta, k.Rounds, of, k.MinCohort)
	for _, line := range []struct {
		holds bool
		text  string
	}{
		{k.Unit == privacy.UnitExample, "unit: group, if a patient may have several images; then every image needs its group (see docs/privacy.md)."},
		{k.Records > 0, "records, max_cohort: how many there are of both, from the data holders. A step is divided by sampling_rate times records, and never by what happened to arrive."},
		{true, "min_cohort: low enough that a round is seldom void, high enough that little noise is added for nothing: noise is sized for min_cohort less colluders."},
		{k.SecretCoins(), "upload_after: longer than the slowest data holder's round, which client check measures. Uploads leave then, and the moment tells nothing of a batch."},
		{true, "epsilon, delta, rounds: the most that is spent. Data holders permit epsilon 8 a run and 10 over all runs, unless they decide otherwise."},
	} {
		if line.holds {
			text += "\n- " + line.text
		}
	}
	q := ""
	if k.SecretCoins() {
		q = fmt.Sprintf(" -q %g", k.SamplingRate)
	}
	return text + fmt.Sprintf("\nnoise_multiplier follows from them: server epsilon%s -steps %d -delta %g -target-epsilon %g. server serve -check says what a plan costs and refuses one over its budget.",
		q, k.MaxParticipations, k.Delta, round(margin*k.Epsilon, 6)), nil
}

// promised is the largest epsilon of the plan against anyone that the contract speaks of, rounded up.
func promised(k privacy.Contract) (string, error) {
	rows, err := k.Certify()
	if err != nil {
		return "", &config.UsageError{Err: config.At("run.contract", err)}
	}
	most := 0.0
	for _, r := range rows {
		if r.Claimed {
			most = max(most, r.Upper)
		}
	}
	return fmt.Sprintf("%.3f", math.Ceil(1000*most)/1000), nil
}
