package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/scripttest"
	"github.com/sotto-fl/sotto/model/nn"
)

// docs/configuration.md lists every key with what server init writes, and its meaning.
func TestConfigurationDocument(t *testing.T) {
	c, err := newConfig(nil, flag.NewFlagSet("init", flag.ContinueOnError), defaultName)
	if err != nil {
		t.Fatal(err)
	}
	c.Run.Task.Architecture = nn.Architecture{Name: c.Run.Task.Architecture.Name}
	var b strings.Builder
	if err := config.WriteTable(&b, c); err != nil {
		t.Fatal(err)
	}
	scripttest.Section(t, "../docs/configuration.md", "server.yaml", b.String())
}
