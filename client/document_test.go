package main

import (
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/scripttest"
)

// docs/configuration.md lists every key with its default and meaning.
func TestConfigurationDocument(t *testing.T) {
	var b strings.Builder
	if err := config.WriteTable(&b, defaultConfig()); err != nil {
		t.Fatal(err)
	}
	scripttest.Section(t, "../docs/configuration.md", "client.yaml", b.String())
	b.Reset()
	if err := config.WriteTable(&b, policy.Default()); err != nil {
		t.Fatal(err)
	}
	scripttest.Section(t, "../docs/configuration.md", "policy.yaml", b.String())
}
