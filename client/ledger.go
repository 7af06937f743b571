package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/client/books"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/term"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// serverLedger is the public key of the server's ledger, trusted when first seen.
const serverLedger = "server-ledger.pub"

func limit(p policy.Policy) books.Limit {
	return books.Limit{Epsilon: p.BudgetEpsilon, Delta: p.BudgetDelta}
}

// openAccount opens the data holder's ledger beside the data.
func openAccount(c Config, p policy.Policy) (*books.Folder, error) {
	a, err := books.OpenFolder(c.ledgerFolder(), limit(p), time.Now)
	if errors.Is(err, os.ErrPermission) {
		return nil, config.WithHint(err, "where the data's folder is read-only, name another folder with the key ledger of client.yaml, the same for all clients that use the data")
	}
	return a, err
}

// remedy says what to do about what this data holder does not permit.
func remedy(err error, dir string) string {
	switch {
	case errors.Is(err, ledger.ErrRollback), errors.Is(err, ledger.ErrSplitView):
		return "do not go on with this server before its operator has explained it; the evidence: client ledger -json -dir " + dir
	case errors.Is(err, ledger.ErrOverspend):
		return "what was spent: client ledger -dir " + dir + "; the budget is yours to change: " + filepath.Join(dir, policyFile)
	}
	return "what this client permits stands in " + filepath.Join(dir, policyFile)
}

// account is what client ledger prints.
type account struct {
	Data        string         `json:"data"`
	Folder      string         `json:"folder"`
	ID          string         `json:"id"`
	Records     int64          `json:"records"`
	Budget      ledger.Epsilon `json:"budget_epsilon"`
	Delta       float64        `json:"budget_delta"`
	Policy      *float64       `json:"policy_epsilon,omitempty"` // of this client, where it is lower
	Spent       ledger.Epsilon `json:"spent_epsilon"`
	SetAside    ledger.Epsilon `json:"set_aside_epsilon"`
	Left        ledger.Epsilon `json:"left_epsilon"`
	DeltaUsed   float64        `json:"spent_delta"`
	Runs        []accountRun   `json:"runs"`
	Unprotected []string       `json:"unprotected_runs"`
	Refusals    []string       `json:"refusals"`
	Alarms      []accountAlarm `json:"alarms"`
	Verified    bool           `json:"epsilons_computed_again"`
}

type accountRun struct {
	Run     string         `json:"run"`
	Server  string         `json:"server_ledger_key"`
	Unit    string         `json:"unit"`
	Rounds  int            `json:"rounds"`
	Limit   int            `json:"most_rounds"`
	Planned ledger.Epsilon `json:"planned_epsilon"`
	Spent   ledger.Epsilon `json:"spent_epsilon"`
	Left    ledger.Epsilon `json:"left_epsilon"`
	Delta   float64        `json:"delta"`
	State   string         `json:"state"`
}

type accountAlarm struct {
	Reason string `json:"reason"`
	Server string `json:"server_ledger_key"`
	Seen   string `json:"checkpoint_seen"`
	Shown  string `json:"checkpoint_shown"`
}

