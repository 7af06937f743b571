package books

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Source shows the ledger of the run at hand. Errors are passing: the participant tries again.
type Source interface {
	// Ledger asks for the reservation of the open round, for a client that has seen so many records of the ledger, and
	// for its plan.
	Ledger(ctx context.Context, seen int64, plan bool) (ledger.Shown, error)
}

// Account is where a data holder's ledger is kept.
type Account interface {
	// With lends the ledger to f. Nobody else writes it meanwhile.
	With(f func(d *ledger.Data) error) error
}

// Limit is what this client's policy lets all runs together spend. A larger budget in the account does not raise it.
type Limit struct{ Epsilon, Delta float64 }

// Key remembers the public key of the server's ledger, which is trusted when it is first seen.
type Key interface {
	// Load returns "" before Store.
	Load() (string, error)
	Store(key string) error
}

// Books implements participant.Books for the runs of one server. Use it from one goroutine.
type Books struct {
	account Account
	source  Source
	key     Key
	limit   Limit
	now     func() time.Time
}

var _ participant.Books = (*Books)(nil)

// New makes books that write into account. now is the time that records carry.
func New(account Account, source Source, key Key, limit Limit, now func() time.Time) *Books {
	return &Books{account: account, source: source, key: key, limit: limit, now: now}
}

// decline words why a client does not take part, and notes it in the ledger. What it says is for the data holder alone.
func decline(d *ledger.Data, now time.Time, r participant.Release, err error) error {
	reason := err.Error()
	_ = d.Refuse(now, r.Run, int(r.Round), reason[:min(len(reason), 200)]) // the refusal stands whether or not it can be noted
	return fmt.Errorf("run %s, round %d: %w: %w", r.Run, r.Round, participant.ErrDeclined, err)
}

// Permit implements participant.Books.
func (b *Books) Permit(ctx context.Context, r participant.Release) error {
	key, err := b.key.Load()
	if err != nil {
		return err
	}
	shown, err := b.ask(ctx, key, r.Run)
	if err != nil {
		return fmt.Errorf("ask for the ledger of run %s: %w", r.Run, err)
	}
	return b.account.With(func(d *ledger.Data) error {
		err := b.permit(d, r, key, shown)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errStale):
			return err
		}
		return decline(d, b.now(), r, err)
	})
}

// ask has the server show its ledger. The client may not know the server's key yet, and its data nevertheless have seen
// the ledger: in a client's folder that is gone.
func (b *Books) ask(ctx context.Context, key, run string) (shown ledger.Shown, err error) {
	for asked := false; ; asked = true {
		var (
			seen int64
			plan bool
		)
		if err := b.account.With(func(d *ledger.Data) error {
			seen, plan = d.Seen(key, run).Size, find(d, key, run) == nil
			return nil
		}); err != nil {
			return ledger.Shown{}, err
		}
		if asked && seen == 0 {
			return shown, nil
		}
		if shown, err = b.source.Ledger(ctx, seen, plan); err != nil || key != "" {
			return shown, err
		}
		key = strings.TrimSpace(shown.Key)
	}
}

// errStale: the ledger moved on while it was asked about; the round is over.
var errStale = errors.New("the server's ledger is past the announced round")

func (b *Books) permit(d *ledger.Data, r participant.Release, key string, shown ledger.Shown) error {
	shown.Key = strings.TrimSpace(shown.Key)
	if key != "" && shown.Key != key {
		return fmt.Errorf("the server's ledger is signed by another key than before, %.100q: ask its operator, and if the ledger was started anew for a good reason, join anew", shown.Key)
	}
	origin, head, err := ledger.OpenCheckpoint([]byte(shown.Checkpoint), shown.Key)
	if err != nil {
		return err
	}
	if want := ledger.RunOrigin(r.Run); origin != want {
		return fmt.Errorf("the server shows the ledger %q, want %q", origin, want)
	}
	if key == "" {
		if err := b.key.Store(shown.Key); err != nil {
			return err
		}
	}
	if err := b.settle(d, r.Run, shown); err != nil {
		return err
	}
	if err := d.Pin(b.now(), shown.Key, []byte(shown.Checkpoint), shown.Consistency); err != nil {
		return fmt.Errorf("%w; both signed checkpoints are kept as evidence: compare them with other clients' and with an auditor's", err)
	}
	if ledger.Hash(r.Ledger) != head.Root {
		return errStale
	}
	run := find(d, shown.Key, r.Run)
	if run == nil {
		if run, err = b.accept(d, r, shown); err != nil {
			return err
		}
	}
	if err := matches(run.Plan, r); err != nil {
		return err
	}
	if err := shown.Inclusion(shown.Reservation).Reserves(shown.Key, head, run.Hash, int(r.Round), r.Attempt); err != nil {
		return fmt.Errorf("the round is not set aside in the server's ledger: %w", err)
	}
	return d.Bears(run.Hash, int(r.Round))
}

