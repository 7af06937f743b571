package coordinator

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/isolate"
)

// opened is what a set came to. After a failure, values and clients are empty.
type opened struct {
	values   []int64
	clients  []string // whose updates are in the sum, sorted
	objected int      // clients left out because key holders objected
	present  int      // clients that could have been in a group
	set      statement.Digest
	groups   []isolate.Result // of the set that was signed
}

// rules are what the run fixes about finding clients that spoil sums.
func (c *Coordinator) rules() isolate.Rules {
	r := isolate.Rules{Group: c.cfg.Rounds.MinReports, Organisations: c.cfg.Rounds.MinReports, Culprits: 1}
	if c.cfg.private() {
		r.Private = true
		r.Group = max(r.Group, c.cfg.Contract.MinCohort)
		r.Culprits = max(r.Culprits, c.cfg.Contract.Colluders)
	}
	return r
}

// split deals the clients of a set out to the groups of its round. The draw depends on
// the round's number and on who they are, so that a restart does not change it; where
// there is a ledger, also on its secret, so that clients cannot foresee it.
func (c *Coordinator) split(s *sealedSum, set []string) [][]string {
	clients := make([]isolate.Client, len(set))
	for i, name := range set {
		clients[i] = isolate.Client{Name: name, Organisation: name}
		if c.committee.signed.Record.Roster != keyshare.RosterOpen {
			clients[i].Organisation = s.uploads[name].header.Vouch.Voucher
		}
	}
	root := binary.BigEndian.AppendUint64(nil, c.cfg.Seed)
	if c.books != nil {
		root = c.books.Secret
	}
	key := statement.New("sotto/isolation/v1").Bytes(root).String(c.cfg.Name).Uint(s.announcement.Round).Hash()
	return c.state.Isolation.Split(c.rules(), clients, rand.New(rand.NewChaCha8(key)))
}

// learn draws the conclusions of a round whose set was signed: into the next state, the
// round's record and, later, the ledger. halt is not nil when the run must not go on by
// itself.
func (c *Coordinator) learn(a *attempt, o opened, next *State, rec *Record) (halt error, err error) {
	if o.groups == nil {
		return nil, nil
	}
	rules, ticket := c.rules(), a.announcement.Round
	state, named := next.Isolation.Learn(rules, ticket, fmt.Sprintf("%x", o.set), o.groups)
	next.Isolation = state
	if len(o.groups) > 1 || !o.groups[0].Opened {
		rec.Groups = o.groups
	}
	for _, e := range named {
		rec.Excluded = append(rec.Excluded, e.Client)
		if c.books == nil {
			continue
		}
		x, err := c.exclusion(ticket, e)
		if err != nil {
			return nil, err
		}
		rec.Exclusions = append(rec.Exclusions, x)
	}
	n := o.present
	proven := slices.ContainsFunc(o.groups, func(g isolate.Result) bool { return g.Proven })
	if proven && len(named) == 0 && rules.Stuck(n) {
		why := "while updates carry no noise, two sums that differ by fewer clients than that must not both be opened"
		if rules.Private {
			why = "a smaller sum is never opened"
		}
		halt = fmt.Errorf("%w: an upload of round %d was not made as it should, and %d clients are too few to find out whose: that takes groups of %d, and %s; find the cause with the clients' owners, or let more join, then start the server again", ErrHalted, a.round, n, rules.Group, why)
	}
	return halt, nil
}

// exclusion is the ledger's record of one: the client is blinded, and the evidence, which
// the run's history holds in full, stands in it as a hash.
func (c *Coordinator) exclusion(ticket uint64, e isolate.Exclusion) (ledger.Exclusion, error) {
	cohort, err := ledger.NewCohort(c.books.Secret, c.cfg.Name, int(ticket), []string{e.Client}, 0)
	if err != nil {
		return ledger.Exclusion{}, err
	}
	return ledger.Exclusion{
		Participant: cohort.Root(), Round: int(ticket), Evidence: ledger.Hash(evidence(e)),
		Reason: fmt.Sprintf("in every one of %d groups that key holders certified and whose sums did not open", len(e.Evidence)),
	}, nil
}

// evidence hashes the sets and groups that an exclusion rests on.
func evidence(e isolate.Exclusion) statement.Digest {
	w := statement.New("sotto/exclusion-evidence/v1").String(e.Client).Count(len(e.Evidence))
	for _, v := range e.Evidence {
		w.Uint(v.Round).String(v.Set).Count(len(v.Clients))
		for _, name := range v.Clients {
			w.String(name)
		}
	}
	return w.Hash()
}

// exclude enters a record's exclusions into the ledger, those that it does not have yet.
func (c *Coordinator) exclude(exclusions []ledger.Exclusion) error {
	if c.books == nil || len(exclusions) == 0 {
		return nil
	}
	known := c.books.Ledger.Excluded()
	for _, x := range exclusions {
		if slices.Contains(known, x) {
			continue
		}
		if _, err := c.books.Ledger.Add(time.Now(), &x); err != nil {
			return fmt.Errorf("enter an exclusion in the ledger: %w", err)
		}
	}
	return nil
}

// participants is how many clients a round waits for; c.mu is held.
func (c *Coordinator) participants() int {
	return max(c.cfg.Rounds.MinReports, c.cfg.Rounds.MinClients-len(c.state.Isolation.Excluded))
}
