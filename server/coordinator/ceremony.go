package coordinator

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/isolate"
)

type stage int

const (
	stagePropose stage = iota
	stageSign
	stageOpen
)

// ceremony is the opening of one set: verdicts, then signatures, then answers.
type ceremony struct {
	stage       stage
	ring        keyshare.Ring
	set         *keyshare.Set
	hash        statement.Digest
	sums        []*kahe.Sum // by group
	boxes       func(set *keyshare.Set, point int) iter.Seq2[[]byte, error]
	verdicts    map[int]*keyshare.Verdict
	signers     map[int]bool
	signatures  map[int]*keyshare.SetSignature
	certificate []keyshare.SetSignature
	answers     map[int]*keyshare.Answer
	declined    map[int]string // why a holder does not take part any more
	entry       *entry         // for the ledger; nil without a privacy contract
}

// errVoid marks what voids an attempt instead of ending the run. spent says that a
// holder may have signed: the round's number is used up and its privacy is charged.
type errVoid struct {
	reason string
	spent  bool
	opened opened // what became of the groups of a set that was signed
}

func (e *errVoid) Error() string { return e.reason }

// hold waits, at most for the holders' time, until done says so; c.mu is not held.
// It returns false when the time is up.
func (c *Coordinator) hold(ctx context.Context, done func(y *ceremony) bool) (bool, error) {
	timer := time.NewTimer(c.cfg.Rounds.HolderTime)
	defer timer.Stop()
	for {
		c.mu.Lock()
		ok, changed := done(c.committee.ceremony), c.changed
		c.mu.Unlock()
		if ok {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-timer.C:
			return false, nil
		case <-changed:
		}
	}
}

// move puts the ceremony into its next stage and wakes the holders.
func (c *Coordinator) move(f func(y *ceremony)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.committee.ceremony)
	c.notify()
}

// openSet has the key holders open the sum of uploads: Propose, until enough of
// them have nothing against a set; Certify, once; Open.
func (c *Coordinator) openSet(ctx context.Context, s *sealedSum, set []string) (opened, error) {
	defer c.move(func(*ceremony) { c.committee.ceremony = nil })
	a, o := s.attempt, opened{}
	var groups [][]string
	final := a.pending != nil && a.pending.Certified // before a crash: nobody can be left out any more
	if final {
		groups = a.pending.Groups
	}
	for {
		if len(set) < c.cfg.Rounds.MinReports {
			return opened{}, &errVoid{reason: fmt.Sprintf("%d updates are left that the key holders accept, want at least %d", len(set), c.cfg.Rounds.MinReports)}
		}
		if !final {
			groups = c.split(s, set)
		}
		if a.pending == nil {
			if err := c.pend(ctx, s, set, groups); err != nil {
				return opened{}, err
			}
		}
		y, err := s.ceremony(groups)
		if err != nil {
			return opened{}, err
		}
		c.mu.Lock()
		c.committee.ceremony = y
		c.notify()
		c.mu.Unlock()

		zerolog.Ctx(ctx).Info().Int("round", a.round).Int("attempt", a.attempt).Int("updates", y.set.Clients()).Int("groups", len(groups)).Msg("set proposed to the key holders")
		points, drop, err := c.propose(ctx, y, final)
		if err != nil {
			return opened{}, err
		}
		if len(drop) > 0 {
			zerolog.Ctx(ctx).Warn().Strs("clients", drop).Msg("key holders object to updates, proposing again without them")
			set = slices.DeleteFunc(slices.Clone(set), func(name string) bool { return slices.Contains(drop, name) })
			o.objected += len(drop)
			continue
		}
		signed := slices.Concat(groups...)
		o.present = len(set)
		if final {
			o.present = len(a.pending.Uploads)
		}
		slices.Sort(signed)
		// Written down first: from here on this set is the only one that holders can
		// have signed.
		if err := c.fix(ctx, a, signed, groups); err != nil {
			return opened{}, err
		}
		if err := c.charge(a, y.hash, signed, y.least()); err != nil {
			return opened{}, err
		}
		y.entry = a.entry
		if err := c.certify(ctx, y, points); err != nil {
			return opened{}, err
		}
		return c.release(ctx, y, s, o)
	}
}

