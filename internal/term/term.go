// Package term draws progress and tables for people: one bar, redrawn in place,
// on a terminal, and plain lines everywhere else. It is not a logger, and no
// program's result depends on it: errors of the writer are ignored here, for a
// terminal that has gone away must not end a run.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Options say what the writer can do.
type Options struct {
	TTY   bool             // redraw in place
	Color bool             // use colours; only where TTY is set
	Width int              // columns; 80 when 0
	Now   func() time.Time // time.Now when nil
}

// Detect finds out what f can do. Colours stay off when NO_COLOR is set to
// anything (no-color.org) and on a dumb terminal.
func Detect(f *os.File) Options {
	o := Options{TTY: term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
	o.Color = o.TTY && os.Getenv("NO_COLOR") == ""
	if w, _, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width = w
	}
	return o
}

const (
	redraw    = 50 * time.Millisecond // faster than the eye follows
	tell      = 10 * time.Second      // how often a log is told of a bar
	eraseLine = "\r\x1b[K"
	barMost   = 40 // columns
)

// Progress shows one bar at a time. It is not safe for concurrent use.
type Progress struct {
	w     io.Writer
	o     Options
	label string
	done  int
	total int
	open  bool      // a bar is started
	drawn bool      // a bar stands on the current line
	start time.Time // of the bar
	last  time.Time // when it was drawn or told
}

// NewProgress shows progress on w.
func NewProgress(w io.Writer, o Options) *Progress {
	if o.Width <= 0 {
		o.Width = 80
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Progress{w: w, o: o}
}

// Start begins a bar, in place of the one before.
func (p *Progress) Start(label string, total int) {
	p.label, p.done, p.total, p.open = label, 0, total, true
	p.start = p.o.Now()
	p.last = p.start
	if p.o.TTY {
		p.draw()
	}
}

// Set moves the bar. A terminal is redrawn at most twenty times a second; other
// writers get a line every ten seconds.
func (p *Progress) Set(done int) {
	p.done = min(max(done, 0), p.total)
	if !p.open {
		return
	}
	now := p.o.Now()
	switch since := now.Sub(p.last); {
	case p.o.TTY && (since >= redraw || p.done == p.total):
		p.last = now
		p.draw()
	case !p.o.TTY && since >= tell:
		p.last = now
		fmt.Fprintf(p.w, "%s: %d of %d, %s\n", p.label, p.done, p.total, elapsed(now.Sub(p.start)))
	}
}

// Line removes the bar and prints one line of text in its place. A bar that is
// still open is drawn again below it by the next Set.
func (p *Progress) Line(text string) {
	p.erase()
	fmt.Fprintln(p.w, text)
}

// Stop removes the bar.
func (p *Progress) Stop() {
	p.erase()
	p.open = false
}

func (p *Progress) erase() {
	if p.drawn {
		io.WriteString(p.w, eraseLine)
	}
	p.drawn = false
}

func (p *Progress) draw() {
	right := fmt.Sprintf(" %d/%d %s", p.done, p.total, elapsed(p.o.Now().Sub(p.start)))
	// One column stays free: some terminals wrap when the last one is written.
	room := p.o.Width - 1 - len([]rune(p.label)) - len(" []") - len(right)
	line := p.label + right
	if room >= 4 {
		size := min(room, barMost)
		full := size
		if p.total > 0 {
			full = size * p.done / p.total
		}
		bar := strings.Repeat("=", full)
		if p.o.Color && full > 0 {
			bar = "\x1b[32m" + bar + "\x1b[0m"
		}
		line = p.label + " [" + bar + strings.Repeat(" ", size-full) + "]" + right
	} else if r := []rune(line); len(r) >= p.o.Width {
		line = string(r[:p.o.Width-1])
	}
	io.WriteString(p.w, eraseLine+line)
	p.drawn = true
}

// elapsed writes minutes and seconds, as a clock does.
func elapsed(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
