package config

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
)

func TestReportAndExit(t *testing.T) {
	disk := errors.New("write model.bin: no space left on device")
	for name, c := range map[string]struct {
		err  error
		want string
		exit int
	}{
		"none":    {nil, "", 0},
		"help":    {flag.ErrHelp, "", 0},
		"failure": {disk, "server: error: write model.bin: no space left on device\n", 1},
		"usage":   {Usagef("-x: got %d", 3), "server: error: -x: got 3\n", 2},
		"hint":    {fmt.Errorf("round 3: %w", WithHint(disk, "free some space and start again")), "server: error: round 3: write model.bin: no space left on device\nserver: hint: free some space and start again\n", 1},
		"usage with a hint": {WithHint(Usagef("no command"), "try server serve"),
			"server: error: no command\nserver: hint: try server serve\n", 2},
		"several": {&UsageError{errors.Join(errors.New("a: 1"), errors.New("b: 2"))}, "server: error: a: 1\nserver: error: b: 2\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			Report(&b, "server", c.err)
			if b.String() != c.want || Exit(c.err) != c.exit {
				t.Errorf("got %q and exit %d, want %q and %d", b.String(), Exit(c.err), c.want, c.exit)
			}
		})
	}
	if WithHint(nil, "x") != nil || At("x", nil) != nil {
		t.Error("nil became an error")
	}
	if err := At("a", At("b", fmt.Errorf("c: %w", disk))); err.Error() != "a.b.c: "+disk.Error() || !errors.Is(err, disk) {
		t.Errorf("got %v", err)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"cuont", "count", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