// least is the size of the smallest group.
func (y *ceremony) least() int {
	n := len(y.set.Groups[0])
	for _, g := range y.set.Groups {
		n = min(n, len(g))
	}
	return n
}

// yes returns the points of the holders that have nothing against the set, sorted.
func yes(verdicts map[int]*keyshare.Verdict) (points []int) {
	for _, p := range slices.Sorted(maps.Keys(verdicts)) {
		if verdicts[p].Yes() {
			points = append(points, p)
		}
	}
	return points
}

// propose collects verdicts and resolves them. A final set is taken whole or not at
// all: some holder may have signed it.
func (c *Coordinator) propose(ctx context.Context, y *ceremony, final bool) (points []int, drop []string, err error) {
	r := &c.committee.signed.Record
	// Everyone who is connected is heard, or the time runs out: a spare signer is
	// worth waiting for.
	_, err = c.hold(ctx, func(y *ceremony) bool {
		for p := range c.committee.holders {
			if y.verdicts[p] == nil && y.declined[p] == "" {
				return false
			}
		}
		heard := len(y.verdicts)
		if final && len(y.verdicts)+len(y.declined) < len(r.Members) {
			heard = len(yes(y.verdicts))
		}
		return heard >= r.Threshold || len(r.Members)-len(y.declined) < r.Threshold
	})
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	points = yes(y.verdicts)
	var verdicts []keyshare.Verdict
	refusals := 0
	for _, p := range slices.Sorted(maps.Keys(y.verdicts)) {
		verdicts = append(verdicts, *y.verdicts[p])
		if y.verdicts[p].Refusal != "" {
			refusals++
			zerolog.Ctx(ctx).Warn().Int("point", p).Str("refusal", y.verdicts[p].Refusal).Msg("a key holder refuses the set")
		}
	}
	c.mu.Unlock()
	if final {
		if len(points) < r.Threshold {
			return nil, nil, &errVoid{reason: fmt.Sprintf("%d of %d key holders accept the set of the interrupted round, want %d", len(points), len(r.Members), r.Threshold), spent: true}
		}
		return points, nil, nil
	}
	for want := len(verdicts) - refusals; want >= r.Threshold; want-- {
		points, drop, ok := keyshare.Resolve(r, verdicts, want)
		if ok && (y.set.Clients()-len(drop) >= c.cfg.Rounds.MinReports || want == r.Threshold) {
			return points, drop, nil
		}
	}
	return nil, nil, &errVoid{reason: fmt.Sprintf("%d of %d key holders gave a verdict, %d of them refuse the set, want %d that accept it", len(verdicts), len(r.Members), refusals, r.Threshold)}
}

