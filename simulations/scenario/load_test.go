package scenario

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/config"
)

// The default and the plain one are also files; what a file does not name is of one or
// of the other, as it says itself.
func TestLoad(t *testing.T) {
	read := func(path string, args ...string) Scenario {
		s, err := Load(config.Sources{File: path, Args: args})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for path, want := range map[string]Scenario{"": Default(), "../scenarios/private.yaml": Default(), "../scenarios/mnist.yaml": Plain()} {
		if d := cmp.Diff(want, read(path)); d != "" {
			t.Errorf("%q:\n%s", path, d)
		}
	}
	if d := cmp.Diff(Plain(), read("", "-run.privacy", "none")); d != "" {
		t.Errorf("a flag:\n%s", d)
	}
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, []byte("run: {privacy: some}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(config.Sources{File: path}); err == nil {
		t.Error("a word that is neither was accepted")
	}
}
