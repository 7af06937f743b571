package keyshare

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/statement"
)

var protocolText = func() string {
	b, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		panic(err)
	}
	return string(b)
}()

// quote fails unless docs/protocol.md says exactly this under that number.
func quote(t *testing.T, number, sentence string) {
	t.Helper()
	if !strings.Contains(protocolText, "- **"+number+".** "+sentence+"\n") {
		t.Errorf("docs/protocol.md does not say %s: %s", number, sentence)
	}
}

func TestProtocolK2(t *testing.T) {
	quote(t, "K2", "A record is valid only if 2t > m + c, c < t <= m and 2 <= m <= 16, with distinct names and keys of members, and distinct names and keys of vouchers.")
	for m := 1; m <= 17; m++ {
		for th := 0; th <= m+1; th++ {
			for c := 0; c <= th+1; c++ {
				want := 2*th > m+c && c < th && th <= m && 2 <= m && m <= 16
				if got := committee(m, th, c).Validate() == nil; got != want {
					t.Errorf("m=%d t=%d c=%d: valid %v, want %v", m, th, c, got, want)
				}
			}
		}
	}
	for _, row := range []struct{ m, t, c, corrupt, absent int }{{4, 3, 1, 1, 1}, {3, 3, 2, 2, 0}, {7, 5, 2, 2, 2}, {3, 2, 0, 0, 1}} {
		r := committee(row.m, row.t, row.c)
		if r.Validate() != nil || r.Absent() != row.absent || r.Corrupt != row.corrupt {
			t.Errorf("table row %+v: %v", row, r.Validate())
		}
		if !strings.Contains(protocolText, fmt.Sprintf("| %d, %d, %d", row.m, row.t, row.c)) {
			t.Errorf("table row %+v is not in docs/protocol.md", row)
		}
	}
}

func TestProtocolK4(t *testing.T) {
	quote(t, "K4", "People compare the first 160 bits of the hash, as eight groups of four letters; programs compare all of it.")
	a := statement.Digest{1, 2, 3}
	for bit := range 256 {
		b := a
		b[bit/8] ^= 1 << (bit % 8)
		if changed := Fingerprint(a) != Fingerprint(b); changed != (bit < 160) {
			t.Errorf("bit %d: fingerprint changes %v", bit, changed)
		}
	}
}

func TestProtocolK9(t *testing.T) {
	quote(t, "K8", "A holder publishes, ahead of time, one HPKE key a round (MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305), signed for one run, round, record and point.")
	quote(t, "K9", "A client uses only a complete list of m such keys, for exactly its run and round.")
	if boxKEM.ID() != 0x647a || boxKDF.ID() != 1 || boxAEAD.ID() != 3 {
		t.Errorf("suite %#x, %#x, %#x", boxKEM.ID(), boxKDF.ID(), boxAEAD.ID())
	}
	w := newWorld(t, testInsecureRing, 4, 3, 1, 1)
	for name, change := range map[string]func(a *Announcement, k []RoundKey) []RoundKey{
		"run":       func(a *Announcement, k []RoundKey) []RoundKey { a.Run = "other"; return k },
		"round":     func(a *Announcement, k []RoundKey) []RoundKey { a.Round++; return k },
		"three":     func(a *Announcement, k []RoundKey) []RoundKey { return k[:3] },
		"public":    func(a *Announcement, k []RoundKey) []RoundKey { k[2].Public[7] ^= 1; return k },
		"signature": func(a *Announcement, k []RoundKey) []RoundKey { k[2].Signature[7] ^= 1; return k },
		"record":    func(a *Announcement, k []RoundKey) []RoundKey { k[2].Record[7] ^= 1; return k },
	} {
		a := w.announcement
		refused(t, name, VerifyRoundKeys(w.record, &a, change(&a, slices.Clone(w.public))), ErrRoundKey)
	}
}