// certify asks those who accept the set for their signature. From here on the round
// is spent, whatever comes of it.
func (c *Coordinator) certify(ctx context.Context, y *ceremony, points []int) error {
	r := &c.committee.signed.Record
	c.move(func(y *ceremony) {
		y.stage = stageSign
		for _, p := range points {
			y.signers[p] = true
		}
	})
	if _, err := c.hold(ctx, func(y *ceremony) bool {
		if len(y.signatures) < r.Threshold && len(r.Members)-len(y.declined) >= r.Threshold {
			return false
		}
		for p := range y.signers { // spare signers that are there are waited for
			if c.committee.holders[p] != nil && y.signatures[p] == nil && y.declined[p] == "" {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	signed := 0
	c.move(func(y *ceremony) {
		if signed = len(y.signatures); signed < r.Threshold {
			return
		}
		for _, p := range slices.Sorted(maps.Keys(y.signatures)) {
			y.certificate = append(y.certificate, *y.signatures[p])
			if e := y.entry; e != nil {
				e.certificate = append(e.certificate, ledger.Signed{Point: p, Signature: ledger.Sig(y.signatures[p].Signature)})
			}
		}
		y.stage = stageOpen
	})
	if signed < r.Threshold {
		return &errVoid{reason: fmt.Sprintf("%d key holders signed the set, want %d", signed, r.Threshold), spent: true}
	}
	return nil
}

// release waits for answers and opens the groups with them: first with those of the
// threshold, then with all that come, for one may be wrong. Groups that do not open are
// left out of the sum.
func (c *Coordinator) release(ctx context.Context, y *ceremony, s *sealedSum, o opened) (opened, error) {
	r := &c.committee.signed.Record
	log := zerolog.Ctx(ctx)
	values := make([][]int64, len(y.sums))
	failures := make([]error, len(y.sums))
	tried := 0
	for {
		done, err := c.hold(ctx, func(y *ceremony) bool {
			for p := range y.signatures {
				if c.committee.holders[p] != nil && y.answers[p] == nil && y.declined[p] == "" {
					return false
				}
			}
			if len(y.answers) == tried && tried > 0 {
				return false // these do not open it: another one may
			}
			return len(y.answers) >= r.Threshold || len(r.Members)-len(y.declined) < r.Threshold
		})
		if err != nil {
			return opened{}, err
		}
		c.mu.Lock()
		answers := maps.Clone(y.answers)
		c.mu.Unlock()
		if len(answers) > tried && len(answers) >= r.Threshold {
			tried = len(answers)
			for g := range y.sums {
				if values[g] == nil {
					values[g], failures[g] = s.openGroup(log, r, y, g, answers)
				}
			}
		}
		shut := slices.IndexFunc(values, func(v []int64) bool { return v == nil })
		switch {
		case tried == 0 && (!done || len(answers) < r.Threshold):
			return opened{}, &errVoid{reason: fmt.Sprintf("%d key holders answered, want %d", len(answers), r.Threshold), spent: true}
		case shut < 0, !done, tried == len(y.signatures):
			o.set = y.hash
			for g, v := range values {
				names := clients(y.set.Groups[g])
				o.groups = append(o.groups, isolate.Result{Clients: names, Opened: v != nil, Proven: v == nil && tried >= r.Threshold+r.Corrupt})
				if v == nil {
					log.Warn().Int("clients", len(names)).Int("answers", tried).Err(failures[g]).Msg("the sum of a group does not open: an upload in it was not made as it should, or a key holder's answer is wrong")
					continue
				}
				o.clients = append(o.clients, names...)
				if o.values == nil {
					o.values = v
					continue
				}
				for i, x := range v {
					o.values[i] += x
				}
			}
			slices.Sort(o.clients)
			if o.values == nil {
				return opened{}, &errVoid{reason: "the key holders' answers do not open the sum: " + failures[0].Error(), spent: true, opened: o}
			}
			return o, nil
		}
	}
}

// openGroup opens one group with the answers that are there.
func (s *sealedSum) openGroup(log *zerolog.Logger, r *keyshare.Record, y *ceremony, group int, answers map[int]*keyshare.Answer) (values []int64, err error) {
	var sums []keyshare.PointSum
	for p, a := range answers {
		sums = append(sums, keyshare.PointSum{Point: p, Sum: a.Sums[group]})
	}
	var failure error
	sum := y.sums[group]
	opening, err := keyshare.Reconstruct(r, y.ring, sums, func(key []uint64) bool {
		values, _, failure = sum.Open(s.public, key, sum.Count())
		return failure == nil
	})
	if err != nil {
		if failure != nil {
			err = fmt.Errorf("%w; the last: %w", err, failure)
		}
		return nil, err
	}
	if len(opening.Odd) > 0 {
		log.Warn().Ints("points", opening.Odd).Msg("the answers of some key holders do not fit the others: theirs or a client's share is wrong")
	}
	return values, nil
}

func clients(group []keyshare.Header) []string {
	names := make([]string, len(group))
	for i := range group {
		names[i] = group[i].Client
	}
	return names
}
