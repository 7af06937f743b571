package scripttest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Section holds one part of a Markdown file, between the lines
//
//	<!-- NAME: generated -->
//	<!-- end -->
//
// to text. With -update it writes the part instead.
func Section(t *testing.T, path, name, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	document := string(b)
	begin := "<!-- " + name + ": generated -->\n"
	from := strings.Index(document, begin)
	if from < 0 {
		t.Fatalf("%s has no line %q", path, begin)
	}
	from += len(begin)
	size := strings.Index(document[from:], "<!-- end -->\n")
	if size < 0 {
		t.Fatalf("%s: the part %s has no end", path, name)
	}
	if document[from:from+size] == text {
		return
	}
	if !*update {
		t.Fatalf("%s: the part %s is out of date: run go test . -update in this folder, and read the difference", path, name)
	}
	if err := os.WriteFile(path, []byte(document[:from]+text+document[from+size:]), 0o644); err != nil {
		t.Fatal(err)
	}
}

var fence = regexp.MustCompile("(?s)```sh\n(.*?)```")

// Commands returns the shell commands of a Markdown file: its n-th block marked
// sh, from 0.
func Commands(t *testing.T, path string, n int) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(b), -1)
	if n >= len(blocks) {
		t.Fatalf("%s has %d blocks of shell commands, want at least %d", path, len(blocks), n+1)
	}
	return blocks[n][1]
}
