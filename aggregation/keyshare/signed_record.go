package keyshare

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
)

// SignedRecord is a record that every member has signed, by point.
type SignedRecord struct {
	Record     Record
	Signatures []statement.Signature
}

const signedRecordLabel = "sotto/signed-committee/v1"

// SignRecord is a member's agreement to a record. It returns ErrRecord if the
// record is not valid or key is none of its members'.
func SignRecord(r *Record, key ed25519.PrivateKey) (statement.Signature, error) {
	if err := r.Validate(); err != nil {
		return statement.Signature{}, err
	}
	if r.Point(statement.PublicKey(key)) == 0 {
		return statement.Signature{}, fmt.Errorf("%w: the signing key is no member's", ErrRecord)
	}
	return statement.Sign(key, r.Bytes()), nil
}

// Verify checks that the record is valid and signed by all members.
func (s *SignedRecord) Verify() error {
	if err := s.Record.Validate(); err != nil {
		return err
	}
	if len(s.Signatures) != len(s.Record.Members) {
		return fmt.Errorf("%w: %d signatures, want one of each of the %d members", ErrRecord, len(s.Signatures), len(s.Record.Members))
	}
	b := s.Record.Bytes()
	for i, m := range s.Record.Members {
		if err := statement.Verify(m.Key, b, s.Signatures[i]); err != nil {
			return fmt.Errorf("%w: member %s: %w", ErrRecord, m.Name, err)
		}
	}
	return nil
}

// Bytes encodes the record and its signatures.
func (s *SignedRecord) Bytes() []byte {
	w := statement.New(signedRecordLabel).Bytes(s.Record.Bytes()).Count(len(s.Signatures))
	for _, x := range s.Signatures {
		w.Fixed(x[:])
	}
	return w.Statement()
}

// ParseSignedRecord reads what Bytes wrote and verifies it.
func ParseSignedRecord(b []byte) (*SignedRecord, error) {
	d := statement.Read(b, signedRecordLabel)
	inner := d.Bytes("record", maxRecordSize)
	s := &SignedRecord{}
	for range d.Count("signatures", MaxMembers, 64) {
		var x statement.Signature
		d.Fixed("signature", x[:])
		s.Signatures = append(s.Signatures, x)
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	r, err := ParseRecord(inner)
	if err != nil {
		return nil, err
	}
	s.Record = *r
	if err := s.Verify(); err != nil {
		return nil, err
	}
	return s, nil
}

const maxRecordSize = 1024 + (MaxMembers+MaxVouchers)*(4+63+32)
