package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/carbon"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/identity"
	"github.com/sotto-fl/sotto/server/rpc"
	"github.com/sotto-fl/sotto/server/store"
)

// splitDir takes -dir and -check out of args, so that everything else can be a
// key of the configuration.
func splitDir(args []string) (dir string, check bool, rest []string, err error) {
	dir = defaultDir
	for i := 0; i < len(args); i++ {
		switch a := args[i]; a {
		case "-dir", "--dir":
			if i++; i == len(args) {
				return "", false, nil, config.Usagef("-dir needs a folder")
			}
			dir = args[i]
		case "-h", "--h", "-help", "--help":
			return "", false, nil, flag.ErrHelp
		case "-check", "--check":
			check = true
		default:
			if name, value, given := strings.Cut(a, "="); given && (name == "-dir" || name == "--dir") {
				dir = value
				continue
			}
			rest = append(rest, a)
		}
	}
	return dir, check, rest, nil
}

func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	dir, check, rest, err := splitDir(args)
	if err != nil {
		return err
	}
	c, err := loadConfig(dir, rest)
	if err != nil {
		return err
	}
	if check {
		costs := ""
		if c.Run.Privacy == coordinator.PrivacyContract {
			e, err := promised(c.Run.Contract)
			if err != nil {
				return err
			}
			costs = fmt.Sprintf(" The plan costs epsilon %s of %g at delta %g.", e, c.Run.Contract.Epsilon, c.Run.Contract.Delta)
		}
		return config.WriteYAML(stdout, c, "The configuration is valid."+costs+" In full:")
	}
	log, err := logger(stderr, c.LogLevel)
	if err != nil {
		return err
	}
	ctx = log.WithContext(ctx)
	authority, err := identity.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer authority.Close()
	book, err := committee.Open(ctx, dir)
	if err != nil {
		return diskFull(err, dir)
	}
	defer book.Close()
	parts, err := open(ctx, dir, c)
	if err != nil {
		return diskFull(err, dir)
	}
	defer parts.close()
	run := &late{}
	if c.Run.Encryption == "none" {
		co, err := parts.coordinator(ctx, c, nil)
		if err != nil {
			return diskFull(err, dir)
		}
		run.c.Store(co)
	}
	l, err := net.Listen("tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return config.WithHint(fmt.Errorf("listen on %s: the port is in use", c.Listen), "stop the other program, or choose another port: listen in "+filepath.Join(dir, configFile)+", or -listen HOST:PORT")
	}
	if err != nil {
		return config.WithHint(fmt.Errorf("listen on %s: %w", c.Listen, err), "choose an address of this machine: listen in "+filepath.Join(dir, configFile)+", or -listen HOST:PORT")
	}
	log.Info().Str("address", l.Addr().String()).Str("run", c.Run.Name).Int("rounds", c.Run.Rounds.Count).Str("encryption", c.Run.Encryption).Str("privacy", c.Run.Privacy).Msg("serving")

	srv := rpc.New(authority, run, rpc.Config{Receivers: c.Receivers, Committee: book, Holders: run}, log)
	told := ctx // the operator's own stop, as opposed to the end of the run
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return srv.Serve(l) })
	g.Go(func() error {
		err := func() error {
			if run.c.Load() == nil {
				record, err := await(ctx, book)
				if err != nil {
					return err
				}
				co, err := parts.coordinator(ctx, c, record)
				if err != nil {
					return err
				}
				run.c.Store(co)
			}
			co := run.c.Load()
			done, total := co.Progress()
			log.Info().Int("rounds_done", done).Int("rounds", total).Msg("run opened")
			if err := co.Run(ctx); err != nil {
				return err
			}
			log.Info().Str("checkpoint", parts.store.Checkpoint(co.Snapshot().Round)).Msg("run finished")
			return nil
		}()
		// Clients that still hold a stream learn of the end from it; those that
		// were away find the server for a little longer.
		linger := time.Duration(0)
		if err == nil {
			linger = c.Linger
		}
		select {
		case <-time.After(linger):
		case <-ctx.Done():
		}
		// A run that ended lets calls under way come to theirs. One that stopped has
		// nothing to wait for: its open round is lost with this process.
		patience := 5 * time.Second
		if err != nil {
			patience = 200 * time.Millisecond
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		srv.Shutdown(stop)
		return err
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return diskFull(err, dir)
	}
	if told.Err() != nil {
		log.Info().Msg("stopped; serve again to continue")
	}
	return nil
}

// parts are what a coordinator is made of, checked before anyone can connect.
type parts struct {
	dir     string
	options coordinator.Options
	store   *store.Store
	ledger  *ledger.File // under a privacy contract
}

// open opens what is stored in dir and what the configuration names.
func open(ctx context.Context, dir string, c Config) (*parts, error) {
	layout, err := c.Run.Task.Architecture.Layout()
	if err != nil {
		return nil, err
	}
	p := &parts{dir: dir}
	if c.TestSet != "" {
		if p.options.Evaluator, err = newEvaluator(c.TestSet, c.Run.Task); err != nil {
			return nil, err
		}
	}
	if c.Initial != "" {
		m, _, err := checkpoint.ReadFile(c.Initial, layout)
		if err != nil {
			return nil, err
		}
		p.options.Initial = m.Params
	}
	p.store, err = store.Open(ctx, filepath.Join(dir, "run"), layout)
	return p, err
}

// coordinator makes the coordinator; record is nil without encryption.
func (p *parts) coordinator(ctx context.Context, c Config, record *keyshare.SignedRecord) (*coordinator.Coordinator, error) {
	o := p.options
	o.Telemetry = &energyLog{path: filepath.Join(p.dir, "run", energyFile)}
	if path := c.Run.Energy.Carbon.Forecast; path != "" {
		o.Forecast = func() (coordinator.Intensities, error) {
			f, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return carbon.Read[carbon.Average](f)
		}
	}
	if record != nil {
		o.Committee = &coordinator.Committee{Record: *record}
		o.Spools = coordinator.Folder(filepath.Join(p.dir, "run"))
	}
	if c.Run.Privacy == coordinator.PrivacyContract {
		var err error
		if o.Books, p.ledger, err = openBooks(ctx, p.dir, c, o.Committee, o.Initial); err != nil {
			return nil, err
		}
	}
	return coordinator.New(ctx, c.Run, p.store, o)
}

// close releases the directory.
func (p *parts) close() error {
	err := p.store.Close()
	if p.ledger != nil {
		err = errors.Join(err, p.ledger.Close())
	}
	return err
}

// evaluator measures the model on the server's public test set.
type evaluator struct {
	trainer *train.Trainer
	set     *dataset.Set
}

func newEvaluator(path string, task train.Config) (*evaluator, error) {
	in := task.Architecture.Input
	set, problems, err := dataset.Open(path, dataset.Options{Shape: dataset.Shape{C: in.C, H: in.H, W: in.W}, Classes: task.Classes, Split: "test"})
	if err != nil {
		return nil, fmt.Errorf("test_set: %w", err)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("test_set: %d unreadable images, the first is %s: %w", len(problems), problems[0].File, problems[0].Err)
	}
	t, err := train.New(task)
	if err != nil {
		return nil, err
	}
	return &evaluator{t, set}, nil
}

func (e *evaluator) Evaluate(ctx context.Context, params []float32) (*coordinator.Metric, error) {
	loss, correct, err := e.trainer.Evaluate(ctx, params, e.set)
	if err != nil {
		return nil, err
	}
	n := e.set.Len()
	return &coordinator.Metric{Loss: loss / float64(n), Accuracy: float64(correct) / float64(n), Examples: n}, nil
}
