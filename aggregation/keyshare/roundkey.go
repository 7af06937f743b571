package keyshare

import (
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"
	"io"
	"math"

	"github.com/sotto-fl/sotto/internal/statement"
)

// The HPKE suite of RFC 9180. The hybrid KEM keeps recorded boxes closed to a
// quantum computer while ML-KEM or X25519 stands; ChaCha20-Poly1305 takes time
// independent of keys also on boards without AES instructions.
var (
	boxKEM  = hpke.MLKEM768X25519()
	boxKDF  = hpke.HKDFSHA256()
	boxAEAD = hpke.ChaCha20Poly1305()
)

// Sizes in bytes of the suite.
const (
	PublicKeySize  = 1184 + 32
	PrivateKeySize = 32
	boxOverhead    = 1088 + 32 + 16 // encapsulation and tag
)

// PrivateRoundKey opens the boxes of one round. It is secret, and erased when its
// holder has signed a set of the round.
type PrivateRoundKey struct{ key hpke.PrivateKey }

// GenerateRoundKey reads 32 bytes from rand, which must be crypto/rand.Reader
// outside tests. Equal bytes give equal keys.
func GenerateRoundKey(rand io.Reader) (*PrivateRoundKey, error) {
	var seed [PrivateKeySize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("make a round key: %w", err)
	}
	return ParsePrivateRoundKey(seed[:])
}

// ParsePrivateRoundKey reads what Bytes wrote.
func ParsePrivateRoundKey(b []byte) (*PrivateRoundKey, error) {
	if len(b) != PrivateKeySize {
		return nil, fmt.Errorf("%w: private key of %d bytes, want %d", ErrRoundKey, len(b), PrivateKeySize)
	}
	k, err := boxKEM.NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoundKey, err)
	}
	return &PrivateRoundKey{k}, nil
}

// Bytes returns the secret in PrivateKeySize bytes.
func (k *PrivateRoundKey) Bytes() ([]byte, error) { return k.key.Bytes() }

// RoundKey is the public key under which one holder takes shares in one round, and
// in no other. It is signed for that round and committee.
type RoundKey struct {
	Run       string
	Round     uint64
	Record    statement.Digest
	Point     int
	Public    [PublicKeySize]byte
	Signature statement.Signature
}

const roundKeyLabel = "sotto/round-key/v1"

func (k *RoundKey) statement() []byte {
	return statement.New(roundKeyLabel).String(k.Run).Uint(k.Round).Fixed(k.Record[:]).Int(k.Point).Fixed(k.Public[:]).Statement()
}

// PublishRoundKey signs the public half for a round.
func PublishRoundKey(k *PrivateRoundKey, run string, round uint64, record statement.Digest, point int, signing ed25519.PrivateKey) RoundKey {
	p := RoundKey{Run: run, Round: round, Record: record, Point: point, Public: [PublicKeySize]byte(k.key.PublicKey().Bytes())}
	p.Signature = statement.Sign(signing, p.statement())
	return p
}

// Bytes returns the signed key: the statement, then the signature.
func (k *RoundKey) Bytes() []byte { return append(k.statement(), k.Signature[:]...) }

// ParseRoundKey reads what Bytes wrote. It checks form, not signatures.
func ParseRoundKey(b []byte) (*RoundKey, error) {
	d := statement.Read(b, roundKeyLabel)
	k := &RoundKey{Run: d.String("run", maxText), Round: d.Uint("round", math.MaxUint64), Record: d.Digest("record"), Point: d.Int("point", MaxMembers)}
	d.Fixed("public key", k.Public[:])
	d.Fixed("signature", k.Signature[:])
	if err := d.Close(); err != nil {
		return nil, err
	}
	return k, nil
}

// Verify returns ErrRoundKey unless the key is that of the record's member at its
// point, for that round.
func (k *RoundKey) Verify(r *Record, hash statement.Digest, run string, round uint64) error {
	m, err := k.member(r, hash, run, round)
	if err != nil {
		return err
	}
	if err := statement.Verify(m.Key, k.statement(), k.Signature); err != nil {
		return fmt.Errorf("%w: member %s: %w", ErrRoundKey, m.Name, err)
	}
	return nil
}

// member is whose key it is said to be, for that round.
func (k *RoundKey) member(r *Record, hash statement.Digest, run string, round uint64) (Member, error) {
	if k.Run != run || k.Round != round || k.Record != hash {
		return Member{}, fmt.Errorf("%w: the key of point %d is for round %d of run %q, want round %d of %q under this record", ErrRoundKey, k.Point, k.Round, k.Run, round, run)
	}
	m, ok := r.Member(k.Point)
	if !ok {
		return Member{}, fmt.Errorf("%w: point %d of %d members", ErrRoundKey, k.Point, len(r.Members))
	}
	return m, nil
}

// VerifyRoundKeys checks that keys are those of all members, by point, for the
// announcement's round.
func VerifyRoundKeys(r *Record, a *Announcement, keys []RoundKey) error {
	if len(keys) != len(r.Members) {
		return fmt.Errorf("%w: %d keys, the committee has %d holders", ErrRoundKey, len(keys), len(r.Members))
	}
	hash, all := r.Hash(), make([]statement.Signed, len(keys))
	for i := range keys {
		if keys[i].Point != i+1 {
			return fmt.Errorf("%w: point %d in place %d", ErrRoundKey, keys[i].Point, i+1)
		}
		m, err := keys[i].member(r, hash, a.Run, a.Round)
		if err != nil {
			return err
		}
		all[i] = statement.Signed{Key: m.Key, Statement: keys[i].statement(), Signature: keys[i].Signature}
	}
	if wrong := statement.VerifyAll(all); wrong != nil {
		return keys[wrong[0]].Verify(r, hash, a.Run, a.Round)
	}
	return nil
}
