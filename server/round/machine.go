package round

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config is one attempt at one round.
type Config struct {
	Round   int // at least 1
	Attempt int // at least 1; a later attempt at the same round has a greater one

	// Cohort names the clients that were asked, in any order, each once.
	Cohort []string

	// Goal is the number of reports that closes the round at once, at least Min.
	// It may exceed the cohort: the round then waits for everyone.
	Goal int

	// Min is k_min: with fewer reports the round is void. At least 1, at most the
	// size of the cohort.
	Min int

	// Opened is when the cohort was asked. The round ends at Opened + Deadline at
	// the latest; Deadline is positive.
	Opened   time.Time
	Deadline time.Duration

	// Grace is how long an absent client is waited for. 0 does not wait.
	Grace time.Duration

	// Patience is how long after Opened each client is waited for; for those it does not name,
	// until the deadline. A report that comes later counts while others are waited for, and
	// patience has no end while there are fewer than Min reports: a void round costs more.
	Patience map[string]time.Duration
}

func (c Config) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Round < 1 {
		bad("round: got %d, want at least 1", c.Round)
	}
	if c.Attempt < 1 {
		bad("attempt: got %d, want at least 1", c.Attempt)
	}
	if c.Min < 1 || c.Min > len(c.Cohort) {
		bad("min: got %d, want between 1 and the cohort's %d clients", c.Min, len(c.Cohort))
	}
	if c.Goal < c.Min {
		bad("goal: got %d, want at least min (%d)", c.Goal, c.Min)
	}
	if c.Deadline <= 0 {
		bad("deadline: got %s, want more than 0", c.Deadline)
	}
	for name, p := range c.Patience {
		if p <= 0 {
			bad("patience: got %s for %s, want more than 0", p, name)
		}
	}
	if c.Grace < 0 {
		bad("grace: got %s, want 0 or more", c.Grace)
	}
	return errors.Join(problems...)
}

// Phase is where an attempt stands. Phases are only ever entered in ascending
// order.
type Phase int

const (
	PhaseCollect Phase = iota // takes reports
	PhaseClosed               // ended with a set
	PhaseVoid                 // ended with nothing
)

func (p Phase) String() string {
	switch p {
	case PhaseCollect:
		return "collect"
	case PhaseClosed:
		return "closed"
	case PhaseVoid:
		return "void"
	}
	return fmt.Sprintf("Phase(%d)", int(p))
}

// Machine is one attempt at one round. It is not safe for concurrent use.
type Machine struct {
	goal, min int
	deadline  time.Time
	grace     time.Duration

	phase   Phase
	now     time.Time // latest time seen: it never runs backwards
	wake    time.Time // last WakeAt, zero before the first
	clients map[string]*client

	accepted, rejected, discarded int
}

// client is what the machine knows of one member of the cohort.
type client struct {
	reported bool
	digest   [32]byte // of the accepted report
	absent   bool
	since    time.Time // of the absence
	until    time.Time // it is waited for so long
}

// New opens an attempt in PhaseCollect. It keeps no reference to c.Cohort. The
// first Step, of any event, asks for the first wake-up.
func New(c Config) (*Machine, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	m := &Machine{
		goal: c.Goal, min: c.Min, grace: c.Grace,
		deadline: c.Opened.Add(c.Deadline), now: c.Opened,
		clients: make(map[string]*client, len(c.Cohort)),
	}
	for _, name := range c.Cohort {
		if name == "" {
			return nil, errors.New("cohort: a client has no name")
		}
		if m.clients[name] != nil {
			return nil, fmt.Errorf("cohort: client %q is named twice", name)
		}
		m.clients[name] = &client{until: m.deadline}
		if p, ok := c.Patience[name]; ok && p < c.Deadline {
			m.clients[name].until = c.Opened.Add(p)
		}
	}
	return m, nil
}

