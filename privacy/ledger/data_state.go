package ledger

import (
	"fmt"
	"math"
	"slices"
)

// Participating is what a data holder's ledger says of one run.
type Participating struct {
	Server   string
	Plan     *Plan
	Hash     Hash
	Limit    int // rounds that may be charged
	Earmark  Epsilon
	Finished bool
	Charged  int
	Spent    Epsilon
	Delta    float64

	rounds map[int]uploaded
}

// uploaded is what is remembered of a round.
type uploaded struct {
	phase Phase // Reserved: charged; Voided: taken back for ever
	work  Hash
}

// DataState is what follows from the records of a data holder's ledger.
type DataState struct {
	Set      *DataSet
	Budget   *Rebudget        // the newest; nil while that of Set stands
	Runs     []*Participating // in the order of acceptance
	Balance  Balance          // over all runs: Claim is what is set aside, spent or not
	Pins     []*Pin           // the newest of each ledger
	Alarms   []*Alarm
	Refusals []*Refusal

	Unprotected []*Unprotected // runs that no budget covers

	byPlan map[Hash]*Participating
}

func (s *DataState) origin() string {
	if s.Set == nil {
		return ""
	}
	return originOf(s.Set)
}

// costs is what a run takes from the budget: the rounds set aside, and once it is over those charged.
func (p *Participating) cost() Epsilon {
	if p.Finished {
		return p.Spent
	}
	return p.Earmark
}

// limits is the budget over all runs as it stands.
func (s *DataState) limits() (Epsilon, float64) {
	if s.Budget != nil {
		return s.Budget.Epsilon, s.Budget.Delta
	}
	return s.Set.Epsilon, s.Set.Delta
}

// balance adds runs up, with one of them changed. Epsilons and deltas of runs add: each run's number of rounds is
// fixed when it is accepted, which makes this composition valid whatever the servers do.
func (s *DataState) balance(changed *Participating) Balance {
	var b Balance
	add := func(p *Participating) {
		b.Rounds += p.Charged
		b.Spent += p.Spent
		b.Claim += p.cost()
		if !p.Finished {
			b.Reserved += p.Limit - p.Charged
		}
	}
	found := false
	for _, p := range s.Runs {
		if changed != nil && p.Hash == changed.Hash {
			p, found = changed, true
		}
		add(p)
	}
	if changed != nil && !found {
		add(changed)
	}
	epsilon, _ := s.limits()
	b.Left = left(epsilon, b.Claim)
	return b
}

func left(budget, claim Epsilon) Epsilon {
	if math.IsInf(float64(budget), 1) {
		return budget
	}
	return max(0, budget-claim)
}

// limit returns how many rounds of a plan the rest of the budget bears.
func (s *DataState) limit(p *Plan) int {
	c, err := p.Terms()
	if err != nil {
		return 0
	}
	left := s.balance(nil).Left
	n := 0
	for n < horizon(c) && (p.After(n+1) <= left) {
		n++
	}
	if c.None() && n > 0 { // infinite, and bearable: no number of rounds changes it
		n = 1 << 30
	}
	return n
}

func (s *DataState) fill(r Record) {
	if a, ok := r.(*Accept); ok && s.Set != nil && a.Plan != nil {
		a.Rounds = s.limit(a.Plan)
		a.Earmark = a.Plan.After(min(a.Rounds, a.Plan.last()))
	}
}

// last is the number of rounds of the last milestone.
func (p *Plan) last() int {
	if len(p.Milestones) == 0 {
		return 0
	}
	return p.Milestones[len(p.Milestones)-1].Rounds
}

func (s *DataState) check(r Record) (Balance, error) {
	b := s.Balance
	if _, ok := r.(*DataSet); ok {
		if s.Set != nil {
			return b, order("a second data set")
		}
		return b, r.validate()
	}
	if s.Set == nil {
		return b, order("%s before the data set", r.Kind())
	}
	switch r := r.(type) {
	case *Accept:
		return s.checkAccept(r)
	case *Upload:
		p, err := s.run(r.Plan)
		if err != nil {
			return b, err
		}
		return s.checkUpload(p, r)
	case *Uncharge:
		p, err := s.run(r.Plan)
		if err != nil {
			return b, err
		}
		return s.checkUncharge(p, r)
	case *Finished:
		p, err := s.run(r.Plan)
		if err != nil {
			return b, err
		}
		after := *p
		after.Finished = true
		return s.balance(&after), nil
	case *Rebudget:
		if err := r.validate(); err != nil {
			return b, err
		}
		b.Left = left(r.Epsilon, b.Claim)
		return b, nil
	case *Pin, *Alarm, *Refusal, *Unprotected, *Note:
		return b, nil
	}
	return b, order("%s does not belong into a data holder's ledger", r.Kind())
}

func (s *DataState) run(plan Hash) (*Participating, error) {
	p := s.byPlan[plan]
	if p == nil {
		return nil, order("plan %v was not accepted", plan)
	}
	if p.Finished {
		return nil, order("run %q is finished", p.Plan.Run)
	}
	return p, nil
}

