package keyshare

import (
	"crypto/hpke"
	"fmt"
	"io"

	"github.com/sotto-fl/sotto/internal/statement"
)

const saltSize = 32

// BoxSize is the exact length in bytes of the sealed share of a point.
func BoxSize(r *Record, ring Ring, point int) int {
	return boxOverhead + saltSize + bodySize(r, ring, point)
}

func bodySize(r *Record, ring Ring, point int) int {
	if r.Seeded(point) {
		return SeedSize
	}
	return ring.PackedSize()
}

// binding is the info of HPKE: a box opens under exactly this. It is what keeps a
// share from being passed on under another name, round, order or point.
func binding(announcement statement.Digest, h *Header, holder Member, point int) []byte {
	w := statement.New("sotto/box/v1").Fixed(announcement[:]).String(h.Client).Fixed(h.Key[:])
	h.Order.write(w)
	return w.String(holder.Name).Fixed(holder.Key[:]).Int(point).Statement()
}

// commit hides the share behind its salt, so that a commitment helps nobody to
// check a guess of a key.
func commit(point int, plain []byte) statement.Digest {
	front := statement.New("sotto/share-commitment/v1").Int(point).Count(len(plain)).Statement()
	return statement.HashOf(front, plain)
}

// Deal splits the secret key of an upload and seals one share to each holder. It
// sets h.Shares; Announcement, Client, Key and Order of h must be set before, and
// nothing of them may change afterwards. keys must have passed VerifyRoundKeys. It
// returns the boxes by point. secret belongs to one upload and must be dealt once;
// it is not kept.
//
// rand must be crypto/rand.Reader outside tests.
func Deal(r *Record, ring Ring, h *Header, keys []RoundKey, secret []uint64, rand io.Reader) ([][]byte, error) {
	m := len(r.Members)
	if len(keys) != m {
		return nil, fmt.Errorf("deal a key: %w: %d keys, the committee has %d holders", ErrRoundKey, len(keys), m)
	}
	shares, err := Split(ring, r.Threshold, m, secret, rand)
	if err != nil {
		return nil, err
	}
	boxes, commitments := make([][]byte, m), make([]Commitment, m)
	for i, s := range shares {
		plain := make([]byte, saltSize, saltSize+bodySize(r, ring, s.Point))
		if _, err := io.ReadFull(rand, plain); err != nil {
			return nil, fmt.Errorf("deal a key: read randomness: %w", err)
		}
		if s.Seed != nil {
			plain = append(plain, s.Seed[:]...)
			clear(s.Seed[:])
		} else {
			plain = ring.pack(plain, s.Residues)
			clear(s.Residues)
		}
		public, err := boxKEM.NewPublicKey(keys[i].Public[:])
		if err != nil {
			return nil, fmt.Errorf("deal a key: %w: member %s: %w", ErrRoundKey, r.Members[i].Name, err)
		}
		box, err := hpke.Seal(public, boxKDF, boxAEAD, binding(h.Announcement, h, r.Members[i], s.Point), plain)
		if err != nil {
			return nil, fmt.Errorf("deal a key: seal to %s: %w", r.Members[i].Name, err)
		}
		commitments[i] = Commitment{Share: commit(s.Point, plain), Box: statement.Hash(box)}
		boxes[i] = box
		clear(plain)
	}
	h.Shares = commitments
	return boxes, nil
}

// Unseal opens the box of one client for the holder at point and writes the share
// to dst, of ring.Len() residues. It returns ErrBox if this is not the box that the
// client signed, ErrSealed if it does not open, ErrShare if what is inside is not
// the share that the client committed to. After an error dst is undefined.
//
// It does not check the header: see Header.Verify.
func Unseal(dst []uint64, r *Record, ring Ring, h *Header, point int, key *PrivateRoundKey, box []byte) error {
	holder, ok := r.Member(point)
	if !ok || len(h.Shares) != len(r.Members) {
		return fmt.Errorf("%w: client %s, point %d of %d", ErrBox, h.Client, point, len(h.Shares))
	}
	if statement.Hash(box) != h.Shares[point-1].Box {
		return fmt.Errorf("%w: client %s", ErrBox, h.Client)
	}
	if want := BoxSize(r, ring, point); len(box) != want {
		return fmt.Errorf("%w: client %s: %d bytes, want %d", ErrSealed, h.Client, len(box), want)
	}
	plain, err := hpke.Open(key.key, boxKDF, boxAEAD, binding(h.Announcement, h, holder, point), box)
	if err != nil {
		return fmt.Errorf("%w: client %s: %w", ErrSealed, h.Client, err)
	}
	defer clear(plain)
	if commit(point, plain) != h.Shares[point-1].Share {
		return fmt.Errorf("%w: client %s", ErrShare, h.Client)
	}
	if body := plain[saltSize:]; r.Seeded(point) {
		ring.Expand(dst, (*[SeedSize]byte)(body))
	} else if err := ring.unpack(dst, body); err != nil {
		return fmt.Errorf("%w: client %s: %w", ErrShare, h.Client, err)
	}
	return nil
}
