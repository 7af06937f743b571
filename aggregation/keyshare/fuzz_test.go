package keyshare

import (
	"bytes"
	"testing"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Each target: a decoder never panics, takes no more memory than its bounds, and
// accepts exactly the one encoding of what it returns.

func seedCorpus(f *testing.F, b []byte) {
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(b[:len(b)/2])
	f.Add(append(bytes.Clone(b), 0))
	for _, at := range []int{0, 3, len(b) / 3, len(b) / 2, len(b) - 1} {
		x := bytes.Clone(b)
		x[at] ^= 0xff
		f.Add(x)
	}
}

func roundTrip[T any](f *testing.F, seed []byte, parse func([]byte) (T, error), encode func(T) []byte) {
	seedCorpus(f, seed)
	if _, err := parse(seed); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if err != nil {
			return
		}
		if got := encode(v); !bytes.Equal(got, b) {
			t.Fatalf("%x is read as what writes %x", b, got)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	w := newWorld(f, testInsecureRing, 4, 3, 1, 3)
	roundTrip(f, w.record.Bytes(), ParseRecord, (*Record).Bytes)
}

func FuzzParseSignedRecord(f *testing.F) {
	w := newWorld(f, testInsecureRing, 2, 2, 1, 1)
	roundTrip(f, w.signedRecord().Bytes(), ParseSignedRecord, (*SignedRecord).Bytes)
}

func FuzzParseAnnouncement(f *testing.F) {
	w := newWorld(f, testInsecureRing, 2, 2, 1, 1)
	roundTrip(f, w.announcement.Bytes(), ParseAnnouncement, (*Announcement).Bytes)
}

func FuzzParseHeader(f *testing.F) {
	w := newWorld(f, testInsecureRing, 4, 3, 1, 3)
	roundTrip(f, w.upload(1).header.Bytes(), ParseHeader, (*Header).Bytes)
}

func FuzzParseRoundKey(f *testing.F) {
	w := newWorld(f, testInsecureRing, 2, 2, 1, 1)
	roundTrip(f, w.public[1].Bytes(), ParseRoundKey, (*RoundKey).Bytes)
}

func FuzzParseSetSignature(f *testing.F) {
	w := newWorld(f, testInsecureRing, 2, 2, 1, 1)
	s := SignSet(w.record.Hash(), "run-1", 1, statement.Digest{1}, 2, w.signing[1])
	roundTrip(f, s.Bytes(), ParseSetSignature, (*SetSignature).Bytes)
}

func FuzzParseClosure(f *testing.F) {
	w := newWorld(f, testInsecureRing, 2, 2, 1, 1)
	c := SignClosure(w.record.Hash(), "run-1", 1, 2, w.signing[1])
	roundTrip(f, c.Bytes(), ParseClosure, (*Closure).Bytes)
}

func FuzzParseVerdict(f *testing.F) {
	v := Verdict{Set: statement.Digest{1}, Point: 3, Objections: []Objection{{"client-1", ReasonShare}, {"client-2", ReasonMissing}}}
	f.Add((&Verdict{Refusal: "no"}).Bytes())
	roundTrip(f, v.Bytes(), ParseVerdict, (*Verdict).Bytes)
}

func FuzzParseAnswer(f *testing.F) {
	w := newWorld(f, testInsecureRing, 2, 2, 1, 2)
	u := w.uploads(2)
	_, a := w.close(2, w.set(u...), u)
	roundTrip(f, a.Bytes(w.ring), func(b []byte) (*Answer, error) { return ParseAnswer(w.ring, 3, b) },
		func(a *Answer) []byte { return a.Bytes(w.ring) })
}

// Whatever box arrives, under whatever the client committed to, unsealing gives a
// ring element or an error.
func FuzzUnseal(f *testing.F) {
	w := newWorld(f, testInsecureRing, 4, 3, 1, 1)
	u := w.upload(0)
	seedCorpus(f, u.boxes[3])
	f.Add(u.boxes[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		h := u.header
		h.Shares = bytesCommitments(h.Shares, b)
		for point := 1; point <= 4; point++ {
			dst := make([]uint64, w.ring.Len())
			if err := Unseal(dst, w.record, w.ring, &h, point, w.private[point-1], b); err == nil {
				if err := w.ring.checkResidues(dst); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func bytesCommitments(shares []Commitment, box []byte) []Commitment {
	out := make([]Commitment, len(shares))
	for i, s := range shares {
		out[i] = Commitment{s.Share, statement.Hash(box)}
	}
	return out
}
