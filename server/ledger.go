package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/privacy/report"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/store"
)

const (
	ledgerDir    = "ledger"
	ledgerFile   = "ledger"
	ledgerPublic = "ledger.pub"
	ledgerKey    = "ledger.key" // signs checkpoints; mode 0600
	cohortKey    = "cohort.key" // blinds participants; mode 0600
)

// openBooks opens the ledger of a run with a privacy contract, or starts it.
func openBooks(ctx context.Context, dir string, c Config, committee *coordinator.Committee, initial []float32) (_ *coordinator.Books, file *ledger.File, err error) {
	folder := filepath.Join(dir, ledgerDir)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, nil, err
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, nil, err
	}
	public, err := os.ReadFile(filepath.Join(folder, ledgerPublic))
	if errors.Is(err, fs.ErrNotExist) {
		var private, text string
		if private, text, err = ledger.GenerateKey(rand.Reader, host); err != nil {
			return nil, nil, err
		}
		secret := make([]byte, 32)
		rand.Read(secret)
		// The public half is written last and marks that all are there.
		err = errors.Join(
			os.WriteFile(filepath.Join(folder, ledgerKey), []byte(private+"\n"), 0o600),
			os.WriteFile(filepath.Join(folder, cohortKey), secret, 0o600),
			os.WriteFile(filepath.Join(folder, ledgerPublic), []byte(text+"\n"), 0o644),
		)
		public = []byte(text)
	}
	if err != nil {
		return nil, nil, err
	}
	private, err := os.ReadFile(filepath.Join(folder, ledgerKey))
	if err != nil {
		return nil, nil, err
	}
	secret, err := os.ReadFile(filepath.Join(folder, cohortKey))
	if err != nil {
		return nil, nil, err
	}
	if file, err = ledger.OpenFile(filepath.Join(folder, ledgerFile)); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	b, err := file.Read()
	if err != nil {
		return nil, nil, err
	}
	var l *ledger.Ledger
	if len(b) > 0 {
		l, err = ledger.Open(file, string(private), string(public))
	} else {
		l, err = startLedger(ctx, dir, c, committee, initial, file, string(private))
	}
	if err != nil {
		return nil, nil, err
	}
	return &coordinator.Books{Ledger: l, Key: strings.TrimSpace(string(public)), Secret: secret}, file, nil
}

// startLedger writes the plan, before round 1. A run that has rounds but no ledger
// has lost it, and must not begin a new one.
func startLedger(ctx context.Context, dir string, c Config, committee *coordinator.Committee, initial []float32, file *ledger.File, private string) (*ledger.Ledger, error) {
	if s, err := store.Read(ctx, filepath.Join(dir, "run")); err == nil && len(s.History) > 0 {
		return nil, fmt.Errorf("%s: the ledger of a run with %d rounds is gone: restore it from a backup", filepath.Join(dir, ledgerDir, ledgerFile), s.Round)
	} else if err != nil && !errors.Is(err, coordinator.ErrNoState) {
		return nil, err
	}
	layout, err := c.Run.Task.Architecture.Layout()
	if err != nil {
		return nil, err
	}
	if initial == nil {
		m, err := c.Run.Task.Architecture.Init(c.Run.Seed)
		if err != nil {
			return nil, err
		}
		initial = m.Params
	}
	first := model.Model{Params: initial, Layout: layout}
	plan, err := c.Run.PlanOf(committee, first.SHA256())
	if err != nil {
		return nil, err
	}
	plan.Build, plan.Study = version(), c.Study
	return ledger.Create(file, private, time.Now(), plan)
}

// readLedger reads a ledger's file and the key to check it with: -key is a file or
// the key itself, and by default the file ledger.pub beside the ledger.
func readLedger(path, key, pin string) (*ledger.Verified, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, config.WithHint(&config.UsageError{Err: fmt.Errorf("ledger: %w", err)}, "give the ledger's file: sotto-server/ledger/ledger, or that of a simulation's folder")
	}
	if key == "" {
		key = filepath.Join(filepath.Dir(path), ledgerPublic)
	}
	if text, err := os.ReadFile(key); err == nil {
		key = string(text)
	} else if !strings.Contains(key, "+") {
		return nil, config.WithHint(&config.UsageError{Err: fmt.Errorf("-key: %w", err)}, "the server's public key is in the file "+ledgerPublic+" beside its ledger; get it from the operator over a way you trust")
	}
	var options []ledger.Option
	if pin != "" {
		text, err := os.ReadFile(pin)
		if err != nil {
			return nil, &config.UsageError{Err: fmt.Errorf("-checkpoint: %w", err)}
		}
		_, head, err := ledger.OpenCheckpoint(text, strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("-checkpoint %s: %w", pin, err)
		}
		options = append(options, ledger.Pinned(head))
	}
	return ledger.Verify(b, strings.TrimSpace(key), options...)
}

// verify recomputes everything in a ledger, on a machine that never saw the run.
func verify(_ context.Context, args []string, stdout, _ io.Writer) error {
	f, _ := flags("verify")
	key := f.String("key", "", "")
	pin := f.String("checkpoint", "", "")
	path, err := parse(f, args, "ledger's file")
	if err != nil {
		return err
	}
	v, err := readLedger(path, *key, *pin)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, report.Verification(v, *pin != ""))
	return err
}

// writeReport derives the report from a ledger: JSON, a page, the registry's entry.
func writeReport(_ context.Context, args []string, stdout, _ io.Writer) error {
	f, dir := flags("report")
	key := f.String("key", "", "")
	out := f.String("out", "report", "")
	path := f.String("ledger", "", "")
	var audits []string
	f.Func("audit", "", func(name string) error { audits = append(audits, name); return nil })
	if _, err := parse(f, args, ""); err != nil {
		return err
	}
	if *path == "" {
		*path = filepath.Join(*dir, ledgerDir, ledgerFile)
	}
	v, err := readLedger(*path, *key, "")
	if err != nil {
		return err
	}
	r, err := report.New(v)
	if err != nil {
		return err
	}
	for _, name := range audits {
		if err := addAudit(r, name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		make func() ([]byte, error)
	}{{"report.json", r.JSON}, {"report.html", r.HTML}, {"registry.yaml", r.Registry}} {
		b, err := part.make()
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		name := filepath.Join(*out, part.name)
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(stdout, name)
	}
	return nil
}

// addAudit takes the file of simulations audit into a report.
func addAudit(r *report.Report, name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return &config.UsageError{Err: fmt.Errorf("-audit: %w", err)}
	}
	a, err := report.ParseAudit(b)
	if err == nil {
		err = r.AddAudit(a)
	}
	if err != nil {
		return config.WithHint(fmt.Errorf("-audit %s: %w", name, err), "make one of this run's contract: simulations audit -ledger FILE -out "+name)
	}
	return nil
}
