package keyholder

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/statement"
)

// testInsecureRing protects nothing.
var testInsecureRing = keyshare.Ring{N: 4, Primes: []uint64{9007199254614017}}

var testContract = []byte("a contract")

const farFuture = 1 << 40 // seconds since 1970

// committee plays the clients, the server and, by their keys, the holders of 3 of 4.
type committee struct {
	signed  *keyshare.SignedRecord
	signing []ed25519.PrivateKey
	voucher []ed25519.PrivateKey
	client  []ed25519.PrivateKey
}

func testKey(label string) ed25519.PrivateKey {
	d := statement.Hash([]byte(label))
	return ed25519.NewKeyFromSeed(d[:])
}

func newCommittee() (*committee, error) {
	c := &committee{}
	r := keyshare.Record{Name: "test", Threshold: 3, Corrupt: 1, Preset: "test-insecure", Roster: keyshare.RosterPinned}
	for i := range 4 {
		k := testKey(fmt.Sprint("holder", i))
		c.signing = append(c.signing, k)
		r.Members = append(r.Members, keyshare.Member{Name: fmt.Sprintf("holder-%d", i+1), Key: statement.PublicKey(k)})
	}
	for i := range 4 {
		k := testKey(fmt.Sprint("voucher", i))
		c.voucher = append(c.voucher, k)
		c.client = append(c.client, testKey(fmt.Sprint("client", i)))
		r.Vouchers = append(r.Vouchers, keyshare.Voucher{Name: fmt.Sprintf("org-%d", i), Key: statement.PublicKey(k)})
	}
	c.signed = &keyshare.SignedRecord{Record: r}
	for _, k := range c.signing {
		s, err := keyshare.SignRecord(&r, k)
		if err != nil {
			return nil, err
		}
		c.signed.Signatures = append(c.signed.Signatures, s)
	}
	return c, nil
}

func mustCommittee(t testing.TB) *committee {
	t.Helper()
	c, err := newCommittee()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *committee) config(dir string, point int) Config {
	p := policy.Default()
	h := c.signed.Record.Hash()
	p.Committee, p.Organisations, p.Cohort = hex.EncodeToString(h[:]), 2, 2
	return Config{
		Dir: dir, Signing: c.signing[point-1], Record: c.signed, Ring: testInsecureRing, Policy: p,
		Limits: func([]byte) (keyshare.Limits, error) {
			return keyshare.Limits{KMin: 2, MinCohort: 2, MinWork: 1, MinWeight: 0.1}, nil
		},
	}
}

func (c *committee) announcement(round uint64) keyshare.Announcement {
	return keyshare.Announcement{
		Version: keyshare.ProtocolVersion, Run: "run-1", Round: round, Attempt: 1,
		Contract: statement.Hash(testContract), Record: c.signed.Record.Hash(), Goal: 4, Deadline: farFuture,
	}
}

// sealed is a set with the boxes for one holder, whose public key is known. The
// other holders get boxes under keys that nobody keeps.
type sealed struct {
	set   *keyshare.Set
	boxes [][]byte
}

// seal makes a set of the numbered clients for the holder whose key is given.
func (c *committee) seal(round uint64, key keyshare.RoundKey, clients ...int) (*sealed, error) {
	a := c.announcement(round)
	keys := make([]keyshare.RoundKey, len(c.signing))
	for i, k := range c.signing {
		p, err := keyshare.GenerateRoundKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[i] = keyshare.PublishRoundKey(p, a.Run, round, a.Record, i+1, k)
	}
	keys[key.Point-1] = key
	if err := keyshare.VerifyRoundKeys(&c.signed.Record, &a, keys); err != nil {
		return nil, err
	}
	var headers []keyshare.Header
	s := &sealed{}
	for _, i := range clients {
		h := keyshare.Header{
			Announcement: a.Hash(), Client: fmt.Sprintf("client-%d", i), Key: statement.PublicKey(c.client[i]),
			Order: keyshare.Order{Work: 10, Weight: 1},
		}
		h.Vouch = keyshare.SignVouch(c.signed.Record.Vouchers[i].Name, c.voucher[i], h.Client, h.Key, farFuture)
		boxes, err := keyshare.Deal(&c.signed.Record, testInsecureRing, &h, keys, make([]uint64, testInsecureRing.Len()), rand.Reader)
		if err != nil {
			return nil, err
		}
		h.Sign(c.client[i])
		headers = append(headers, h)
		s.boxes = append(s.boxes, boxes[key.Point-1])
	}
	s.set = keyshare.NewSet(a, headers) // clients are given in order
	return s, nil
}

func (c *committee) mustSeal(t testing.TB, h *Holder, round uint64, clients ...int) *sealed {
	t.Helper()
	keys, err := h.Keys(KeysWanted{Run: "run-1", First: round, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.seal(round, keys[0], clients...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sealed) proposal() Proposal {
	return Proposal{Set: s.set, Contract: testContract, Boxes: s.all()}
}

func (s *sealed) all() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, b := range s.boxes {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (s *sealed) wanted() SignatureWanted {
	return SignatureWanted{s.set.Announcement.Run, s.set.Announcement.Round, s.set.Hash()}
}

// certificate carries signatures of the members at points.
func (c *committee) certificate(s *sealed, points ...int) Certificate {
	a := s.set.Announcement
	x := Certificate{Run: a.Run, Round: a.Round, Set: s.set.Hash()}
	for _, p := range points {
		x.Signatures = append(x.Signatures, keyshare.SignSet(a.Record, a.Run, a.Round, x.Set, p, c.signing[p-1]))
	}
	return x
}

func mustOpen(t testing.TB, cfg Config) *Holder {
	t.Helper()
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func (h *Holder) mustSign(t testing.TB, s *sealed) keyshare.SetSignature {
	t.Helper()
	v, err := h.Look(s.proposal())
	if err != nil || !v.Yes() {
		t.Fatalf("verdict %+v, %v", v, err)
	}
	signature, err := h.Sign(s.wanted())
	if err != nil {
		t.Fatal(err)
	}
	return signature
}
