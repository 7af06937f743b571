package keyshare

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/internal/statement"
)

var update = flag.Bool("update", false, "write testdata/v1/vectors.json anew; only with a new protocol version")

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vectors are one federation of 2-of-3, c = 0, with two clients and an insecure ring, and
// messages that a second implementation must read, or refuse, alike.
type vectors struct {
	Comment      string   `json:"comment"`
	N            int      `json:"n"`
	Primes       []uint64 `json:"primes"`
	Point        int      `json:"point"` // of the holder below
	PrivateKey   hexBytes `json:"private_round_key"`
	Record       hexBytes `json:"record"`
	RecordHash   hexBytes `json:"record_hash"`
	Fingerprint  string   `json:"fingerprint"`
	Announcement hexBytes `json:"announcement"`
	Hash         hexBytes `json:"announcement_hash"`
	Seed         hexBytes `json:"public_seed"`
	RoundKey     hexBytes `json:"round_key"`
	SetHash      hexBytes `json:"set_hash"`
	Signature    hexBytes `json:"set_signature"`
	Answer       hexBytes `json:"answer"`

	Split struct {
		Randomness hexBytes `json:"randomness"`
		Secret     []uint64 `json:"secret"`
		Seed       hexBytes `json:"share_1_seed"`
		Share2     []uint64 `json:"share_2"`
		Share3     []uint64 `json:"share_3"`
		Salt       hexBytes `json:"share_3_salt"`
		Packed     hexBytes `json:"share_3_packed"`
		Commitment hexBytes `json:"share_3_commitment"`
	} `json:"split"`

	Clients []vectorClient `json:"clients"`
	Bad     []vectorBad    `json:"bad"`
}

type vectorClient struct {
	Header hexBytes `json:"header"`
	Hash   hexBytes `json:"header_hash"`
	Info   hexBytes `json:"box_info"`
	Box    hexBytes `json:"box"`
	Share  []uint64 `json:"share"`
}

type vectorBad struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"` // record, announcement, header, round_key, set_signature, verdict, answer, or box: with the header before it
	Header hexBytes `json:"header,omitempty"`
	Bytes  hexBytes `json:"bytes"`
	Want   string   `json:"want"`
}

const vectorFile = "testdata/v1/vectors.json"

