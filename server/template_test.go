package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy"
)

func planOf(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	return newConfig(args, flag.NewFlagSet("init", flag.ContinueOnError), "test")
}

// What server init plans is a contract within its budget, for each unit and for what was given.
func TestInitPlansAContract(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want func(k privacy.Contract, c Config) bool
	}{
		"nothing given": {nil, func(k privacy.Contract, c Config) bool {
			return k.Unit == privacy.UnitExample && k.Lane == privacy.DistributedDPSGD && k.Epsilon == 4 && k.MinCohort == 7 && k.MaxCohort == 10 &&
				k.UploadAfter == uploadAfter && c.Run.Rounds.Count == 200 && c.Run.Rounds.MinReports == 7 && c.Run.Weights == "uniform"
		}},
		"all given": {strings.Fields("-unit group -epsilon 2 -delta 1e-6 -rounds 50 -clients 5 -min-cohort 4 -records 900 -upload-after 3m"), func(k privacy.Contract, c Config) bool {
			return k.Unit == privacy.UnitGroup && k.Epsilon == 2 && k.Delta == 1e-6 && k.Rounds == 50 && k.MaxCohort == 5 && k.MinCohort == 4 && k.Records == 900 && c.Run.Rounds.MinClients == 4
		}},
		"clients": {strings.Fields("-unit client -clients 500 -min-cohort 318 -epsilon 8 -delta 1e-3"), func(k privacy.Contract, c Config) bool {
			return k.Lane == privacy.LaneA && k.Noise < 3.2 && c.Run.Committee.MaxUploads == 500
		}},
		"many records":              {strings.Fields("-records 3000000"), func(k privacy.Contract, _ Config) bool { return k.Delta == 1e-7 }},
		"keys":                      {strings.Fields("-run.contract.noise_multiplier 3 -run.rounds.count 30"), func(k privacy.Contract, _ Config) bool { return k.Noise == 3 && k.Rounds == 30 }},
		"another architecture":      {strings.Fields("-run.task.architecture.name scatter-linear"), func(k privacy.Contract, _ Config) bool { return k.Parameters == 8340 }},
		"a key that says the same":  {strings.Fields("-epsilon 3 -run.contract.epsilon 3"), func(k privacy.Contract, _ Config) bool { return k.Epsilon == 3 }},
		"noise complete by itself":  {strings.Fields("-run.contract.lane local-dp-sgd"), func(k privacy.Contract, _ Config) bool { return k.Shares() == 1 }},
		"clients by coins (lane B)": {strings.Fields("-unit client -clients 100 -run.contract.lane B -run.contract.sampling_rate 0.5"), func(k privacy.Contract, _ Config) bool { return k.UploadAfter > 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := planOf(t, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(c.Run.Contract, c) {
				t.Errorf("planned %+v", c.Run.Contract)
			}
			rows, err := c.Run.Contract.Certify()
			if err != nil {
				t.Fatal(err)
			}
			if k := c.Run.Contract; k.Noise != 3 && rows[0].Upper < 0.97*k.Epsilon {
				t.Errorf("epsilon %g of %g: more noise than it takes", rows[0].Upper, k.Epsilon)
			}
			// The file that is written down is read back as what was planned.
			dir := t.TempDir()
			if err := writeConfig(filepath.Join(dir, configFile), c, "a header"); err != nil {
				t.Fatal(err)
			}
			again, err := loadConfig(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if again.Run.Contract != c.Run.Contract {
				t.Errorf("read back: %+v", again.Run.Contract)
			}
		})
	}
}

func TestInitRefusesContradictions(t *testing.T) {
	for args, want := range map[string]string{
		"-epsilon 3 -run.contract.epsilon 4":          "-epsilon: got 3, and run.contract.epsilon is 4",
		"-unit client -run.contract.unit example":     "-unit: got client",
		"-run.privacy none -epsilon 4":                "plan a privacy contract, and -run.privacy is none",
		"-unit patient":                               "unit: got \"patient\", want example",
		"-delta 0.01":                                 "delta: got 0.01 for 10000 units",
		"-records 100":                                "", // small, and possible
		"-min-cohort 2":                               "min_cohort: got 2 with 1 colluders",
		"-clients 3 -min-cohort 5":                    "max_cohort: got 3, below min_cohort 5",
		"-run.contract.noise_multiplier 0.5":          "", // over budget: contractHeader says so
		"-run.rounds.count 0":                         "-run.rounds.count: run.rounds.count: got 0",
		"-rounds 10 -run.rounds.count 20":             "-run.rounds.count: run.rounds.count: got 20, the contract covers 10 rounds",
		"-run.task.architecture.name resnet":          "resnet",
		"-records 8000 -run.contract.sampling_rate 2": "sampling_rate: got 2",
	} {
		_, err := planOf(t, strings.Fields(args)...)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
	c, err := planOf(t, "-run.contract.noise_multiplier", "0.5")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contractHeader(c); err == nil || !strings.Contains(err.Error(), "run.contract.epsilon: the plan costs") {
		t.Errorf("over budget: %v", err)
	}
	if _, err := os.Stat(configFile); err == nil {
		t.Error("a refused init left a file")
	}
}
