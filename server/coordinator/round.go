package coordinator

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/server/round"
)

// plan waits for enough clients, draws the cohort, records the attempt and opens
// it. The draw depends on who is ready, the run's seed and the round alone, so
// that an attempt after a crash asks the same clients.
func (c *Coordinator) plan(ctx context.Context) (*attempt, error) {
	var ready []Info
	for timed := false; !timed; {
		var err error
		if ready, err = c.gather(ctx); err != nil {
			return nil, err
		}
		if timed, err = c.timed(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	c.mu.Lock()
	defer c.mu.Unlock()
	number, try := c.state.Round+1, c.state.Attempt+1
	if ready, err = c.eligible(ready); err != nil {
		return nil, err
	}
	if err := c.enterClosures(); err != nil {
		return nil, err
	}
	head, err := c.reserve(c.state.ticket(), try)
	if err != nil {
		return nil, err
	}
	cohort, work, err := c.assign(ctx, number, ready)
	if err != nil {
		return nil, fmt.Errorf("plan round %d: %w", number, err)
	}
	names := make([]string, len(cohort))
	for i, info := range cohort {
		names[i] = info.Client
	}
	if err := c.store.Begin(ctx, number, try, names); err != nil {
		return nil, fmt.Errorf("record the start of round %d: %w", number, err)
	}
	c.state.Attempt = try

	goal := c.cfg.Rounds.Goal
	if goal == 0 {
		goal = len(names)
	}
	goal = min(goal, len(names))
	started := time.Now()
	m, err := round.New(round.Config{
		Round: number, Attempt: try, Cohort: names, Goal: goal, Min: c.cfg.Rounds.MinReports,
		Opened: started, Deadline: c.cfg.Rounds.Deadline + work.delay, Grace: c.cfg.Rounds.Grace, Patience: work.patience(),
	})
	if err != nil {
		return nil, fmt.Errorf("plan round %d: %w", number, err)
	}
	a := &attempt{
		round: number, attempt: try, machine: m, started: started,
		cohort: weights(cohort, c.cfg.Weights), examples: map[string]int{}, accepted: map[string]bool{}, plan: work,
		lr:   c.cfg.Schedule.Rate(c.cfg.Task.Optimizer.LR, number-1, c.cfg.Rounds.Count, c.validationLosses()),
		clip: c.clipNorm(),
	}
	for _, info := range cohort {
		a.examples[info.Client] = info.Examples
	}
	c.compare(ctx, cohort)
	a.goal, a.reserved = goal, head.Size-1
	if c.cfg.Fleet.Every > 0 {
		a.took = map[string]float64{}
	}
	if c.committee != nil {
		c.announce(a, goal, statement.Digest(head.Root))
	}
	if a.sum, err = c.carrier.newSum(a); err != nil {
		return nil, err
	}
	c.open = a
	c.step(a, round.Tick{})
	// A client may have gone while nobody held the lock.
	for _, name := range names {
		if c.sessions[name] == nil {
			c.step(a, round.Absent{Client: name})
		}
	}
	if c.observer != nil {
		c.observer.RoundStarted(number, try, len(names))
	}
	c.notify()
	return a, nil
}

// wanted is how many of the ready clients a round takes: what is configured, and no more than the
// contract's integers are sized for.
func (c *Coordinator) wanted(ready int) int {
	n := ready
	if c.cfg.Rounds.Cohort > 0 {
		n = min(n, c.cfg.Rounds.Cohort)
	}
	if c.cfg.private() {
		n = min(n, c.cfg.Contract.MaxCohort)
	}
	return n
}

// draw takes as many of the ready clients as are wanted, each as likely as another.
func (c *Coordinator) draw(number int, ready []Info) []Info {
	n := c.wanted(len(ready))
	if n == len(ready) {
		return ready
	}
	rng := seed.New(c.cfg.Seed, "cohort", number, "")
	perm := rng.Perm(len(ready))[:n]
	slices.Sort(perm)
	cohort := make([]Info, n)
	for i, p := range perm {
		cohort[i] = ready[p]
	}
	return cohort
}

// gather waits until min_clients are ready and then until every connected client
// is, or the gather time has passed. The first time it waits the whole gather time:
// clients that are about to connect should not miss the first round. It returns the
// ready ones sorted by name.
func (c *Coordinator) gather(ctx context.Context) ([]Info, error) {
	var gathered <-chan time.Time
	remind := time.NewTicker(30 * time.Second)
	defer remind.Stop()
	late := c.cfg.Rounds.Gather == 0
	for {
		c.mu.Lock()
		var ready []Info
		connected := len(c.sessions)
		for _, s := range c.sessions {
			switch {
			case c.state.Isolation.Excludes(s.info.Client):
				connected--
			case s.ready:
				ready = append(ready, s.info)
			}
		}
		changed := c.changed
		ticket := c.state.ticket()
		if c.committee != nil {
			ticket = c.committee.first(ticket)
		}
		absent := c.committee.absent(ticket)
		enough := len(ready) >= c.participants() && absent == nil
		c.mu.Unlock()
		if enough && (late || len(ready) == connected && c.planned) {
			if err := c.skip(ctx, ticket); err != nil {
				return nil, err
			}
			c.planned = true
			slices.SortFunc(ready, func(a, b Info) int { return cmp.Compare(a.Client, b.Client) })
			return ready, nil
		}
		if enough && gathered == nil {
			t := time.NewTimer(c.cfg.Rounds.Gather)
			defer t.Stop()
			gathered = t.C
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-gathered:
			late = true
		case <-remind.C:
			zerolog.Ctx(ctx).Info().Int("ready", len(ready)).Int("connected", connected).
				Int("min_clients", c.cfg.Rounds.MinClients).Strs("key_holders_missing", absent).Msg("waiting for clients and key holders")
		}
	}
}

// skip gives up the numbers before ticket, for which some key holder has no key.
func (c *Coordinator) skip(ctx context.Context, ticket uint64) error {
	c.mu.Lock()
	next := *c.state
	c.mu.Unlock()
	n := ticket - next.ticket()
	if n == 0 {
		return nil
	}
	if next.Round == 0 && next.Spent == 0 && len(next.History) == 0 {
		return fmt.Errorf("%w: key holders know the first %d rounds of a run named %s, and this one is new: a name is never used twice; choose another (run.name), or restore the directory of the run that had it", ErrHalted, n, c.cfg.Name)
	}
	next.Spent += int(n)
	if err := c.store.Commit(ctx, &next); err != nil {
		return fmt.Errorf("record that %d rounds have no keys: %w", n, err)
	}
	zerolog.Ctx(ctx).Warn().Uint64("numbers", n).Msg("a key holder has lost its keys of some rounds: their numbers are skipped")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = &next
	return nil
}

// weights gives each client its factor in (0, 1]. Under "examples" it is the
// share of the largest client of the cohort: numbers of examples are public.
func weights(cohort []Info, kind string) map[string]float64 {
	most := 0
	for _, i := range cohort {
		most = max(most, i.Examples)
	}
	w := make(map[string]float64, len(cohort))
	for _, i := range cohort {
		w[i.Client] = 1
		if kind == "examples" {
			w[i.Client] = float64(i.Examples) / float64(most)
		}
	}
	return w
}

// collect waits until the open attempt closes or is void.
func (c *Coordinator) collect(ctx context.Context, a *attempt) (set []string, void error, err error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.mu.Lock()
		set, void, wake, changed := a.set, a.void, a.wake, c.changed
		c.mu.Unlock()
		if set != nil || void != nil {
			return set, void, nil
		}
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-changed:
		case <-timer.C:
			c.mu.Lock()
			c.step(a, round.Tick{})
			c.mu.Unlock()
		}
	}
}