var vectorErrors = map[string]error{
	"malformed": statement.ErrMalformed, "record": ErrRecord, "box": ErrBox, "sealed": ErrSealed, "share": ErrShare,
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	ring := Ring{v.N, v.Primes}
	same := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", what, got, want)
		}
	}
	r, err := ParseRecord(v.Record)
	if err != nil {
		t.Fatal(err)
	}
	hash := r.Hash()
	same("record", hash[:], v.RecordHash)
	if got := Fingerprint(hash); got != v.Fingerprint {
		t.Errorf("fingerprint %s, want %s", got, v.Fingerprint)
	}
	a, err := ParseAnnouncement(v.Announcement)
	if err != nil {
		t.Fatal(err)
	}
	d, seed := a.Hash(), a.Seed()
	same("announcement", d[:], v.Hash)
	same("seed", seed[:], v.Seed)
	key, err := ParseRoundKey(v.RoundKey)
	if err != nil || key.Verify(r, hash, a.Run, a.Round) != nil {
		t.Errorf("round key: %v", err)
	}
	private, err := ParsePrivateRoundKey(v.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	same("public key", private.key.PublicKey().Bytes(), key.Public[:])

	shares, err := Split(ring, 2, 3, v.Split.Secret, bytes.NewReader(v.Split.Randomness))
	if err != nil {
		t.Fatal(err)
	}
	same("seed of share 1", shares[0].Seed[:], v.Split.Seed)
	if !slices.Equal(shares[1].Residues, v.Split.Share2) || !slices.Equal(shares[2].Residues, v.Split.Share3) {
		t.Errorf("shares %v, %v", shares[1].Residues, shares[2].Residues)
	}
	same("packed share", ring.pack(nil, v.Split.Share3), v.Split.Packed)
	c := commit(3, slices.Concat(v.Split.Salt, v.Split.Packed))
	same("commitment", c[:], v.Split.Commitment)

	var group []Header
	sum, share := make([]uint64, ring.Len()), make([]uint64, ring.Len())
	for _, x := range v.Clients {
		h, err := ParseHeader(x.Header)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Verify(r, d, testNow, nil); err != nil {
			t.Error(err)
		}
		hh := h.Hash()
		same("header", hh[:], x.Hash)
		same("info", binding(d, h, r.Members[v.Point-1], v.Point), x.Info)
		if err := Unseal(share, r, ring, h, v.Point, private, x.Box); err != nil || !slices.Equal(share, x.Share) {
			t.Errorf("box of %s: %v, %v", h.Client, share, err)
		}
		ring.add(sum, share)
		group = append(group, *h)
	}
	setHash := NewSet(*a, group).Hash()
	same("set", setHash[:], v.SetHash)
	s, err := ParseSetSignature(v.Signature)
	if err != nil || s.Verify(r, a.Run, a.Round, setHash) != nil {
		t.Errorf("set signature: %v", err)
	}
	answer, err := ParseAnswer(ring, 1, v.Answer)
	if err != nil || answer.Verify(r, ring, setHash, 1) != nil || !slices.Equal(answer.Sums[0], sum) {
		t.Errorf("answer: %v", err)
	}
	for _, x := range v.Bad {
		var err error
		switch x.Kind {
		case "record":
			_, err = ParseRecord(x.Bytes)
		case "announcement":
			_, err = ParseAnnouncement(x.Bytes)
		case "header":
			_, err = ParseHeader(x.Bytes)
		case "round_key":
			_, err = ParseRoundKey(x.Bytes)
		case "set_signature":
			_, err = ParseSetSignature(x.Bytes)
		case "verdict":
			_, err = ParseVerdict(x.Bytes)
		case "answer":
			_, err = ParseAnswer(ring, 1, x.Bytes)
		case "box":
			h, e := ParseHeader(x.Header)
			if e != nil {
				t.Fatal(e)
			}
			err = Unseal(share, r, ring, h, v.Point, private, x.Bytes)
		default:
			t.Fatalf("%s: kind %q", x.Name, x.Kind)
		}
		want, ok := vectorErrors[x.Want]
		if !ok || !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %s", x.Name, err, x.Want)
		}
	}
}

