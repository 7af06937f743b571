package ledger

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Data is a data holder's own ledger: what all runs of all servers have cost one data set. It is safe for
// concurrent use.
type Data struct {
	w      writer
	state  *DataState
	prices *Prices
}

// Prices remembers of which plans the epsilons were computed again, so that many data holders in one process do it once
// for each. It is safe for concurrent use.
type Prices struct {
	mu    sync.Mutex
	known map[Hash]error
}

// check recomputes a plan's epsilons, unless that was done before. Nil remembers nothing.
func (c *Prices) check(h Hash, p *Plan) error {
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err, ok := c.known[h]; ok {
			return err
		}
	}
	var err error
	if d := p.recompute(func(_ frame, what, got, want string) *Difference {
		return &Difference{Kind: "plan", What: what, Got: got, Want: want}
	}, frame{}); d != nil {
		err = d
	}
	if c != nil {
		if c.known == nil {
			c.known = map[Hash]error{}
		}
		c.known[h] = err
	}
	return err
}

// Share has the data holder use prices that others computed.
func (d *Data) Share(p *Prices) { d.prices = p }

// CreateData starts a ledger for a data set with a budget over all runs.
func CreateData(storage Storage, private string, now time.Time, set DataSet) (*Data, error) {
	b, err := storage.Read()
	if err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("create ledger: %w: the storage holds one already", ErrOrder)
	}
	s, err := newSigner(private)
	if err != nil {
		return nil, err
	}
	set.Version = dataVersion
	d := &Data{state: &DataState{}}
	d.w = writer{storage: storage, signer: s, machine: d.state}
	if _, err := d.w.append(now, &set); err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	return d, nil
}

// OpenData continues the ledger in storage after checking all of it.
func OpenData(storage Storage, private, public string) (*Data, error) {
	s, err := newSigner(private)
	if err != nil {
		return nil, err
	}
	v, err := newVerifier(public)
	if err != nil {
		return nil, err
	}
	b, err := storage.Read()
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	d := &Data{state: &DataState{}}
	c := checker{verifier: v, machine: d.state}
	if diff := c.run(b); diff != nil {
		return nil, fmt.Errorf("open ledger: %w", diff)
	}
	d.w = c.writer(storage, s)
	return d, nil
}

// VerifiedData is a data holder's ledger that is what it should be.
type VerifiedData struct {
	DataState
	Records []Stamped
	Head    Head
}

// VerifyData is Verify for a data holder's ledger.
func VerifyData(b []byte, public string, options ...Option) (*VerifiedData, error) {
	v, err := newVerifier(public)
	if err != nil {
		return nil, err
	}
	out := &VerifiedData{}
	c := checker{verifier: v, machine: &out.DataState, prices: true}
	for _, o := range options {
		o(&c)
	}
	if d := c.run(b); d != nil {
		return nil, d
	}
	if out.Set == nil {
		return nil, &Difference{Index: -1, What: "the data set", Got: "an empty ledger", Want: "a data set as the first record"}
	}
	out.Records, out.Head = c.read, c.heads[len(c.heads)-1]
	return out, nil
}

