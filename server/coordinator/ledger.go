package coordinator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Books is where a run's privacy is accounted for: the ledger, and the secret that
// blinds participants in it.
type Books struct {
	Ledger *ledger.Ledger
	Key    string // the ledger's public key, which clients are shown
	Secret []byte // at least 32 bytes, of the run alone
}

// PlanOf is the first record of the ledger of a configuration: everything about
// privacy that the run promises. It takes up to a few seconds. initial identifies
// the first model.
func (c Config) PlanOf(committee *Committee, initial [32]byte) (*ledger.Plan, error) {
	p, err := ledger.NewPlan(c.Name, c.Contract)
	if err != nil {
		return nil, err
	}
	task, err := c.Task.Encode()
	if err != nil {
		return nil, err
	}
	p.Encryption, p.Architecture = c.Encryption, c.Task.Architecture.Name
	p.Task, p.Initial = sha256.Sum256(task), initial
	p.Sampler = c.Contract.Mechanism + ", integers from AES-256-CTR"
	if committee != nil {
		r := &committee.Record.Record
		k := &ledger.Committee{Record: ledger.Hash(r.Hash()), Threshold: r.Threshold, Corrupt: r.Corrupt}
		for _, m := range r.Members {
			k.Members = append(k.Members, ledger.Key(m.Key))
		}
		p.Committee = k
	}
	if p.Metrics, err = c.Fleet.Budget(c.Rounds.Count); err != nil {
		return nil, err
	}
	return p, p.Complete()
}

// entry is what the ledger has to know of an attempt that was certified.
type entry struct {
	set         statement.Digest
	cohort      ledger.Hash
	counts      *ledger.Counts
	certificate []ledger.Signed
	sum         ledger.Hash
}

// Show is what a client wants to see of the ledger before it trains in the open round:
// see ledger.Shown. seen is how many records it has seen, 0 for none. It returns ErrStale
// when no round is open, and ErrNoLedger for a run without a privacy contract.
func (c *Coordinator) Show(seen int64, plan bool) (ledger.Shown, error) {
	if c.books == nil {
		return ledger.Shown{}, ErrNoLedger
	}
	c.mu.Lock()
	a := c.open
	c.mu.Unlock()
	if a == nil || a.reserved == 0 { // or one that goes on after a crash, for which nobody trains any more
		return ledger.Shown{}, fmt.Errorf("the ledger of run %s: no round is open: %w", c.cfg.Name, ErrStale)
	}
	return c.books.Ledger.Show(c.books.Key, seen, a.reserved, plan)
}

// publish adds a committed round to the fleet's statistics, and when they are due has
// the ledger know them before anyone else does. It is called between rounds.
func (c *Coordinator) publish(ctx context.Context, a *attempt) error {
	if c.books == nil || c.cfg.Fleet.Every == 0 {
		return nil
	}
	c.window.Add(a.took)
	if !c.window.Due(c.cfg.Fleet) {
		return nil
	}
	metrics, err := c.window.Release(c.cfg.Fleet)
	if err != nil {
		return err
	}
	for i := range metrics {
		m := &metrics[i]
		if _, err := c.books.Ledger.Add(time.Now(), m); errors.Is(err, ledger.ErrOverspend) {
			zerolog.Ctx(ctx).Warn().Str("name", m.Name).Msg("not released: the budget of statistics about the clients is spent")
			continue
		} else if err != nil {
			return fmt.Errorf("enter %s in the ledger: %w", m.Name, err)
		}
		zerolog.Ctx(ctx).Info().Str("name", m.Name).Floats64("values", m.Values).Msg("noised statistic about the clients")
	}
	return nil
}

// reserve sets the round's cost aside before its cohort is drawn and returns the
// ledger's head, which the announcement names. A budget that does not bear the round
// halts the run: ledger.ErrOverspend.
func (c *Coordinator) reserve(ticket uint64, try int) (head ledger.Head, err error) {
	if c.books == nil {
		return head, nil
	}
	h, err := c.books.Ledger.Reserve(time.Now(), ledger.Reserve{
		Round: int(ticket), Attempt: try, Plan: c.books.Ledger.PlanHash(), ModelIn: c.model,
	})
	if errors.Is(err, ledger.ErrOverspend) {
		return head, fmt.Errorf("%w: the privacy budget does not bear another round: %w", ErrHalted, err)
	}
	if err != nil {
		return head, fmt.Errorf("reserve round %d in the ledger: %w", ticket, err)
	}
	return h, nil
}

