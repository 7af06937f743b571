package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type part struct {
	Count    int           `yaml:"count" doc:"rounds to complete"`
	Deadline time.Duration `yaml:"deadline" doc:"longest a round collects reports"`
	Limit    Bytes         `yaml:"limit" doc:"largest report"`
	Rate     float64       `yaml:"rate"`
	Seed     uint64        `yaml:"seed"`
}

type layer struct {
	Kind string `yaml:"kind"`
	Size int    `yaml:"size"`
}

type inlined struct {
	Verbose bool `yaml:"verbose" doc:"say more"`
}

// shape reads itself from YAML, as "3x32x32".
type shape struct{ C, H, W int }

func (s *shape) UnmarshalYAML(n *yaml.Node) error {
	if _, err := fmt.Sscanf(n.Value, "%dx%dx%d", &s.C, &s.H, &s.W); err != nil {
		return errors.New("want a shape such as 3x32x32")
	}
	return nil
}
func (s shape) MarshalYAML() (any, error) { return fmt.Sprintf("%dx%dx%d", s.C, s.H, s.W), nil }

type sample struct {
	Name    string            `yaml:"name" doc:"name of the run, a|b"`
	Rounds  part              `yaml:"rounds" doc:"how many, and how long"`
	Classes []string          `yaml:"classes" doc:"names of the classes"`
	Layers  []layer           `yaml:"layers" doc:"from input to output"`
	Limits  map[string]int    `yaml:"limits"`
	Labels  map[string]string `yaml:"labels"`
	Input   shape             `yaml:"input"`
	Spare   *int              `yaml:"spare"`
	Inline  inlined           `yaml:",inline"`
	Hidden  string            `yaml:"-"`
}

func (s sample) Validate() error {
	var problems []error
	if s.Name == "" {
		problems = append(problems, errors.New("name: must not be empty"))
	}
	return errors.Join(append(problems, At("rounds", s.Rounds.validate()))...)
}

func (p part) validate() error {
	var problems []error
	if p.Count < 1 {
		problems = append(problems, fmt.Errorf("count: got %d, want at least 1", p.Count))
	}
	if p.Deadline <= 0 {
		problems = append(problems, fmt.Errorf("deadline: got %s, want more than 0", p.Deadline))
	}
	return errors.Join(problems...)
}

