package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/scripttest"
	"github.com/sotto-fl/sotto/simulations/scenario"
)

// docs/configuration.md lists every key with its default and meaning.
func TestConfigurationDocument(t *testing.T) {
	var b strings.Builder
	if err := config.WriteTable(&b, scenario.Default()); err != nil {
		t.Fatal(err)
	}
	scripttest.Section(t, "../docs/configuration.md", "scenario", b.String())
}

// The network that the document shows is one that a scenario accepts.
func TestNetworkDocument(t *testing.T) {
	b, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(b, -1)
	if len(blocks) != 1 {
		t.Fatalf("%d blocks of YAML, want 1", len(blocks))
	}
	path := filepath.Join(t.TempDir(), "network.yaml")
	if err := os.WriteFile(path, blocks[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Load(config.Sources{File: path})
	if err != nil {
		t.Fatal(err)
	}
	if a := s.Run.Task.Architecture; a.Name != "my-cnn" || len(a.Layers) != 5 {
		t.Errorf("got %+v, want the network of the document", a)
	}
}

// Every scenario that comes with the project is valid.
func TestScenarioFiles(t *testing.T) {
	files, err := filepath.Glob("scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario files (%v)", err)
	}
	for _, file := range files {
		if _, err := scenario.Load(config.Sources{File: file}); err != nil {
			t.Error(err)
		}
	}
}
