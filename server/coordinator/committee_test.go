package coordinator

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
)

// world is an encrypted run with real keys: its committee of 3 of 4, its clients
// "a", "b", ... who vouch for themselves, and its store.
type world struct {
	t       *testing.T
	cfg     Config
	store   *memory
	folder  Folder // of the uploads
	books   *Books // under a contract
	sent    func(Report)
	record  keyshare.SignedRecord
	ring    keyshare.Ring
	params  kahe.Params
	frame   terms.Frame
	members []*member
	clients map[string]ed25519.PrivateKey
}

func newWorld(t *testing.T, rounds, clients int) *world {
	t.Helper()
	cfg := testConfig(rounds, clients)
	cfg.Encryption, cfg.Committee, cfg.Weights = EncryptionThreshold, DefaultCommittee(), "uniform"
	return newWorldOf(t, cfg, clients)
}

func newWorldOf(t *testing.T, cfg Config, clients int) *world {
	t.Helper()
	w := &world{t: t, cfg: cfg, store: &memory{}, folder: Folder(t.TempDir()), clients: map[string]ed25519.PrivateKey{}}
	tt, err := w.cfg.Terms()
	if err != nil {
		t.Fatal(err)
	}
	if w.ring, w.params, err = tt.Ring(); err != nil {
		t.Fatal(err)
	}
	key := func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	r := &w.record.Record
	*r = keyshare.Record{Name: "test", Threshold: 3, Corrupt: 1, Preset: tt.Encryption.Preset, Roster: keyshare.RosterPinned}
	for i := range 4 {
		m := &member{w: w, point: i + 1, key: key(), private: map[uint64]*keyshare.PrivateRoundKey{}, answers: map[statement.Digest]*keyshare.Answer{}}
		w.members = append(w.members, m)
		r.Members = append(r.Members, keyshare.Member{Name: fmt.Sprint("holder-", i+1), Key: statement.PublicKey(m.key)})
	}
	for i := range clients {
		name := string(rune('a' + i))
		w.clients[name] = key()
		r.Vouchers = append(r.Vouchers, keyshare.Voucher{Name: name, Key: statement.PublicKey(w.clients[name])})
	}
	for _, m := range w.members {
		s, err := keyshare.SignRecord(r, m.key)
		if err != nil {
			t.Fatal(err)
		}
		w.record.Signatures = append(w.record.Signatures, s)
	}
	w.frame = terms.NewFrame(r, w.ring, w.params)
	return w
}

