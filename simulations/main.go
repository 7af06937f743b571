// Command simulations runs whole federations in one process: the same coordinator
// and participants as server and client, on data that is dealt out to as many
// clients as a scenario says.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sotto-fl/sotto/internal/config"
)

const usage = `usage: simulations [COMMAND] [flags]

  run      run a scenario (this is what happens without a command)
  compare  run policies of who works how much on one fleet; what each costs in joules
  audit    hide canaries in all rounds of a scenario's contract; what they give away,
           beside the certified epsilon
  data     write a folder of images for each of several clients, for trying
           server and client on one machine
  version  print the version

flags of run:
  -scenario FILE   a YAML file; what it does not name stays as in the default, or
                   as in simulations/scenarios/mnist.yaml if it says privacy: none
  -seed N          root of everything random (run.seed)
  -workers N       trainers at work at once; does not change the result
  -out DIR         folder for the results (default runs/TIME-NAME)
  -baseline        after a private run, the same without privacy, timed apart
  -print           print the scenario with every choice written out, and stop
  -KEY VALUE       any key of a scenario, e.g. -run.rounds.count 5 -partition.alpha 1

flags of compare:
  -scenario FILE   data, partition and task, e.g. simulations/scenarios/energy.yaml
  -fleet FILE      devices, rounds and target, e.g. simulations/fleets/mixed.yaml
  -policies A,B    which (default all that are quick to compare); +forecast or +gate
                   after a name: when, and +place: where rounds run
  -target-accuracy A, -rounds N, -ratio R   in place of the fleet file's
  -lane L          none, A, B or distributed-dp-sgd (default none)
  -max-participations M   most rounds that one client may contribute to, as the ledger
                   of a contract would enforce it on every policy (default no limit)
  -cache DIR       keep what each round does to the model: what was trained before, by
                   whatever policy, is not trained again (200 kB a round; delete at will)
  -solar FILE      surplus power that FedZero plans with, a CSV of seconds and each
                   plant's share of its peak; such power counts as free of CO2e
  -carbon ZONE=FILE,...   intensity over time, a CSV of times and average gCO2e/kWh
  -horizon D, -forecast-error E   for policies that wait: time for all rounds (default
                   24h), and what forecasts are wrong by, of the mean (default 0.1)
  -seeds K, -first-seed N   seeds N to N+K-1 (default 1 to 5)
  -workers N, -out DIR   as for run

flags of audit:
  -scenario FILE   whose contract, of unit example or group (default the default run's)
  -canaries N      random records at the clip norm (default 600)
  -seed N          one seed is one audit (default 1)
  -ledger FILE     audit the contract of that run instead of a scenario's
  -key FILE        its public key (default ledger.pub beside the ledger)
  -out FILE        the result as JSON

flags of data:
  -out DIR         where to write (default sites)
  -clients N       how many folders (default 4)
  -alpha A         label skew, 0 for none (default 0.5)
  -images N        images in all (default 8000)
  -seed N          root of the dealing

example: simulations run -seed 2 -workers 2 -out /tmp/second
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal stops the run in order; the second ends the process.
	context.AfterFunc(ctx, stop)

	command := "run"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "run":
		err = runScenario(ctx, args, stdout, stderr)
	case "compare":
		err = comparePolicies(ctx, args, stdout, stderr)
	case "audit":
		err = auditScenario(ctx, args, stdout, stderr)
	case "data":
		err = writeData(args, stdout)
	case "version":
		_, err = fmt.Fprintln(stdout, version())
	case "help":
		_, err = io.WriteString(stdout, usage)
	default:
		err = config.WithHint(config.Usagef("unknown command %q", command), "commands are run, compare, audit, data and version; see simulations help")
	}
	if errors.Is(err, flag.ErrHelp) {
		io.WriteString(stdout, usage)
		return 0
	}
	config.Report(stderr, "simulations", err)
	return config.Exit(err)
}

func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		return b.Main.Path + " " + b.Main.Version + " " + b.GoVersion
	}
	return "unknown"
}
