package term

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) forward(d time.Duration) { c.at = c.at.Add(d) }

// record plays two rounds and returns everything that was written.
func record(o Options) string {
	var b strings.Builder
	c := &clock{}
	o.Now = c.now
	p := NewProgress(&b, o)
	p.Set(3) // no bar yet
	p.Start("round 1/2", 4)
	c.forward(10 * time.Millisecond)
	p.Set(1) // too soon to see
	c.forward(time.Second)
	p.Set(2)
	c.forward(71 * time.Second)
	p.Set(3)
	p.Set(4) // the last step shows at once
	p.Line("round 1: 91.2 %")
	p.Start("round 2/2", 0)
	p.Stop()
	p.Set(1)
	return strings.ReplaceAll(b.String(), eraseLine, "<")
}

func TestProgress(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"terminal": {Options{TTY: true, Width: 40}, []string{
			"<round 1/2 [                  ] 0/4 0:00" +
				"<round 1/2 [=========         ] 2/4 0:01" +
				"<round 1/2 [=============     ] 3/4 1:12" +
				"<round 1/2 [==================] 4/4 1:12<round 1: 91.2 %",
			"<round 2/2 [==================] 0/0 0:00<",
		}},
		"colour": {Options{TTY: true, Color: true, Width: 30}, []string{
			"<round 1/2 [        ] 0/4 0:00" +
				"<round 1/2 [\x1b[32m====\x1b[0m    ] 2/4 0:01" +
				"<round 1/2 [\x1b[32m======\x1b[0m  ] 3/4 1:12" +
				"<round 1/2 [\x1b[32m========\x1b[0m] 4/4 1:12<round 1: 91.2 %",
			"<round 2/2 [\x1b[32m========\x1b[0m] 0/0 0:00<",
		}},
		"narrow": {Options{TTY: true, Width: 15}, []string{
			"<round 1/2 0/4 <round 1/2 2/4 <round 1/2 3/4 <round 1/2 4/4 <round 1: 91.2 %",
			"<round 2/2 0/0 <",
		}},
		"file": {Options{}, []string{"round 1/2: 3 of 4, 1:12", "round 1: 91.2 %", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, strings.Split(record(c.o), "\n")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestLineOnATerminalWithoutABar(t *testing.T) {
	var b strings.Builder
	NewProgress(&b, Options{TTY: true}).Line("hello")
	if b.String() != "hello\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestDetectFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if o := Detect(f); o.TTY || o.Color {
		t.Errorf("a file was taken for a terminal: %+v", o)
	}
}

func TestTable(t *testing.T) {
	for name, c := range map[string]struct {
		header []string
		rows   [][]string
		want   string
	}{
		"rounds": {
			[]string{"round", "client", "loss", "bytes"},
			[][]string{{"1", "ann", "0.25", "1 MiB"}, {"10", "bartholomew", "-", "12 MiB"}, {"11", "größe", ""}},
			"round  client       loss   bytes\n" +
				"    1  ann          0.25   1 MiB\n" +
				"   10  bartholomew     -  12 MiB\n" +
				"   11  größe\n",
		},
		"no header": {nil, [][]string{{"seed", "7"}, {"seconds", "41.2"}}, "seed        7\nseconds  41.2\n"},
		"empty":     {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Table(&b, c.header, c.rows); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, b.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
