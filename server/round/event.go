package round

import (
	"errors"
	"time"
)

// Reasons for which a report is not accepted, or a round is void. Compare with
// errors.Is.
var (
	ErrClosed      = errors.New("the round no longer takes reports")
	ErrNotSelected = errors.New("the client is not in the round's cohort")
	ErrDuplicate   = errors.New("the client has already reported something else in this round")
	ErrMalformed   = errors.New("the report is malformed")
	ErrTooFew      = errors.New("too few reports")
)

// Event is something that happened outside: Offer, Absent, Present, Refused or
// Tick.
type Event interface{ event() }

// Offer says that a report has been received in full and checked. Digest
// identifies its bytes, so that a report sent twice is known for the same one.
type Offer struct {
	Client string
	Digest [32]byte
}

// Absent says that a client has lost its connection. It may still come back.
type Absent struct{ Client string }

// Present says that a client is connected. All are when the round opens.
type Present struct{ Client string }

// Refused says that a report was received and failed a check. The client stays
// in the round and may send another.
type Refused struct {
	Client string
	Reason error // ErrMalformed when nil
}

// Tick says only that time has passed.
type Tick struct{}

func (Offer) event()   {}
func (Absent) event()  {}
func (Present) event() {}
func (Refused) event() {}
func (Tick) event()    {}

// Effect is something the driver must do: Accept, Repeat, Reject, WakeAt, Close
// or Void. The package documentation says in which order, and what must be
// durable first.
type Effect interface{ effect() }

// Accept counts an offered report: it is part of the round from now on.
type Accept struct {
	Client string
	Digest [32]byte
}

// Repeat answers an offer whose very bytes were accepted before.
type Repeat struct{ Client string }

// Reject answers an offer or a refusal that changes nothing. Reason is, or wraps,
// ErrClosed, ErrNotSelected, ErrDuplicate, or what Refused carried.
type Reject struct {
	Client string
	Reason error
}

// WakeAt asks for a Tick at Time, in place of any earlier WakeAt.
type WakeAt struct{ Time time.Time }

// Close ends the collection. Set names the clients whose reports count, sorted
// and distinct, at least Config.Min of them; it belongs to the receiver.
type Close struct{ Set []string }

// Void ends the round with nothing to open. Reason wraps ErrTooFew.
type Void struct{ Reason error }

func (Accept) effect() {}
func (Repeat) effect() {}
func (Reject) effect() {}
func (WakeAt) effect() {}
func (Close) effect()  {}
func (Void) effect()   {}
