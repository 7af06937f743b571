package coordinator

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/fleet"
)

// Config is one run: what clients are asked to do and how rounds go. It is the
// same in a deployment and in a simulation.
type Config struct {
	Name       string              `yaml:"name" json:"name" doc:"name of the run; part of every round's identity, and never used twice: server init makes one with the date and a random end"`
	Seed       uint64              `yaml:"seed" json:"seed" doc:"root of the cohort draw, the initial model and the clients' shuffling"`
	Encryption string              `yaml:"encryption" json:"encryption" doc:"how updates travel: 'threshold' encrypts them to the key holders; 'none' must be written out: the server then sees every update"`
	Committee  CommitteeConfig     `yaml:"committee" json:"committee" doc:"the key holders, under threshold encryption"`
	Privacy    string              `yaml:"privacy" json:"privacy" doc:"'contract' holds the run to the section contract; 'none' must be written out: updates then carry no noise"`
	Contract   privacy.Contract    `yaml:"contract" json:"contract" doc:"what is protected, how, and up to what budget; empty under privacy: none"`
	Rounds     Rounds              `yaml:"rounds" json:"rounds" doc:"how many rounds, with whom, and how long each may take"`
	Update     aggregation.Codec   `yaml:"update" json:"update" doc:"fixed-point form of one update"`
	Weights    string              `yaml:"weights" json:"weights" doc:"'examples' weighs each client by its declared number of examples, 'uniform' equally"`
	Server     serveropt.Config    `yaml:"server_optimizer" json:"server_optimizer" doc:"how the mean update moves the model"`
	Schedule   optim.Schedule      `yaml:"schedule" json:"schedule" doc:"the clients' learning rate over rounds"`
	EarlyStop  optim.EarlyStopping `yaml:"early_stopping" json:"early_stopping" doc:"end the run when the clients' validation loss no longer falls; patience 0 turns it off"`
	Energy     energy.Config       `yaml:"energy" json:"energy" doc:"how the work of a round is spread over its clients, and what its joules are worth"`
	Fleet      fleet.Config        `yaml:"fleet" json:"fleet,omitzero" doc:"noised statistics about the clients, with a budget of their own"`
	Task       train.Config        `yaml:"task" json:"task" doc:"what each client trains, and how"`
}

// Rounds says how many rounds a run has and when each is complete.
type Rounds struct {
	Count      int           `yaml:"count" json:"count" doc:"rounds to complete"`
	Cohort     int           `yaml:"cohort" json:"cohort" doc:"clients drawn for a round; 0 takes all that are ready"`
	MinClients int           `yaml:"min_clients" json:"min_clients" doc:"ready clients to wait for before a round is planned"`
	MinReports int           `yaml:"min_reports" json:"min_reports" doc:"k_min: fewer reports void the round; at least 3"`
	Goal       int           `yaml:"goal" json:"goal" doc:"reports that complete a round before its deadline; 0 waits for the whole cohort"`
	Deadline   time.Duration `yaml:"deadline" json:"deadline" doc:"longest a round collects reports"`
	Grace      time.Duration `yaml:"grace" json:"grace" doc:"how long a client that lost its connection is waited for"`
	Gather     time.Duration `yaml:"gather" json:"gather" doc:"once min_clients are ready, how long to wait for the other connected ones"`
	HolderTime time.Duration `yaml:"holder_time" json:"holder_time" doc:"how long key holders are waited for, for each of their three answers"`
	Evaluate   int           `yaml:"evaluate_every" json:"evaluate_every" doc:"measure the accuracy on the test set after every so many rounds and after the last; 0 and 1 after each"`
	MaxVoid    int           `yaml:"max_void" json:"max_void" doc:"void rounds in a row after which the run halts"`
}

// DefaultMinReports is k_min without a privacy contract: two colluding clients
// must not be left alone with the third's update (max(3, f+2) with f = 1).
const DefaultMinReports = 3

// DefaultRounds holds the defaults of a deployment.
func DefaultRounds() Rounds {
	return Rounds{
		Count: 20, MinClients: DefaultMinReports, MinReports: DefaultMinReports,
		Deadline: 30 * time.Minute, Grace: time.Minute, Gather: 5 * time.Second, HolderTime: 2 * time.Minute, MaxVoid: 10,
	}
}

