package participant

import (
	"context"
	"errors"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
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
}

// Info is what a client declares in public when it checks in.
type Info struct {
	Examples int
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
