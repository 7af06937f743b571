package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const wantFile = `# Configuration of the server.
#
# Every choice is written out.

# name of the run, a|b
name: demo

# how many, and how long
rounds:
  # rounds to complete
  count: 20
  # longest a round collects reports
  deadline: 30m
  # largest report
  limit: 4MiB
  rate: 0.1
  seed: 7

# names of the classes
classes: [cat, "true"]

# from input to output
layers:
  - kind: conv
    size: 32
  - kind: relu

limits:
  a: 1

labels: {}

input: 3x32x32

spare: null

# say more
verbose: false
`

func TestWriteYAML(t *testing.T) {
	src := defaults()
	src.Classes = []string{"cat", "true"}
	src.Limits = map[string]int{"a": 1}
	var b strings.Builder
	if err := WriteYAML(&b, src, "Configuration of the server.\n\nEvery choice is written out."); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantFile, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A written file reads back to the same struct, whatever its texts are.
func TestWrittenFileReadsBack(t *testing.T) {
	t.Chdir(t.TempDir())
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "no", "~", "1e3", "a: b", "# c", "- x", "a\nb\n", "  x ", "\"'", "ü|", "{}", "0x1", "*a"}), rapid.StringMatching(`[ -~\n\t]{0,20}`))
	rapid.Check(t, func(t *rapid.T) {
		want := &sample{
			Name: "x" + text.Draw(t, "name"),
			Rounds: part{
				Count: rapid.IntRange(1, 1<<40).Draw(t, "count"), Deadline: time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, "deadline")),
				Limit: Bytes(rapid.Int64Range(0, 1<<53).Draw(t, "limit")), Rate: rapid.Float64Range(-1e300, 1e300).Draw(t, "rate"),
				Seed: rapid.Uint64().Draw(t, "seed"),
			},
			Classes: rapid.SliceOfN(text, 1, 3).Draw(t, "classes"),
			Layers:  []layer{{text.Draw(t, "kind"), rapid.Int().Draw(t, "size")}},
			Labels:  map[string]string{"k": text.Draw(t, "label")},
			Limits:  map[string]int{}, Input: shape{1, 2, 3},
		}
		var b strings.Builder
		if err := WriteYAML(&b, want, "header"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("written.yaml", []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		got := &sample{Name: "default", Classes: []string{"default"}}
		if err := Load(got, Sources{File: "written.yaml"}); err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("(-want +got):\n%s\n%s", d, b.String())
		}
	})
}

func TestWriteTable(t *testing.T) {
	var b strings.Builder
	if err := WriteTable(&b, defaults()); err != nil {
		t.Fatal(err)
	}
	const want = "| key | type | default | meaning |\n|---|---|---|---|\n" +
		"| `name` | text | `demo` | name of the run, a\\|b |\n" +
		"| `rounds.count` | a whole number | `20` | rounds to complete |\n" +
		"| `rounds.deadline` | a duration | `30m` | longest a round collects reports |\n" +
		"| `rounds.limit` | a size | `4MiB` | largest report |\n" +
		"| `rounds.rate` | a number | `0.1` |  |\n" +
		"| `rounds.seed` | a whole number, 0 or more | `7` |  |\n" +
		"| `classes` | a list, each text | none | names of the classes |\n" +
		"| `layers` | a list | `[{kind: conv, size: 32}, {kind: relu}]` | from input to output |\n" +
		"| `limits` | keys and values | none |  |\n" +
		"| `labels` | keys and values | none |  |\n" +
		"| `input` | keys and values | `3x32x32` |  |\n" +
		"| `spare` | a whole number | none |  |\n" +
		"| `verbose` | true or false | `false` | say more |\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := WriteTable(&b, 3); err == nil {
		t.Error("a number has no fields, want an error")
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0B": 0, "512B": 512, "64KiB": 64 << 10, "4MiB": 4 << 20, "4 MiB": 4 << 20, "1.5GiB": 3 << 29, "2TiB": 2 << 40,
		"1kB": 1000, "2.5MB": 2500000, "1GB": 1e9, "1TB": 1e12, "8192TiB": 1 << 53,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "4", "MiB", "-1B", "0.5B", "1e400B", "NaNB", "InfB", "8193TiB", "4mib", "4MiBs", "0x1pB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
	for b, want := range map[Bytes]string{0: "0B", 1: "1B", 1500: "1500B", 1536: "1536B", 2048: "2KiB", 3 << 19: "1536KiB", 1 << 40: "1TiB"} {
		if got := b.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(b), got, want)
		}
	}
}
