package terms

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

// layout is a frame for a committee of three, of whom two get seeds, and an upload.
func layout(t testing.TB) (Frame, Upload) {
	t.Helper()
	ring, params, err := valid(t).Ring()
	if err != nil {
		t.Fatal(err)
	}
	r := &keyshare.Record{Name: "test", Threshold: 3, Corrupt: 2, Preset: params.Preset().Name, Roster: keyshare.RosterOpen}
	for _, name := range []string{"a", "b", "c"} {
		r.Members = append(r.Members, keyshare.Member{Name: name, Key: statement.Key{name[0]}})
	}
	f := NewFrame(r, ring, params)
	u := Upload{
		Header:     &keyshare.Header{Client: "client", Order: keyshare.Order{Work: 3, Weight: 0.5}, Shares: make([]keyshare.Commitment, 3)},
		Ciphertext: bytes.Repeat([]byte{0xc1}, params.CiphertextSize()),
	}
	for i := range r.Members {
		u.Boxes = append(u.Boxes, bytes.Repeat([]byte{byte(i + 1)}, keyshare.BoxSize(r, ring, i+1)))
	}
	u.Header.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	return f, u
}

func TestFrame(t *testing.T) {
	f, u := layout(t)
	b, err := f.Append([]byte("before"), u)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := bytes.CutPrefix(b, []byte("before"))
	want := headerField + len(u.Ciphertext) + len(u.Boxes[0]) + len(u.Boxes[1]) + len(u.Boxes[2])
	if !ok || len(b) != want || f.Size() != want {
		t.Fatalf("report of %d bytes, Size says %d, want %d", len(b), f.Size(), want)
	}
	got, err := f.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(u, got); d != "" {
		t.Error(d)
	}
	// The parts end where they end: to append to one does not write into the next.
	_ = append(got.Ciphertext, 9)
	_ = append(got.Boxes[0], 9)
	if !bytes.Equal(got.Boxes[0], u.Boxes[0]) || !bytes.Equal(got.Boxes[1], u.Boxes[1]) {
		t.Error("the parts of a report run into each other")
	}
}

func TestFrameRefuses(t *testing.T) {
	f, u := layout(t)
	good, err := f.Append(nil, u)
	if err != nil {
		t.Fatal(err)
	}
	header := int(binary.LittleEndian.Uint16(good))
	length := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint16(b, uint16(n)); return b }
	}
	for name, change := range map[string]func([]byte) []byte{
		"nothing":              func([]byte) []byte { return nil },
		"a byte short":         func(b []byte) []byte { return b[:len(b)-1] },
		"a byte long":          func(b []byte) []byte { return append(b, 0) },
		"no header":            length(0),
		"header one shorter":   length(header - 1),
		"header one longer":    length(header + 1),
		"header of its field":  length(keyshare.MaxHeaderSize),
		"header beyond it":     length(keyshare.MaxHeaderSize + 1),
		"header beyond all":    length(0xffff),
		"first byte of pad":    func(b []byte) []byte { b[2+header] = 1; return b },
		"last byte of pad":     func(b []byte) []byte { b[headerField-1] = 1; return b },
		"label of the header":  func(b []byte) []byte { b[6] ^= 1; return b },
		"client without name":  func(b []byte) []byte { return bytes.Replace(b, []byte("client"), []byte("cli\x00nt"), 1) },
		"vector before header": func(b []byte) []byte { return append(b[headerField:], b[:headerField]...) },
	} {
		bad := change(bytes.Clone(good))
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: changes nothing", name)
		}
		if _, err := f.Parse(bad); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: got %v, want ErrFrame", name, err)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	for name, change := range map[string]func(*Upload){
		"short vector":   func(u *Upload) { u.Ciphertext = u.Ciphertext[1:] },
		"a box too few":  func(u *Upload) { u.Boxes = u.Boxes[1:] },
		"a box too many": func(u *Upload) { u.Boxes = append(u.Boxes, u.Boxes[0]) },
		"last box short": func(u *Upload) { u.Boxes[2] = u.Boxes[2][1:] },
		"large header":   func(u *Upload) { u.Header.Shares = make([]keyshare.Commitment, 64) },
	} {
		f, u := layout(t)
		change(&u)
		got, err := f.Append([]byte("kept"), u)
		if !errors.Is(err, ErrFrame) || string(got) != "kept" {
			t.Errorf("%s: got %d bytes, %v; want what was there and ErrFrame", name, len(got), err)
		}
	}
}

// What parses is laid out as Append lays it out: one upload has one report.
func FuzzParse(f *testing.F) {
	frame, u := layout(f)
	good, err := frame.Append(nil, u)
	if err != nil {
		f.Fatal(err)
	}
	// The vector and the boxes are opaque here: the fuzzer works on what comes before.
	rest := good[headerField:]
	seed := func(change func(b []byte)) {
		b := bytes.Clone(good[:headerField])
		change(b)
		f.Add(b)
	}
	seed(func([]byte) {})
	header := int(binary.LittleEndian.Uint16(good))
	for _, n := range []int{0, 1, header - 1, header + 1, keyshare.MaxHeaderSize, keyshare.MaxHeaderSize + 1, 0xffff} {
		seed(func(b []byte) { binary.LittleEndian.PutUint16(b, uint16(n)) })
	}
	for _, at := range []int{2, 5, 30, 60, 70, 2 + header - 65, 2 + header, headerField - 1} {
		seed(func(b []byte) { b[at] ^= 0xff })
	}
	for _, n := range []int{0, 1, 2, header, headerField - 1} {
		f.Add(good[:n])
	}
	f.Fuzz(func(t *testing.T, front []byte) {
		b := append(bytes.Clone(front), rest...)
		got, err := frame.Parse(b)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("got %v, want ErrFrame", err)
			}
			return
		}
		again, err := frame.Append(nil, got)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("a report is laid out in two ways (%v)", err)
		}
	})
}

// Hashes made while a report arrives, in pieces of any size, are those of its parts.
func TestHashesOnArrival(t *testing.T) {
	f := Frame{ciphertext: 1000, boxes: []int{10, 0, 70}}
	body := make([]byte, f.Size())
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	want := []statement.Digest{statement.Hash(f.Vector(body))}
	for p := 1; p <= 3; p++ {
		from, size := f.Box(p)
		want = append(want, statement.Hash(body[from:from+size]))
	}
	for _, piece := range []int{1, 7, 64, 1000, len(body), 2 * len(body)} {
		h := f.Hasher()
		for rest := body; len(rest) > 0; {
			if _, ok := h.Hashes(); ok && len(rest) > 70 {
				t.Fatal("hashes are there before the report is")
			}
			n := min(piece, len(rest))
			h.Write(rest[:n])
			rest = rest[n:]
		}
		got, ok := h.Hashes()
		if !ok || !slices.Equal(append([]statement.Digest{got.Ciphertext}, got.Boxes...), want) {
			t.Errorf("pieces of %d: hashes differ from those of the parts, or are not there (%t)", piece, ok)
		}
	}
	if _, err := f.Hash(body[1:]); !errors.Is(err, ErrFrame) {
		t.Errorf("a short report: got %v, want ErrFrame", err)
	}
}