// step feeds one event to the machine and notes what it decides; c.mu is held.
// Replies to reports are handled where the report is: see Report.
func (c *Coordinator) step(a *attempt, e round.Event) []round.Effect {
	effects := a.machine.Step(time.Now(), e)
	for _, f := range effects {
		switch f := f.(type) {
		case round.WakeAt:
			a.wake = f.Time
			c.notify()
		case round.Close:
			a.set = f.Set
			c.notify()
		case round.Void:
			a.void = f.Reason
			c.notify()
		}
	}
	return effects
}

// finish moves the model by the sum of a closed attempt, or notes a void one, and
// commits the state before anything of it is visible.
func (c *Coordinator) finish(ctx context.Context, a *attempt, set []string, void error) (Record, error) {
	c.mu.Lock()
	accepted, rejected, discarded := a.counts()
	rec := Record{
		Round: a.round, Attempt: a.attempt, Cohort: len(a.cohort), LR: a.lr, Clip: a.clip,
		Accepted: accepted, Rejected: rejected, Discarded: discarded,
		BytesUp: a.bytesUp, BytesDown: a.bytesDown, Started: a.started,
	}
	old := c.state
	c.mu.Unlock()

	next := &State{Config: old.Config, Round: old.Round, Attempt: a.attempt, Spent: old.Spent, Params: old.Params, Optimizer: old.Optimizer, Participations: old.Participations}
	next.Isolation = old.Isolation
	var params []float32
	var outcome opened
	if void == nil {
		var err error
		params, outcome, err = c.advance(ctx, a, set, old.Params, &rec)
		if v, ok := errors.AsType[*errVoid](err); ok {
			void, outcome = v, v.opened
			if v.spent {
				next.Spent++
			}
		} else if err != nil {
			return rec, errors.Join(err, a.sum.close(false))
		}
	}
	if a.participations != nil {
		next.Participations = a.participations
	}
	if void != nil {
		rec.Void = void.Error()
	} else {
		var err error
		next.Round, next.Attempt, next.Params, next.Optimizer = a.round, 0, params, c.opt.State()
		last := a.round == c.cfg.Rounds.Count
		if average := c.opt.Average(); average != nil {
			params = average
			if last {
				next.Params = average
			}
		}
		if every := max(c.cfg.Rounds.Evaluate, 1); c.evaluator != nil && (a.round%every == 0 || last) {
			if rec.Test, err = c.evaluator.Evaluate(ctx, params); err != nil {
				return rec, fmt.Errorf("evaluate round %d: %w", a.round, err)
			}
			if m := rec.Test; m != nil && (math.IsNaN(m.Loss) || math.IsInf(m.Loss, 0)) {
				rec.Test, rec.MetricsError = nil, "the loss on the test set is not finite: lower the learning rate"
			}
		}
	}
	id := c.identity(next.Params)
	rec.Model = hex.EncodeToString(id[:])
	rec.Seconds = time.Since(a.started).Seconds()
	if void == nil {
		rec.Ledger = c.settled(a, id, rec.Test)
	}
	halt, err := c.learn(a, outcome, next, &rec)
	if err != nil {
		return rec, errors.Join(err, a.sum.close(false))
	}
	rec.Energy = c.spent(a, rec, void == nil)
	next.History = append(slices.Clip(old.History), rec)
	if err := c.store.Commit(ctx, next); err != nil {
		return rec, errors.Join(fmt.Errorf("commit round %d: %w", a.round, err), a.sum.close(false))
	}
	if err := a.sum.close(true); err != nil {
		return rec, fmt.Errorf("close round %d: %w", a.round, err)
	}
	if err := errors.Join(c.enter(a, rec.Ledger, void), c.exclude(rec.Exclusions)); err != nil {
		return rec, err
	}
	if void == nil {
		if err := c.publish(ctx, a); err != nil {
			return rec, err
		}
	}
	c.mu.Lock()
	c.state, c.model, c.open = next, id, nil
	for name := range a.cohort {
		c.ended[name] = time.Now()
	}
	if c.committee != nil {
		c.committee.forget(next.ticket())
	}
	c.notify()
	c.mu.Unlock()
	return rec, halt
}