// Validate reports every problem of the configuration at once, each with its
// key path.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := c.Complete(); err != nil {
		return err
	}
	if c.Name == "" || len(c.Name) > 100 {
		bad("name: want 1 to 100 characters, got %d", len(c.Name))
	}
	switch c.Encryption {
	case "none":
	case EncryptionThreshold:
		if err := c.Committee.Validate(); err != nil {
			bad("%w", config.At("committee", err))
		}
		if c.Rounds.HolderTime <= 0 {
			bad("rounds.holder_time: got %s, want more than 0, e.g. 2m", c.Rounds.HolderTime)
		}
		if n := max(c.Rounds.Cohort, c.Rounds.MinClients); n > c.Committee.MaxUploads {
			bad("committee.max_uploads: got %d, want at least the %d clients of a round", c.Committee.MaxUploads, n)
		}
	default:
		bad("encryption: got %q, want threshold or none", c.Encryption)
	}
	if err := c.validatePrivacy(); err != nil {
		bad("%w", err)
	}
	r := c.Rounds
	if r.Count < 1 {
		bad("rounds.count: got %d, want at least 1", r.Count)
	}
	if r.MinReports < DefaultMinReports {
		bad("rounds.min_reports: got %d, want at least %d: the sum of fewer updates shows too much of each", r.MinReports, DefaultMinReports)
	}
	if r.MinClients < r.MinReports {
		bad("rounds.min_clients: got %d, want at least rounds.min_reports (%d)", r.MinClients, r.MinReports)
	}
	if r.Cohort != 0 && r.Cohort < r.MinReports {
		bad("rounds.cohort: got %d, want 0 (all) or at least rounds.min_reports (%d)", r.Cohort, r.MinReports)
	}
	if r.Goal != 0 && (r.Goal < r.MinReports || r.Cohort != 0 && r.Goal > r.Cohort) {
		bad("rounds.goal: got %d, want 0 (whole cohort) or between rounds.min_reports (%d) and rounds.cohort", r.Goal, r.MinReports)
	}
	if r.Deadline <= 0 {
		bad("rounds.deadline: got %s, want more than 0, e.g. 30m", r.Deadline)
	}
	if r.Grace < 0 || r.Gather < 0 {
		bad("rounds.grace and rounds.gather: want 0 or more, got %s and %s", r.Grace, r.Gather)
	}
	if r.MaxVoid < 1 {
		bad("rounds.max_void: got %d, want at least 1", r.MaxVoid)
	}
	if c.Server.Average > 0 && c.EarlyStop.Patience > 0 {
		bad("server_optimizer.average: the average is the model of the last round, and early_stopping may end the run before it: leave one of them out")
	}
	if c.Energy.Planned() && c.Rounds.Cohort == 0 && c.Rounds.Goal != 0 {
		bad("rounds.goal: got %d, want 0: an energy policy plans for the reports of the whole cohort", c.Rounds.Goal)
	}
	if c.Weights != "examples" && c.Weights != "uniform" {
		bad("weights: got %q, want examples or uniform", c.Weights)
	}
	return errors.Join(append(problems,
		config.At("update", c.Update.Validate()),
		config.At("server_optimizer", c.Server.Validate()),
		config.At("schedule", c.Schedule.Validate()),
		config.At("early_stopping", c.EarlyStop.Validate()),
		config.At("energy", c.Energy.Validate(c.lane())),
		config.At("task", c.Task.Validate()),
	)...)
}

// Hash identifies the configuration. A run resumes only under the hash it was
// started with: rounds of two different plans must not mix unnoticed.
func (c Config) Hash() ([32]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return [32]byte{}, fmt.Errorf("encode configuration of run %s: %w", c.Name, err)
	}
	return sha256.Sum256(b), nil
}

// Complete fills in what follows from the rest: the task's seed, and the layers
// of an architecture that is given by name alone. Layers of one's own under the
// name of a built-in architecture are refused: a file that has all layers written
// out would otherwise keep them when its name is changed.
func (c *Config) Complete() error {
	c.Task.Seed = c.Seed
	a := &c.Task.Architecture
	named, err := nn.Named(a.Name)
	if len(a.Layers) > 0 {
		if err == nil && !reflect.DeepEqual(*a, named) {
			return fmt.Errorf("task.architecture: %s is built in, with another input or other layers: remove input and layers, or choose another name", a.Name)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("task.architecture: %w, or layers of your own", err)
	}
	*a = named
	return nil
}
