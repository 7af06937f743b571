package ledger

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/privacy"
)

// Phase is how far a round has come.
type Phase int

// The phases of a round.
const (
	Reserved     Phase = iota + 1 // its cost is set aside
	InCertifying                  // key holders may have signed: spent
	Committed                     // opened
	Voided                        // ended without a release
)

func (p Phase) String() string {
	switch p {
	case Reserved:
		return "reserved"
	case InCertifying:
		return "certified"
	case Committed:
		return "committed"
	case Voided:
		return "void"
	}
	return fmt.Sprintf("phase %d", int(p))
}

// Round is what a ledger says of one round: of its newest attempt, and of its cost.
type Round struct {
	Number  int
	Attempt int
	Voids   int // attempts that were void
	Phase   Phase
	Charged bool
	Held    bool // its reservation is neither charged nor returned

	Reserve   *Reserve
	Certified *Certified
	Commit    *Commit
	Void      *Void
	Closed    *Closed
}

// State is what follows from the records of a ledger.
type State struct {
	Plan     *Plan
	PlanHash Hash // of the plan record's bytes
	Contract privacy.Contract
	Rounds   []*Round // by number
	Balance  Balance
	Metrics  []*Metric
	Releases []*Release
	Excluded []*Exclusion
	Notes    []*Note
	Spread   *Spread // the newest
	Model    Hash    // the newest

	derived privacy.Derived
	filter  filter
	models  map[Hash]bool
	byRound map[int]*Round
	taken   int // survivors over all charged rounds
}

// Open returns the round that is neither committed nor void, or nil. After a crash it must be ended by Commit or Void
// before another is reserved.
func (s *State) Open() *Round {
	if n := len(s.Rounds); n > 0 && s.Rounds[n-1].Phase < Committed {
		return s.Rounds[n-1]
	}
	return nil
}

// Charged returns how many rounds are spent.
func (s *State) Charged() int { return s.Balance.Rounds }

