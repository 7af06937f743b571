package keyshare

import (
	"crypto/ed25519"
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Vouch is an organisation's word that a key is that of its client. All fields are
// zero where the roster is open.
type Vouch struct {
	Voucher   string
	NotAfter  uint64 // seconds since 1970 UTC; renewing is how a voucher takes its word back
	Signature statement.Signature
}

func (v *Vouch) statement(client string, key statement.Key) []byte {
	return statement.New("sotto/vouch/v1").String(v.Voucher).String(client).Fixed(key[:]).Uint(v.NotAfter).Statement()
}

// SignVouch vouches for a client's key until notAfter, in seconds since 1970 UTC.
func SignVouch(voucher string, private ed25519.PrivateKey, client string, key statement.Key, notAfter uint64) Vouch {
	v := Vouch{Voucher: voucher, NotAfter: notAfter}
	v.Signature = statement.Sign(private, v.statement(client, key))
	return v
}

// Check returns ErrVouch unless the record admits the client with that key at the
// time now, in seconds since 1970 UTC. known may be nil.
func (v *Vouch) Check(r *Record, client string, key statement.Key, now uint64, known *Known) error {
	if r.Roster == RosterOpen {
		if *v != (Vouch{}) {
			return fmt.Errorf("%w: client %s names one although the roster is open", ErrVouch, client)
		}
		return nil
	}
	k, ok := r.voucherKey(v.Voucher)
	if !ok {
		return fmt.Errorf("%w: client %s names %.80q", ErrVouch, client, v.Voucher)
	}
	if now > v.NotAfter {
		return fmt.Errorf("%w: the word of %s for client %s has run out", ErrVouch, v.Voucher, client)
	}
	if known.has(k, v, client, key) {
		return nil
	}
	if err := statement.Verify(k, v.statement(client, key), v.Signature); err != nil {
		return fmt.Errorf("%w: client %s, voucher %s: %w", ErrVouch, client, v.Voucher, err)
	}
	known.add(k, v, client, key)
	return nil
}

// Commitment fixes what one holder gets.
type Commitment struct {
	Share statement.Digest // of the share with its salt
	Box   statement.Digest // of the sealed share: what the server can check
}

// Header says in public what an upload is, and the client signs it.
type Header struct {
	Announcement statement.Digest
	Client       string
	Key          statement.Key
	Order        Order
	Ciphertext   statement.Digest // of the encrypted vector
	Shares       []Commitment     // by point
	Vouch        Vouch
	Signature    statement.Signature
}

const headerLabel = "sotto/header/v1"

// MaxHeaderSize bounds an encoded header in bytes.
const MaxHeaderSize = 2048

func (h *Header) statement() []byte {
	w := statement.New(headerLabel).Fixed(h.Announcement[:]).String(h.Client).Fixed(h.Key[:])
	h.Order.write(w)
	w.Fixed(h.Ciphertext[:]).Count(len(h.Shares))
	for _, s := range h.Shares {
		w.Fixed(s.Share[:]).Fixed(s.Box[:])
	}
	w.String(h.Vouch.Voucher).Uint(h.Vouch.NotAfter).Fixed(h.Vouch.Signature[:])
	return w.Statement()
}

// Sign signs the header with the client's key, which it also names.
func (h *Header) Sign(private ed25519.PrivateKey) {
	h.Key = statement.PublicKey(private)
	h.Signature = statement.Sign(private, h.statement())
}

// Bytes returns the signed header: the statement, then the signature.
func (h *Header) Bytes() []byte { return append(h.statement(), h.Signature[:]...) }

// Hash identifies the signed header.
func (h *Header) Hash() statement.Digest { return statement.Hash(h.Bytes()) }

// ParseHeader reads what Bytes wrote. It checks form, not signatures: see Verify.
func ParseHeader(b []byte) (*Header, error) {
	if len(b) > MaxHeaderSize {
		return nil, fmt.Errorf("%w: header of %d bytes, want at most %d", statement.ErrMalformed, len(b), MaxHeaderSize)
	}
	d := statement.Read(b, headerLabel)
	h := &Header{Announcement: d.Digest("announcement"), Client: d.String("client", maxText)}
	d.Fixed("key", h.Key[:])
	h.Order = readOrder(d)
	h.Ciphertext = d.Digest("ciphertext")
	if n := d.Count("shares", MaxMembers, 64); n > 0 {
		h.Shares = make([]Commitment, n)
	}
	for i := range h.Shares {
		h.Shares[i] = Commitment{d.Digest("share"), d.Digest("box")}
	}
	h.Vouch = Vouch{Voucher: d.String("voucher", maxText), NotAfter: d.Uint("not after", math.MaxUint64)}
	d.Fixed("vouch", h.Vouch.Signature[:])
	d.Fixed("signature", h.Signature[:])
	if d.Err() == nil && !validName.MatchString(h.Client) {
		d.Fail("client", "name %.80q", h.Client)
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return h, nil
}

// Verify checks that the header is for that attempt and committee, signed by the
// client, and that the record admits the client at the time now, in seconds since
// 1970 UTC. known may be nil.
func (h *Header) Verify(r *Record, announcement statement.Digest, now uint64, known *Known) error {
	return h.verify(r, announcement, now, known, false)
}

// verify is Verify, of a header whose signature may have been verified with others.
func (h *Header) verify(r *Record, announcement statement.Digest, now uint64, known *Known, signed bool) error {
	if h.Announcement != announcement {
		return fmt.Errorf("%w: client %s signed another one", ErrAnnouncement, h.Client)
	}
	if len(h.Shares) != len(r.Members) {
		return fmt.Errorf("%w: client %s has shares for %d holders, the committee has %d", ErrOtherRecord, h.Client, len(h.Shares), len(r.Members))
	}
	if !signed {
		if err := statement.Verify(h.Key, h.statement(), h.Signature); err != nil {
			return fmt.Errorf("header of client %s: %w", h.Client, err)
		}
	}
	return h.Vouch.Check(r, h.Client, h.Key, now, known)
}

// CheckBoxes says whether boxes, by point, are those that the client signed. It is
// what the server can check of them; it cannot open them.
func (h *Header) CheckBoxes(r *Record, ring Ring, boxes [][]byte) error {
	if len(boxes) != len(r.Members) || len(h.Shares) != len(boxes) {
		return fmt.Errorf("%w: client %s sends %d, the committee has %d holders", ErrBox, h.Client, len(boxes), len(r.Members))
	}
	hashes := make([]statement.Digest, len(boxes))
	for i, b := range boxes {
		if want := BoxSize(r, ring, i+1); len(b) != want {
			return fmt.Errorf("%w: client %s, point %d: %d bytes, want %d", ErrBox, h.Client, i+1, len(b), want)
		}
		hashes[i] = statement.Hash(b)
	}
	return h.CheckBoxHashes(hashes)
}

// CheckBoxHashes is CheckBoxes for boxes of the right sizes that were hashed as they
// came.
func (h *Header) CheckBoxHashes(hashes []statement.Digest) error {
	if len(h.Shares) != len(hashes) {
		return fmt.Errorf("%w: client %s sends %d, its header names %d", ErrBox, h.Client, len(hashes), len(h.Shares))
	}
	for i := range hashes {
		if hashes[i] != h.Shares[i].Box {
			return fmt.Errorf("%w: client %s, point %d", ErrBox, h.Client, i+1)
		}
	}
	return nil
}
