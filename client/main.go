// Command client takes part in a run with data that stays where it is.
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

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
)

const usage = `usage: client COMMAND [flags]

  check               look at the data and measure one round; sends nothing
  calibrate           measure seconds and joules of a task in every mode; sends nothing
  join INVITATION     make a key here and get a certificate for it
  approve [PRINT]     show the committee of key holders; with its fingerprint, permit it
  energy              joules of the rounds so far, by phase and how they are known
  run                 take part until the run is finished
  keyholder           hold keys for the committee until the run is finished
  ledger              what was spent on the data, over all runs and servers
  version             print the version

  -dir DIR            the client's folder (default sotto-client)
  -data FOLDER        the images: one sub-folder a class, IDX files, CIFAR-10 batches

flags of check:   -architecture A      a built-in network or a YAML file (default mnist-cnn)
                  -classes A,B,...     class names (default: the sub-folders)
                  -epochs E -batch B   the work of one round (default 1 and 32)
                  -invitation TEXT     try to reach the server of an invitation
flags of calibrate: -architecture, -classes and -batch as of check
                  -each DURATION       how long to work in each mode (default 3s)
flags of approve: -privacy none        also permit runs that promise no privacy (default contract)
flags of run:     -KEY VALUE           any key of client.yaml, e.g. -threads 1
flags of ledger:  -json                for programs
                  -verify              compute every epsilon again
                  -leave RUN           take no further part in a run, and free what it set aside
                  -budget              make the policy's budget that of the data

example: client check -data images && client join -data images sotto-invite-... && client run
`

var commands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"check": check, "calibrate": calibrate, "energy": energyTotals, "join": join, "approve": approve, "run": take, "keyholder": hold, "ledger": spent,
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal stops in order; the second ends the process.
	context.AfterFunc(ctx, stop)
	err := dispatch(ctx, args, stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		io.WriteString(stdout, usage)
		return 0
	}
	config.Report(stderr, "client", err)
	return config.Exit(err)
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return config.WithHint(config.Usagef("no command"), "try: client help")
	}
	switch name := args[0]; name {
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	case "version":
		_, err := fmt.Fprintln(stdout, version())
		return err
	default:
		command, ok := commands[name]
		if !ok {
			return config.WithHint(config.Usagef("unknown command %q", name), "commands are check, calibrate, join, approve, energy, run, keyholder, ledger and version; see client help")
		}
		return command(ctx, args[1:], stdout, stderr)
	}
}

func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		return b.Main.Path + " " + b.Main.Version + " " + b.GoVersion
	}
	return "unknown"
}

// logger writes JSON, or lines for people where stderr is a terminal.
func logger(w io.Writer, name string) (zerolog.Logger, error) {
	l, err := level(name)
	if err != nil {
		return zerolog.Nop(), err
	}
	if f, ok := w.(*os.File); ok {
		if o := term.Detect(f); o.TTY {
			w = zerolog.ConsoleWriter{Out: f, NoColor: !o.Color, TimeFormat: "15:04:05"}
		}
	}
	return zerolog.New(w).Level(l).With().Timestamp().Logger(), nil
}

func level(name string) (zerolog.Level, error) {
	switch name {
	case "debug", "info", "warn", "error":
		return zerolog.ParseLevel(name)
	}
	return zerolog.NoLevel, fmt.Errorf("log level %q is unknown", name)
}
