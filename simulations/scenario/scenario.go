// Package scenario turns a YAML file into a federation inside one process: the
// real coordinator, the real participants, and the data and faults that a file
// describes. What a scenario trains is a function of the file alone.
package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/simulations/mnist"
	"github.com/sotto-fl/sotto/simulations/partition"
)

// Scenario is one simulated federation.
type Scenario struct {
	Name      string             `yaml:"name" doc:"name of the scenario; part of the name of its folder of results"`
	Clients   int                `yaml:"clients" doc:"how many data holders take part; a round waits for all of them, so run.rounds.min_clients stays 0"`
	Data      Data               `yaml:"data" doc:"what they hold together"`
	Partition Partition          `yaml:"partition" doc:"who holds what"`
	Committee Committee          `yaml:"committee" doc:"who holds the keys, when updates are encrypted"`
	Faults    Faults             `yaml:"faults" doc:"what goes wrong on purpose"`
	Fleet     string             `yaml:"fleet" doc:"file of the devices that the clients are taken to run on, e.g. simulations/fleets/mixed.yaml: they then offer their cost curves, and rounds have joules; empty for none"`
	Initial   string             `yaml:"initial" doc:"safetensors checkpoint to start from; empty for fresh weights"`
	Run       coordinator.Config `yaml:"run" doc:"the run itself, as in a server's configuration"`
}

// Data names the pooled data.
type Data struct {
	Set   string `yaml:"set" doc:"'mnist' (built in) or 'files'"`
	Train int    `yaml:"train" doc:"use only that many training images, drawn by the seed; 0 for all"`
	Test  int    `yaml:"test" doc:"use only that many test images, drawn by the seed; 0 for all"`
	Path  string `yaml:"path" doc:"for 'files': a folder with train and test data: IDX files, CIFAR-10 binary batches, or train/ and test/ folders of images"`
}

// Partition says how the training data is dealt out.
type Partition struct {
	Kind   string  `yaml:"kind" doc:"'iid', 'dirichlet', 'shards', 'quantity', or 'groups': whole groups (patients, writers) in the order of their numbers, equally many each"`
	Alpha  float64 `yaml:"alpha" doc:"dirichlet: concentration; small is skewed"`
	Labels int     `yaml:"labels" doc:"shards: labels a client"`
	Sigma  float64 `yaml:"sigma" doc:"quantity: standard deviation of the log of a client's share"`
	Least  int     `yaml:"least" doc:"fewest examples a client may hold"`
}

// Faults are drawn from the run's seed, so they repeat.
type Faults struct {
	Dropout     float64  `yaml:"dropout" doc:"probability that a client is lost after it got a round's order"`
	DropExactly int      `yaml:"drop_exactly" doc:"so many clients, drawn anew each round, are lost after they got its order"`
	Spoil       []string `yaml:"spoil" doc:"malicious clients, e.g. [client-0003]: each encrypts every update under another key than it shares, so that no sum with it opens"`
}

// federation is the data of a scenario, dealt out.
type federation struct {
	owners []owner
	test   *dataset.Set
}

