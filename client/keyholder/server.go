package keyholder

import (
	"context"
	"errors"
	"iter"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

// Outcomes that a Server reports and the holder branches on. Every other error is
// taken as passing.
var (
	// ErrFinished: the run is over.
	ErrFinished = errors.New("the run is finished")
	// ErrRefused: the server will never accept this holder. Trying again does not
	// help.
	ErrRefused = errors.New("refused by the server")
)

// Server is what a key holder needs of the other side. Implementations: gRPC in
// client/rpc, in process in simulations/scenario. The holder trusts none of what
// comes: the server may be the attacker.
type Server interface {
	// Heads returns, for each run that the ledger knows, the newest round in which
	// this holder may have signed; the holder closes the rounds up to it.
	Heads(ctx context.Context) ([]Head, error)
	// NextTask waits for something to do, for as long as ctx allows. A task that
	// was not answered comes again. It returns ErrFinished when the run is over.
	NextTask(ctx context.Context) (Task, error)
	// PublishKeys answers KeysWanted.
	PublishKeys(ctx context.Context, keys []keyshare.RoundKey) error
	// Verdict answers Proposal.
	Verdict(ctx context.Context, v keyshare.Verdict) error
	// Signature answers SignatureWanted.
	Signature(ctx context.Context, s keyshare.SetSignature) error
	// Answer answers Certificate.
	Answer(ctx context.Context, a *keyshare.Answer) error
	// Closure answers ClosureWanted.
	Closure(ctx context.Context, c keyshare.Closure) error
	// Decline says why a task other than Proposal is not done. It ends the task.
	Decline(ctx context.Context, reason error) error
}

// Head is a place in a run.
type Head struct {
	Run   string
	Round uint64
}

// Task is what the server wants: KeysWanted, Proposal, SignatureWanted, Certificate or
// ClosureWanted.
type Task interface{ task() }

// KeysWanted asks for keys of Count rounds of a run, from First on.
type KeysWanted struct {
	Run   string
	First uint64
	Count int
}

// Proposal asks for a verdict on a set. Boxes yields this holder's sealed shares,
// in the order of the set's clients through all groups; a slice is valid until the
// next. Contract is the canonical contract whose hash is announced.
type Proposal struct {
	Set      *keyshare.Set
	Contract []byte
	Boxes    iter.Seq2[[]byte, error]
}

// SignatureWanted asks for the signature on a set that this holder said yes to.
type SignatureWanted struct {
	Run   string
	Round uint64
	Set   statement.Digest
}

// Certificate asks for the sums of a set, and shows that t holders signed it.
type Certificate struct {
	Run        string
	Round      uint64
	Set        statement.Digest
	Signatures []keyshare.SetSignature
}

func (KeysWanted) task()      {}
func (Proposal) task()        {}
func (SignatureWanted) task() {}
func (Certificate) task()     {}