func (s *DataState) checkAccept(r *Accept) (Balance, error) {
	if s.byPlan[r.Hash] != nil {
		return s.Balance, order("plan %v was accepted before", r.Hash)
	}
	if err := r.validate(); err != nil {
		return s.Balance, err
	}
	c, err := r.Plan.Terms()
	if err != nil {
		return s.Balance, err
	}
	delta := c.Delta
	for _, p := range s.Runs {
		delta += p.Delta
	}
	epsilon, most := s.limits()
	if delta > most*(1+Tolerance) && !math.IsInf(float64(epsilon), 1) {
		return s.Balance, fmt.Errorf("%w: delta would be %.3g of %.3g", ErrOverspend, delta, most)
	}
	if n := s.limit(r.Plan); n < 1 || r.Rounds != n {
		if n < 1 {
			return s.Balance, &Overspend{Need: float64(s.Balance.Claim + r.Plan.After(1)), Budget: float64(epsilon), Claim: float64(s.Balance.Claim)}
		}
		return s.Balance, invalid("%d rounds of run %q, the budget bears %d", r.Rounds, r.Plan.Run, n)
	}
	if want := r.Plan.After(min(r.Rounds, r.Plan.last())); !near(r.Earmark, want) {
		return s.Balance, invalid("earmark %v for %d rounds, want %v", r.Earmark, r.Rounds, want)
	}
	return s.balance(s.accepted(r)), nil
}

func (s *DataState) accepted(r *Accept) *Participating {
	c, _ := r.Plan.Terms()
	return &Participating{Server: r.Server, Plan: r.Plan, Hash: r.Hash, Limit: r.Rounds, Earmark: r.Earmark, Delta: c.Delta, rounds: map[int]uploaded{}}
}

// charged is p with so many more rounds.
func (p *Participating) charged(more int) *Participating {
	q := *p
	q.Charged += more
	q.Spent = p.Plan.After(min(q.Charged, p.Plan.last()))
	return &q
}

func (s *DataState) checkUpload(p *Participating, r *Upload) (Balance, error) {
	switch was := p.rounds[r.Round]; was.phase {
	case Reserved:
		if r.Work != was.work {
			return s.Balance, invalid("attempt %d at round %d of run %q is for other work than the attempt before: the same noise must not cover two updates", r.Attempt, r.Round, p.Plan.Run)
		}
		return s.Balance, nil
	case Voided:
		return s.Balance, order("round %d of run %q is closed: its charge was taken back for ever", r.Round, p.Plan.Run)
	}
	after := s.balance(p.charged(1))
	epsilon, _ := s.limits()
	// A budget that was lowered below what is set aside stops uploads when it is spent.
	if p.Charged+1 > p.Limit || after.Spent > epsilon {
		return s.Balance, &Overspend{
			Need: float64(s.Balance.Claim - p.cost() + p.charged(1).Spent), Budget: float64(epsilon), Claim: float64(s.Balance.Claim),
		}
	}
	return after, nil
}

func (s *DataState) checkUncharge(p *Participating, r *Uncharge) (Balance, error) {
	if p.rounds[r.Round].phase != Reserved {
		return s.Balance, order("round %d of run %q is not charged", r.Round, p.Plan.Run)
	}
	k := p.Plan.Committee
	if k == nil {
		return s.Balance, invalid("run %q has no key holders, whose word alone takes a charge back", p.Plan.Run)
	}
	if n := len(r.Closures); n > 0 && n < k.Closures() {
		return s.Balance, invalid("%d closures, want %d: m-t+1+c", n, k.Closures())
	}
	if n := len(r.Certificate); n > 0 && n < k.Threshold {
		return s.Balance, invalid("%d signatures on the set, want %d", n, k.Threshold)
	}
	return s.balance(p.charged(-1)), nil
}

func (s *DataState) signed(r Record) func() error {
	switch r := r.(type) {
	case *Uncharge:
		p := s.byPlan[r.Plan]
		if p == nil || p.Plan.Committee == nil {
			return nil
		}
		k, run := p.Plan.Committee, p.Plan.Run
		return func() error {
			if len(r.Closures) > 0 {
				return k.verify(r.Closures, ClosureStatement(k.Record, run, r.Round))
			}
			return k.verify(r.Certificate, CertificateStatement(k.Record, run, r.Round, r.Set))
		}
	case *Pin:
		return func() error { _, _, err := OpenCheckpoint([]byte(r.Checkpoint), r.Server); return err }
	case *Alarm:
		return func() error {
			for _, c := range []string{r.Seen, r.Shown} {
				if _, _, err := OpenCheckpoint([]byte(c), r.Server); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return nil
}

func (s *DataState) apply(r Record, b Balance, _ Hash) {
	s.Balance = b
	switch r := r.(type) {
	case *DataSet:
		s.Set, s.byPlan = r, map[Hash]*Participating{}
		s.Balance = s.balance(nil)
	case *Accept:
		p := s.accepted(r)
		s.Runs, s.byPlan[r.Hash] = append(s.Runs, p), p
	case *Upload:
		p := s.byPlan[r.Plan]
		if p.rounds[r.Round].phase == 0 {
			*p = *p.charged(1)
			p.rounds[r.Round] = uploaded{Reserved, r.Work}
		}
	case *Uncharge:
		p := s.byPlan[r.Plan]
		*p = *p.charged(-1)
		p.rounds[r.Round] = uploaded{phase: Voided}
	case *Finished:
		s.byPlan[r.Plan].Finished = true
	case *Pin:
		origin := pinOrigin(r)
		s.Pins = slices.DeleteFunc(s.Pins, func(p *Pin) bool { return p.Server == r.Server && pinOrigin(p) == origin })
		s.Pins = append(s.Pins, r)
	case *Alarm:
		s.Alarms = append(s.Alarms, r)
	case *Refusal:
		s.Refusals = append(s.Refusals, r)
	case *Rebudget:
		s.Budget = r
	case *Unprotected:
		s.Unprotected = append(s.Unprotected, r)
	}
}

func pinOrigin(p *Pin) string {
	origin, _, _ := parseCheckpointText(noteText([]byte(p.Checkpoint)))
	return origin
}

var _ machine = (*DataState)(nil)
