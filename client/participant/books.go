package participant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy"
)

// Books are the data holder's own account of what was spent on its data; client/books
// has them. Errors that are ErrDeclined are final, all others passing.
type Books interface {
	// Permit says, before anything is trained, whether the data holder bears the
	// release: by its own budget, and by what the server's ledger says of the round.
	Permit(ctx context.Context, r Release) error
	// Charge writes the release down, durably, before the first byte of its upload
	// leaves. upload is the SHA-256 of what will leave.
	Charge(ctx context.Context, r Release, upload [32]byte) error
	// Unprotected notes a run without a privacy contract.
	Unprotected(ctx context.Context, run string) error
	// Finish notes that the run is over.
	Finish(ctx context.Context) error
}

// Release is one update under a privacy contract, as the data holder's books see it.
type Release struct {
	Run      string
	Round    uint64 // in the key holders' count
	Attempt  int
	Contract []byte           // canonical privacy contract
	Record   statement.Digest // of the committee
	Task     [32]byte         // SHA-256 of the task
	Ledger   statement.Digest // head of the server's ledger, as announced
	Work     statement.Digest // of all that the update is computed from
}

// releaseOf describes what an order asks this data holder to give away.
func (p *Participant) releaseOf(o Order, s *sealed) Release {
	a := s.announcement
	return Release{
		Run: o.Run, Round: a.Round, Attempt: o.Attempt, Contract: s.terms.Privacy, Record: s.record.Hash(),
		Task: o.TaskHash, Ledger: a.Ledger,
		Work: statement.New("sotto/data-ledger-work/v1").Fixed(o.Model[:]).Fixed(a.Task[:]).Fixed(a.Contract[:]).Int(p.training.Len()).Hash(),
	}
}

// allow asks the data holder's policy and books before anything is trained. contract
// is nil for a run that promises no privacy.
func (p *Participant) allow(ctx context.Context, o Order, s *sealed, contract *private) error {
	if p.sealer != nil {
		terms := privacy.Contract{Unit: privacy.UnitNone}
		if contract != nil {
			terms = contract.contract
		}
		architecture, err := p.task.Architecture.Hash()
		if err != nil {
			return fmt.Errorf("task of run %s: %w: %w", o.Run, ErrRefused, err)
		}
		if err := p.sealer.Policy.CheckRun(terms, architecture, o.TaskHash); err != nil {
			return fmt.Errorf("run %s: %w: %w", o.Run, ErrDeclined, err)
		}
	}
	switch {
	case contract == nil && p.books == nil:
		return nil
	case contract == nil:
		return p.books.Unprotected(ctx, o.Run)
	case p.books == nil:
		return fmt.Errorf("run %s: %w: %w", o.Run, ErrDeclined, errors.New("this client keeps no ledger of what is spent on its data"))
	}
	return p.books.Permit(ctx, p.releaseOf(o, s))
}

// charge writes an upload down before it leaves.
func (p *Participant) charge(ctx context.Context, o Order, s *sealed, contract *private, body []byte) error {
	if contract == nil {
		return nil
	}
	if err := p.books.Charge(ctx, p.releaseOf(o, s), sha256.Sum256(body)); err != nil {
		return fmt.Errorf("charge round %d before its upload leaves: %w", o.Round, err)
	}
	return nil
}