// Validate reports every problem at once, each with its key path.
func (s Scenario) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if s.Name == "" {
		bad("name: must not be empty")
	}
	switch s.Data.Set {
	case "mnist":
		if s.Data.Path != "" {
			bad("data.path: mnist is built in, leave the path empty or say set: files")
		}
	case "files":
		if s.Data.Path == "" {
			bad("data.path: set: files needs the folder of the data")
		}
	default:
		bad("data.set: got %q, want mnist or files", s.Data.Set)
	}
	if s.Data.Train < 0 || s.Data.Test < 0 {
		bad("data: train is %d and test is %d, want 0 (all) or more", s.Data.Train, s.Data.Test)
	}
	switch p := s.Partition; p.Kind {
	case "iid", "groups":
	case "dirichlet":
		if !(p.Alpha > 0) {
			bad("partition.alpha: got %g, want more than 0, e.g. 0.5", p.Alpha)
		}
	case "shards":
		if p.Labels < 1 {
			bad("partition.labels: got %d, want at least 1", p.Labels)
		}
	case "quantity":
		if !(p.Sigma > 0) {
			bad("partition.sigma: got %g, want more than 0", p.Sigma)
		}
	default:
		bad("partition.kind: got %q, want iid, dirichlet, shards, quantity or groups", p.Kind)
	}
	if !(s.Faults.Dropout >= 0 && s.Faults.Dropout < 1) {
		bad("faults.dropout: got %g, want 0 to less than 1", s.Faults.Dropout)
	}
	if n := s.Faults.DropExactly; n < 0 || n > s.Clients || n > 0 && s.Faults.Dropout > 0 {
		bad("faults.drop_exactly: got %d, want 0 to clients (%d), and not beside dropout", n, s.Clients)
	}
	for i, name := range s.Faults.Spoil {
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "client-")); err != nil || n < 1 || n > s.Clients || name != clientName(n-1) {
			bad("faults.spoil: got %q, want clients from %s to %s", name, clientName(0), clientName(s.Clients-1))
		}
		if slices.Contains(s.Faults.Spoil[:i], name) {
			bad("faults.spoil: %s is named twice", name)
		}
	}
	if len(s.Faults.Spoil) > 0 && s.Run.Encryption != coordinator.EncryptionThreshold {
		bad("faults.spoil: there is nothing to spoil with run.encryption %s", s.Run.Encryption)
	}
	if n := s.Run.Rounds.MinClients; n != 0 && n != s.Clients {
		bad("run.rounds.min_clients: got %d, want 0 or clients (%d): a simulated round waits for everyone, else it would depend on timing", n, s.Clients)
	}
	if s.Clients < s.Run.Rounds.MinReports {
		bad("clients: got %d, want at least run.rounds.min_reports (%d)", s.Clients, s.Run.Rounds.MinReports)
	}
	s.Run.Rounds.MinClients = max(s.Clients, s.Run.Rounds.MinReports) // reported above
	if k := s.Committee; s.Run.Encryption == coordinator.EncryptionThreshold {
		if k.Members < 2 || k.Members > keyshare.MaxMembers || k.Threshold > k.Members || k.Corrupt < 0 || k.Corrupt >= k.Threshold || 2*k.Threshold <= k.Members+k.Corrupt {
			bad("committee: %d members, threshold %d, %d corrupt: want 2 to %d members, corrupt below the threshold, and twice the threshold above members plus corrupt, e.g. 4, 3, 1", k.Members, k.Threshold, k.Corrupt, keyshare.MaxMembers)
		}
		if k.Organisations != 0 && (k.Organisations < s.Run.Rounds.MinReports || k.Organisations > s.Clients) {
			bad("committee.organisations: got %d, want 0 (each client its own) or between run.rounds.min_reports (%d) and clients (%d)", k.Organisations, s.Run.Rounds.MinReports, s.Clients)
		}
		if k.Silent < 0 || k.Silent > k.Members {
			bad("committee.silent: got %d, want 0 to %d", k.Silent, k.Members)
		}
	}
	return errors.Join(append(problems, config.At("run", s.Run.Validate()))...)
}

// open returns the pooled training and test data. Test images choose nothing:
// they reach the evaluator only.
func (d Data) open(task train.Config) (training, test *dataset.Set, err error) {
	if d.Set == "mnist" {
		training, test, err = mnist.Load()
	} else {
		training, test, err = openFiles(d.Path, task)
	}
	if err != nil {
		return nil, nil, err
	}
	return draw(training, d.Train, task.Seed, "data/train"), draw(test, d.Test, task.Seed, "data/test"), nil
}

// draw takes n examples at random, or all.
func draw(s *dataset.Set, n int, root uint64, purpose string) *dataset.Set {
	if n == 0 || n >= s.Len() {
		return s
	}
	return s.Subset(seed.New(root, purpose, 0, "").Perm(s.Len())[:n])
}

func (p Partition) deal(s *dataset.Set, clients int, rng *rand.Rand) ([][]int, error) {
	switch p.Kind {
	case "iid":
		return partition.IID(s.Len(), clients, rng)
	case "dirichlet":
		return partition.Dirichlet(s.Labels(), partition.DirichletConfig{Clients: clients, Alpha: p.Alpha, Min: p.Least}, rng)
	case "shards":
		return partition.Shards(s.Labels(), clients, p.Labels, rng)
	case "quantity":
		return partition.QuantitySkew(s.Len(), clients, p.Sigma, p.Least, rng)
	case "groups":
		if !s.HasGroups() {
			return nil, errors.New("partition.kind: groups needs data with groups: folders class/group/image, groups.csv, or IDX files with a train-groups file beside them")
		}
		group := make([]int32, s.Len())
		for i := range group {
			group[i] = s.Group(i)
		}
		return partition.Blocks(group, clients)
	}
	return nil, fmt.Errorf("partition.kind: %q is unknown", p.Kind)
}

// openFiles reads both splits from a folder. Unreadable images among good ones
// would change who holds what from machine to machine, so here they are an error.
func openFiles(path string, task train.Config) (training, test *dataset.Set, err error) {
	in := task.Architecture.Input
	o := dataset.Options{Shape: dataset.Shape{C: in.C, H: in.H, W: in.W}, Classes: task.Classes}
	for _, part := range []struct {
		split string
		set   **dataset.Set
	}{{"train", &training}, {"test", &test}} {
		o.Split = part.split
		s, problems, err := dataset.Open(path, o)
		if err != nil {
			return nil, nil, err
		}
		if len(problems) > 0 {
			return nil, nil, fmt.Errorf("open data %s: %d unreadable images, the first is %s: %w", path, len(problems), problems[0].File, problems[0].Err)
		}
		*part.set = s
	}
	return training, test, nil
}
