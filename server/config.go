package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
)

// Config is the server's configuration file.
type Config struct {
	Listen    string             `yaml:"listen" doc:"address and port to listen on"`
	Address   string             `yaml:"address" doc:"host:port under which clients reach the server; its host is in the server's certificate"`
	TestSet   string             `yaml:"test_set" doc:"folder of a public test set that the accuracy is measured on; empty for none: then clients' private validation is all there is"`
	Initial   string             `yaml:"initial" doc:"safetensors checkpoint to start a new run from; empty for fresh weights"`
	LogLevel  string             `yaml:"log_level" doc:"debug, info, warn or error"`
	Linger    time.Duration      `yaml:"linger" doc:"how long the server stays up after the last round, so that clients learn that it was the last"`
	Receivers int                `yaml:"receivers" doc:"reports received at once; each takes one buffer of a report's size, others are told to try again"`
	Study     ledger.Study       `yaml:"study" doc:"what the run is for, in plain words: written into the ledger before round 1, and onto the report"`
	Run       coordinator.Config `yaml:"run" doc:"the run: rounds, and what clients train"`
}

const configFile = "server.yaml"

// defaultConfig is what a configuration without privacy starts from, and what a file that leaves keys out is
// completed with. `server init` without -run.privacy none writes privateConfig.
func defaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:7443", Address: "localhost:7443", LogLevel: "info",
		Linger: 10 * time.Second, Receivers: 8,
		Run: coordinator.Config{
			Name: defaultName, Seed: 1, Encryption: coordinator.EncryptionThreshold, Committee: coordinator.DefaultCommittee(), Privacy: "none",
			Rounds:   coordinator.DefaultRounds(),
			Update:   aggregation.Codec{Bits: 16, Range: 1},
			Weights:  "examples",
			Server:   serveropt.Config{Name: "fedavg", LR: 1},
			Schedule: optim.Schedule{Kind: "cosine"},
			Energy:   energy.Default(),
			Task: train.Config{
				Architecture:  nn.Architecture{Name: "mnist-cnn"},
				Classes:       []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
				Normalization: dataset.Normalization{Mean: []float64{0.1307}, Std: []float64{0.3081}},
				Optimizer:     optim.Config{Name: "sgd", LR: 0.05, Momentum: 0.9},
				Batch:         32, Epochs: 1, ValidationFraction: 0.1,
			},
		},
	}
}

// Validate reports every problem at once, each with its key path.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, a := range []struct{ key, value string }{{"listen", c.Listen}, {"address", c.Address}} {
		if _, port, err := net.SplitHostPort(a.value); err != nil || port == "" {
			bad("%s: got %q, want host:port, e.g. localhost:7443", a.key, a.value)
		}
	}
	if _, err := level(c.LogLevel); err != nil {
		bad("log_level: got %q, want debug, info, warn or error", c.LogLevel)
	}
	if c.Linger < 0 {
		bad("linger: got %s, want 0 or more", c.Linger)
	}
	if c.Receivers < 1 || c.Receivers > 1024 {
		bad("receivers: got %d, want 1 to 1024", c.Receivers)
	}
	return errors.Join(append(problems, config.At("run", c.Run.Validate()))...)
}

// loadConfig reads dir's configuration, then the environment, then flags.
func loadConfig(dir string, args []string) (Config, error) {
	c := defaultConfig()
	path := filepath.Join(dir, configFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return c, config.WithHint(config.Usagef("%s: no configuration here", path), "make one with: server init -dir "+dir)
	}
	if err := config.Load(&c, config.Sources{File: path, Env: os.Environ(), Args: args}); err != nil {
		return c, err
	}
	return c, c.Run.Complete()
}