// spent is the command ledger.
func spent(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := flag.NewFlagSet("ledger", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	asJSON := f.Bool("json", false, "")
	verify := f.Bool("verify", false, "")
	leave := f.String("leave", "", "")
	rebudget := f.Bool("budget", false, "")
	if err := f.Parse(args); err != nil {
		return usageOf(err)
	}
	if f.NArg() > 0 {
		return config.Usagef("ledger takes flags only, got %q", f.Arg(0))
	}
	c, err := load(*dir, nil)
	if err != nil {
		return err
	}
	path := filepath.Join(c.ledgerFolder(), books.LedgerFile)
	if !exists(path) {
		return config.WithHint(fmt.Errorf("%s: no ledger here: nothing was spent on this data", path), "a client makes one when it takes part in its first encrypted run")
	}
	allowed, err := permitted(*dir)
	if err != nil {
		return err
	}
	if allowed == nil {
		p := policy.Default()
		allowed = &p
	}
	folder, err := openAccount(c, *allowed)
	if err != nil {
		return err
	}
	defer folder.Close()
	var a account
	if err := folder.With(func(d *ledger.Data) error {
		if *leave != "" {
			if err := leaveRun(d, *leave); err != nil {
				return err
			}
		}
		if *rebudget {
			if err := d.Rebudget(time.Now(), ledger.Epsilon(allowed.BudgetEpsilon), allowed.BudgetDelta); err != nil {
				return err
			}
		}
		a = accountOf(d, *allowed)
		return nil
	}); err != nil {
		return err
	}
	a.Data, a.Folder, a.Verified = c.Data, c.ledgerFolder(), *verify
	if *verify {
		if err := verifyAccount(c.ledgerFolder()); err != nil {
			return err
		}
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(a)
	}
	return a.print(stdout)
}

func leaveRun(d *ledger.Data, name string) error {
	left := 0
	for _, r := range d.Runs() {
		if r.Plan.Run == name && !r.Finished {
			left++
			if err := d.Finish(time.Now(), r.Hash); err != nil {
				return err
			}
		}
	}
	if left == 0 {
		return &config.UsageError{Err: fmt.Errorf("-leave %s: this data takes part in no run of that name", name)}
	}
	return nil
}

// verifyAccount recomputes everything in the ledger.
func verifyAccount(folder string) error {
	b, err := os.ReadFile(filepath.Join(folder, books.LedgerFile))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(filepath.Join(folder, books.PublicFile))
	if err != nil {
		return err
	}
	_, err = ledger.VerifyData(b, string(key))
	return err
}

func accountOf(d *ledger.Data, p policy.Policy) account {
	s, records := d.Snapshot()
	set := d.Set()
	a := account{
		ID: set.ID, Records: records, Budget: set.Epsilon, Delta: set.Delta,
		Spent: s.Balance.Spent, SetAside: s.Balance.Claim - s.Balance.Spent, Left: s.Balance.Left,
		Runs: []accountRun{}, Unprotected: []string{}, Refusals: []string{}, Alarms: []accountAlarm{},
	}
	if p.BudgetEpsilon < float64(set.Epsilon) {
		a.Policy = &p.BudgetEpsilon
		a.Left = max(0, ledger.Epsilon(p.BudgetEpsilon)-s.Balance.Claim)
	}
	for _, r := range s.Runs {
		row := accountRun{
			Run: r.Plan.Run, Server: r.Server, Rounds: r.Charged, Limit: r.Limit, Planned: r.Earmark, Spent: r.Spent, Left: r.Earmark - r.Spent,
			Delta: r.Delta, State: "goes on",
		}
		if c, err := r.Plan.Terms(); err == nil {
			row.Unit = c.Unit
		}
		if r.Finished {
			row.State, row.Left = "finished", 0
		}
		a.Runs = append(a.Runs, row)
		a.DeltaUsed += r.Delta
	}
	for _, u := range s.Unprotected {
		a.Unprotected = append(a.Unprotected, u.Run)
	}
	for _, r := range s.Refusals {
		a.Refusals = append(a.Refusals, fmt.Sprintf("run %s, round %d: %s", r.Run, r.Round, r.Reason))
	}
	for _, x := range s.Alarms {
		a.Alarms = append(a.Alarms, accountAlarm{x.Reason, x.Server, x.Seen, x.Shown})
	}
	return a
}

func (a account) print(w io.Writer) error {
	fmt.Fprintf(w, "data        %s\n", a.Data)
	fmt.Fprintf(w, "ledger      %s: %d records, data set %s\n", a.Folder, a.Records, a.ID)
	if a.Verified {
		fmt.Fprintln(w, "verified    every record, signature and epsilon was computed again")
	}
	fmt.Fprintf(w, "budget      epsilon %s at delta %.3g, over all runs of all servers\n", digits(a.Budget), a.Delta)
	if a.Policy != nil {
		fmt.Fprintf(w, "policy      this client goes no further than epsilon %.4g\n", *a.Policy)
	}
	fmt.Fprintf(w, "spent       epsilon %s\n", digits(a.Spent))
	fmt.Fprintf(w, "set aside   epsilon %s, for runs that go on\n", digits(a.SetAside))
	fmt.Fprintf(w, "left        epsilon %s; delta %.3g of %.3g is taken\n", digits(a.Left), a.DeltaUsed, a.Delta)
	if len(a.Runs) > 0 {
		fmt.Fprintln(w)
		var rows [][]string
		for _, r := range a.Runs {
			server, _, _ := strings.Cut(r.Server, "+")
			rows = append(rows, []string{r.Run, server, r.Unit, fmt.Sprintf("%d of %d", r.Rounds, r.Limit), digits(r.Planned), digits(r.Spent), digits(r.Left), fmt.Sprintf("%.3g", r.Delta), r.State})
		}
		if err := term.Table(w, []string{"run", "server", "unit", "rounds", "planned", "spent", "left", "delta", "state"}, rows); err != nil {
			return err
		}
	}
	for _, u := range a.Unprotected {
		fmt.Fprintf(w, "warning: run %s promised no privacy: no budget covers what it gave away\n", u)
	}
	for _, r := range a.Refusals {
		fmt.Fprintf(w, "refused: %s\n", r)
	}
	for _, x := range a.Alarms {
		fmt.Fprintf(w, "ALARM: %s; both signed checkpoints: -json\n", x.Reason)
	}
	return nil
}

func digits(e ledger.Epsilon) string { return fmt.Sprintf("%.4g", float64(e)) }
