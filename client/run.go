package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/client/books"
	"github.com/sotto-fl/sotto/client/device"
	"github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/train"
)

func join(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := flag.NewFlagSet("join", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	data := f.String("data", "", "")
	var texts []string
	for rest := args; ; rest = f.Args()[1:] {
		if err := f.Parse(rest); err != nil {
			return usageOf(err)
		}
		if f.NArg() == 0 {
			break
		}
		texts = append(texts, f.Arg(0))
	}
	if len(texts) != 1 {
		return config.WithHint(config.Usagef("join takes one invitation, got %d", len(texts)), "the server's operator makes one with: server invite NAME")
	}
	if *data == "" {
		return config.WithHint(config.Usagef("join needs the folder of your images"), "client join -data FOLDER INVITATION")
	}
	path, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return missing("-data", *data, err)
	}
	inv, err := identity.ParseInvitation(texts[0])
	if err != nil {
		return &config.UsageError{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	id, err := rpc.Join(ctx, inv, *dir)
	if errors.Is(err, identity.ErrJoined) {
		// A join that was cut off after the certificate left no configuration.
		if _, missing := os.Stat(filepath.Join(*dir, configFile)); errors.Is(missing, fs.ErrNotExist) {
			id, err = identity.Load(*dir)
		}
	}
	if err != nil {
		return explain(err, inv.Address)
	}
	if err := writeConfig(*dir, path); err != nil {
		return err
	}
	if err := register(ctx, *dir); err != nil {
		return explain(err, inv.Address)
	}
	_, err = fmt.Fprintf(stdout, "joined %s as %s, certificate until %s\nnext: client run -dir %s\n", id.Address, id.Name, id.NotAfter().Format(time.DateOnly), *dir)
	return err
}

// register makes the member's signing key and hands its public half to the server.
func register(ctx context.Context, dir string) error {
	key, err := signingKey(dir)
	if err != nil {
		return err
	}
	client, err := rpc.Dial(dir)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Register(ctx, statement.PublicKey(key))
}

// writeConfig writes client.yaml whole or not at all.
func writeConfig(dir, data string) error {
	c := defaultConfig()
	c.Data = data
	path := filepath.Join(dir, configFile)
	out, err := os.CreateTemp(dir, "."+configFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone already if all went well
	err = errors.Join(config.WriteYAML(out, c, "Configuration of a Sotto client. It is yours: no server can change it."), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return config.WithHint(fmt.Errorf("write %s: %w", path, err), "the client has joined; cure the cause and give the same command again")
	}
	return nil
}

func usageOf(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return &config.UsageError{Err: err}
}

// splitDir takes -dir out of args, so that everything else can be a key of the
// configuration.
func splitDir(args []string) (dir string, rest []string, err error) {
	dir = defaultDir
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		switch name {
		case "-dir", "--dir":
		case "-h", "--h", "-help", "--help":
			return "", nil, flag.ErrHelp
		default:
			rest = append(rest, args[i])
			continue
		}
		if !given {
			if i++; i == len(args) {
				return "", nil, config.Usagef("-dir needs a folder")
			}
			value = args[i]
		}
		dir = value
	}
	return dir, rest, nil
}

// take is the command run.
func take(ctx context.Context, args []string, _, stderr io.Writer) error {
	dir, rest, err := splitDir(args)
	if err != nil {
		return err
	}
	c, err := load(dir, rest)
	if err != nil {
		return err
	}
	log, err := logger(stderr, c.LogLevel)
	if err != nil {
		return err
	}
	ctx = log.WithContext(ctx)
	if c.Threads > 0 {
		runtime.GOMAXPROCS(c.Threads)
	}
	n, err := count(c.Data)
	if err != nil {
		return err
	}
	id, err := identity.Load(dir)
	if err != nil {
		return err
	}
	client, err := rpc.Dial(dir)
	if err != nil {
		return err
	}
	defer client.Close()
	log.Info().Str("name", client.Name()).Int("examples", n).Msg("taking part")
	allowed, err := permitted(dir)
	if err != nil {
		return err
	}
	var (
		seal *participant.Sealer
		own  participant.Books
	)
	if allowed != nil {
		if seal, err = sealer(dir, client.Name(), *allowed); err != nil {
			return err
		}
		account, err := openAccount(c, *allowed)
		if err != nil {
			return err
		}
		defer account.Close()
		own = books.New(account, client, books.KeyFile(filepath.Join(dir, serverLedger)), limit(*allowed), time.Now)
	}
	secrets, err := noiseSecret(dir)
	if err != nil {
		return err
	}
	p := participant.New(client.Name(), client, &data{dir: c.Data, name: client.Name(), log: log}, &trainer{}, seal, secrets, own)
	machine, err := device.Open(dir, device.Options{Offer: c.OfferProfile, MinBattery: c.MinBattery, DailyJoules: c.DailyJoules})
	if err != nil {
		return config.WithHint(err, "measure the device again: client calibrate -dir "+dir)
	}
	defer machine.Close()
	source, tier := machine.Source()
	_, offers := machine.Offer()
	log.Info().Str("source", source).Str("tier", tier.String()).Bool("offers_profile", offers).Msg("energy is booked")
	p.On(machine)
	err = p.Run(ctx, participant.Info{Examples: n})
	switch {
	case err == nil:
		log.Info().Msg("the run is finished")
	case errors.Is(err, context.Canceled):
		log.Info().Msg("stopped; run again to continue")
		return nil
	case errors.Is(err, participant.ErrDeclined):
		return config.WithHint(err, remedy(err, dir))
	case errors.Is(err, policy.ErrRefused):
		return config.WithHint(err, "look at the record the server has now: client approve -dir "+dir)
	case errors.Is(err, participant.ErrNoPolicy):
		return config.WithHint(err, "look at its committee and approve it first: client approve -dir "+dir)
	}
	return explain(err, id.Address)
}

// data opens the data holder's images for a task.
type data struct {
	dir, name string
	log       zerolog.Logger
}

// count finds out how many examples there are, which is public, without knowing
// the task yet. Files that cannot be read do not count.
func count(dir string) (int, error) {
	n, err := dataset.Count(dir)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, config.WithHint(fmt.Errorf("data %s: no images", dir), "look at it with: client check -data "+dir)
	}
	return n, nil
}

// Open implements participant.Data. How many files were skipped is logged, their
// names are not: they stay on the data holder's terminal, in `client check`.
func (d *data) Open(task train.Config) (training, validation *dataset.Set, err error) {
	in := task.Architecture.Input
	set, problems, err := dataset.Open(d.dir, dataset.Options{Shape: dataset.Shape{C: in.C, H: in.H, W: in.W}, Classes: task.Classes})
	if err != nil {
		return nil, nil, err
	}
	if len(problems) > 0 {
		d.log.Warn().Int("skipped", len(problems)).Msg("some files could not be read; client check lists them")
	}
	if set.HasGroups() {
		d.log.Info().Int("groups", len(set.Groups())).Int("images", set.Len()).Msg("images belong to groups")
	}
	if task.ValidationFraction == 0 {
		return set, nil, nil
	}
	parts, err := set.Split([]float64{1 - task.ValidationFraction, task.ValidationFraction}, seed.New(task.Seed, "validation", 0, d.name))
	if err != nil {
		return nil, nil, err
	}
	return parts[0], parts[1], nil
}

// trainer keeps the one trainer of a client process.
type trainer struct {
	hash string
	t    *train.Trainer
}

func (t *trainer) Borrow(_ context.Context, task train.Config) (*train.Trainer, func(), error) {
	b, err := task.Encode()
	if err != nil {
		return nil, nil, err
	}
	if t.t == nil || t.hash != string(b) {
		if t.t, err = train.New(task); err != nil {
			return nil, nil, err
		}
		t.hash = string(b)
	}
	// Nobody else computes in this process. An order's power mode may have changed how
	// many processors there are.
	t.t.SetWorkers(runtime.GOMAXPROCS(0))
	return t.t, func() {}, nil
}
