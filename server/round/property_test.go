package round

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type timed struct {
	at time.Duration // after opening
	e  Event
}

func drawConfig(t *rapid.T) Config {
	n := rapid.IntRange(1, 6).Draw(t, "cohort")
	c := Config{
		Round: 1, Attempt: 1, Opened: opened,
		Deadline: time.Duration(rapid.IntRange(1, 40).Draw(t, "deadline")),
		Grace:    time.Duration(rapid.IntRange(0, 50).Draw(t, "grace")),
	}
	for i := range n {
		name := fmt.Sprintf("c%d", n-i)
		c.Cohort = append(c.Cohort, name)
		if p := rapid.IntRange(0, 40).Draw(t, "patience"); p > 0 {
			if c.Patience == nil {
				c.Patience = map[string]time.Duration{}
			}
			c.Patience[name] = time.Duration(p)
		}
	}
	c.Min = rapid.IntRange(1, n).Draw(t, "min")
	c.Goal = rapid.IntRange(c.Min, n+2).Draw(t, "goal")
	return c
}

// drawEvents mixes all kinds of events, from clients inside the cohort and out.
// Time stands still often, so that events meet timers to the nanosecond.
func drawEvents(t *rapid.T, backwards bool) []timed {
	least := 0
	if backwards {
		least = -15
	}
	var events []timed
	at := time.Duration(0)
	for range rapid.IntRange(0, 40).Draw(t, "events") {
		at += time.Duration(rapid.SampledFrom([]int{least, 0, 0, 0, 1, 1, 2, 5, 13}).Draw(t, "step"))
		client := fmt.Sprintf("c%d", rapid.IntRange(1, 8).Draw(t, "client"))
		digest := [32]byte{byte(rapid.IntRange(0, 1).Draw(t, "digest"))}
		e := rapid.SampledFrom([]Event{
			Offer{client, digest}, Offer{client, digest}, Absent{client}, Absent{client},
			Present{client}, Refused{Client: client}, Tick{},
		}).Draw(t, "event")
		events = append(events, timed{at, e})
	}
	return events
}

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		deadline := c.Opened.Add(c.Deadline)
		accepted := map[string][32]byte{}
		ended, set := false, []string(nil)
		replies, asked := 0, 0
		for _, ev := range drawEvents(t, true) {
			now := opened.Add(ev.at)
			if _, ok := ev.e.(Offer); ok {
				asked++
			}
			if _, ok := ev.e.(Refused); ok {
				asked++
			}
			for _, f := range m.Step(now, ev.e) {
				switch f := f.(type) {
				case Accept:
					replies++
					if _, again := accepted[f.Client]; again || ended || !slices.Contains(c.Cohort, f.Client) || !now.Before(deadline) {
						t.Fatalf("accepted %s wrongly (again %v, ended %v) at %s", f.Client, again, ended, ev.at)
					}
					accepted[f.Client] = f.Digest
				case Repeat:
					replies++
					if d, ok := accepted[f.Client]; !ok || d != ev.e.(Offer).Digest {
						t.Fatalf("repeat for %s, which had not sent that", f.Client)
					}
				case Reject:
					replies++
					if f.Reason == nil {
						t.Fatal("a rejection without a reason")
					}
				case WakeAt:
					if ended || f.Time.After(deadline) {
						t.Fatalf("wake at %s, deadline %s, ended %v", f.Time, deadline, ended)
					}
				case Close:
					if ended || len(f.Set) < c.Min || !slices.IsSorted(f.Set) {
						t.Fatalf("closed with %v, min %d, ended before %v", f.Set, c.Min, ended)
					}
					ended, set = true, f.Set
				case Void:
					if ended || len(accepted) >= c.Min || !errors.Is(f.Reason, ErrTooFew) {
						t.Fatalf("void (%v) with %d of %d reports, ended before %v", f.Reason, len(accepted), c.Min, ended)
					}
					ended = true
				}
			}
			if ended != (m.Phase() != PhaseCollect) {
				t.Fatalf("phase %s, ended %v", m.Phase(), ended)
			}
			if !ended && !now.Before(deadline) {
				t.Fatalf("still collecting at %s", ev.at)
			}
			if !ended && len(accepted) >= min(c.Goal, len(c.Cohort)) {
				t.Fatalf("still collecting with %d reports", len(accepted))
			}
			if replies != asked {
				t.Fatalf("%d replies to %d reports", replies, asked)
			}
		}
		if m.Phase() == PhaseClosed {
			for _, name := range set {
				delete(accepted, name)
			}
			if len(accepted) != 0 {
				t.Fatalf("accepted but not in the set %v: %v", set, accepted)
			}
		}
	})
}

// A driver that only ever obeys WakeAt ends the round, in few steps.
func TestWakeUpsEndTheRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		wake := opened
		note := func(effects []Effect) {
			for _, f := range effects {
				if w, ok := f.(WakeAt); ok {
					wake = w.Time
				}
			}
		}
		for _, ev := range drawEvents(t, false) {
			note(m.Step(opened.Add(ev.at), ev.e))
		}
		for range 2 {
			if m.Phase() == PhaseCollect {
				note(m.Step(wake, Tick{}))
			}
		}
		if m.Phase() == PhaseCollect {
			t.Fatal("still collecting after two wake-ups")
		}
	})
}

// More ticks make effects come sooner and change nothing else: not one answer,
// not the set.
func TestTicksDecideNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		few := drawEvents(t, false)
		few = append(few, timed{200, Tick{}})
		var many []timed
		at := time.Duration(0)
		for _, ev := range few {
			for ; at < ev.at; at++ {
				many = append(many, timed{at, Tick{}})
			}
			many = append(many, ev)
		}
		if d := cmp.Diff(answers(t, c, few), answers(t, c, many)); d != "" {
			t.Fatalf("ticks changed the outcome (-few +many):\n%s", d)
		}
	})
}

// answers lists what reporters are told, in order, and how the round ended.
func answers(t *rapid.T, c Config, events []timed) []string {
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	end := ""
	for _, ev := range events {
		for _, f := range m.Step(opened.Add(ev.at), ev.e) {
			switch f.(type) {
			case Accept, Repeat, Reject:
				told = append(told, show(f))
			case Close, Void:
				end = show(f)
			}
		}
	}
	a, r, d := m.Counts()
	return append(told, end, fmt.Sprint(a, r, d))
}
