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

func certificateStatement(record statement.Digest, run string, round uint64, set statement.Digest) []byte {
	return statement.New("sotto/certificate/v1").Fixed(record[:]).String(run).Uint(round).Fixed(set[:]).Statement()
}

// SignSet signs. It does not ask whether the holder may: see Vows.
func SignSet(record statement.Digest, run string, round uint64, set statement.Digest, point int, signing ed25519.PrivateKey) SetSignature {
	return SetSignature{set, point, statement.Sign(signing, certificateStatement(record, run, round, set))}
}

// Verify returns ErrCertificate unless this is a member's signature on that set.
func (s *SetSignature) Verify(r *Record, run string, round uint64, set statement.Digest) error {
	m, err := s.member(r, set)
	if err != nil {
		return err
	}
	if err := statement.Verify(m.Key, certificateStatement(r.Hash(), run, round, set), s.Signature); err != nil {
		return fmt.Errorf("%w: member %s: %w", ErrCertificate, m.Name, err)
	}
	return nil
}

// member is who is said to have signed that set.
func (s *SetSignature) member(r *Record, set statement.Digest) (Member, error) {
	m, ok := r.Member(s.Point)
	if !ok || s.Set != set {
		return Member{}, fmt.Errorf("%w: signature of point %d on set %x, want a member's on %x", ErrCertificate, s.Point, s.Set[:8], set[:8])
	}
	return m, nil
}

// CheckCertificate returns ErrCertificate unless signatures are of at least t
// distinct members, all on that set. One that is not valid spoils all.
func CheckCertificate(r *Record, run string, round uint64, set statement.Digest, signatures []SetSignature) error {
	if len(signatures) > len(r.Members) {
		return fmt.Errorf("%w: %d signatures of %d members", ErrCertificate, len(signatures), len(r.Members))
	}
	signed, all := map[int]bool{}, make([]statement.Signed, len(signatures))
	stated := certificateStatement(r.Hash(), run, round, set)
	for i := range signatures {
		m, err := signatures[i].member(r, set)
		if err != nil {
			return err
		}
		all[i] = statement.Signed{Key: m.Key, Statement: stated, Signature: signatures[i].Signature}
		signed[signatures[i].Point] = true
	}
	if wrong := statement.VerifyAll(all); wrong != nil {
		return signatures[wrong[0]].Verify(r, run, round, set)
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
