package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/rpc"
)

// draft makes the committee record out of members that have joined, or shows it.
func draft(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f, dir := flags("committee")
	holders := f.String("holders", "", "")
	threshold := f.Int("threshold", 0, "")
	corrupt := f.Int("corrupt", -1, "")
	roster := f.String("roster", string(keyshare.RosterPinned), "")
	if _, err := parse(f, args, ""); err != nil {
		return err
	}
	c, err := loadConfig(*dir, nil)
	if err != nil {
		return err
	}
	book, err := committee.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer book.Close()
	if *holders != "" {
		r, err := record(ctx, book, c, strings.Split(*holders, ","), *threshold, *corrupt, *roster)
		if err != nil {
			return err
		}
		if err := book.Draft(ctx, r); err != nil {
			return &config.UsageError{Err: err}
		}
	}
	r, signatures, err := book.Record(ctx)
	if errors.Is(err, committee.ErrNoRecord) {
		return config.WithHint(config.Usagef("no committee yet"), "draft one of members that joined: server committee -holders a,b,c,d")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "committee of %s: %d of %d must answer, %d may be corrupt, roster %s of %d, encryption %s\n",
		r.Name, r.Threshold, len(r.Members), r.Corrupt, r.Roster, len(r.Vouchers), r.Preset)
	for i, m := range r.Members {
		state := "has not signed yet: client approve -dir DIR " + keyshare.Fingerprint(r.Hash())
		if _, ok := signatures[i+1]; ok {
			state = "signed"
		}
		fmt.Fprintf(stdout, "  %s: %s\n", m.Name, state)
	}
	for _, w := range r.Warnings() {
		fmt.Fprintf(stdout, "warning: %s\n", w)
	}
	_, err = fmt.Fprintf(stdout, "fingerprint %s\n", keyshare.Fingerprint(r.Hash()))
	return err
}

// record drafts: the named members hold keys, and every member stands for itself.
func record(ctx context.Context, book *committee.Book, c Config, holders []string, threshold, corrupt int, roster string) (*keyshare.Record, error) {
	t, err := c.Run.Terms()
	if err != nil {
		return nil, err
	}
	members, err := book.Keys(ctx)
	if err != nil {
		return nil, err
	}
	m := len(holders)
	if threshold == 0 {
		// Beside a third of corrupt members the rest still opens: 3 of 4, 5 of 7. Of
		// three, all: two could be one dishonest member and the server.
		threshold = (m+(m-1)/3)/2 + 1
		if m == 3 {
			threshold = 3
		}
	}
	if corrupt < 0 {
		corrupt = min(2*threshold-m-1, threshold-1)
	}
	r := &keyshare.Record{Name: c.Run.Name, Threshold: threshold, Corrupt: corrupt, Preset: t.Encryption.Preset, Roster: keyshare.Roster(roster)}
	for _, name := range holders {
		i := slices.IndexFunc(members, func(v keyshare.Voucher) bool { return v.Name == name })
		if i < 0 {
			return nil, config.WithHint(config.Usagef("%q has not joined", name), "see who has: server members")
		}
		r.Members = append(r.Members, keyshare.Member(members[i]))
	}
	if r.Roster == keyshare.RosterPinned {
		r.Vouchers = members
	}
	return r, nil
}

// late stands in for a run that waits for its committee: key holders have to join
// and sign before there is a coordinator.
type late struct {
	c atomic.Pointer[coordinator.Coordinator]
}

func (l *late) run() (rpc.Run, error) {
	if c := l.c.Load(); c != nil {
		return rpc.OfCoordinator(c), nil
	}
	return nil, fmt.Errorf("%w: its committee of key holders is not complete", coordinator.ErrHalted)
}

func (l *late) Attach(i coordinator.Info) (rpc.Session, error) {
	r, err := l.run()
	if err != nil {
		return nil, err
	}
	return r.Attach(i)
}

func (l *late) Model(hash [32]byte) ([]float32, error) {
	r, err := l.run()
	if err != nil {
		return nil, err
	}
	return r.Model(hash)
}

func (l *late) Report(ctx context.Context, client string, report coordinator.Report) (coordinator.Receipt, error) {
	r, err := l.run()
	if err != nil {
		return coordinator.Receipt{}, err
	}
	return r.Report(ctx, client, report)
}

func (l *late) Hasher() *terms.Hasher {
	if c := l.c.Load(); c != nil {
		return c.Hasher()
	}
	return nil
}

func (l *late) BodySize() int {
	if c := l.c.Load(); c != nil {
		return c.BodySize()
	}
	return 0
}

func (l *late) Show(seen int64, plan bool) (ledger.Shown, error) {
	r, err := l.run()
	if err != nil {
		return ledger.Shown{}, err
	}
	return r.Show(seen, plan)
}

func (l *late) AttachHolder(name string, key statement.Key) (*coordinator.HolderSession, error) {
	if c := l.c.Load(); c != nil {
		return c.AttachHolder(name, key)
	}
	return nil, coordinator.ErrNoCommittee
}

// await waits until every member has signed the committee record.
func await(ctx context.Context, book *committee.Book) (*keyshare.SignedRecord, error) {
	for told := ""; ; {
		s, ok, err := book.Signed(ctx)
		if err != nil && !errors.Is(err, committee.ErrNoRecord) {
			return nil, err
		}
		if ok {
			return s, nil
		}
		state := "some members have not signed the committee record yet: client approve"
		if err != nil {
			state = "no committee yet: let the clients join, then server committee -holders a,b,c,d"
		}
		if state != told {
			zerolog.Ctx(ctx).Info().Str("next", state).Msg("waiting for the committee of key holders")
			told = state
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