// advance opens the sum and applies what it means to a copy of params.
func (c *Coordinator) advance(ctx context.Context, a *attempt, set []string, params []float32, rec *Record) ([]float32, opened, error) {
	began := time.Now()
	o, err := a.sum.open(ctx, set)
	if err != nil {
		return nil, o, fmt.Errorf("open the sum of round %d: %w", a.round, err)
	}
	a.plan.opened(o.clients, time.Since(began))
	rec.Objected = o.objected
	if a.entry != nil {
		a.entry.sum = sumHash(o.values)
	}
	mean, err := c.meaning.read(a.round, o.values, a.shares(o.clients), rec)
	if err != nil {
		return nil, o, fmt.Errorf("read the sum of round %d: %w", a.round, err)
	}
	if !c.cfg.private() { // under a contract everything is divided by public constants
		a.plan.rescale(mean, o.clients, a.shares(o.clients))
	}
	next := slices.Clone(params)
	if err := c.opt.Apply(next, mean); err != nil {
		return nil, o, fmt.Errorf("apply the update of round %d: %w", a.round, err)
	}
	return next, o, nil
}

// shares are the weights of the clients in set, in its order, which is sorted: a
// float sum over them is always the same.
func (a *attempt) shares(set []string) []float64 {
	w := make([]float64, len(set))
	for i, name := range set {
		w[i] = a.cohort[name]
	}
	return w
}
