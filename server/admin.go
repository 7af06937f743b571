package main

import (
	"context"
	"crypto/rand"
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

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/identity"
)

const defaultDir = "sotto-server"

// flags makes the flag set of a command with -dir in it.
func flags(name string) (*flag.FlagSet, *string) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f, f.String("dir", defaultDir, "")
}

// parse reads a command's flags, which may stand before and after its one
// argument; what is the argument's name for messages.
func parse(f *flag.FlagSet, args []string, what string) (string, error) {
	if err := f.Parse(args); err != nil {
		return "", usageOf(err)
	}
	if what == "" {
		if f.NArg() > 0 {
			return "", config.Usagef("%s takes flags only, got %q", f.Name(), f.Arg(0))
		}
		return "", nil
	}
	if f.NArg() == 0 {
		return "", config.WithHint(config.Usagef("%s needs a %s", f.Name(), what), "try: server "+f.Name()+" north")
	}
	argument, rest := f.Arg(0), f.Args()[1:]
	if err := f.Parse(rest); err != nil {
		return "", usageOf(err)
	}
	if f.NArg() > 0 {
		return "", config.Usagef("%s takes one %s, got also %q", f.Name(), what, f.Arg(0))
	}
	return argument, nil
}

// defaultName is that of a run that was given none; `server init` makes it unique.
const defaultName = "first-run"

func usageOf(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return &config.UsageError{Err: err}
}

func initServer(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f, dir := flags("init")
	// Key holders remember the rounds of each name and sign none of them again.
	suffix := make([]byte, 3)
	rand.Read(suffix)
	c, err := newConfig(args, f, fmt.Sprintf("%s-%s-%x", defaultName, time.Now().UTC().Format("20060102"), suffix))
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return config.Usagef("init takes flags only, got %q", f.Arg(0))
	}
	if err := c.Run.Complete(); err != nil {
		return &config.UsageError{Err: err}
	}
	header, err := contractHeader(c)
	if err != nil {
		return err
	}
	path := filepath.Join(*dir, configFile)
	if _, err := os.Stat(path); err == nil {
		return config.WithHint(config.Usagef("%s: there is a configuration already", path), "edit it, or name another folder with -dir")
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return &config.UsageError{Err: err}
	}
	hosts := []string{host}
	for _, local := range []string{"localhost", "127.0.0.1"} {
		if host != local {
			hosts = append(hosts, local)
		}
	}
	// Paths stay valid when the server is started from elsewhere.
	for _, p := range []*string{&c.TestSet, &c.Initial} {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	// An authority without a configuration is what a full disk left of an init.
	if err := identity.Init(ctx, *dir, hosts); err != nil && !errors.Is(err, identity.ErrInitialized) {
		return diskFull(err, *dir)
	}
	if err := writeConfig(path, c, header); err != nil {
		return diskFull(err, *dir)
	}
	a, err := identity.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer a.Close()
	promise, _, _ := strings.Cut(header, ". To be chosen")
	_, err = fmt.Fprintf(stdout, "made %s\n%s\nauthority sha256 %x\nnext: read it, then invite a client: server invite -dir %s NAME\n", path, promise, a.Fingerprint(), *dir)
	return err
}

// writeConfig writes server.yaml whole or not at all.
func writeConfig(path string, c Config, header string) error {
	out, err := os.CreateTemp(filepath.Dir(path), "."+configFile+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone already if all went well
	err = config.WriteYAML(out, c, "Configuration of a Sotto server. Every choice is written out; `server serve -check` checks it.\n\n"+header)
	if err := errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(out.Name(), path)
}

// diskFull adds what to do to an error of a full disk. SQLite has words of its
// own for it.
func diskFull(err error, dir string) error {
	if err != nil && (errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "disk is full")) {
		return config.WithHint(err, "the disk of "+dir+" is full: free some space, and give the same command again")
	}
	return err
}

func invite(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, dir := flags("invite")
	ttl := f.Duration("ttl", 72*time.Hour, "")
	name, err := parse(f, args, "name")
	if err != nil {
		return err
	}
	if err := identity.CheckName(name); err != nil {
		return &config.UsageError{Err: err}
	}
	if *ttl <= 0 {
		return config.Usagef("-ttl: got %s, want more than 0", *ttl)
	}
	c, err := loadConfig(*dir, nil)
	if err != nil {
		return err
	}
	a, err := identity.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer a.Close()
	inv, err := a.Invite(ctx, name, c.Address, *ttl)
	if err != nil {
		return err
	}
	// The invitation alone goes to standard output, so that a script can take it.
	fmt.Fprintf(stderr, "for %s, once, until %s; hand it over in private:\n", name, inv.Expires.Format(time.RFC3339))
	_, err = fmt.Fprintln(stdout, inv.String())
	return err
}

func revoke(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f, dir := flags("revoke")
	name, err := parse(f, args, "name")
	if err != nil {
		return err
	}
	a, err := identity.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Revoke(ctx, name); err != nil {
		return err
	}
	book, err := committee.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer book.Close()
	if err := book.Forget(ctx, name); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s is revoked\n", name)
	return err
}

func members(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f, dir := flags("members")
	if _, err := parse(f, args, ""); err != nil {
		return err
	}
	a, err := identity.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer a.Close()
	list, err := a.Members(ctx)
	if err != nil {
		return err
	}
	day := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Format("2006-01-02 15:04")
	}
	var rows [][]string
	for _, m := range list {
		state := "member"
		if m.Revoked {
			state = "revoked"
		}
		rows = append(rows, []string{m.Name, state, day(m.Joined), day(m.Expires), day(m.LastSeen)})
	}
	return term.Table(stdout, []string{"name", "state", "joined", "certificate until", "last seen"}, rows)
}