func TestProtocolR7(t *testing.T) {
	quote(t, "R7", "Each coefficient of the key is the value at 0 of a polynomial of degree t-1; the shares are its values at 1 to m, in coefficient form.")
	quote(t, "R8", "The shares of points 1 to t-1 are sent as 32-byte seeds, which ChaCha20 expands; the others follow from them and the key, and are packed at the bits of each prime.")
	secret := randomElement(testInsecureRing, newRand(4))
	shares, err := Split(testInsecureRing, 3, 5, secret, &shortReader{1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shares {
		if s.Point != i+1 || (s.Seed != nil) != (s.Point < 3) {
			t.Errorf("share %d: point %d, seed %v", i, s.Point, s.Seed != nil)
		}
	}
	if got := slowInterpolate(testInsecureRing, []int{1, 3, 5}, [][]uint64{shares[0].residues(testInsecureRing), shares[2].Residues, shares[4].Residues}); !slices.Equal(got, secret) {
		t.Error("shares 1, 3 and 5 do not give the key")
	}
}

func TestProtocolR9(t *testing.T) {
	quote(t, "R9", "A share travels with a fresh 32-byte salt, sealed to its holder's key of the round; the info of HPKE binds announcement, client's name and key, order, holder's name and key, and point.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 1)
	u := w.upload(0)
	base := binding(u.header.Announcement, &u.header, w.record.Members[3], 4)
	for name, change := range map[string]func(h *Header, m *Member, point *int){
		"announcement": func(h *Header, _ *Member, _ *int) { h.Announcement[0] ^= 1 },
		"client":       func(h *Header, _ *Member, _ *int) { h.Client += "x" },
		"key":          func(h *Header, _ *Member, _ *int) { h.Key[0] ^= 1 },
		"work":         func(h *Header, _ *Member, _ *int) { h.Order.Work++ },
		"weight":       func(h *Header, _ *Member, _ *int) { h.Order.Weight /= 2 },
		"mode":         func(h *Header, _ *Member, _ *int) { h.Order.Mode += "x" },
		"holder":       func(_ *Header, m *Member, _ *int) { m.Name += "x" },
		"holder key":   func(_ *Header, m *Member, _ *int) { m.Key[0] ^= 1 },
		"point":        func(_ *Header, _ *Member, p *int) { *p = 3 },
	} {
		h, m, point := u.header, w.record.Members[3], 4
		change(&h, &m, &point)
		if bytes.Equal(base, binding(h.Announcement, &h, m, point)) {
			t.Errorf("%s is not bound", name)
		}
	}
}

// A verdict leaves no trace: after a yes to one set a holder signs another.
func TestProtocolR18(t *testing.T) {
	quote(t, "R18", "Then the server asks for signatures. A holder signs at most one set a round, and after that no set of an earlier round of the run.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.uploads(3)
	if v := w.verdict(1, w.set(u...), u); !v.Yes() {
		t.Fatal("no yes")
	}
	s, _ := w.close(1, w.set(u[:2]...), u)
	if err := s.Verify(w.record, "run-1", 1, w.set(u[:2]...).Hash()); err != nil {
		t.Error(err)
	}
}

func TestProtocolR23(t *testing.T) {
	quote(t, "R23", "Sums carry no noise and no weights.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.uploads(3)
	for point := 1; point <= 4; point++ {
		want := make([]uint64, w.ring.Len())
		for i := range u {
			share := make([]uint64, w.ring.Len())
			if err := Unseal(share, w.record, w.ring, &u[i].header, point, w.private[point-1], u[i].boxes[point-1]); err != nil {
				t.Fatal(err)
			}
			w.ring.add(want, share)
		}
		for range 2 {
			if _, a := w.close(point, w.set(u...), u); !slices.Equal(a.Sums[0], want) {
				t.Errorf("point %d: the answer is not the sum of the shares", point)
			}
		}
	}
}

// The table of sizes.
func TestProtocolSizes(t *testing.T) {
	w := newWorld(t, testRing, 4, 3, 1, 2)
	u := w.uploads(2)
	h := &u[0].header
	set := w.set(u...)
	s, a := w.close(4, set, u)
	v := w.verdict(4, set, u)
	o := Verdict{Objections: []Objection{{"client-00000", ReasonBox}}}
	run := len(w.announcement.Run)
	for row, got := range map[string]int{
		"| announcement | server, everyone | %d and":             len(w.announcement.Bytes()) - run,
		"| round key | holder, all clients | %d and":             len(w.public[0].Bytes()) - run,
		"| header | client, server, holders | %d and":            len(h.Bytes()) - len(h.Client) - len(h.Vouch.Voucher) - len(h.Order.Mode),
		"| sealed share, whole | client, holders 3 and 4 | %d |": len(u[0].boxes[3]),
		"| sealed share, seed | client, holders 1 and 2 | %d |":  len(u[0].boxes[1]),
		"| verdict | holder, server | %d, and 12":                len(v.Bytes()),
		"| signature | holder, server, holders | %d |":           len(s.Bytes()),
		"| answer | holder, server | 127, and %d for":            len(a.Bytes(w.ring)) - 127,
	} {
		if want := fmt.Sprintf(row, got); !strings.Contains(protocolText, want) {
			t.Errorf("docs/protocol.md does not say %q", want)
		}
	}
	if got := len(o.Bytes()) - len(v.Bytes()) - len("client-00000"); got != 12 {
		t.Errorf("an objection has %d bytes and a name", got)
	}
}
