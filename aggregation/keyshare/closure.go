package keyshare

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
)

// ErrClosure refuses a closure that is not a member's.
var ErrClosure = errors.New("invalid closure of a round")

// Closure is one holder's word that it has signed no set in a round and never will, so
// that it never answers there either. m-t+1+c of them leave fewer than t who could open
// the round, liars included.
type Closure struct {
	Round     uint64
	Point     int
	Signature statement.Signature
}

func closureStatement(record statement.Digest, run string, round uint64) []byte {
	return statement.New("sotto/closed/v1").Fixed(record[:]).String(run).Uint(round).Statement()
}

// SignClosure signs. It does not ask whether the holder may, and does not write the
// promise down: see client/keyholder.
func SignClosure(record statement.Digest, run string, round uint64, point int, signing ed25519.PrivateKey) Closure {
	return Closure{round, point, statement.Sign(signing, closureStatement(record, run, round))}
}

// Verify returns ErrClosure unless this is a member's closure of its round.
func (c *Closure) Verify(r *Record, run string) error {
	m, ok := r.Member(c.Point)
	if !ok {
		return fmt.Errorf("%w: of point %d, which is no member", ErrClosure, c.Point)
	}
	if err := statement.Verify(m.Key, closureStatement(r.Hash(), run, c.Round), c.Signature); err != nil {
		return fmt.Errorf("%w: member %s: %w", ErrClosure, m.Name, err)
	}
	return nil
}

const closureLabel = "sotto/closure/v1"

// Bytes encodes the closure.
func (c *Closure) Bytes() []byte {
	return statement.New(closureLabel).Uint(c.Round).Int(c.Point).Fixed(c.Signature[:]).Statement()
}

// ParseClosure reads what Bytes wrote. It checks form, not the signature.
func ParseClosure(b []byte) (*Closure, error) {
	d := statement.Read(b, closureLabel)
	c := &Closure{Round: d.Uint("round", maxRound), Point: d.Int("point", MaxMembers)}
	d.Fixed("signature", c.Signature[:])
	if err := d.Close(); err != nil {
		return nil, err
	}
	return c, nil
}

// maxRound is far beyond any run; a ledger counts no further.
const maxRound = 1 << 30