// Accept takes part in the run whose ledger starts with the plan record that p proves. It computes the plan's epsilons
// again, which takes as long as Complete, and sets aside as many rounds as the budget bears, at least one: their
// number is returned. It returns an *Overspend if there is none.
func (d *Data) Accept(now time.Time, server string, p Inclusion) (rounds int, err error) {
	server = strings.TrimSpace(server)
	s, _, err := p.Check(server)
	if err != nil {
		return 0, err
	}
	plan, ok := s.Record.(*Plan)
	if !ok || s.Index != 0 {
		return 0, fmt.Errorf("%w: record %d is a %s, want the plan", ErrProof, s.Index, s.Record.Kind())
	}
	hash := recordHash([]byte(p.Record))
	if err := d.prices.check(hash, plan); err != nil {
		return 0, err
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if _, err := d.w.append(now, &Accept{Server: server, Plan: plan, Hash: hash}); err != nil {
		return 0, err
	}
	return d.state.Runs[len(d.state.Runs)-1].Limit, nil
}

// Charge must return before an upload leaves. It returns an *Overspend when the budget does not bear it.
func (d *Data) Charge(now time.Time, u Upload) error { return d.add(now, &u) }

// Closed takes a charge back on m-t+1+c closures.
func (d *Data) Closed(now time.Time, plan Hash, round int, closures []Signed) error {
	return d.add(now, &Uncharge{Plan: plan, Round: round, Closures: closures})
}

// Omitted takes a charge back on a certificate for a set that this client is not in. That the set omits it is for the
// caller to find out, who knows what the set's hash is made of; the signatures are checked here.
func (d *Data) Omitted(now time.Time, plan Hash, round int, set Hash, certificate []Signed) error {
	return d.add(now, &Uncharge{Plan: plan, Round: round, Set: set, Certificate: certificate})
}

// Finish frees what a run did not charge.
func (d *Data) Finish(now time.Time, plan Hash) error { return d.add(now, &Finished{Plan: plan}) }

// Refuse notes why this client did not train.
func (d *Data) Refuse(now time.Time, run string, round int, reason string) error {
	return d.add(now, &Refusal{Run: run, Round: round, Reason: reason})
}

func (d *Data) add(now time.Time, r Record) error {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	_, err := d.w.append(now, r)
	return err
}

// Pin checks that a server's checkpoint continues the one seen before and remembers it. consistency is the server's proof
// from the size of the head seen before, see Seen; it may be nil the first time. ErrRollback and ErrSplitView leave
// an Alarm with both checkpoints, the evidence, and the older one stays pinned.
func (d *Data) Pin(now time.Time, server string, checkpoint []byte, consistency []Hash) error {
	server = strings.TrimSpace(server)
	origin, shown, err := OpenCheckpoint(checkpoint, server)
	if err != nil {
		return err
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	p, seen := d.state.pin(server, origin)
	if p != nil {
		if shown == seen {
			return nil
		}
		var bad error
		switch {
		case shown.Size < seen.Size:
			bad = fmt.Errorf("%w: %d records, %d were seen", ErrRollback, shown.Size, seen.Size)
		case shown.Size == seen.Size:
			bad = fmt.Errorf("%w: two roots of %d records", ErrSplitView, seen.Size)
		case len(consistency) > 128 || tlog.CheckTree(proof(consistency), shown.Size, tlog.Hash(shown.Root), seen.Size, tlog.Hash(seen.Root)) != nil:
			bad = fmt.Errorf("%w: no proof that its %d records continue the %d seen before", ErrSplitView, shown.Size, seen.Size)
		}
		if bad != nil {
			a := &Alarm{Server: server, Seen: p.Checkpoint, Shown: string(checkpoint), Reason: bad.Error()}
			if n := len(d.state.Alarms); n > 0 && *d.state.Alarms[n-1] == *a {
				return bad
			}
			if _, err := d.w.append(now, a); err != nil {
				return fmt.Errorf("%w; the evidence could not be kept: %w", bad, err)
			}
			return bad
		}
	}
	_, err = d.w.append(now, &Pin{Server: server, Checkpoint: string(checkpoint)})
	return err
}

func (s *DataState) pin(server, origin string) (*Pin, Head) {
	for _, p := range s.Pins {
		if p.Server == server && pinOrigin(p) == origin {
			_, h, _ := parseCheckpointText(noteText([]byte(p.Checkpoint)))
			return p, h
		}
	}
	return nil, Head{}
}

// Seen returns the head that is pinned for a run; its size is 0 if there is none.
func (d *Data) Seen(server, run string) Head {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	_, h := d.state.pin(strings.TrimSpace(server), RunOrigin(run))
	return h
}

// Balance returns the state of the budget over all runs.
func (d *Data) Balance() Balance {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	return d.state.Balance
}

// Set returns what the ledger is about, with its budget as it is now.
func (d *Data) Set() DataSet {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	set := *d.state.Set
	set.Epsilon, set.Delta = d.state.limits()
	return set
}

// Rebudget changes what may be spent in all. What is spent stays spent; uploads that would be over a lower budget are
// refused from here on.
func (d *Data) Rebudget(now time.Time, epsilon Epsilon, delta float64) error {
	return d.add(now, &Rebudget{Epsilon: epsilon, Delta: delta})
}

// Unprotected notes that the data was used in a run that promises no privacy.
func (d *Data) Unprotected(now time.Time, run string) error {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	for _, u := range d.state.Unprotected {
		if u.Run == run {
			return nil
		}
	}
	_, err := d.w.append(now, &Unprotected{Run: run})
	return err
}

// Bears returns an *Overspend if the budget does not bear an upload in a round, and ErrOrder if the round's charge was
// taken back: what Charge would refuse, before any work is done.
func (d *Data) Bears(plan Hash, round int) error {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	p, err := d.state.run(plan)
	if err != nil {
		return err
	}
	_, err = d.state.checkUpload(p, &Upload{Plan: plan, Round: round, Attempt: 1, Work: p.rounds[round].work})
	return err
}

// Snapshot returns what follows from the ledger now, and how many records it has. It is read-only and holds until the
// ledger is written again.
func (d *Data) Snapshot() (s DataState, records int64) {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	return *d.state, d.w.tree.size
}

// Runs returns what each run has cost, in the order of acceptance.
func (d *Data) Runs() []Participating {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	var out []Participating
	for _, p := range d.state.Runs {
		q := *p
		q.rounds = nil // the map is the ledger's own
		out = append(out, q)
	}
	return out
}

// Reserves returns ErrProof unless p shows that the run's ledger holds the reservation of a round and attempt, under the
// head that the round's announcement names. A client asks for it before it trains.
func (p Inclusion) Reserves(server string, announced Head, plan Hash, round, attempt int) error {
	s, h, err := p.Check(server)
	if err != nil {
		return err
	}
	r, ok := s.Record.(*Reserve)
	if !ok || r.Round != round || r.Attempt != attempt || r.Plan != plan || h != announced {
		return fmt.Errorf("%w: it is not that of the reservation of round %d, attempt %d, under the announced ledger", ErrProof, round, attempt)
	}
	return nil
}
