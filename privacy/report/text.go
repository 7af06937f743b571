package report

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Verification is what `server verify` prints of a ledger that verifies. pinned says whether it was held against a checkpoint.
func Verification(v *ledger.Verified, pinned bool) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("ledger", "verifies: %d records, root %v", v.Head.Size, v.Head.Root)
	row("run", "%s, %s to %s", v.Plan.Run, v.Records[0].Time.Format("2006-01-02 15:04:05"), v.Records[len(v.Records)-1].Time.Format("2006-01-02 15:04:05 MST"))
	row("signed by", "%s", v.Key)
	if c := v.Contract; c.None() {
		row("privacy", "none")
	} else {
		row("contract", "unit %s, %s, lane %s, delta %g", c.Unit, c.Adjacency, c.Lane, c.Delta)
		row("epsilon", "%s spent, %s claimed, %s left of %g (%s, recomputed)", epsilonText(v.Balance.Spent), epsilonText(v.Balance.Claim), leastText(v.Balance.Left), c.Epsilon, v.Plan.Accountant)
		row("rounds", "%d charged of %d, %d reserved", v.Balance.Rounds, c.Rounds, v.Balance.Reserved)
		if v.Balance.Metrics > 0 {
			row("metrics", "%d released, epsilon %s of %g at delta %g", len(v.Metrics), epsilonText(v.Balance.Metrics), v.Plan.Metrics.Epsilon, v.Plan.Metrics.Delta)
		}
	}
	if k := v.Plan.Committee; k != nil {
		row("key holders", "%d, signatures of at least %d on every opened set", len(k.Members), k.Threshold)
	} else {
		row("key holders", "none: cohort sizes are the server's word")
	}
	if pinned {
		row("continues", "the checkpoint that was given")
	} else {
		row("not checked", "whether records are missing at the end: give a checkpoint that a client has seen")
	}
	w.Flush()
	return b.String()
}
