package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/isolate"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// Outcomes that transports report to clients. The rpc packages carry them over
// the wire so that errors.Is works on both sides.
var (
	ErrFinished   = errors.New("the run is finished")
	ErrSuperseded = errors.New("the client connected again elsewhere")
	ErrStale      = errors.New("the report is not for the open round")
	ErrMalformed  = errors.New("the report is malformed")
	ErrHalted     = errors.New("the run is halted")
	ErrNoLedger   = errors.New("the run has no privacy contract, and so no ledger")
	ErrExcluded   = errors.New("this client is excluded from the run: the sums that its uploads were in did not open; its owner and the run's operator should find out why")
)

// Info is what a client declares when it attaches. The number of examples is
// public: it sets the client's weight.
type Info struct {
	Client   string
	Examples int
	Offer    *energy.Offer // what work costs its device; nil: it does not say. See Session.Declare
}

// Order asks one client for one update.
type Order struct {
	Run      string
	Round    int
	Attempt  int
	Task     []byte            // canonical train.Config; read-only
	TaskHash [32]byte          // SHA-256 of Task
	Model    [32]byte          // identity of the model to start from
	Codec    aggregation.Codec // form of the update
	Epochs   float64
	LR       float64
	Clip     float64       // clip norm of the round, under a privacy contract that adapts it; else 0
	Weight   float64       // in (0, 1]: factor of this client's update
	Deadline time.Duration // time left to report
	Sealing  *Sealing      // under threshold encryption

	// Plan is set under an energy policy: how to work. Plan.Tasks is a number of steps of
	// one batch, in place of Epochs; 0 where the work is the client's secret. StartAt counts
	// from now. Updates of unequal work are multiplied by Reference/Plan.Tasks.
	Plan      costcurve.Order
	Reference int64

	// Posted stands in place of Plan.Tasks in lane B: the client answers it by itself.
	Posted *costcurve.Posted

	// Settled is how long ago the attempt that the client took part in last was committed or
	// void; 0 if this process does not know.
	Settled time.Duration
}

// Sealing is what a client needs to encrypt its update to the key holders. All of
// it is public.
type Sealing struct {
	Announcement []byte
	Terms        []byte
	Record       []byte   // the signed committee record
	Keys         [][]byte // the holders' keys of the round, by point
	Work         uint64   // training records this client is asked to process
}

// Report is one client's answer to an Order.
type Report struct {
	Run      string
	Round    int
	Attempt  int
	Model    [32]byte
	TaskHash [32]byte
	Body     []byte        // packed integers; not retained
	Hashes   *terms.Hashes // of the body's parts, if they were made while it came
}

// Receipt acknowledges a report.
type Receipt struct {
	Repeated bool // the same report had been accepted before
}

// Store keeps what a run must not lose. Commit must be durable when it returns.
type Store interface {
	// Latest returns the newest committed state, or ErrNoState.
	Latest(ctx context.Context) (*State, error)
	// Begin records, durably, that an attempt at a round starts.
	Begin(ctx context.Context, round, attempt int, cohort []string) error
	// Propose records, durably, an attempt that key holders are about to see. It is
	// part of the latest state until the next Commit.
	Propose(ctx context.Context, p *Pending) error
	// Commit replaces the latest state.
	Commit(ctx context.Context, s *State) error
}

// ErrNoState says that a store holds no run yet.
var ErrNoState = errors.New("no run in this store")

// State is a run between two rounds.
type State struct {
	Config    [32]byte      // Config.Hash the run was started with
	Round     int           // completed rounds
	Attempt   int           // newest attempt begun at round Round+1 (0: none)
	Spent     int           // numbers used up without a round: signed and not opened, or without keys
	Pending   *Pending      // the attempt that key holders have seen, if it has not ended
	Isolation isolate.State // what is known of clients that spoil sums
	Params    []float32     // the model, canonical order
	Optimizer []byte        // serveropt state
	// Participations counts the charged rounds of each client, under a contract of lane A.
	Participations map[string]int
	History        []Record // one entry a round, void attempts included
}

// ticket is the number that key holders know the next round by. It differs from the
// round's own when holders signed a set that was never opened: they sign once per
// ticket, so that the round needs a fresh one.
func (s *State) ticket() uint64 { return uint64(s.Round) + uint64(s.Spent) + 1 }

// Record is what is known of one finished or void attempt. Metrics that were
// not measured are absent (nil).
type Record struct {
	Round        int                `json:"round"`
	Attempt      int                `json:"attempt"`
	Void         string             `json:"void,omitempty"`
	Cohort       int                `json:"cohort"`
	Accepted     int                `json:"accepted"`
	Rejected     int                `json:"rejected"`
	Discarded    int                `json:"discarded"`
	Objected     int                `json:"objected,omitempty"` // accepted, then left out because key holders objected
	LR           float64            `json:"lr"`
	Clip         float64            `json:"clip,omitempty"`      // clip norm of the round, where it adapts
	NextClip     float64            `json:"next_clip,omitempty"` // and what the round makes of it
	Examples     uint64             `json:"examples"`            // held by the clients that reported
	Train        *Metric            `json:"train,omitempty"`
	Validation   *Metric            `json:"validation,omitempty"` // of the model the round started from
	Test         *Metric            `json:"test,omitempty"`       // of the model the round produced
	Clamped      uint64             `json:"clamped"`              // values beyond the codec's range, over all clients
	BytesUp      int64              `json:"bytes_up"`
	BytesDown    int64              `json:"bytes_down"`
	Started      time.Time          `json:"started"`
	Seconds      float64            `json:"seconds"`
	MetricsError string             `json:"metrics_error,omitempty"`
	Groups       []isolate.Result   `json:"groups,omitempty"`     // of a round that ran in several, or did not open
	Excluded     []string           `json:"excluded,omitempty"`   // clients that the round showed to spoil sums
	Exclusions   []ledger.Exclusion `json:"exclusions,omitempty"` // under a privacy contract: their records in the ledger
	Ledger       *ledger.Commit     `json:"ledger,omitempty"`     // under a privacy contract
	Model        string             `json:"model"`                // hexadecimal SHA-256 after the round
	Energy       *energy.Round      `json:"energy,omitempty"`     // where somebody offers figures or the configuration has some
}

// Metric is a mean loss and an accuracy over Examples.
type Metric struct {
	Loss     float64 `json:"loss"`
	Accuracy float64 `json:"accuracy"`
	Examples int     `json:"examples"`
}

// Evaluator measures a model on the server's own public test set. It must not
// keep params.
type Evaluator interface {
	Evaluate(ctx context.Context, params []float32) (*Metric, error)
}

// Telemetry keeps what clients tell of the energy that rounds took. It is called from any
// goroutine.
type Telemetry interface {
	Spent(client string, s []Spent) error
}

// Scheduler says who works how much and in which mode. The policies of
// server/schedule/policy do. It is called under the coordinator's lock and must be quick.
type Scheduler interface {
	// Plan returns the orders of a round, ascending by client: in lane B and under
	// distributed DP-SGD one for each, elsewhere for those that it chooses.
	Plan(r policy.Round) ([]policy.Assignment, error)
	// Observe tells what came of the latest plan.
	Observe(o policy.Outcome)
}

// Observer is told of progress. Calls come from one goroutine at a time and must
// return quickly.
type Observer interface {
	RoundStarted(round, attempt, cohort int)
	ReportAccepted(round, accepted, cohort int)
	RoundFinished(r Record)
}
