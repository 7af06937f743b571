package coordinator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
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
// them have nothing against a set; Certify, once; Open. It returns the clients whose
// updates are in the sum.
func (c *Coordinator) openSet(ctx context.Context, s *sealedSum, set []string) ([]int64, []string, error) {
	r := &c.committee.signed.Record
	defer c.move(func(*ceremony) { c.committee.ceremony = nil })
	a := s.attempt
	if a.pending == nil {
		if err := c.pend(ctx, s, set); err != nil {
			return nil, nil, err
		}
	}
	final := a.pending.Certified // before a crash: nobody can be left out any more
	for {
		if len(set) < c.cfg.Rounds.MinReports {
			return nil, nil, &errVoid{reason: fmt.Sprintf("%d updates are left that the key holders accept, want at least %d", len(set), c.cfg.Rounds.MinReports)}
		}
		y, err := s.ceremony(set)
		if err != nil {
			return nil, nil, err
		}
		c.mu.Lock()
		c.committee.ceremony = y
		c.notify()
		c.mu.Unlock()

		zerolog.Ctx(ctx).Info().Int("round", a.round).Int("attempt", a.attempt).Int("updates", len(set)).Msg("set proposed to the key holders")
		points, drop, err := c.propose(ctx, y, final)
		if err != nil {
			return nil, nil, err
		}
		if len(drop) > 0 {
			zerolog.Ctx(ctx).Warn().Strs("clients", drop).Msg("key holders object to updates, proposing again without them")
			set = slices.DeleteFunc(slices.Clone(set), func(name string) bool { return slices.Contains(drop, name) })
			continue
		}
		// Written down first: from here on this set is the only one that holders can
		// have signed.
		if err := c.fix(ctx, a, set); err != nil {
			return nil, nil, err
		}
		if err := c.charge(a, y.hash, set); err != nil {
			return nil, nil, err
		}
		y.entry = a.entry
		if err := c.certify(ctx, y, points); err != nil {
			return nil, nil, err
		}
		values, err := c.release(ctx, y, s, r)
		return values, set, err
	}
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

// release waits for answers and opens the sum with them: first with those of the
// threshold, then with all that come, for one may be wrong.
func (c *Coordinator) release(ctx context.Context, y *ceremony, s *sealedSum, r *keyshare.Record) ([]int64, error) {
	var values []int64
	var failure error
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
			return nil, err
		}
		c.mu.Lock()
		var sums []keyshare.PointSum
		for p, a := range y.answers {
			sums = append(sums, keyshare.PointSum{Point: p, Sum: a.Sums[0]})
		}
		c.mu.Unlock()
		if len(sums) > tried && len(sums) >= r.Threshold {
			opening, err := keyshare.Reconstruct(r, y.ring, sums, func(key []uint64) bool {
				values, _, failure = s.sum.Open(s.public, key, s.sum.Count())
				return failure == nil
			})
			if err == nil {
				if len(opening.Odd) > 0 {
					zerolog.Ctx(ctx).Warn().Ints("points", opening.Odd).Msg("the answers of some key holders do not fit the others: theirs or a client's share is wrong")
				}
				return values, nil
			}
			tried, failure = len(sums), errors.Join(err, failure)
		}
		switch {
		case tried > 0 && (!done || tried == len(y.signatures)):
			return nil, &errVoid{reason: "the key holders' answers do not open the sum: " + failure.Error(), spent: true}
		case tried == 0 && (!done || len(sums) < r.Threshold):
			return nil, &errVoid{reason: fmt.Sprintf("%d key holders answered, want %d", len(sums), r.Threshold), spent: true}
		}
	}
}
