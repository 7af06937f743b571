package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/client/books"
	"github.com/sotto-fl/sotto/internal/config"
)

// Config is the client's configuration file. It belongs to the data holder; no
// server can change it.
type Config struct {
	Data         string  `yaml:"data" doc:"folder of the images to train on: one sub-folder a class, IDX files, or CIFAR-10 batches"`
	Ledger       string  `yaml:"ledger" doc:"folder of the ledger of what is spent on the data; all clients that use the data must name the same; empty for .sotto inside data"`
	OfferProfile bool    `yaml:"offer_profile" doc:"tell the server what work costs this device, from energy.json (client calibrate), so that it can order the work and the mode that cost least; what rounds take is told only where their privacy allows it"`
	MinBattery   int     `yaml:"min_battery" doc:"percent of its battery below which this device does no work, unless it is charging; 0 for any"`
	DailyJoules  float64 `yaml:"daily_joules" doc:"joules above idle that rounds may take in a day, by this device's own clock and meter (by public orders where privacy keeps single rounds secret); 0 for any. It needs client calibrate"`
	Threads      int     `yaml:"threads" doc:"processors that training may use; 0 for all"`
	LogLevel     string  `yaml:"log_level" doc:"debug, info, warn or error"`
}

const (
	defaultDir = "sotto-client"
	configFile = "client.yaml"
)

// ledgerFolder is where the ledger of the data is.
func (c Config) ledgerFolder() string {
	if c.Ledger != "" {
		return c.Ledger
	}
	return filepath.Join(c.Data, books.FolderName)
}

func defaultConfig() Config { return Config{OfferProfile: true, LogLevel: "info"} }

// Validate reports every problem at once, each with its key path.
func (c Config) Validate() error {
	var problems []error
	if c.Threads < 0 {
		problems = append(problems, fmt.Errorf("threads: got %d, want 0 (all) or more", c.Threads))
	}
	if c.MinBattery < 0 || c.MinBattery > 100 {
		problems = append(problems, fmt.Errorf("min_battery: got %d, want 0 (any) to 100 percent", c.MinBattery))
	}
	if !(c.DailyJoules >= 0 && c.DailyJoules <= 1e15) {
		problems = append(problems, fmt.Errorf("daily_joules: got %g, want 0 (any) or more", c.DailyJoules))
	}
	if _, err := level(c.LogLevel); err != nil {
		problems = append(problems, fmt.Errorf("log_level: got %q, want debug, info, warn or error", c.LogLevel))
	}
	return errors.Join(problems...)
}

// load reads dir's configuration, then the environment, then flags.
func load(dir string, args []string) (Config, error) {
	c := defaultConfig()
	path := filepath.Join(dir, configFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return c, config.WithHint(config.Usagef("%s: no configuration here", path), "join first: client join -dir "+dir+" -data FOLDER INVITATION")
	}
	err := config.Load(&c, config.Sources{File: path, Env: os.Environ(), Args: args})
	return c, err
}