func order(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOrder, fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// check says whether r may follow, and the balance after it, and changes nothing. Signatures are not looked at: see
// signed. bytes are those of the record if it is the first.
func (s *State) check(r Record) (Balance, error) {
	b := s.Balance
	if p, ok := r.(*Plan); ok {
		if s.Plan != nil {
			return b, order("a second plan")
		}
		return b, p.validate()
	}
	if s.Plan == nil {
		return b, order("%s before the plan", r.Kind())
	}
	switch r := r.(type) {
	case *Reserve:
		return s.checkReserve(r)
	case *Certified:
		return s.checkCertified(r)
	case *Commit:
		return s.checkCommit(r)
	case *Void:
		return s.checkVoid(r)
	case *Closed:
		return s.checkClosed(r)
	case *Metric:
		return s.checkMetric(r)
	case *Spread:
		return b, s.checkSpread(r)
	case *Release:
		if !s.models[r.Model] {
			return b, invalid("release of model %v, which no round made", r.Model)
		}
	case *Exclusion, *Note:
	default:
		return b, order("%s does not belong into the ledger of a run", r.Kind())
	}
	return b, nil
}

func (s *State) checkReserve(r *Reserve) (Balance, error) {
	if o := s.Open(); o != nil {
		return s.Balance, order("round %d is %s: commit or void it before round %d is reserved", o.Number, o.Phase, r.Round)
	}
	if r.Plan != s.PlanHash {
		return s.Balance, invalid("round %d is reserved under plan %v, want %v", r.Round, r.Plan, s.PlanHash)
	}
	if r.ModelIn != s.Model {
		return s.Balance, invalid("round %d starts from model %v, want the newest, %v", r.Round, r.ModelIn, s.Model)
	}
	held := false
	if n := len(s.Rounds); n > 0 {
		last := s.Rounds[n-1]
		switch {
		case r.Round < last.Number:
			return s.Balance, order("round %d after round %d", r.Round, last.Number)
		case r.Round == last.Number:
			if last.Phase != Voided || last.Charged || last.Closed != nil {
				return s.Balance, order("round %d is used up: reserve round %d", r.Round, r.Round+1)
			}
			if r.Attempt <= last.Attempt {
				return s.Balance, order("attempt %d at round %d after attempt %d", r.Attempt, r.Round, last.Attempt)
			}
			held = last.Held
		}
	}
	rounds, reserved := s.Balance.Rounds, s.Balance.Reserved
	if !held {
		reserved++
	}
	b := s.balance(rounds, reserved)
	if c := s.Contract; !c.None() && (rounds+reserved > c.Rounds || float64(b.Claim) > c.Epsilon) {
		return s.Balance, &Overspend{Need: float64(b.Claim), Budget: c.Epsilon, Claim: float64(s.Balance.Claim), Rounds: s.left()}
	}
	return b, nil
}

// left is the number of rounds that the budget bears beyond those claimed.
func (s *State) left() int {
	n, c := 0, s.Contract
	claimed := s.Balance.Rounds + s.Balance.Reserved
	for claimed+n < c.Rounds && float64(s.Plan.After(min(claimed+n+1, horizon(c)))) <= c.Epsilon {
		n++
	}
	return n
}

// balance prices a number of charged and of reserved rounds.
func (s *State) balance(rounds, reserved int) Balance {
	b := Balance{Rounds: rounds, Reserved: reserved, Metrics: s.Balance.Metrics}
	h := horizon(s.Contract)
	b.Spent = s.Plan.After(min(rounds, h))
	b.Claim = s.Plan.After(min(rounds+reserved, h))
	if s.Contract.None() {
		b.Left = Epsilon(math.Inf(1))
	} else {
		b.Left = Epsilon(max(0, s.Contract.Epsilon-float64(b.Claim)))
	}
	return b
}

// open returns the round that a record of a round and attempt is about.
func (s *State) open(kind string, round, attempt int) (*Round, error) {
	o := s.Open()
	if o == nil || o.Number != round || o.Attempt != attempt {
		return nil, order("%s of round %d, attempt %d, which is not open", kind, round, attempt)
	}
	return o, nil
}

func (s *State) checkCertified(r *Certified) (Balance, error) {
	o, err := s.open("certified", r.Round, r.Attempt)
	if err != nil {
		return s.Balance, err
	}
	if o.Phase != Reserved {
		return s.Balance, order("round %d is certified already: the set that key holders sign is never exchanged", r.Round)
	}
	if err := s.checkFloor(r.Round, r.Counts, r.Noise); err != nil {
		return s.Balance, err
	}
	return s.balance(s.Balance.Rounds+1, s.Balance.Reserved-1), nil
}

// checkFloor holds counts and noise of a round against the contract.
func (s *State) checkFloor(round int, counts *Counts, stated Noise) error {
	c := s.Contract
	if c.None() {
		return nil
	}
	if (counts == nil) != (c.Lane == privacy.LaneB) {
		return invalid("round %d: counts must be left out in lane B, where participation is secret, and only there", round)
	}
	survived := c.MinCohort
	if counts != nil {
		survived = counts.smallest()
	}
	if survived < c.MinCohort {
		return fmt.Errorf("%w: round %d: %d updates, want at least %d", ErrFloor, round, survived, c.MinCohort)
	}
	if counts != nil && counts.Survived > c.MaxCohort {
		return invalid("round %d: %d updates, the contract allows at most %d", round, counts.Survived, c.MaxCohort)
	}
	want := noises(c, s.derived, survived)
	if !near(Epsilon(stated.Planned), Epsilon(want.Planned)) || !near(Epsilon(stated.Effective), Epsilon(want.Effective)) {
		return invalid("round %d: noise %v planned, %v effective; the contract and %d updates give %v and %v",
			round, stated.Planned, stated.Effective, survived, want.Planned, want.Effective)
	}
	if want.Effective < want.Planned*(1-1e-9) {
		return fmt.Errorf("%w: round %d: noise multiplier %v, want at least %v", ErrFloor, round, want.Effective, want.Planned)
	}
	return nil
}

func (s *State) checkCommit(r *Commit) (Balance, error) {
	o, err := s.open("commit", r.Round, r.Attempt)
	if err != nil {
		return s.Balance, err
	}
	if r.ModelIn != s.Model {
		return s.Balance, invalid("round %d starts from model %v, want the newest, %v", r.Round, r.ModelIn, s.Model)
	}
	if err := s.checkFloor(r.Round, r.Counts, r.Noise); err != nil {
		return s.Balance, err
	}
	if o.Phase == Reserved {
		if s.Plan.Committee != nil {
			return s.Balance, order("commit of round %d, which was not certified", r.Round)
		}
		return s.balance(s.Balance.Rounds+1, s.Balance.Reserved-1), nil
	}
	c := o.Certified
	if r.Set != c.Set || r.Cohort != c.Cohort || !sameCounts(r.Counts, c.Counts) {
		return s.Balance, invalid("commit of round %d is not of the set that was certified", r.Round)
	}
	if k := s.Plan.Committee; k != nil {
		if len(r.Certificate) < k.Threshold {
			return s.Balance, invalid("commit of round %d with %d signatures of key holders, want %d", r.Round, len(r.Certificate), k.Threshold)
		}
		if p := r.Certificate[len(r.Certificate)-1].Point; p > len(k.Members) {
			return s.Balance, invalid("commit of round %d with a signature of point %d of %d", r.Round, p, len(k.Members))
		}
	}
	return s.balance(s.Balance.Rounds, s.Balance.Reserved), nil
}

func sameCounts(a, b *Counts) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func (s *State) checkVoid(r *Void) (Balance, error) {
	o, err := s.open("void", r.Round, r.Attempt)
	if err != nil {
		return s.Balance, err
	}
	if s.Contract.Lane == privacy.LaneB && r.Counts != nil {
		return s.Balance, invalid("round %d: counts must be left out in lane B, where participation is secret", r.Round)
	}
	if charged := o.Phase == InCertifying; r.Charged != charged {
		return s.Balance, invalid("void round %d says charged %v, but it was %s", r.Round, r.Charged, o.Phase)
	}
	rounds, reserved := s.Balance.Rounds, s.Balance.Reserved
	if o.Phase == Reserved && s.Plan.Committee == nil {
		reserved--
	}
	return s.balance(rounds, reserved), nil
}

func (s *State) checkClosed(r *Closed) (Balance, error) {
	k := s.Plan.Committee
	if k == nil {
		return s.Balance, order("closures without a committee")
	}
	o := s.byRound[r.Round]
	if o == nil || o.Phase != Voided || o.Closed != nil {
		return s.Balance, order("closures for round %d, which is not void, or closed already", r.Round)
	}
	if len(r.Closures) < k.Closures() {
		return s.Balance, invalid("%d closures for round %d, want %d: m-t+1+c", len(r.Closures), r.Round, k.Closures())
	}
	if p := r.Closures[len(r.Closures)-1].Point; p > len(k.Members) {
		return s.Balance, invalid("closure of point %d of %d", p, len(k.Members))
	}
	// What was certified stays charged, whatever comes of it: here epsilon spent never goes down.
	reserved := s.Balance.Reserved
	if o.Held {
		reserved--
	}
	return s.balance(s.Balance.Rounds, reserved), nil
}

func (s *State) checkMetric(r *Metric) (Balance, error) {
	m := s.Plan.Metrics
	if m == nil {
		return s.Balance, invalid("metric %q: the plan has no budget for metrics", r.Name)
	}
	e, err := s.filter.with(r.Event.Event, m)
	if err != nil {
		return s.Balance, fmt.Errorf("metric %q: %w", r.Name, err)
	}
	if e > m.Epsilon {
		return s.Balance, &Overspend{Need: e, Budget: m.Epsilon, Claim: float64(s.Balance.Metrics)}
	}
	b := s.Balance
	b.Metrics = Epsilon(e)
	return b, nil
}

func (s *State) checkSpread(r *Spread) error {
	if s.Contract.Lane == privacy.LaneB {
		return invalid("how often clients took part is secret in lane B")
	}
	if s.Open() != nil || len(s.Rounds) == 0 || r.Round != s.Rounds[len(s.Rounds)-1].Number {
		return order("spread up to round %d, which is not the newest finished one", r.Round)
	}
	sum := 0
	for _, t := range r.Counts {
		if limit := s.Contract.MaxParticipations; limit > 0 && t.Rounds > limit {
			return invalid("%d clients took part in %d rounds, the contract allows %d", t.Clients, t.Rounds, limit)
		}
		sum += t.Rounds * t.Clients
	}
	if sum != s.taken {
		return invalid("the bars of a spread add up to %d participations, the charged rounds to %d", sum, s.taken)
	}
	return nil
}

// apply changes the state as r says; r has been checked and b is its balance. hash is that of its bytes.
func (s *State) apply(r Record, b Balance, hash Hash) {
	s.Balance = b
	switch r := r.(type) {
	case *Plan:
		s.Plan, s.PlanHash, s.Model = r, hash, r.Initial
		s.Contract, _ = r.Terms()
		if !s.Contract.None() {
			s.derived, _ = s.Contract.Derive()
		}
		s.models = map[Hash]bool{r.Initial: true}
		s.byRound = map[int]*Round{}
		s.Balance = s.balance(0, 0)
	case *Reserve:
		o := s.byRound[r.Round]
		if o == nil {
			o = &Round{Number: r.Round}
			s.Rounds, s.byRound[r.Round] = append(s.Rounds, o), o
		}
		o.Attempt, o.Phase, o.Held, o.Reserve = r.Attempt, Reserved, true, r
	case *Certified:
		o := s.byRound[r.Round]
		o.Phase, o.Charged, o.Held, o.Certified = InCertifying, true, false, r
		s.take(r.Counts)
	case *Commit:
		o := s.byRound[r.Round]
		if o.Phase == Reserved {
			s.take(r.Counts)
		}
		o.Phase, o.Charged, o.Held, o.Commit = Committed, true, false, r
		s.Model = r.ModelOut
		s.models[r.ModelOut] = true
	case *Void:
		o := s.byRound[r.Round]
		o.Phase, o.Void = Voided, r
		o.Held = !o.Charged && s.Plan.Committee != nil
		o.Voids++
	case *Closed:
		o := s.byRound[r.Round]
		o.Held, o.Closed = false, r
	case *Metric:
		s.Metrics = append(s.Metrics, r)
		s.filter.add(r.Event.Event)
	case *Release:
		s.Releases = append(s.Releases, r)
	case *Exclusion:
		s.Excluded = append(s.Excluded, r)
	case *Spread:
		s.Spread = r
	case *Note:
		s.Notes = append(s.Notes, r)
	}
}

func (s *State) take(c *Counts) {
	if c != nil {
		s.taken += c.Survived
	}
}

// fill sets the fields of r that follow from the ledger, before it is appended.
func (s *State) fill(r Record) {
	noise := func(c *Counts) Noise {
		survived := s.Contract.MinCohort
		if c != nil {
			survived = c.smallest()
		}
		return noises(s.Contract, s.derived, survived)
	}
	if s.Plan == nil {
		return
	}
	switch r := r.(type) {
	case *Reserve:
		r.Plan = s.PlanHash
	case *Certified:
		r.Noise = noise(r.Counts)
	case *Commit:
		r.Noise = noise(r.Counts)
	case *Void:
		if o := s.Open(); o != nil {
			r.Charged = o.Phase == InCertifying
		}
	}
}
