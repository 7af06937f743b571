// Command server plans the rounds of a run and adds up what clients report.
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

const usage = `usage: server COMMAND [flags]

  init                make a certificate authority and a configuration with every
                      choice written out, and a privacy contract planned for you
  invite NAME         print a one-time invitation for a client
  committee           draft the record of key holders, or show who has signed it
  revoke NAME         refuse a client's certificates from now on
  members             list the clients that joined
  serve               run the rounds; continues where it was stopped
  report              write what a run promised and spent: JSON, a page, a registry entry
  verify LEDGER       recompute everything in a ledger; needs its public key only
  epsilon             what a plan costs, or how much noise an epsilon takes
  status              show how far the run is
  version             print the version

  -dir DIR            the server's folder (default sotto-server)

flags of init:    -address HOST:PORT   where clients reach the server (default localhost:7443)
                  -unit UNIT           what is protected: example (the default), group, client
                  -epsilon E           the run's privacy budget (default 4); the noise follows
                  -delta D             (default 1e-5, or less for many records)
                  -rounds T            (default 200; 40 for unit client)
                  -clients K           data holders (default 10)
                  -min-cohort M        fewer make a round void (default 7 of 10)
                  -records N           images, or groups, of all of them (default 10000)
                  -upload-after D      longer than the slowest one's round (default 1m)
                  -KEY VALUE           any key of the configuration, e.g. -run.rounds.count 40;
                                       -run.privacy none for a run without privacy
flags of invite:  -ttl D               how long it can be used (default 72h)
flags of committee: -holders A,B,..    members that hold keys; without it, show the record
                  -threshold T         how many must answer (default 3 of 4, 5 of 7)
                  -corrupt C           how many may be corrupt (default the most that T allows)
                  -roster open         admit clients that no member vouches for
flags of serve:   -check               check the configuration, print it, and stop
                  -KEY VALUE           any key of the configuration

flags of verify:  -key FILE|KEY        the server's public key (default ledger.pub beside the ledger)
                  -checkpoint FILE     a checkpoint that a client has seen: the ledger must continue it
flags of report:  -out DIR             where to write (default report)
                  -ledger FILE         default: that of -dir
                  -key FILE|KEY        as for verify
                  -audit FILE          what simulations audit -ledger found, shown beside the
                                       certified epsilon; may be given again

flags of epsilon: -q Q                 probability that a record is in a step (default 1)
                  -noise-multiplier Z  standard deviation of the noise over the sensitivity
                  -target-epsilon E    find the least noise multiplier instead
                  -steps T             (default 1)
                  -delta D             (default 1e-5)
                  -accountant NAME     pld, rdp, zcdp, gdp or exact (default pld)
                  -tightest            pld: publish the tightest bound, also where references lie above it
                  -orders A,B-C,..     rdp: Rényi orders, and the divergence at each
                  -mechanism M         KIND or KIND:FIELD=VALUE,.. of a step (default gaussian), e.g.
                                       skellam:variance=1e6,l1=2048,l2=512, truncated-poisson:records=1000,cap=80,
                                       fixed-size:records=1000,batch=10, tree, laplace; or an event in JSON
                  -adjacency A         zero-out or replace-one (default zero-out)
                  -json                for programs, all digits

example: server init && server invite north && server serve
`

var commands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"init": initServer, "invite": invite, "committee": draft, "revoke": revoke, "members": members, "serve": serve, "status": status, "report": writeReport, "verify": verify, "epsilon": epsilon,
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
	config.Report(stderr, "server", err)
	return config.Exit(err)
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return config.WithHint(config.Usagef("no command"), "try: server help")
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
			return config.WithHint(config.Usagef("unknown command %q", name), "commands are init, invite, committee, revoke, members, serve, report, verify, epsilon, status and version; see server help")
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
