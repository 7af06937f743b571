package keyshare

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/internal/statement"
)

// ProtocolVersion is part of every announcement.
const ProtocolVersion = 1

// Announcement is what all clients of one attempt are told alike. Clients sign its
// hash with their upload, and holders check it.
type Announcement struct {
	Version  uint32
	Run      string
	Round    uint64           // from 1
	Attempt  uint64           // from 1
	Model    statement.Digest // the model to start from
	Task     statement.Digest // everything about training that all clients share: task, epochs, learning rate, codec
	Contract statement.Digest
	Record   statement.Digest
	Ledger   statement.Digest // head of the ledger before the round; zero without one
	Goal     uint64           // uploads that end the collection
	Deadline uint64           // of the upload, milliseconds since 1970 UTC
}

const announcementLabel = "sotto/announcement/v1"

// Bytes returns the statement.
func (a *Announcement) Bytes() []byte {
	return statement.New(announcementLabel).Uint(uint64(a.Version)).String(a.Run).Uint(a.Round).Uint(a.Attempt).
		Fixed(a.Model[:]).Fixed(a.Task[:]).Fixed(a.Contract[:]).Fixed(a.Record[:]).Fixed(a.Ledger[:]).
		Uint(a.Goal).Uint(a.Deadline).Statement()
}

// Hash identifies the attempt.
func (a *Announcement) Hash() statement.Digest { return statement.Hash(a.Bytes()) }

// Seed is where the public polynomials of the round come from. It is derived and
// never sent, so that there is none to change: one that differs comes from an
// announcement that differs. Attempts at one round share it.
func (a *Announcement) Seed() [32]byte {
	return statement.New("sotto/public-seed/v1").Uint(uint64(a.Version)).String(a.Run).Uint(a.Round).
		Fixed(a.Model[:]).Fixed(a.Ledger[:]).Fixed(a.Record[:]).Fixed(a.Contract[:]).Hash()
}

// ParseAnnouncement reads what Bytes wrote.
func ParseAnnouncement(b []byte) (*Announcement, error) {
	d := statement.Read(b, announcementLabel)
	a := &Announcement{
		Version: uint32(d.Uint("version", math.MaxUint32)), Run: d.String("run", maxText),
		Round: d.Uint("round", math.MaxUint64), Attempt: d.Uint("attempt", math.MaxUint64),
		Model: d.Digest("model"), Task: d.Digest("task"), Contract: d.Digest("contract"),
		Record: d.Digest("record"), Ledger: d.Digest("ledger"),
		Goal: d.Uint("goal", math.MaxUint64), Deadline: d.Uint("deadline", math.MaxUint64),
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return a, nil
}

// Check says whether an announcement is of this protocol, committee and contract.
func (a *Announcement) Check(record, contract statement.Digest) error {
	switch {
	case a.Version != ProtocolVersion:
		return fmt.Errorf("%w: protocol version %d, want %d", ErrAnnouncement, a.Version, ProtocolVersion)
	case a.Run == "" || a.Round == 0 || a.Attempt == 0:
		return fmt.Errorf("%w: run %q, round %d, attempt %d: want a name, and both numbers from 1", ErrAnnouncement, a.Run, a.Round, a.Attempt)
	case a.Record != record:
		return fmt.Errorf("%w: committee record %s, want %s", ErrOtherRecord, Fingerprint(a.Record), Fingerprint(record))
	case a.Contract != contract:
		return fmt.Errorf("%w: contract %x, want %x", ErrAnnouncement, a.Contract[:8], contract[:8])
	}
	return nil
}

// Order is what one client is asked for. It is public and bound into the client's
// upload, so that holders can refuse a set in which somebody was given next to
// nothing to do, or next to no weight: the sum would be everybody else's.
type Order struct {
	Work   uint64  // training records to process
	Weight float64 // of the update, in (0, 1]
	Mode   string  // power mode, may be empty
}

func (o *Order) write(w *statement.Writer) {
	w.Uint(o.Work).Uint(math.Float64bits(o.Weight)).String(o.Mode)
}

func readOrder(d *statement.Reader) Order {
	o := Order{Work: d.Uint("work", math.MaxUint64), Weight: math.Float64frombits(d.Uint("weight", math.MaxUint64)), Mode: d.String("mode", maxText)}
	if d.Err() == nil && !(o.Weight > 0 && o.Weight <= 1) {
		d.Fail("weight", "got %g, want above 0, at most 1", o.Weight)
	}
	return o
}
