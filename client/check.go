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
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
)

// check looks at the data holder's images and measures what a round would take.
// Nothing is sent, but for the greeting to a server that is to be reached.
func check(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	path := f.String("data", "", "")
	architecture := f.String("architecture", "mnist-cnn", "")
	classes := f.String("classes", "", "")
	epochs := f.Float64("epochs", 1, "")
	batch := f.Int("batch", 32, "")
	invitation := f.String("invitation", "", "")
	if err := f.Parse(args); err != nil {
		return usageOf(err)
	}
	if f.NArg() > 0 {
		return config.Usagef("check takes flags only, got %q", f.Arg(0))
	}
	if *path == "" {
		c, err := load(*dir, nil)
		if _, absent := os.Stat(filepath.Join(*dir, configFile)); err != nil && absent == nil {
			return err
		}
		if err != nil {
			return config.WithHint(config.Usagef("check needs the folder of your images"), "client check -data FOLDER")
		}
		*path = c.Data
	}
	task := train.Config{
		Optimizer: optim.Config{Name: "sgd", LR: 0.01, Momentum: 0.9}, Batch: *batch, Epochs: *epochs,
	}
	var err error
	if task.Architecture, err = openArchitecture(*architecture); err != nil {
		return &config.UsageError{Err: err}
	}
	if *classes != "" {
		task.Classes = strings.Split(*classes, ",")
	}
	set, err := report(stdout, *path, &task)
	if err != nil {
		return err
	}
	if err := task.Validate(); err != nil {
		return &config.UsageError{Err: err}
	}
	if err := measure(ctx, stdout, set, task); err != nil {
		return err
	}
	return reach(ctx, stdout, *dir, *invitation)
}

func openArchitecture(name string) (nn.Architecture, error) {
	if a, err := nn.Named(name); err == nil {
		return a, nil
	} else if !strings.ContainsAny(name, "./") {
		return nn.Architecture{}, fmt.Errorf("-architecture: %w, or a YAML file", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nn.Architecture{}, fmt.Errorf("-architecture: %w", err)
	}
	return nn.ParseArchitecture(text)
}

// report prints what is in the data, unreadable files by name: this terminal is
// the data holder's own.
func report(w io.Writer, path string, task *train.Config) (*dataset.Set, error) {
	in := task.Architecture.Input
	set, problems, err := dataset.Open(path, dataset.Options{Shape: dataset.Shape{C: in.C, H: in.H, W: in.W}, Classes: task.Classes})
	for i, p := range problems {
		if i == 20 {
			fmt.Fprintf(w, "  and %d more\n", len(problems)-i)
			break
		}
		fmt.Fprintf(w, "unreadable: %s: %v\n", p.File, p.Err)
	}
	if err != nil {
		return nil, err
	}
	task.Classes = set.Classes()
	task.Normalization = dataset.Normalization{Mean: make([]float64, in.C), Std: make([]float64, in.C)}
	for c := range in.C {
		task.Normalization.Mean[c], task.Normalization.Std[c] = 0.5, 0.5
	}
	fmt.Fprintf(w, "%s: %d images, %d classes, %d unreadable files\n", path, set.Len(), len(set.Classes()), len(problems))
	if set.HasGroups() {
		groups, most := set.Groups(), 0
		for _, g := range groups {
			most = max(most, len(g))
		}
		fmt.Fprintf(w, "%d groups (patients, writers, devices) with up to %d images each\n", len(groups), most)
	}
	var rows [][]string
	for i, n := range set.Counts() {
		rows = append(rows, []string{set.Classes()[i], strconv.Itoa(n)})
	}
	return set, term.Table(w, []string{"class", "images"}, rows)
}

// measureFor is how long check trains: long enough for a stable figure.
const measureFor = 2 * time.Second

// wattsPerCore is what a busy core is assumed to draw where nothing measures it
// (the fallback of CodeCarbon, too): an assumption, and printed as one.
const wattsPerCore = 4

func measure(ctx context.Context, w io.Writer, set *dataset.Set, task train.Config) error {
	t, err := train.New(task)
	if err != nil {
		return err
	}
	m, err := task.Architecture.Init(1)
	if err != nil {
		return err
	}
	delta := make([]float32, len(m.Params))
	var seen int
	start := time.Now()
	for time.Since(start) < measureFor {
		short := task
		short.MaxSteps = 1
		got, err := t.Run(ctx, m.Params, set, nil, train.Work{Round: 1, Client: "check", Epochs: min(task.Epochs, float64(task.Batch)/float64(set.Len())), LR: task.Optimizer.LR}, delta)
		if err != nil {
			return err
		}
		seen += got.TrainExamples
	}
	rate := float64(seen) / time.Since(start).Seconds()
	seconds := float64(set.Len()) * task.Epochs / rate
	hash, err := task.Architecture.Hash()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "network %s: %d parameters, hash %x\n", task.Architecture.Name, len(m.Params), hash)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	fmt.Fprintf(w, "one round of %s, %g epochs: about %s s on this machine (%.0f images/s, kernel %s)\n", task.Architecture.Name, task.Epochs, rough(seconds), rate, kernel.Name())
	fmt.Fprintf(w, "memory: about %d MB; download %.1f MB and upload about %.1f MB a round\n", mem.Sys>>20, 4*float64(len(delta))/1e6, 2*float64(len(delta))/1e6)
	_, err = fmt.Fprintf(w, "energy: about %s J a round, assuming %d W for the one core in use; nothing was metered\n", rough(seconds*wattsPerCore), wattsPerCore)
	return err
}

// rough writes two digits of a small figure and the whole part of a large one.
func rough(x float64) string {
	if x >= 10 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

// reach says whether the server can be reached: of an invitation, or of the
// folder's own identity.
func reach(ctx context.Context, w io.Writer, dir, invitation string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if invitation != "" {
		inv, err := identity.ParseInvitation(invitation)
		if err != nil {
			return &config.UsageError{Err: err}
		}
		if _, err := identity.FetchAuthority(ctx, inv); err != nil {
			return explain(err, inv.Address)
		}
		_, err = fmt.Fprintf(w, "server %s: reached, and it is the one that made the invitation\n", inv.Address)
		return err
	}
	id, err := identity.Load(dir)
	if errors.Is(err, identity.ErrNotJoined) {
		_, err = fmt.Fprintln(w, "server: not tried; give -invitation, or join first")
		return err
	}
	if err != nil {
		return err
	}
	// gRPC keeps the text of a failed connection only: a plain one has the reason.
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", id.Address)
	if err != nil {
		return explain(err, id.Address)
	}
	plain.Close()
	if err := rpc.Reach(ctx, id); err != nil {
		return explain(err, id.Address)
	}
	_, err = fmt.Fprintf(w, "server %s: reached as %s\n", id.Address, id.Name)
	return err
}
