package keyshare

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
)

// SetSignature is one holder's signature on a set: the only one that it gives in
// the round.
type SetSignature struct {
	Set       statement.Digest
	Point     int
	Signature statement.Signature
}

func certificateStatement(record statement.Digest, a *Announcement, set statement.Digest) []byte {
	return statement.New("sotto/certificate/v1").Fixed(record[:]).String(a.Run).Uint(a.Round).Fixed(set[:]).Statement()
}

// SignSet signs. It does not ask whether the holder may: see Vows.
func SignSet(record statement.Digest, a *Announcement, set statement.Digest, point int, signing ed25519.PrivateKey) SetSignature {
	return SetSignature{set, point, statement.Sign(signing, certificateStatement(record, a, set))}
}

// Verify returns ErrCertificate unless this is a member's signature on that set.
func (s *SetSignature) Verify(r *Record, a *Announcement, set statement.Digest) error {
	m, ok := r.Member(s.Point)
	if !ok || s.Set != set {
		return fmt.Errorf("%w: signature of point %d on set %x, want a member's on %x", ErrCertificate, s.Point, s.Set[:8], set[:8])
	}
	if err := statement.Verify(m.Key, certificateStatement(r.Hash(), a, set), s.Signature); err != nil {
		return fmt.Errorf("%w: member %s: %w", ErrCertificate, m.Name, err)
	}
	return nil
}

// CheckCertificate returns ErrCertificate unless signatures are of at least t
// distinct members, all on that set. One that is not valid spoils all.
func CheckCertificate(r *Record, a *Announcement, set statement.Digest, signatures []SetSignature) error {
	if len(signatures) > len(r.Members) {
		return fmt.Errorf("%w: %d signatures of %d members", ErrCertificate, len(signatures), len(r.Members))
	}
	signed := map[int]bool{}
	for i := range signatures {
		if err := signatures[i].Verify(r, a, set); err != nil {
			return err
		}
		signed[signatures[i].Point] = true
	}
	if len(signed) < r.Threshold {
		return fmt.Errorf("%w: %d members signed, want %d", ErrCertificate, len(signed), r.Threshold)
	}
	return nil
}

const setSignatureLabel = "sotto/set-signature/v1"

// Bytes encodes the signature.
func (s *SetSignature) Bytes() []byte {
	return statement.New(setSignatureLabel).Fixed(s.Set[:]).Int(s.Point).Fixed(s.Signature[:]).Statement()
}

// ParseSetSignature reads what Bytes wrote. It checks form, not the signature.
func ParseSetSignature(b []byte) (*SetSignature, error) {
	d := statement.Read(b, setSignatureLabel)
	s := &SetSignature{Set: d.Digest("set"), Point: d.Int("point", MaxMembers)}
	d.Fixed("signature", s.Signature[:])
	if err := d.Close(); err != nil {
		return nil, err
	}
	return s, nil
}

// Vows remembers which set a holder signed in which round, so that it never signs
// a second. The zero value has signed nothing. It is not safe for concurrent use.
//
// Vows is memory only. Its owner writes every promise down, durably, before the
// signature that it allows leaves the holder.
type Vows struct {
	signed map[roundID]statement.Digest
	floor  map[string]uint64
}

type roundID struct {
	run   string
	round uint64
}

// Check says whether the holder may sign that set: nil if it has signed nothing in
// the round, or the same set; ErrSecondSet if another; ErrSpent if the round is not
// later than the floor and no signature is on record.
func (v *Vows) Check(run string, round uint64, set statement.Digest) error {
	if old, ok := v.signed[roundID{run, round}]; ok {
		if old != set {
			return fmt.Errorf("%w: round %d of run %q, signed %x, asked for %x", ErrSecondSet, round, run, old[:8], set[:8])
		}
		return nil
	}
	if floor, ok := v.floor[run]; ok && round <= floor {
		return fmt.Errorf("%w: round %d of run %q, want one after %d", ErrSpent, round, run, floor)
	}
	return nil
}

// Promise records that the holder signs set, after Check.
func (v *Vows) Promise(run string, round uint64, set statement.Digest) error {
	if err := v.Check(run, round, set); err != nil {
		return err
	}
	if v.signed == nil {
		v.signed = map[roundID]statement.Digest{}
	}
	v.signed[roundID{run, round}] = set
	return nil
}

// Signed returns the set signed in a round.
func (v *Vows) Signed(run string, round uint64) (statement.Digest, bool) {
	d, ok := v.signed[roundID{run, round}]
	return d, ok
}

// Raise closes every round of a run up to and including round. It never lowers.
func (v *Vows) Raise(run string, round uint64) {
	if v.floor == nil {
		v.floor = map[string]uint64{}
	}
	v.floor[run] = max(v.floor[run], round)
}