func (w *world) coordinator() *Coordinator {
	w.t.Helper()
	c, err := New(w.t.Context(), w.cfg, w.store, Options{
		Initial: make([]float32, 6), Committee: &Committee{w.record},
		Spools: w.folder, Books: w.books,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// run runs a coordinator with all members and clients until it ends. Clients move
// the parameters by 1, 2, 4, ...; spoil, if any, changes an upload before it is signed.
func (w *world) run(spoil func(o Order, client string, u *terms.Upload)) (*Coordinator, error) {
	return w.runUntil(w.t.Context(), spoil)
}

// runUntil is run, up to the end of ctx.
func (w *world) runUntil(ctx context.Context, spoil func(o Order, client string, u *terms.Upload)) (*Coordinator, error) {
	c := w.coordinator()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, m := range w.members {
		wg.Go(func() { m.serve(ctx, c) })
	}
	for name := range w.clients {
		wg.Go(func() {
			s, err := c.Attach(Info{Client: name, Examples: 10})
			if err != nil {
				w.t.Error(err)
				return
			}
			defer s.Close()
			for {
				o, err := s.Next(ctx)
				if err != nil {
					return
				}
				r := w.report(o, name, spoil)
				if w.sent != nil {
					c.mu.Lock()
					w.sent(r)
					c.mu.Unlock()
				}
				if _, err := c.Report(ctx, name, r); err != nil {
					if ctx.Err() != nil {
						return
					}
					w.t.Errorf("report of %s: %v", name, err)
					return
				}
			}
		})
	}
	err := c.Run(ctx)
	cancel()
	wg.Wait()
	return c, err
}

func delta(client string) float64 { return math.Ldexp(1, int(client[0]-'a')-3) }

// report seals what answer would send in the clear.
func (w *world) report(o Order, client string, spoil func(Order, string, *terms.Upload)) Report {
	w.t.Helper()
	r := Report{Run: o.Run, Round: o.Round, Attempt: o.Attempt, Model: o.Model, TaskHash: o.TaskHash}
	if w.cfg.private() {
		values := make([]int32, w.params.Spec().Values)
		for i := range values {
			values[i] = int32(client[0]-'a') + 1
		}
		var err error
		if r.Body, err = w.seal(o, client, values, spoil); err != nil {
			w.t.Error(err)
		}
		return r
	}
	values := make([]int32, 6)
	for i := range values {
		values[i] = int32(delta(client) * o.Weight / o.Codec.Step())
	}
	values, err := o.Codec.EncodeMetrics(values, aggregation.Metrics{Examples: 1, TrainExamples: 2, TrainLoss: 1})
	if err == nil {
		r.Body, err = w.seal(o, client, values, spoil)
	}
	if err != nil {
		w.t.Error(err)
	}
	return r
}

func (w *world) seal(o Order, client string, values []int32, spoil func(Order, string, *terms.Upload)) ([]byte, error) {
	a, err := keyshare.ParseAnnouncement(o.Sealing.Announcement)
	if err != nil {
		return nil, err
	}
	var keys []keyshare.RoundKey
	for _, b := range o.Sealing.Keys {
		k, err := keyshare.ParseRoundKey(b)
		if err != nil {
			return nil, err
		}
		keys = append(keys, *k)
	}
	if err := keyshare.VerifyRoundKeys(&w.record.Record, a, keys); err != nil {
		return nil, err
	}
	secret, err := kahe.NewSecret(w.params, rand.Reader)
	if err != nil {
		return nil, err
	}
	vector, err := w.params.Encrypt(nil, values, kahe.NewPublic(w.params, a.Seed()), secret, rand.Reader)
	if err != nil {
		return nil, err
	}
	key := w.clients[client]
	public := statement.PublicKey(key)
	h := &keyshare.Header{
		Announcement: a.Hash(), Client: client, Key: public, Order: keyshare.Order{Work: o.Sealing.Work, Weight: o.Weight},
		Ciphertext: statement.Hash(vector), Vouch: keyshare.SignVouch(client, key, client, public, math.MaxUint32),
	}
	boxes, err := keyshare.Deal(&w.record.Record, w.ring, h, keys, secret, rand.Reader)
	if err != nil {
		return nil, err
	}
	u := terms.Upload{Header: h, Ciphertext: vector, Boxes: boxes}
	if spoil != nil {
		spoil(o, client, &u)
	}
	h.Sign(key)
	return w.frame.Append(nil, u)
}

// badShares makes what a client sends to the holders at points something that does
// not open; the client signs it.
func badShares(u *terms.Upload, points ...int) {
	for _, p := range points {
		box := make([]byte, len(u.Boxes[p-1]))
		rand.Read(box)
		u.Boxes[p-1], u.Header.Shares[p-1].Box = box, statement.Hash(box)
	}
}

// member is a key holder that keeps its promises unless told otherwise. Its memory
// outlives sessions, as a journal does.
type member struct {
	w       *world
	point   int
	key     ed25519.PrivateKey
	private map[uint64]*keyshare.PrivateRoundKey
	pending *keyshare.Collector
	answers map[statement.Digest]*keyshare.Answer
	signed  []uint64 // rounds, in order
	// odd may do something else with a task; it returns true if it did.
	odd func(s *HolderSession, t HolderTask) bool
}

func (m *member) attach(c *Coordinator) *HolderSession {
	m.w.t.Helper()
	s, err := c.AttachHolder(fmt.Sprint("holder-", m.point), statement.PublicKey(m.key))
	if err != nil {
		m.w.t.Error(err)
	}
	return s
}

func (m *member) serve(ctx context.Context, c *Coordinator) {
	s := m.attach(c)
	defer s.Close()
	for {
		t, err := s.Next(ctx)
		if err != nil {
			return
		}
		if m.odd != nil && m.odd(s, t) {
			continue
		}
		if err := m.do(s, t); errors.Is(err, ErrSuperseded) {
			return
		} else if err != nil {
			m.w.t.Errorf("member %d: %v", m.point, err)
			return
		}
	}
}

func (m *member) do(s *HolderSession, t HolderTask) error {
	switch {
	case t.Publish != nil:
		var keys []keyshare.RoundKey
		for round := t.Publish.First; round < t.Publish.First+keysLow; round++ {
			if m.private[round] == nil {
				k, err := keyshare.GenerateRoundKey(rand.Reader)
				if err != nil {
					return err
				}
				m.private[round] = k
			}
			keys = append(keys, keyshare.PublishRoundKey(m.private[round], t.Publish.Run, round, t.Publish.Record, m.point, m.key))
		}
		return s.Publish(keys)
	case t.Close != nil:
		if slices.Contains(m.signed, t.Close.Round) {
			return s.Decline("signed")
		}
		k := keyshare.SignClosure(m.w.record.Record.Hash(), t.Close.Run, t.Close.Round, m.point, m.key)
		return s.Closure(&k)
	case t.Propose != nil:
		limits, err := terms.Limits(t.Propose.Terms)
		if err != nil {
			return err
		}
		set := t.Propose.Set
		r := &m.w.record.Record
		if m.pending, err = keyshare.NewCollector(r, m.w.ring, limits, m.point, m.private[set.Announcement.Round], set, uint64(time.Now().Unix()), nil); err != nil {
			return err
		}
		i := 0
		for box, err := range t.Propose.Boxes {
			if err := errors.Join(err, m.pending.Add(i, box)); err != nil {
				return err
			}
			i++
		}
		v := m.pending.Verdict()
		return s.Verdict(&v)
	case t.Sign != nil:
		if m.answers[t.Sign.Set] != nil {
			signature := keyshare.SignSet(m.w.record.Record.Hash(), t.Sign.Run, t.Sign.Round, t.Sign.Set, m.point, m.key)
			return s.Signature(&signature)
		}
		for _, round := range m.signed {
			if round == t.Sign.Round {
				return fmt.Errorf("asked to sign a second set of round %d", round)
			}
		}
		signature, answer, err := m.pending.Close(m.key)
		if err != nil {
			return err
		}
		m.signed, m.answers[t.Sign.Set] = append(m.signed, t.Sign.Round), answer
		return s.Signature(&signature)
	}
	if err := keyshare.CheckCertificate(&m.w.record.Record, t.Open.Run, t.Open.Round, t.Open.Set, t.Open.Signatures); err != nil {
		return err
	}
	return s.Answer(m.answers[t.Open.Set])
}

// lie is a validly signed answer with one residue changed.
func (m *member) lie(set statement.Digest) *keyshare.Answer {
	a := *m.answers[set]
	sum := append([]uint64(nil), a.Sums[0]...)
	sum[0] ^= 1
	a.Sums = [][]uint64{sum}
	b := a.Bytes(m.w.ring)
	a.Signature = statement.Sign(m.key, b[:len(b)-len(a.Signature)])
	return &a
}
