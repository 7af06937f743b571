package round

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	good := Config{Round: 1, Attempt: 1, Cohort: []string{"ann", "bob", "cy"}, Goal: 3, Min: 2, Opened: opened, Deadline: time.Minute}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"round 0":             {func(c *Config) { c.Round = 0 }, "round: got 0"},
		"attempt 0":           {func(c *Config) { c.Attempt = 0 }, "attempt: got 0"},
		"no cohort":           {func(c *Config) { c.Cohort = nil }, "min: got 2"},
		"cohort below min":    {func(c *Config) { c.Cohort = c.Cohort[:1] }, "min: got 2, want between 1 and the cohort's 1"},
		"min 0":               {func(c *Config) { c.Min = 0 }, "min: got 0"},
		"goal below min":      {func(c *Config) { c.Goal = 1 }, "goal: got 1, want at least min (2)"},
		"no deadline":         {func(c *Config) { c.Deadline = 0 }, "deadline: got 0s"},
		"negative grace":      {func(c *Config) { c.Grace = -1 }, "grace: got -1ns"},
		"client without name": {func(c *Config) { c.Cohort = []string{"ann", ""} }, "no name"},
		"client named twice":  {func(c *Config) { c.Cohort = []string{"ann", "bob", "ann"} }, `"ann" is named twice`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			if m, err := New(bad); err == nil || m != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v, want an error with %q", m, err, c.want)
			}
		})
	}
}

// The machine keeps no slice of its caller's and gives away none of its own.
func TestOwnership(t *testing.T) {
	cohort := []string{"ann", "bob"}
	m, err := New(Config{Round: 1, Attempt: 1, Cohort: cohort, Goal: 2, Min: 2, Opened: opened, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	cohort[0] = "mallory"
	if _, ok := m.Step(opened, Offer{Client: "ann"})[0].(Accept); !ok {
		t.Fatal("changing the caller's cohort changed the round's")
	}
}

// Refused hands its own reason back, so that a caller's sentinel survives.
func TestRefusedKeepsItsReason(t *testing.T) {
	m, err := New(Config{Round: 1, Attempt: 1, Cohort: []string{"ann"}, Goal: 1, Min: 1, Opened: opened, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("truncated")
	if r, ok := m.Step(opened, Refused{Client: "ann", Reason: reason})[0].(Reject); !ok || !errors.Is(r.Reason, reason) {
		t.Fatalf("got %v, want %v", r, reason)
	}
}
