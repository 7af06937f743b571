package ledger

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrDifferent is what every Difference is: a ledger is not what it should be.
	ErrDifferent = errors.New("the ledger does not verify")
	// ErrOverspend is what every Overspend is: the budget does not bear it.
	ErrOverspend = errors.New("privacy budget exhausted")
	// ErrOrder refuses a record that does not follow from those before it.
	ErrOrder = errors.New("record out of order")
	// ErrInvalid refuses a record whose fields are not allowed or contradict the plan.
	ErrInvalid = errors.New("invalid record")
	// ErrFloor refuses to commit a round whose noise or cohort is below the contract's floor: it must be void.
	ErrFloor = errors.New("below the floor of the contract")
	// ErrRollback says that a server shows an older ledger than before.
	ErrRollback = errors.New("the server's ledger is older than the one seen before")
	// ErrSplitView says that a server shows a ledger that is no continuation of the one seen before.
	ErrSplitView = errors.New("the server's ledger contradicts the one seen before")
	// ErrInUse says that another process writes the ledger.
	ErrInUse = errors.New("the ledger is in use")
	// ErrProof refuses a proof that does not hold.
	ErrProof = errors.New("proof does not hold")
)

// Difference is the first place where a ledger is not what it should be.
type Difference struct {
	Index  int64  // of the record, from 0; -1 before the first
	Kind   string // of the record, "" if unknown
	Offset int64  // of the frame's first byte in the file
	What   string // the thing that differs
	Got    string
	Want   string
}

func (d *Difference) Error() string {
	where := "before the first record"
	if d.Index >= 0 {
		where = fmt.Sprintf("record %d", d.Index)
		if d.Kind != "" {
			where += " (" + d.Kind + ")"
		}
	}
	return fmt.Sprintf("%s, byte %d: %s: got %s, want %s", where, d.Offset, d.What, d.Got, d.Want)
}

// Is makes every Difference an ErrDifferent.
func (d *Difference) Is(target error) bool { return target == ErrDifferent }

// Overspend says what a refused release would have cost and what is left.
type Overspend struct {
	Need   float64 // epsilon that would be claimed with it
	Budget float64
	Claim  float64 // epsilon claimed now, reservations included
	Rounds int     // rounds that are left
}

// Left returns the epsilon that is left.
func (o *Overspend) Left() float64 { return max(0, o.Budget-o.Claim) }

func (o *Overspend) Error() string {
	return fmt.Sprintf("%v: epsilon would be %.6g of %.6g; %.6g is claimed, %.6g and %d rounds are left", ErrOverspend, o.Need, o.Budget, o.Claim, o.Left(), o.Rounds)
}

// Is makes every Overspend an ErrOverspend.
func (o *Overspend) Is(target error) bool { return target == ErrOverspend }
