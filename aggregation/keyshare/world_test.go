package keyshare

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/internal/statement"
)

const (
	testNow    = 1_800_000_000
	testExpiry = testNow + 86400
)

// world is a federation with all its secrets, for tests that play every part.
type world struct {
	t        testing.TB
	ring     Ring
	record   *Record
	signing  []ed25519.PrivateKey // of members, by point
	vouchers []ed25519.PrivateKey // by place in the record
	rng      *mrand.Rand

	announcement Announcement
	limits       Limits
	private      []*PrivateRoundKey
	public       []RoundKey
}

type upload struct {
	header Header
	boxes  [][]byte
	secret []uint64
	key    ed25519.PrivateKey
}

func testKey(rng *mrand.Rand) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(rng.Uint32())
	}
	return ed25519.NewKeyFromSeed(seed)
}

func newWorld(t testing.TB, ring Ring, m, th, c, organisations int) *world {
	t.Helper()
	w := &world{t: t, ring: ring, rng: newRand(uint64(m*100 + th*10 + c))}
	w.record = &Record{Name: "test", Threshold: th, Corrupt: c, Preset: "test-insecure", Roster: RosterPinned}
	for i := range m {
		k := testKey(w.rng)
		w.signing = append(w.signing, k)
		w.record.Members = append(w.record.Members, Member{fmt.Sprintf("holder-%d", i+1), statement.PublicKey(k)})
	}
	for i := range organisations {
		k := testKey(w.rng)
		w.vouchers = append(w.vouchers, k)
		w.record.Vouchers = append(w.record.Vouchers, Voucher{fmt.Sprintf("org-%05d", i), statement.PublicKey(k)})
	}
	if err := w.record.Validate(); err != nil {
		t.Fatal(err)
	}
	w.limits = Limits{Contract: statement.Digest{3}, KMin: 2, MinCohort: 2, MinWork: 10, MinWeight: 0.01}
	w.announce(1, 1)
	return w
}

// announce opens a round with fresh round keys.
func (w *world) announce(round, attempt uint64) {
	w.announcement = Announcement{
		Version: ProtocolVersion, Run: "run-1", Round: round, Attempt: attempt,
		Model: statement.Digest{1}, Task: statement.Digest{2}, Contract: w.limits.Contract, Record: w.record.Hash(),
		Ledger: statement.Digest{byte(round)}, Goal: 10, Deadline: testNow * 1000,
	}
	w.private, w.public = nil, nil
	for i, k := range w.signing {
		p, err := GenerateRoundKey(rand.Reader)
		if err != nil {
			w.t.Fatal(err)
		}
		w.private = append(w.private, p)
		w.public = append(w.public, PublishRoundKey(p, w.announcement.Run, round, w.record.Hash(), i+1, k))
	}
	if err := VerifyRoundKeys(w.record, &w.announcement, w.public); err != nil {
		w.t.Fatal(err)
	}
}

func clientName(i int) string { return fmt.Sprintf("client-%05d", i) }

// draft is a header before its shares: client i of organisation i modulo their
// number.
func (w *world) draft(i int) (*Header, ed25519.PrivateKey) {
	key := testKey(w.rng)
	h := &Header{
		Announcement: w.announcement.Hash(), Client: clientName(i), Key: statement.PublicKey(key),
		Order: Order{Work: 100, Weight: 1, Mode: "eco"}, Ciphertext: statement.Digest{byte(i), 9},
	}
	if w.record.Roster == RosterPinned {
		o := i % len(w.vouchers)
		h.Vouch = SignVouch(w.record.Vouchers[o].Name, w.vouchers[o], h.Client, h.Key, testExpiry)
	}
	return h, key
}

func (w *world) upload(i int, change ...func(*Header)) *upload {
	w.t.Helper()
	h, key := w.draft(i)
	for _, f := range change {
		f(h)
	}
	secret := randomElement(w.ring, w.rng)
	boxes, err := Deal(w.record, w.ring, h, w.public, secret, rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	h.Sign(key)
	return &upload{*h, boxes, secret, key}
}

func (w *world) uploads(n int) []*upload {
	w.t.Helper()
	u := make([]*upload, n)
	for i := range u {
		u[i] = w.upload(i)
	}
	return u
}

func (w *world) set(uploads ...*upload) *Set {
	g := make([]Header, len(uploads))
	for i, u := range uploads {
		g[i] = u.header
	}
	return NewSet(w.announcement, g)
}

// look is what the holder at point makes of the set.
func (w *world) look(point int, set *Set, uploads []*upload) (*Collector, error) {
	c, err := NewCollector(w.record, w.ring, w.limits, point, w.private[point-1], set, testNow, nil)
	if err != nil {
		return nil, err
	}
	i := 0
	for _, g := range set.Groups {
		for _, h := range g {
			for _, u := range uploads {
				if u.header.Client == h.Client {
					if err := c.Add(i, u.boxes[point-1]); err != nil {
						w.t.Fatal(err)
					}
				}
			}
			i++
		}
	}
	return c, nil
}

func (w *world) mustLook(point int, set *Set, uploads []*upload) *Collector {
	w.t.Helper()
	c, err := w.look(point, set, uploads)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// close has the holder sign and answer, whatever it signed before.
func (w *world) close(point int, set *Set, uploads []*upload) (SetSignature, *Answer) {
	w.t.Helper()
	s, a, err := w.mustLook(point, set, uploads).Close(w.signing[point-1])
	if err != nil {
		w.t.Fatal(err)
	}
	return s, a
}

func (w *world) sum(uploads ...*upload) []uint64 {
	s := make([]uint64, w.ring.Len())
	for _, u := range uploads {
		w.ring.add(s, u.secret)
	}
	return s
}

// is accepts exactly the key that opens: the noise check of package kahe does the
// same without knowing it.
func is(want []uint64) func([]uint64) bool {
	return func(got []uint64) bool { return slices.Equal(got, want) }
}

func (w *world) subtract(a, b []uint64) []uint64 {
	d := make([]uint64, len(a))
	for i := range a {
		p := w.ring.Primes[i/w.ring.N]
		d[i] = (a[i] + p - b[i]) % p
	}
	return d
}

func group(answers []*Answer, g int) []PointSum {
	var sums []PointSum
	for _, a := range answers {
		sums = append(sums, PointSum{a.Point, a.Sums[g]})
	}
	return sums
}
