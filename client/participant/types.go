package participant

import (
	"context"
	"errors"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Outcomes that a Server reports and the participant branches on.
var (
	// ErrFinished: the run is over, there is nothing more to do.
	ErrFinished = errors.New("the run is finished")
	// ErrClosed: the round ended before the report arrived; the work is lost,
	// the participant checks in again.
	ErrClosed = errors.New("the round is closed")
	// ErrRefused: the server will never accept this client or this report.
	// Trying again does not help.
	ErrRefused = errors.New("refused by the server")
	// ErrDeclined: the data holder does not want this: its policy or what is left of
	// its privacy budget says no.
	ErrDeclined = errors.New("declined by this data holder")
)

// Server is what a participant needs of the other side. Implementations: gRPC in
// client/rpc, in process in simulations/scenario. Errors that are none of the
// above are taken as passing: the participant tries again with backoff.
type Server interface {
	// CheckIn says that the client is ready and waits for an order, for as long
	// as ctx allows. It returns ErrFinished when the run is over.
	CheckIn(ctx context.Context, info Info) (Order, error)
	// Model fetches the model with that identity: size float32 in canonical order.
	Model(ctx context.Context, hash [32]byte, size int) ([]float32, error)
	// Report sends one update. Sending the same report again is harmless.
	Report(ctx context.Context, r Report) error
	// Leave ends the client's presence until it checks in again, so that nobody waits for it.
	Leave()
}

// Info is what a client declares in public when it checks in.
type Info struct {
	Examples int
	Offer    *Offer  // what work costs this device, as far as it may be told; a Server tells less where less is wanted
	Spent    []Spent // what earlier rounds took, as far as their privacy lets it leave; delivered once
}

// Offer is what work costs a device, and what limits it.
type Offer struct {
	Task  string // what one task is
	Curve costcurve.Curve
	Tier  costcurve.Tier
	State costcurve.State
}

// Under is what may be told of an offer, and how much that is.
func (o *Offer) Under(most costcurve.Disclosure) (*Offer, costcurve.Disclosure) {
	if o == nil || most == costcurve.TellNothing {
		return nil, costcurve.TellNothing
	}
	if most >= costcurve.TellDevice && o.State != (costcurve.State{}) {
		return o, costcurve.TellDevice
	}
	curve := *o
	curve.State = costcurve.State{}
	return &curve, costcurve.TellCurve
}

// Spent is the energy of one phase of a round.
type Spent struct {
	Round   int
	Attempt int
	energy.Reading
	Idle *float64 // watts of the idle device; nil: nobody knows
}

// Order asks for one update. See the coordinator's type of the same name.
type Order struct {
	Run      string
	Round    int
	Attempt  int
	Task     []byte
	TaskHash [32]byte
	Model    [32]byte
	Codec    aggregation.Codec
	Epochs   float64
	LR       float64
	Clip     float64 // clip norm of the round, under a privacy contract that adapts it; else 0
	Weight   float64
	Deadline time.Duration
	Sealing  *Sealing // when updates are encrypted to key holders

	// Plan is how to work, under an energy policy. Plan.Tasks is a number of steps, in
	// place of Epochs; 0 where the work is not the server's to choose.
	Plan      costcurve.Order
	Reference int64 // steps that the update is scaled to; with Plan.Tasks or Posted only

	// Posted stands in place of Plan.Tasks where clients answer a price.
	Posted *costcurve.Posted

	Settled time.Duration        // how long ago the client's last attempt ended, when the order was sent; 0: not known
	Told    costcurve.Disclosure // what the client told of its device before it got the order
}

// Scale is what an update of that work is multiplied by before it is clipped or weighted,
// so that it counts for how far its work went: FedNova (Wang et al. 2020, arXiv:2007.07481),
// see costcurve.Progress. It is 1 for equal work.
func (o Order) Scale() float64 {
	if o.Plan.Tasks == 0 {
		return 1
	}
	return costcurve.Progress(o.Reference) / costcurve.Progress(o.Plan.Tasks)
}

// Sealing is what it takes to encrypt an update. See the coordinator's type of the
// same name.
type Sealing struct {
	Announcement []byte
	Terms        []byte
	Record       []byte
	Keys         [][]byte
	Work         uint64
}

// Report answers an Order. Body is not changed after Report is called.
type Report struct {
	Run      string
	Round    int
	Attempt  int
	Model    [32]byte
	TaskHash [32]byte
	Body     []byte
}