// settle takes back the charges of rounds that the key holders have closed for ever. Their signatures are all that counts;
// what does not hold, or is about rounds that this client has no charge in, changes nothing.
func (b *Books) settle(d *ledger.Data, run string, shown ledger.Shown) error {
	joined := find(d, shown.Key, run)
	if joined == nil {
		return nil
	}
	for _, text := range shown.Closed {
		c, err := ledger.ParseClosed(text)
		if err != nil {
			return err
		}
		err = d.Closed(b.now(), joined.Hash, c.Round, c.Closures)
		if err != nil && !errors.Is(err, ledger.ErrOrder) && !errors.Is(err, ledger.ErrInvalid) {
			return err
		}
	}
	return nil
}

// find returns the newest run of that name under that server that this client has joined and not left.
func find(d *ledger.Data, key, run string) *ledger.Participating {
	runs := d.Runs()
	for i := len(runs) - 1; i >= 0; i-- {
		if p := &runs[i]; p.Server == key && p.Plan.Run == run && !p.Finished {
			return p
		}
	}
	return nil
}

// accept joins a run, if the budget bears all of its rounds.
func (b *Books) accept(d *ledger.Data, r participant.Release, shown ledger.Shown) (*ledger.Participating, error) {
	inclusion := shown.Inclusion(shown.Plan)
	s, _, err := inclusion.Check(shown.Key)
	if err != nil {
		return nil, err
	}
	plan, ok := s.Record.(*ledger.Plan)
	if !ok {
		return nil, fmt.Errorf("the server shows a %s record as its plan", s.Record.Kind())
	}
	if err := matches(plan, r); err != nil {
		return nil, err
	}
	c, err := plan.Terms()
	if err != nil {
		return nil, err
	}
	need, delta := plan.Whole(), c.Delta
	set, balance := d.Set(), d.Balance()
	epsilon := min(float64(set.Epsilon), b.limit.Epsilon)
	left := max(0, epsilon-float64(balance.Claim))
	if float64(need) > left {
		return nil, fmt.Errorf("%w: the run may cost epsilon %.4g at delta %g; of the %.4g that may be spent on this data over all runs, %.4g is spent or set aside and %.4g left", ledger.ErrOverspend, float64(need), c.Delta, epsilon, float64(balance.Claim), left)
	}
	for _, p := range d.Runs() {
		delta += p.Delta
	}
	if most := min(set.Delta, b.limit.Delta); delta > most*(1+ledger.Tolerance) {
		return nil, fmt.Errorf("%w: with this run the deltas of all runs would add up to %.3g, of %.3g", ledger.ErrOverspend, delta, most)
	}
	if _, err := d.Accept(b.now(), shown.Key, inclusion); err != nil {
		return nil, err
	}
	if run := find(d, shown.Key, r.Run); run != nil {
		return run, nil
	}
	return nil, errors.New("the run was joined and is not in the ledger")
}

// matches says whether a ledger's plan is about what the order asks for.
func matches(p *ledger.Plan, r participant.Release) error {
	switch {
	case p.Run != r.Run:
		return fmt.Errorf("the ledger's plan is of run %q", p.Run)
	case !bytes.Equal(p.Contract, r.Contract):
		return errors.New("the ledger's plan is for another privacy contract than the order's")
	case p.Committee == nil || p.Committee.Record != ledger.Hash(r.Record):
		return errors.New("the ledger's plan names another committee of key holders than the order")
	case !p.Task.IsZero() && p.Task != ledger.Hash(r.Task):
		return errors.New("the ledger's plan is for another training task than the order's")
	}
	return nil
}

// Charge implements participant.Books.
func (b *Books) Charge(_ context.Context, r participant.Release, upload [32]byte) error {
	key, err := b.key.Load()
	if err != nil {
		return err
	}
	return b.account.With(func(d *ledger.Data) error {
		run := find(d, key, r.Run)
		if run == nil {
			return decline(d, b.now(), r, errors.New("the run was left"))
		}
		err := d.Charge(b.now(), ledger.Upload{
			Plan: run.Hash, Round: int(r.Round), Attempt: r.Attempt, Work: ledger.Hash(r.Work), Upload: ledger.Hash(upload),
			Ledger: d.Seen(key, r.Run),
		})
		if errors.Is(err, ledger.ErrOverspend) || errors.Is(err, ledger.ErrOrder) || errors.Is(err, ledger.ErrInvalid) {
			return decline(d, b.now(), r, err)
		}
		return err
	})
}

// Unprotected implements participant.Books.
func (b *Books) Unprotected(_ context.Context, run string) error {
	return b.account.With(func(d *ledger.Data) error { return d.Unprotected(b.now(), run) })
}

// Finish implements participant.Books.
func (b *Books) Finish(context.Context) error {
	key, err := b.key.Load()
	if err != nil || key == "" {
		return err
	}
	return b.account.With(func(d *ledger.Data) error {
		for _, p := range d.Runs() {
			if p.Server == key && !p.Finished {
				if err := d.Finish(b.now(), p.Hash); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
