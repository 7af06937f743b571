package round

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the effects in testdata; commit them only if you understand what changed them")

// TestScripts plays every testdata/*.txt. A script opens one round and feeds it
// events at times relative to its opening; the lines that start with "->" are the
// effects of the event above them, and the last line says where the round ended:
//
//	# comment
//	round cohort=ann,bob,cy goal=3 min=2 deadline=60s grace=10s
//	1s  offer ann A        (the bytes of the report are named A)
//	    -> accept ann
//	2s  tick | absent ann | present ann | refused ann the reason
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(want))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		})
	}
}

var opened = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// play returns the script with the effects that the machine really has.
func play(script string) (string, error) {
	var out bytes.Buffer
	var m *Machine
	for i, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			fmt.Fprintln(&out, line)
			continue
		case words[0] == "->" || words[0] == "=>":
			continue
		}
		fmt.Fprintln(&out, line)
		if words[0] == "round" {
			c, err := parseConfig(words[1:])
			if err != nil {
				return "", fmt.Errorf("line %d: %w", i+1, err)
			}
			if m, err = New(c); err != nil {
				return "", fmt.Errorf("line %d: %w", i+1, err)
			}
			continue
		}
		at, e, err := parseEvent(words)
		if err != nil || m == nil {
			return "", fmt.Errorf("line %d: %q: want a round first, then TIME EVENT: %v", i+1, line, err)
		}
		for _, f := range m.Step(opened.Add(at), e) {
			fmt.Fprintf(&out, "    -> %s\n", show(f))
		}
	}
	a, r, d := m.Counts()
	fmt.Fprintf(&out, "=> %s accepted=%d rejected=%d discarded=%d\n", m.Phase(), a, r, d)
	return out.String(), nil
}

func parseConfig(words []string) (Config, error) {
	c := Config{Round: 1, Attempt: 1, Opened: opened}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "cohort":
			c.Cohort = strings.Split(value, ",")
		case "goal":
			c.Goal, err = strconv.Atoi(value)
		case "min":
			c.Min, err = strconv.Atoi(value)
		case "deadline":
			c.Deadline, err = time.ParseDuration(value)
		case "grace":
			c.Grace, err = time.ParseDuration(value)
		case "patience":
			c.Patience = map[string]time.Duration{}
			for _, one := range strings.Split(value, ",") {
				name, d, _ := strings.Cut(one, ":")
				if c.Patience[name], err = time.ParseDuration(d); err != nil {
					break
				}
			}
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

func parseEvent(words []string) (time.Duration, Event, error) {
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return 0, nil, err
	}
	words = append(words[1:], "", "", "")
	client, rest := words[1], strings.TrimSpace(strings.Join(words[2:], " "))
	switch words[0] {
	case "offer":
		return at, Offer{Client: client, Digest: sha256.Sum256([]byte(rest))}, nil
	case "absent":
		return at, Absent{Client: client}, nil
	case "present":
		return at, Present{Client: client}, nil
	case "refused":
		e := Refused{Client: client}
		if rest != "" {
			e.Reason = errors.New(rest)
		}
		return at, e, nil
	case "tick":
		return at, Tick{}, nil
	}
	return 0, nil, fmt.Errorf("unknown event %q", words[0])
}

func show(f Effect) string {
	switch f := f.(type) {
	case Accept:
		return "accept " + f.Client
	case Repeat:
		return "repeat " + f.Client
	case Reject:
		return "reject " + f.Client + ": " + f.Reason.Error()
	case WakeAt:
		return "wake at " + f.Time.Sub(opened).String()
	case Close:
		return "close " + strings.Join(f.Set, " ")
	case Void:
		return "void: " + f.Reason.Error()
	}
	return fmt.Sprintf("%T", f)
}
