package coordinator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/server/round"
)

// Pending is an attempt whose set key holders have seen and that has not ended. With
// the spool of its uploads it is all that it takes to go on after a crash, with the
// same attempt and the same set.
type Pending struct {
	Attempt      int                `json:"attempt"`
	Announcement []byte             `json:"announcement"`
	Uploads      []PendingUpload    `json:"uploads"`   // in the order of the spool
	Set          []string           `json:"set"`       // clients, sorted
	Groups       [][]string         `json:"groups"`    // of them, each sorted
	Certified    bool               `json:"certified"` // signatures may have been asked for: the set is final
	Cohort       map[string]float64 `json:"cohort"`    // weights
	Goal         int                `json:"goal"`
	LR           float64            `json:"lr"`
	Clip         float64            `json:"clip,omitempty"`
	Started      time.Time          `json:"started"`
	Rejected     int                `json:"rejected"`
	Discarded    int                `json:"discarded"`
	BytesUp      int64              `json:"bytes_up"`
	BytesDown    int64              `json:"bytes_down"`
	Reference    int64              `json:"reference,omitempty"` // steps that unequal updates were scaled to
	Work         []PlannedWork      `json:"work,omitempty"`
}

// PendingUpload is one upload of a spool.
type PendingUpload struct {
	Client string `json:"client"`
	Header string `json:"header"` // hexadecimal hash of the signed header
}

// pend makes the attempt durable before anybody sees its set: uploads first, then
// what they are.
func (c *Coordinator) pend(ctx context.Context, s *sealedSum, set []string, groups [][]string) error {
	if err := s.spool.Sync(); err != nil {
		return fmt.Errorf("store the uploads of round %d: %w", s.attempt.round, err)
	}
	a := s.attempt
	p := &Pending{
		Attempt: a.attempt, Announcement: a.announcement.Bytes(), Set: set, Groups: groups,
		Cohort: a.cohort, Goal: a.goal, LR: a.lr, Clip: a.clip, Started: a.started, Uploads: make([]PendingUpload, len(s.uploads)),
		Reference: a.plan.reference, Work: a.plan.pending(),
	}
	c.mu.Lock()
	_, p.Rejected, p.Discarded = a.counts()
	p.BytesUp, p.BytesDown = a.bytesUp, a.bytesDown
	c.mu.Unlock()
	for name, u := range s.uploads {
		h := u.header.Hash()
		p.Uploads[u.place] = PendingUpload{name, hex.EncodeToString(h[:])}
	}
	return c.note(ctx, a, p)
}

// fix makes the set final, before the first signature is asked for.
func (c *Coordinator) fix(ctx context.Context, a *attempt, set []string, groups [][]string) error {
	p := *a.pending
	p.Set, p.Groups, p.Certified = set, groups, true
	a.participations = c.participated(c.state.Participations, set)
	return c.note(ctx, a, &p)
}

func (c *Coordinator) note(ctx context.Context, a *attempt, p *Pending) error {
	if err := c.store.Propose(ctx, p); err != nil {
		return fmt.Errorf("store the set of round %d: %w", a.round, err)
	}
	a.pending = p
	return nil
}

// errLost says that a pending attempt cannot be taken up again.
var errLost = errors.New("the uploads that key holders have seen are gone or damaged")

// resume takes up the attempt that a crash interrupted, and waits for the key holders.
// It returns nil if there is none. An attempt whose uploads are lost is given up: if
// holders may have signed its set, its number is used up.
func (c *Coordinator) resume(ctx context.Context) (*attempt, []string, error) {
	c.mu.Lock()
	p := c.state.Pending
	c.mu.Unlock()
	if p == nil {
		return nil, nil, nil
	}
	log := zerolog.Ctx(ctx)
	a, err := c.reopen(p)
	if errors.Is(err, errLost) {
		log.Warn().Err(err).Int("attempt", p.Attempt).Bool("certified", p.Certified).Msg("an interrupted attempt cannot be continued")
		return nil, nil, c.giveUp(ctx, p)
	}
	if err != nil {
		return nil, nil, err
	}
	log.Info().Int("round", a.round).Int("attempt", a.attempt).Int("updates", len(p.Set)).Bool("certified", p.Certified).Msg("continuing the interrupted round")
	c.mu.Lock()
	c.open = a
	c.notify()
	c.mu.Unlock()
	return a, p.Set, c.awaitHolders(ctx)
}

