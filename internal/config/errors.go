package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// UsageError says that the program was told something it cannot do: a bad flag,
// variable, file or combination. It ends the program with exit code 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError as fmt.Errorf does.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// Exit is the exit code for a program that ends with err: 0 for none and for
// flag.ErrHelp, 2 for usage and configuration errors, 1 for every other failure.
func Exit(err error) int {
	var usage *UsageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		return 2
	}
	return 1
}

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// WithHint adds advice to an error: what to do about it, in one line. The text of
// the error stays as it is; Report prints the hint below it. A nil err stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// Hint returns the outermost hint of an error, or "".
func Hint(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// Report prints err to w the way every program of the project does, one line a
// problem, and the hint if there is one:
//
//	server: error: …
//	server: hint: …
//
// It prints nothing for nil and for flag.ErrHelp.
func Report(w io.Writer, program string, err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintf(w, "%s: error: %s\n", program, line)
	}
	if h := Hint(err); h != "" {
		fmt.Fprintf(w, "%s: hint: %s\n", program, h)
	}
}

// rewritten is an error whose text was changed line by line.
type rewritten struct {
	text string
	err  error
}

func (r *rewritten) Error() string { return r.text }
func (r *rewritten) Unwrap() error { return r.err }

func rewrite(err error, line func(string) string) error {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = line(lines[i])
	}
	return &rewritten{strings.Join(lines, "\n"), err}
}

// At moves the problems that a part's Validate returned to where the part sits:
// "count: got 0" becomes "rounds.count: got 0" at "rounds". A nil err stays nil.
func At(path string, err error) error {
	if err == nil {
		return nil
	}
	return rewrite(err, func(s string) string { return path + "." + s })
}

// locate says, for every line "path: problem", where the path was set.
func (l *loader) locate(err error) error {
	return rewrite(err, func(line string) string {
		path, _, _ := strings.Cut(line, ": ")
		for path != "" {
			if at, ok := l.origin[path]; ok {
				return at + ": " + line
			}
			cut := strings.LastIndexAny(path, ".[")
			path = path[:max(cut, 0)]
		}
		if l.file != "" {
			return l.file + ": " + line
		}
		return line
	})
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// suggest words the nearest of names, or nothing when none is near.
func suggest(name string, names []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance counts the insertions, deletions and replacements between two names
// (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
