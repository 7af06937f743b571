package fleet

import (
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/scripttest"
)

// docs/energy.md lists every key of a fleet.
func TestFleetDocument(t *testing.T) {
	var b strings.Builder
	if err := config.WriteTable(&b, Config{}); err != nil {
		t.Fatal(err)
	}
	scripttest.Section(t, "../../docs/energy.md", "fleet", b.String())
}
