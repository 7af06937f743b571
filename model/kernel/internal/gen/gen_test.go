package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The committed files are what the generator writes now.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	for _, width := range []string{"512", "256"} {
		for _, family := range []string{"tile", "sparse", "list", "element", "pooled"} {
			if family == "pooled" && width == "512" {
				continue
			}
			name := family + width + "_amd64"
			cmd := exec.Command("go", "run", ".", "-family", family, "-width", width, "-pkg", "kernel",
				"-out", filepath.Join(dir, name+".s"), "-stubs", filepath.Join(dir, name+".go"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			for _, ext := range []string{".s", ".go"} {
				want, err := os.ReadFile(filepath.Join(dir, name+ext))
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join("..", "..", name+ext))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(body(got), body(want)) {
					t.Errorf("%s%s is not current: run go generate in model/kernel", name, ext)
				}
			}
		}
	}
}

// body is a file without its first line, which names the command.
func body(b []byte) []byte {
	_, rest, _ := strings.Cut(string(b), "\n")
	return []byte(rest)
}
