package ledger

import (
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
)

// CertificateStatement is what a key holder signs for a set. It is that of aggregation/keyshare, restated here so that an
// auditor needs no cryptography beyond Ed25519; a test of the caller compares them.
func CertificateStatement(record Hash, run string, round int, set Hash) []byte {
	return statement.New("sotto/certificate/v1").Fixed(record[:]).String(run).Uint(uint64(round)).Fixed(set[:]).Statement()
}

// ClosureStatement is what a key holder signs, after its journal says so, when it will never certify or open a round.
func ClosureStatement(record Hash, run string, round int) []byte {
	return statement.New("sotto/closed/v1").Fixed(record[:]).String(run).Uint(uint64(round)).Statement()
}

// verify checks key holders' signatures on a statement.
func (c *Committee) verify(signatures []Signed, message []byte) error {
	for _, s := range signatures {
		if s.Point < 1 || s.Point > len(c.Members) {
			return fmt.Errorf("%w: signature of point %d of %d", ErrInvalid, s.Point, len(c.Members))
		}
		if err := statement.Verify(statement.Key(c.Members[s.Point-1]), message, statement.Signature(s.Signature)); err != nil {
			return fmt.Errorf("%w: signature of key holder %d: %w", ErrInvalid, s.Point, err)
		}
	}
	return nil
}

// signed returns the check of the key holders' signatures in r, or nil if it has none to check.
func (s *State) signed(r Record) func() error {
	if s.Plan == nil || s.Plan.Committee == nil {
		return nil
	}
	k, run := s.Plan.Committee, s.Plan.Run
	switch r := r.(type) {
	case *Commit:
		return func() error { return k.verify(r.Certificate, CertificateStatement(k.Record, run, r.Round, r.Set)) }
	case *Closed:
		return func() error { return k.verify(r.Closures, ClosureStatement(k.Record, run, r.Round)) }
	}
	return nil
}