func defaults() *sample {
	return &sample{
		Name:   "demo",
		Rounds: part{Count: 20, Deadline: 30 * time.Minute, Limit: 4 << 20, Rate: 0.1, Seed: 7},
		Layers: []layer{{"conv", 32}, {"relu", 0}}, Input: shape{3, 32, 32},
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("server.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "server.yaml"
}

func TestLayers(t *testing.T) {
	got := defaults()
	file := write(t, `
name: from-file
rounds:
  count: 1
  deadline: 90s
  limit: 1.5MiB
classes: [cat, dog]
layers:
  - {kind: dense, size: 10}
limits: {a: 1}
labels: {a: b}
input: 1x28x28
spare: 3
verbose: true
`)
	err := Load(got, Sources{
		File: file,
		Env:  []string{"PATH=/bin", "SOTTO_ROUNDS_COUNT=2", "SOTTO_ROUNDS_RATE=0.25", "SOTTO_CLASSES=a, b,c", "SOTTO_INPUT=1x2x3"},
		Args: []string{"-rounds.count=3", "-rounds.count", "4", "-verbose=false", "-layers", "[{kind: pool}]"},
	})
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	want := &sample{
		Name:    "from-file",
		Rounds:  part{Count: 4, Deadline: 90 * time.Second, Limit: 3 << 19, Rate: 0.25, Seed: 7},
		Classes: []string{"a", "b", "c"}, Layers: []layer{{Kind: "pool"}},
		Limits: map[string]int{"a": 1}, Labels: map[string]string{"a": "b"}, Input: shape{1, 2, 3}, Spare: &three,
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNothingGivenLeavesTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "rounds:\n"} {
		got := defaults()
		if err := Load(got, Sources{File: write(t, text)}); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if d := cmp.Diff(defaults(), got, cmp.AllowUnexported(sample{})); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}

// Every message is compared in full: they are what a user has to work with.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		env  []string
		args []string
		want []string
	}{
		"not a number":        {yaml: "name: x\nrounds:\n  count: ten\n", want: []string{`server.yaml:3: rounds.count: got "ten", want a whole number; write e.g. 20`}},
		"fraction":            {yaml: "rounds:\n  count: 2.5\n", want: []string{`server.yaml:2: rounds.count: got "2.5", want a whole number; write e.g. 20`}},
		"number too large":    {yaml: "rounds: {count: 99999999999999999999}\n", want: []string{`server.yaml:1: rounds.count: got "99999999999999999999", want a whole number; write e.g. 20`}},
		"negative":            {yaml: "rounds: {seed: -1}\n", want: []string{`server.yaml:1: rounds.seed: got "-1", want a whole number, 0 or more; write e.g. 7`}},
		"not finite":          {yaml: "rounds: {rate: .nan}\n", want: []string{`server.yaml:1: rounds.rate: got ".nan", want a number; write e.g. 0.1`}},
		"duration":            {yaml: "rounds: {deadline: 30}\n", want: []string{`server.yaml:1: rounds.deadline: got "30", want a duration; write e.g. 30m`}},
		"size":                {yaml: "rounds: {limit: 4 megs}\n", want: []string{`server.yaml:1: rounds.limit: got "4 megs", want a size; write e.g. 4MiB`}},
		"bool":                {yaml: "verbose: yes\n", want: []string{`server.yaml:1: verbose: got "yes", want true or false; write e.g. true`}},
		"null":                {yaml: "name:\n", want: []string{`server.yaml:1: name: got nothing, want text; write e.g. demo`}},
		"list for a scalar":   {yaml: "name: [a]\n", want: []string{`server.yaml:1: name: got a list, want text; write e.g. demo`}},
		"scalar for section":  {yaml: "rounds: 3\n", want: []string{`server.yaml:1: rounds: got "3", want keys and values: count, deadline, limit, rate, seed`}},
		"scalar for list":     {yaml: "classes: cat\n", want: []string{`server.yaml:1: classes: got "cat", want a list, each text`}},
		"scalar for map":      {yaml: "limits: 1\n", want: []string{`server.yaml:1: limits: got "1", want keys and values`}},
		"own form":            {yaml: "input: big\n", want: []string{`server.yaml:1: input: want a shape such as 3x32x32`}},
		"unknown key":         {yaml: "rounds:\n  cuont: 3\n", want: []string{`server.yaml:2: rounds.cuont: unknown key; did you mean count?`}},
		"key of a section":    {yaml: "deadline: 3s\n", want: []string{`server.yaml:1: deadline: unknown key; did you mean rounds.deadline?`}},
		"key like no other":   {yaml: "rounds: {zzzzzz: 1}\n", want: []string{`server.yaml:1: rounds.zzzzzz: unknown key; known here: count, deadline, limit, rate, seed`}},
		"key in a list":       {yaml: "layers:\n- kind: conv\n- knid: pool\n", want: []string{`server.yaml:3: layers[1].knid: unknown key; did you mean kind?`}},
		"key twice":           {yaml: "name: a\nname: b\n", want: []string{`server.yaml:2: name: set again, first on line 1: keep one`}},
		"alias":               {yaml: "name: &a x\nlabels: {b: *a}\n", want: []string{`server.yaml:2: labels.b: got an alias, want the value itself, written out`}},
		"two documents":       {yaml: "name: a\n---\nname: b\n", want: []string{`server.yaml:2: a second YAML document starts here: write everything into one, without ---`}},
		"not keys":            {yaml: "- a\n", want: []string{`server.yaml:1: got a list, want keys and values, e.g. name: …`}},
		"all at once":         {yaml: "nmae: a\nrounds: {count: x}\n", env: []string{"SOTTO_NAM=a"}, want: []string{`server.yaml:1: nmae: unknown key; did you mean name?`, `server.yaml:2: rounds.count: got "x", want a whole number; write e.g. 20`, `SOTTO_NAM: unknown variable; did you mean SOTTO_NAME?`}},
		"variable":            {env: []string{"SOTTO_ROUNDS_COUNT=ten"}, want: []string{`SOTTO_ROUNDS_COUNT: got "ten", want a whole number; write e.g. 20`}},
		"flag":                {args: []string{"-rounds.count=ten"}, want: []string{`-rounds.count: got "ten", want a whole number; write e.g. 20`}},
		"flag, list":          {args: []string{"-layers", "[{kidn: a}]"}, want: []string{`-layers: layers[0].kidn: unknown key; did you mean kind?`}},
		"unknown flag":        {args: []string{"--rounds.cont=3"}, want: []string{`-rounds.cont: unknown flag; did you mean -rounds.count?`}},
		"flag without value":  {args: []string{"-name"}, want: []string{`flag needs an argument: -name`}},
		"stray argument":      {args: []string{"3"}, want: []string{`"3": unexpected argument; options start with a dash, e.g. -name`}},
		"check of a key":      {yaml: "name: a\nrounds:\n  deadline: 1s\n  count: 0\n", want: []string{`server.yaml:4: rounds.count: got 0, want at least 1`}},
		"check of a variable": {yaml: "name: a\nrounds: {count: 1}\n", env: []string{"SOTTO_ROUNDS_COUNT=0"}, want: []string{`SOTTO_ROUNDS_COUNT: rounds.count: got 0, want at least 1`}},
		"two checks":          {yaml: "name: ''\n", args: []string{"-rounds.deadline=0s"}, want: []string{`server.yaml:1: name: must not be empty`, `-rounds.deadline: rounds.deadline: got 0s, want more than 0`}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Load(defaults(), Sources{File: write(t, c.yaml), Env: c.env, Args: c.args})
			if err == nil {
				t.Fatal("no error")
			}
			if d := cmp.Diff(c.want, strings.Split(err.Error(), "\n")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if Exit(err) != 2 {
				t.Errorf("exit code %d, want 2", Exit(err))
			}
		})
	}
}

func TestNotYAML(t *testing.T) {
	err := Load(defaults(), Sources{File: write(t, "name: a\nrounds: [\n")})
	if err == nil || !strings.HasPrefix(err.Error(), "server.yaml:") || strings.Contains(err.Error(), "\n") || Exit(err) != 2 {
		t.Fatalf("got %v", err)
	}
	err = Load(defaults(), Sources{File: write(t, strings.Repeat("# long\n", maxFile/7+1))})
	if err == nil || !strings.Contains(err.Error(), "more than 1MiB") {
		t.Fatalf("got %v", err)
	}
}

func TestMissingFile(t *testing.T) {
	err := Load(defaults(), Sources{File: "nowhere/server.yaml"})
	if err == nil || err.Error() != "nowhere/server.yaml: no such file or directory: check the path" || !errors.Is(err, fs.ErrNotExist) || Exit(err) != 2 {
		t.Fatalf("got %v", err)
	}
}

func TestOwnFlags(t *testing.T) {
	file := write(t, "name: from-file\n")
	if err := os.Rename(file, "other.yaml"); err != nil {
		t.Fatal(err)
	}
	own := flag.NewFlagSet("run", flag.ContinueOnError)
	out := own.String("out", "", "folder")
	got := defaults()
	err := Load(got, Sources{File: file, FileFlag: "config", Flags: own, Args: []string{"-config", "other.yaml", "-out=d", "-rounds.count", "5", "rest"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "from-file" || got.Rounds.Count != 5 || *out != "d" || own.Arg(0) != "rest" {
		t.Fatalf("got %+v, out %q, rest %q", got, *out, own.Args())
	}
	if err := Load(got, Sources{Args: []string{"-h"}}); !errors.Is(err, flag.ErrHelp) || Exit(err) != 0 {
		t.Fatalf("-h: got %v", err)
	}
}

func TestProgrammerErrors(t *testing.T) {
	var clash struct {
		A struct {
			B int `yaml:"b"`
		} `yaml:"a"`
		C int `yaml:"a_b"`
	}
	for _, dst := range []any{nil, sample{}, (*sample)(nil), new(int), &clash} {
		if err := Load(dst, Sources{}); err == nil || Exit(err) != 1 {
			t.Errorf("%T: got %v", dst, err)
		}
	}
}

func FuzzYAML(f *testing.F) {
	f.Add("name: a\nrounds: {count: 1}\nlayers: [{kind: x}]\n")
	f.Add("a: &a [*a]\n")
	f.Add("name: !!binary aGVsbG8=\nspare: ~\n? [x]\n: y\n")
	file := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := defaults()
		if err := Load(got, Sources{File: file}); err != nil {
			return
		}
		// What was accepted can be written out and read back.
		var b strings.Builder
		if err := WriteYAML(&b, got, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		again := defaults()
		if err := Load(again, Sources{File: file}); err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
	})
}
