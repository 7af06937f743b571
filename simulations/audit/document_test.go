package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/scripttest"
)

// docs/auditors.md names every planted bug with the test that catches it.
func TestPlantedBugsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("| planted bug | check | test |\n|---|---|---|\n")
	row := func(name, check, test string) { fmt.Fprintf(&b, "| %s | %s | `%s` |\n", name, check, test) }
	sub := func(test, name string) string { return test + "/" + strings.ReplaceAll(name, " ", "_") }
	for _, bug := range planted {
		row(bug.name, bug.check, sub("TestPlantedBugsAreCaught", bug.name))
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		row(name, "the ledger", sub("TestLedgerRefusesPlantedBugs", name))
	}
	row("refund after opening", "the ledger", "TestRefundAfterOpeningStaysCharged")
	row("a further field in an owner's report", "its type", "TestReportHasNoRoomForMetrics")
	row("noise off, or a tenth of it, at a contract of epsilon 1", "one-run audit", "TestOneRunGate")
	scripttest.Section(t, "../../docs/auditors.md", "planted bugs", b.String())
}