// reopen makes an attempt out of what was stored of it.
func (c *Coordinator) reopen(p *Pending) (*attempt, error) {
	k, ok := c.carrier.(*sealed)
	if !ok {
		return nil, fmt.Errorf("an attempt was left at the key holders, and the run has none: %w", errLost)
	}
	announcement, err := keyshare.ParseAnnouncement(p.Announcement)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	number := c.state.Round + 1
	if announcement.Round != c.state.ticket() || p.Attempt != c.state.Attempt || announcement.Record != c.committee.hash || announcement.Model != c.model {
		return nil, fmt.Errorf("%w: they are of number %d, attempt %d, or of another committee or model", errLost, announcement.Round, p.Attempt)
	}
	a := &attempt{
		round: number, attempt: p.Attempt, started: p.Started, cohort: p.Cohort, goal: p.Goal, lr: p.LR, clip: p.Clip, announcement: *announcement,
		accepted: map[string]bool{}, bytesUp: p.BytesUp, bytesDown: p.BytesDown, rejected: p.Rejected, discarded: p.Discarded, pending: p, plan: planOf(p),
	}
	names := make([]string, 0, len(p.Cohort))
	for name := range p.Cohort {
		names = append(names, name)
	}
	// The machine is led to where it was: late and repeated reports are answered as
	// before the crash.
	if a.machine, err = round.New(round.Config{
		Round: number, Attempt: p.Attempt, Cohort: names, Goal: len(p.Uploads), Min: 1,
		Opened: p.Started, Deadline: c.cfg.Rounds.Deadline, Grace: c.cfg.Rounds.Grace,
	}); err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	s, err := k.reopen(a, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	if err != nil {
		return nil, err
	}
	a.sum = s
	if p.Certified {
		a.participations = c.participated(c.state.Participations, p.Set)
	}
	for _, u := range p.Uploads {
		kept := s.uploads[u.Client]
		h := kept.header.Hash()
		for _, f := range a.machine.Step(p.Started, round.Offer{Client: u.Client, Digest: h}) {
			if f, ok := f.(round.Close); ok {
				a.set = f.Set
			}
		}
		a.accepted[u.Client] = true
	}
	for _, name := range slices.Concat(append(p.Groups, p.Set)...) {
		if !a.accepted[name] {
			return nil, errors.Join(fmt.Errorf("%w: nothing of client %s", errLost, name), s.close(false))
		}
	}
	if a.set == nil {
		return nil, errors.Join(fmt.Errorf("%w: there are none", errLost), s.close(false))
	}
	return a, nil
}

// giveUp ends a pending attempt without a sum.
func (c *Coordinator) giveUp(ctx context.Context, p *Pending) error {
	c.mu.Lock()
	next := *c.state
	c.mu.Unlock()
	next.Pending = nil
	if p.Certified {
		next.Spent++
		if n := c.participated(next.Participations, p.Set); n != nil {
			next.Participations = n
		}
	}
	next.History = append(slices.Clip(next.History), Record{
		Round: next.Round + 1, Attempt: p.Attempt, Cohort: len(p.Cohort), Accepted: len(p.Uploads), LR: p.LR, Clip: p.Clip,
		Rejected: p.Rejected, Discarded: p.Discarded, BytesUp: p.BytesUp, BytesDown: p.BytesDown, Started: p.Started,
		Void: errLost.Error(), Model: hex.EncodeToString(c.model[:]),
	})
	if err := c.store.Commit(ctx, &next); err != nil {
		return fmt.Errorf("give up an interrupted attempt: %w", err)
	}
	if err := c.balanceVoid(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = &next
	c.notify()
	return nil
}

// awaitHolders waits until enough key holders are back.
func (c *Coordinator) awaitHolders(ctx context.Context) error {
	remind := time.NewTicker(30 * time.Second)
	defer remind.Stop()
	for {
		c.mu.Lock()
		n, want, changed := len(c.committee.holders), c.committee.signed.Record.Threshold, c.changed
		c.mu.Unlock()
		if n >= want {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-remind.C:
			zerolog.Ctx(ctx).Info().Int("connected", n).Int("threshold", want).Msg("waiting for key holders to continue the interrupted round")
		}
	}
}
