package keyshare

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Answer is one holder's sum of shares for each group of a certified set. The sums
// are plain: no noise, no weights. t of them open the groups.
type Answer struct {
	Set       statement.Digest
	Point     int
	Sums      [][]uint64 // by group, elements of the ring
	Signature statement.Signature
}

const answerLabel = "sotto/answer/v1"

func (a *Answer) statement(ring Ring) []byte {
	w := statement.New(answerLabel).Fixed(a.Set[:]).Int(a.Point).Count(len(a.Sums))
	packed := make([]byte, 0, ring.PackedSize())
	for _, s := range a.Sums {
		packed = ring.pack(packed[:0], s)
		w.Fixed(packed)
	}
	return w.Statement()
}

func (a *Answer) sign(ring Ring, signing ed25519.PrivateKey) {
	a.Signature = statement.Sign(signing, a.statement(ring))
}

// Bytes returns the signed answer: the statement, then the signature.
func (a *Answer) Bytes(ring Ring) []byte { return append(a.statement(ring), a.Signature[:]...) }

// ParseAnswer reads what Bytes wrote, for a set of at most groups groups. It checks
// form and residues, not the signature.
func ParseAnswer(ring Ring, groups int, b []byte) (*Answer, error) {
	d := statement.Read(b, answerLabel)
	a := &Answer{Set: d.Digest("set"), Point: d.Int("point", MaxMembers)}
	packed := make([]byte, ring.PackedSize())
	if n := d.Count("groups", groups, len(packed)); n > 0 {
		a.Sums = make([][]uint64, n)
	}
	for i := range a.Sums {
		d.Fixed("sum", packed)
		if d.Err() != nil {
			break
		}
		a.Sums[i] = make([]uint64, ring.Len())
		if err := ring.unpack(a.Sums[i], packed); err != nil {
			d.Fail("sum", "group %d: %v", i, err)
		}
	}
	d.Fixed("signature", a.Signature[:])
	if err := d.Close(); err != nil {
		return nil, err
	}
	return a, nil
}

// Verify returns ErrAnswer unless this is a member's answer to that set of that
// many groups.
func (a *Answer) Verify(r *Record, ring Ring, set statement.Digest, groups int) error {
	m, ok := r.Member(a.Point)
	if !ok {
		return fmt.Errorf("%w: point %d of %d members", ErrAnswer, a.Point, len(r.Members))
	}
	if a.Set != set || len(a.Sums) != groups {
		return fmt.Errorf("%w: %s answers %d groups of set %x, want %d of %x", ErrAnswer, m.Name, len(a.Sums), a.Set[:8], groups, set[:8])
	}
	for i, s := range a.Sums {
		if err := ring.checkResidues(s); err != nil {
			return fmt.Errorf("%w: %s, group %d: %w", ErrAnswer, m.Name, i, err)
		}
	}
	if err := statement.Verify(m.Key, a.statement(ring), a.Signature); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAnswer, m.Name, err)
	}
	return nil
}