// Phase says where the attempt stands.
func (m *Machine) Phase() Phase { return m.phase }

// Counts says how many reports were accepted, rejected (malformed, from outside
// the cohort, or contradicting an accepted one) and discarded (valid, but late or
// surplus) so far. A report that is sent again after a rejection counts again.
func (m *Machine) Counts() (accepted, rejected, discarded int) {
	return m.accepted, m.rejected, m.discarded
}

// Step takes one event that happened at now and returns what to do about it, in
// order. Every Offer and Refused gets exactly one Accept, Repeat or Reject.
//
// A now before that of an earlier Step, or before Config.Opened, counts as the
// latest time seen. Timers that have run out by now are settled before e is
// looked at: a report that arrives at the deadline is late.
func (m *Machine) Step(now time.Time, e Event) []Effect {
	if now.After(m.now) {
		m.now = now
	}
	effects := m.settle(nil)
	tick := false
	switch e := e.(type) {
	case Offer:
		effects = append(effects, m.offer(e))
	case Refused:
		effects = append(effects, m.refused(e))
	case Absent:
		// A second Absent does not start the grace time again.
		if c := m.clients[e.Client]; c != nil && !c.absent {
			c.absent, c.since = true, m.now
		}
	case Present:
		if c := m.clients[e.Client]; c != nil {
			c.absent = false
		}
	case Tick:
		tick = true
	}
	effects = m.settle(effects)
	if m.phase != PhaseCollect {
		return effects
	}
	// A Tick is always answered, so that a driver whose timer fired early is
	// not left without one.
	if next := m.next(); tick || !next.Equal(m.wake) {
		m.wake = next
		effects = append(effects, WakeAt{Time: next})
	}
	return effects
}

func (m *Machine) offer(e Offer) Effect {
	c := m.clients[e.Client]
	switch {
	case c == nil:
		m.rejected++
		return Reject{Client: e.Client, Reason: ErrNotSelected}
	case c.reported && c.digest == e.Digest:
		return Repeat{Client: e.Client}
	case c.reported:
		m.rejected++
		return Reject{Client: e.Client, Reason: ErrDuplicate}
	case m.phase != PhaseCollect:
		m.discarded++
		return Reject{Client: e.Client, Reason: ErrClosed}
	}
	c.reported, c.digest = true, e.Digest
	m.accepted++
	return Accept(e)
}

func (m *Machine) refused(e Refused) Effect {
	m.rejected++
	reason := e.Reason
	if reason == nil {
		reason = ErrMalformed
	}
	if m.clients[e.Client] == nil {
		reason = ErrNotSelected
	}
	return Reject{Client: e.Client, Reason: reason}
}

// settle ends the collection if there is nothing left to wait for.
func (m *Machine) settle(effects []Effect) []Effect {
	if m.phase != PhaseCollect {
		return effects
	}
	if m.accepted < m.goal && m.now.Before(m.next()) {
		return effects
	}
	if m.accepted < m.min {
		m.phase = PhaseVoid
		return append(effects, Void{Reason: fmt.Errorf("%w: %d of %d clients reported, want at least %d", ErrTooFew, m.accepted, len(m.clients), m.min)})
	}
	m.phase = PhaseClosed
	set := make([]string, 0, m.accepted)
	for name, c := range m.clients {
		if c.reported {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	return append(effects, Close{Set: set})
}

// next is the time at which the collection ends if nothing more happens: the
// deadline, or earlier when everyone still missing is absent, or out of patience.
func (m *Machine) next() time.Time {
	end := m.now
	for _, c := range m.clients {
		if c.reported {
			continue
		}
		t := c.until
		if m.accepted < m.min {
			t = m.deadline
		}
		if lost := c.since.Add(m.grace); c.absent && lost.Before(t) {
			t = lost
		}
		if t.After(end) {
			end = t
		}
	}
	if end.After(m.deadline) {
		return m.deadline
	}
	return end
}