func writeVectors(t *testing.T) {
	ring := Ring{N: 8, Primes: []uint64{9007199254614017, 97}}
	w := newWorld(t, ring, 3, 2, 0, 2)
	u := w.uploads(2)
	set := w.set(u...)
	const point = 3
	s, a := w.close(point, set, u)
	v := vectors{
		Comment: "protocol version 1; the ring is too small to protect anything; written by TestVectors -update, hashes and shares recomputed by check.py",
		N:       ring.N, Primes: ring.Primes, Point: point,
		Record: w.record.Bytes(), Announcement: w.announcement.Bytes(), RoundKey: w.public[point-1].Bytes(),
		Signature: s.Bytes(), Answer: a.Bytes(ring),
	}
	var err error
	if v.PrivateKey, err = w.private[point-1].Bytes(); err != nil {
		t.Fatal(err)
	}
	hash, d, seed, setHash := w.record.Hash(), w.announcement.Hash(), w.announcement.Seed(), set.Hash()
	v.RecordHash, v.Hash, v.Seed, v.SetHash, v.Fingerprint = hash[:], d[:], seed[:], setHash[:], Fingerprint(hash)

	for i := range SeedSize {
		v.Split.Randomness = append(v.Split.Randomness, byte(i))
		v.Split.Salt = append(v.Split.Salt, byte(100+i))
	}
	v.Split.Secret = randomElement(ring, w.rng)
	shares, err := Split(ring, 2, 3, v.Split.Secret, bytes.NewReader(v.Split.Randomness))
	if err != nil {
		t.Fatal(err)
	}
	v.Split.Seed, v.Split.Share2, v.Split.Share3 = shares[0].Seed[:], shares[1].Residues, shares[2].Residues
	v.Split.Packed = ring.pack(nil, v.Split.Share3)
	c := commit(3, slices.Concat(v.Split.Salt, v.Split.Packed))
	v.Split.Commitment = c[:]

	for _, x := range u {
		share := make([]uint64, ring.Len())
		if err := Unseal(share, w.record, ring, &x.header, point, w.private[point-1], x.boxes[point-1]); err != nil {
			t.Fatal(err)
		}
		h := x.header.Hash()
		v.Clients = append(v.Clients, vectorClient{x.header.Bytes(), h[:], binding(d, &x.header, w.record.Members[point-1], point), x.boxes[point-1], share})
	}

	bad := func(name, kind, want string, b []byte) {
		v.Bad = append(v.Bad, vectorBad{Name: name, Kind: kind, Bytes: b, Want: want})
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for kind, b := range map[string][]byte{
		"record": v.Record, "announcement": v.Announcement, "header": v.Clients[0].Header, "round_key": v.RoundKey, "set_signature": v.Signature, "answer": v.Answer,
	} {
		bad("bad_"+kind+"_short", kind, "malformed", b[:len(b)-1])
		bad("bad_"+kind+"_long", kind, "malformed", append(bytes.Clone(b), 0))
		bad("bad_"+kind+"_label", kind, "malformed", flip(b, 10))
		bad("bad_"+kind+"_huge_length", kind, "malformed", slices.Concat([]byte{0xff, 0xff, 0xff, 0xff}, b[4:]))
	}
	twoSets := *w.record
	twoSets.Threshold = 1
	bad("bad_record_two_sets", "record", "record", twoSets.Bytes())
	over := *a
	over.Sums = [][]uint64{slices.Clone(a.Sums[0])}
	over.Sums[0][0] = ring.Primes[0]
	bad("bad_answer_residue_q", "answer", "malformed", over.Bytes(ring))
	far := *a
	far.Point = MaxMembers + 1
	bad("bad_answer_point", "answer", "malformed", far.Bytes(ring))
	unsorted := Verdict{Objections: []Objection{{"b", ReasonBox}, {"a", ReasonBox}}}
	bad("bad_verdict_order", "verdict", "malformed", unsorted.Bytes())
	weightless := u[0].header
	weightless.Order.Weight = 0
	bad("bad_header_weight", "header", "malformed", weightless.Bytes())
	slices.SortFunc(v.Bad, func(a, b vectorBad) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })

	box := func(name, want string, h Header, b []byte, committed bool) {
		if committed {
			h.Shares = slices.Clone(h.Shares)
			h.Shares[point-1].Box = statement.Hash(b)
			h.Sign(u[0].key)
		}
		v.Bad = append(v.Bad, vectorBad{name, "box", h.Bytes(), b, want})
	}
	h, b := u[0].header, u[0].boxes[point-1]
	box("bad_box_not_signed", "box", h, flip(b, 50), false)
	box("bad_box_short", "sealed", h, b[:len(b)-1], true)
	box("bad_box_long", "sealed", h, append(bytes.Clone(b), 0), true)
	box("bad_box_encapsulation", "sealed", h, flip(b, 50), true)
	box("bad_box_tag", "sealed", h, flip(b, len(b)-1), true)
	box("bad_box_of_another_client", "sealed", h, u[1].boxes[point-1], true)
	box("bad_box_of_another_holder", "sealed", h, u[0].boxes[point-2], true)
	foreign := h
	foreign.Announcement[0] ^= 1
	box("bad_box_of_another_announcement", "sealed", foreign, b, true)
	heavier := h
	heavier.Order.Work++
	box("bad_box_of_another_order", "sealed", heavier, b, true)
	other := h
	other.Shares = slices.Clone(h.Shares)
	other.Shares[point-1].Share[0] ^= 1
	box("bad_share_not_committed", "share", other, b, true)
	q := make([]uint64, ring.Len())
	q[3] = ring.Primes[0]
	x := &upload{header: h, boxes: slices.Clone(u[0].boxes), key: u[0].key}
	x.header.Shares = slices.Clone(h.Shares)
	w.deal(x, point, q)
	box("bad_share_residue_q", "share", x.header, x.boxes[point-1], false)

	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata/v1", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(out, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