// charge writes the round down as spent, before any key holder is asked to sign.
func (c *Coordinator) charge(a *attempt, set statement.Digest, left []string, least int) error {
	if c.books == nil {
		return nil
	}
	if o, ok := c.books.Ledger.Unfinished(); ok && o.Certified != nil {
		if o.Number != int(a.announcement.Round) || o.Attempt != a.attempt || o.Certified.Set != ledger.Hash(set) {
			return fmt.Errorf("the ledger has charged another set of round %d, attempt %d: store and ledger are not of one run", o.Number, o.Attempt)
		}
		a.entry = &entry{set: set, cohort: o.Certified.Cohort, counts: o.Certified.Counts} // before a crash
		return nil
	}
	cohort, err := ledger.NewCohort(c.books.Secret, c.cfg.Name, int(a.announcement.Round), left, 0)
	if err != nil {
		return err
	}
	a.entry = &entry{set: set, cohort: cohort.Root(), counts: c.counts(a, left, least)}
	if _, err := c.books.Ledger.Certify(time.Now(), ledger.Certified{
		Round: int(a.announcement.Round), Attempt: a.attempt, Set: ledger.Hash(set), Cohort: a.entry.cohort, Counts: a.entry.counts,
	}); err != nil {
		return fmt.Errorf("charge round %d in the ledger: %w", a.round, err)
	}
	return nil
}

// settled is the ledger's record of a completed round. The store keeps it with the
// round, so that a crash before it reached the ledger is made good at the next start.
func (c *Coordinator) settled(a *attempt, out [32]byte, test *Metric) *ledger.Commit {
	if c.books == nil || a.entry == nil {
		return nil
	}
	e := a.entry
	r := &ledger.Commit{
		Round: int(a.announcement.Round), Attempt: a.attempt, Set: ledger.Hash(e.set), Cohort: e.cohort, Counts: e.counts,
		Clip: cmp.Or(a.clip, c.cfg.Contract.Clip), Sum: e.sum, ModelIn: ledger.Hash(a.announcement.Model), ModelOut: out, Certificate: e.certificate,
	}
	if test != nil {
		r.Public = &ledger.Evaluation{Accuracy: test.Accuracy, Loss: test.Loss, Examples: test.Examples}
	}
	return r
}

// enter puts a finished attempt into the ledger, after the store and before anyone
// sees the model.
func (c *Coordinator) enter(a *attempt, commit *ledger.Commit, void error) error {
	if c.books == nil {
		return nil
	}
	var err error
	if void == nil {
		_, err = c.books.Ledger.Commit(time.Now(), *commit)
	} else {
		_, err = c.books.Ledger.Void(time.Now(), ledger.Void{
			Round: int(a.announcement.Round), Attempt: a.attempt, Reason: reason(void), Charged: a.entry != nil,
		})
	}
	if err != nil {
		return fmt.Errorf("enter round %d in the ledger: %w", a.round, err)
	}
	return nil
}

// balance makes good what a crash left between store and ledger.
func (c *Coordinator) balance() error {
	if err := c.settleLast(); err != nil {
		return err
	}
	if n := len(c.state.History); n > 0 {
		return c.exclude(c.state.History[n-1].Exclusions)
	}
	return nil
}

func (c *Coordinator) settleLast() error {
	open, ok := c.books.Ledger.Unfinished()
	if !ok {
		return nil
	}
	if n := len(c.state.History); n > 0 {
		if k := c.state.History[n-1].Ledger; k != nil && k.Round == open.Number && k.Attempt == open.Attempt {
			_, err := c.books.Ledger.Commit(time.Now(), *k)
			return err
		}
	}
	if p := c.state.Pending; p != nil && open.Number == int(c.state.ticket()) && open.Attempt == p.Attempt {
		return nil // it goes on
	}
	return c.balanceVoid()
}

// balanceVoid ends what the ledger has open without a sum.
func (c *Coordinator) balanceVoid() error {
	if c.books == nil {
		return nil
	}
	open, ok := c.books.Ledger.Unfinished()
	if !ok {
		return nil
	}
	_, err := c.books.Ledger.Void(time.Now(), ledger.Void{
		Round: open.Number, Attempt: open.Attempt, Reason: "the server stopped in the middle of it", Charged: open.Certified != nil,
	})
	return err
}

// reason makes a text fit for the ledger: one line, not long.
func reason(err error) string {
	s := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(err.Error(), "?"), unicode.IsControl), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}

// sumHash identifies an opened sum.
func sumHash(values []int64) ledger.Hash {
	h := sha256.New()
	var b [8]byte
	for _, v := range values {
		binary.LittleEndian.PutUint64(b[:], uint64(v))
		h.Write(b[:])
	}
	return ledger.Hash(h.Sum(nil))
}
