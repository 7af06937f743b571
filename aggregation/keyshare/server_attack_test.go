package keyshare

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/statement"
)

// The tests of this file play a server that wants to see one client's update.

func (w *world) verdict(point int, set *Set, uploads []*upload) Verdict {
	w.t.Helper()
	return w.mustLook(point, set, uploads).Verdict()
}

func objections(t *testing.T, what string, v Verdict, want ...Objection) {
	t.Helper()
	if v.Yes() || v.Refusal != "" {
		t.Errorf("%s: verdict %+v, want objections", what, v)
	}
	if d := cmp.Diff(want, v.Objections); d != "" {
		t.Errorf("%s: %s", what, d)
	}
}

func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// It shows holders different sets. Whatever it shows to whom, with c holders that
// sign everything, at most one set gets t signatures; and exactly the committees of
// which that is true are legal.
func TestAtMostOneSetForEveryLegalCommittee(t *testing.T) {
	for m := 2; m <= 12; m++ {
		for th := 1; th <= m; th++ {
			for c := 0; c < th; c++ {
				twice := false
				honest := m - c
				// How many honest holders are shown X, X u Y and Y.
				for x := 0; x <= honest; x++ {
					for xy := 0; x+xy <= honest; xy++ {
						certified := 0
						for _, signers := range []int{x, xy, honest - x - xy} {
							if signers+c >= th {
								certified++
							}
						}
						twice = twice || certified > 1
					}
				}
				r := committee(m, th, c)
				if legal := r.Validate() == nil; legal == twice {
					t.Errorf("m=%d t=%d c=%d: legal %v, two sets can be certified %v", m, th, c, legal, twice)
				}
			}
		}
	}
}

func committee(m, th, c int) *Record {
	rng := newRand(9)
	r := &Record{Name: "n", Threshold: th, Corrupt: c, Preset: "p", Roster: RosterOpen}
	for i := range m {
		r.Members = append(r.Members, Member{"h" + string(rune('a'+i)), statement.PublicKey(testKey(rng))})
	}
	return r
}

// The same with keys: holders 1 to 3 of the default committee are honest and are
// shown X, X u Y and Y first, then the others; holder 4 signs and answers
// everything. No set is certified.
func TestOverlappingSets(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 4)
	u := w.uploads(4)
	sets := []*Set{w.set(u[:2]...), w.set(u...), w.set(u[2:]...)}
	signatures := map[statement.Digest][]SetSignature{}
	vows := make([]Vows, 3)
	for turn := range 3 {
		for point := 1; point <= 4; point++ {
			set := sets[(turn+point)%3]
			if point < 4 {
				err := vows[point-1].Promise("run-1", 1, set.Hash())
				if turn > 0 {
					refused(t, "second set", err, ErrSecondSet)
					continue
				}
			}
			s, _ := w.close(point, set, u)
			signatures[s.Set] = append(signatures[s.Set], s)
		}
	}
	for i, set := range sets {
		if n := len(signatures[set.Hash()]); n != 2 {
			t.Errorf("set %d: %d signatures, want those of one honest holder and the corrupt one", i, n)
		}
		refused(t, "certificate", CheckCertificate(w.record, "run-1", 1, set.Hash(), signatures[set.Hash()]), ErrCertificate)
	}
}

// Why answers wait for a certificate: sums for overlapping sets combine. In a
// committee of 2 of 3, all honest, answers about X, X u Y and Y open 3 X - Y.
func TestAnswersForDifferentSetsCombine(t *testing.T) {
	w := newWorld(t, testInsecureRing, 3, 2, 0, 4)
	u := w.uploads(4)
	x, y := u[:2], u[2:]
	var f [3][]uint64
	var signatures []SetSignature
	for i, set := range [][]*upload{x, u, y} {
		s, a := w.close(i+1, w.set(set...), u)
		f[i] = a.Sums[0]
		signatures = append(signatures, s)
	}
	times := func(k uint64, v []uint64) []uint64 {
		out := make([]uint64, len(v))
		for range k {
			w.ring.add(out, v)
		}
		return out
	}
	// 6 F1 - 3 F2 + 2 F3 = 3 S_X - S_Y (eight shares of one client cancel).
	got := w.subtract(times(6, f[0]), times(3, f[1]))
	w.ring.add(got, times(2, f[2]))
	want := w.subtract(times(3, w.sum(x...)), w.sum(y...))
	if !slices.Equal(got, want) {
		t.Fatal("the combination does not open: the test is wrong about the danger")
	}
	for _, set := range [][]*upload{x, u, y} {
		for _, s := range [][]SetSignature{signatures, signatures[:1], signatures[1:2], signatures[2:]} {
			refused(t, "certificate from signatures on three sets",
				CheckCertificate(w.record, "run-1", 1, w.set(set...).Hash(), s), ErrCertificate)
		}
	}
}

// With c = 0 one dishonest holder is enough, and the record says so: the server has
// holder 1 sign X, holder 2 X u {victim}, holder 3 both. Both sets are certified and
// open, and their difference is the victim's key.
func TestOneCorruptHolderOpensAClientWhereCIsZero(t *testing.T) {
	w := newWorld(t, testInsecureRing, 3, 2, 0, 3)
	if len(w.record.Warnings()) == 0 {
		t.Error("a record with c = 0 warns of nothing")
	}
	u := w.uploads(3)
	victim := u[2]
	without, with := w.set(u[0], u[1]), w.set(u...)
	open := func(set *Set, honest int, want []uint64) []uint64 {
		s1, a1 := w.close(honest, set, u)
		s3, a3 := w.close(3, set, u) // signs a second set, which no honest holder does
		if err := CheckCertificate(w.record, "run-1", 1, set.Hash(), []SetSignature{s1, s3}); err != nil {
			t.Fatal(err)
		}
		o, err := Reconstruct(w.record, w.ring, group([]*Answer{a1, a3}, 0), is(want))
		if err != nil {
			t.Fatal(err)
		}
		return o.Key
	}
	a := open(without, 1, w.sum(u[0], u[1]))
	b := open(with, 2, w.sum(u...))
	if !slices.Equal(w.subtract(b, a), victim.secret) {
		t.Error("the attack failed; the documentation says that it succeeds")
	}
}

func TestServerAsksForOneClient(t *testing.T) {
	quote(t, "R14", "A holder refuses a set, as such, for another version, record or contract, a client named twice, an order that is not canonical, or a group with fewer vouchers or clients than contract and its own policy ask for, two vouchers being the least.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 4)
	u := w.uploads(5) // clients 0 and 4 belong to one organisation
	h := func(i ...int) (g []Header) {
		for _, j := range i {
			g = append(g, u[j].header)
		}
		return g
	}
	w.limits.MinCohort = 1
	for name, set := range map[string]*Set{
		"one client":                   NewSet(w.announcement, h(0)),
		"one client in a second group": NewSet(w.announcement, h(0, 1), h(2)),
		"one organisation":             NewSet(w.announcement, h(0, 4)),
		"an empty group":               NewSet(w.announcement, h(0, 1), nil),
	} {
		_, err := w.look(1, set, u)
		refused(t, name, err, ErrTooFew)
	}
	w.limits.MinCohort = 3
	_, err := w.look(1, NewSet(w.announcement, h(0, 1)), u)
	refused(t, "smaller than the contract's cohort", err, ErrTooFew)
	w.limits = Limits{Contract: w.limits.Contract, KMin: 1, MinCohort: 1}
	_, err = w.look(1, NewSet(w.announcement, h(0)), u)
	refused(t, "a contract that allows one", err, ErrTooFew)
	_, err = w.look(1, &Set{Announcement: w.announcement}, u)
	refused(t, "no group", err, ErrTooFew)
}

func TestServerNamesAClientTwice(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 4)
	u := w.uploads(4)
	h := func(i ...int) (g []Header) {
		for _, j := range i {
			g = append(g, u[j].header)
		}
		return g
	}
	for name, set := range map[string]*Set{
		"in one group":   NewSet(w.announcement, h(0, 0, 1)),
		"in two groups":  NewSet(w.announcement, h(0, 1), h(0, 2)),
		"out of order":   {w.announcement, [][]Header{h(1, 0)}},
		"groups swapped": {w.announcement, [][]Header{h(2, 3), h(0, 1)}},
	} {
		_, err := w.look(1, set, u)
		refused(t, name, err, ErrSet)
	}
	// Two clients under one key are one client, whoever vouches for both.
	twin := w.upload(9)
	twin.header.Client = "client-zz"
	twin.header.Vouch = SignVouch(w.record.Vouchers[1].Name, w.vouchers[1], "client-zz", twin.header.Key, testExpiry)
	orig := w.upload(9)
	orig.header.Key, orig.key = twin.header.Key, twin.key
	orig.header.Vouch = SignVouch(w.record.Vouchers[0].Name, w.vouchers[0], orig.header.Client, orig.header.Key, testExpiry)
	orig.header.Sign(orig.key)
	twin.header.Sign(twin.key)
	all := []*upload{u[0], u[1], orig, twin}
	objections(t, "one key for two clients", w.verdict(1, w.set(all...), all), Objection{"client-00009", ReasonKey}, Objection{"client-zz", ReasonKey})
}

func TestServerInventsClients(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.uploads(3)
	mint := func(name string, v func(h *Header) Vouch) *upload {
		x := w.upload(7, func(h *Header) { h.Client = name; h.Vouch = v(h) })
		return x
	}
	server := testKey(w.rng)
	own := w.record.Vouchers[2].Name
	for name, x := range map[string]*upload{
		"without a voucher": mint("sybil", func(*Header) Vouch { return Vouch{} }),
		"unknown voucher":   mint("sybil", func(h *Header) Vouch { return SignVouch("org-x", server, h.Client, h.Key, testExpiry) }),
		"forged word":       mint("sybil", func(h *Header) Vouch { return SignVouch(own, server, h.Client, h.Key, testExpiry) }),
		"another's word":    mint("sybil", func(*Header) Vouch { return u[0].header.Vouch }),
		"word that ran out": mint("sybil", func(h *Header) Vouch { return SignVouch(own, w.vouchers[2], h.Client, h.Key, testNow-1) }),
	} {
		all := append(slices.Clone(u), x)
		objections(t, name, w.verdict(2, w.set(all...), all), Objection{"sybil", ReasonVouch})
	}
	// Only with an open roster, which says so, can it surround a client.
	w.record.Roster, w.record.Vouchers = RosterOpen, nil
	w.announce(2, 1)
	all := []*upload{w.upload(0), w.upload(1), w.upload(2)}
	if v := w.verdict(2, w.set(all...), all); !v.Yes() {
		t.Errorf("open roster: %+v", v)
	}
	if len(w.record.Warnings()) == 0 {
		t.Error("an open roster warns of nothing")
	}
}

func TestServerSwapsCommittee(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	other := newWorld(t, testInsecureRing, 3, 3, 2, 3)
	u := w.uploads(3)
	set := w.set(u...)
	_, err := NewCollector(other.record, w.ring, w.limits, 1, w.private[0], set, testNow, nil)
	refused(t, "set of another record", err, ErrOtherRecord)
	refused(t, "keys of another committee", VerifyRoundKeys(w.record, &w.announcement, other.public), ErrRoundKey)

	stranger := testKey(w.rng)
	forged := slices.Clone(w.public)
	forged[1] = PublishRoundKey(w.private[1], "run-1", 1, w.record.Hash(), 2, stranger)
	refused(t, "a key that a stranger signed", VerifyRoundKeys(w.record, &w.announcement, forged), ErrRoundKey)
	swapped := slices.Clone(w.public)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	refused(t, "keys in other places", VerifyRoundKeys(w.record, &w.announcement, swapped), ErrRoundKey)
	twice := slices.Clone(w.public)
	twice[0] = twice[1]
	refused(t, "one key twice", VerifyRoundKeys(w.record, &w.announcement, twice), ErrRoundKey)
	refused(t, "too few keys", VerifyRoundKeys(w.record, &w.announcement, w.public[:3]), ErrRoundKey)
	old := w.public
	w.announce(2, 1)
	refused(t, "keys of an earlier round", VerifyRoundKeys(w.record, &w.announcement, old), ErrRoundKey)
}

// Everything that was announced is bound: a client that was told something else
// than what the set says is objected to, or the set is refused with the field named.
func TestServerTellsClientsDifferentThings(t *testing.T) {
	for name, change := range map[string]func(*Announcement){
		"run":      func(a *Announcement) { a.Run = "run-2" },
		"attempt":  func(a *Announcement) { a.Attempt = 2 },
		"model":    func(a *Announcement) { a.Model[0] ^= 1 },
		"task":     func(a *Announcement) { a.Task[0] ^= 1 },
		"ledger":   func(a *Announcement) { a.Ledger[0] ^= 1 },
		"goal":     func(a *Announcement) { a.Goal++ },
		"deadline": func(a *Announcement) { a.Deadline++ },
		"round":    func(a *Announcement) { a.Round++ },
	} {
		w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
		u := w.uploads(2)
		honest := w.announcement
		change(&w.announcement)
		victim := w.upload(2)
		w.announcement = honest
		all := append(slices.Clone(u), victim)
		objections(t, name, w.verdict(4, w.set(all...), all), Objection{victim.header.Client, ReasonAnnouncement})
	}
	for name, c := range map[string]struct {
		change func(*Announcement)
		want   error
	}{
		"contract": {func(a *Announcement) { a.Contract[0] ^= 1 }, ErrAnnouncement},
		"record":   {func(a *Announcement) { a.Record[0] ^= 1 }, ErrOtherRecord},
		"version":  {func(a *Announcement) { a.Version++ }, ErrAnnouncement},
		"round 0":  {func(a *Announcement) { a.Round = 0 }, ErrAnnouncement},
	} {
		w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
		c.change(&w.announcement)
		u := w.uploads(3)
		_, err := w.look(4, w.set(u...), u)
		refused(t, name, err, c.want)
	}
}

// The public polynomials cannot be chosen apart from what is announced.
func TestSeedIsDerived(t *testing.T) {
	quote(t, "R3", "The seed of the public polynomials is the hash of version, run, round, model, ledger head, record and contract; it is derived and never sent.")
	base := Announcement{Version: 1, Run: "r", Round: 1, Attempt: 1}
	for name, change := range map[string]func(*Announcement){
		"version":  func(a *Announcement) { a.Version++ },
		"run":      func(a *Announcement) { a.Run = "s" },
		"round":    func(a *Announcement) { a.Round++ },
		"model":    func(a *Announcement) { a.Model[0]++ },
		"ledger":   func(a *Announcement) { a.Ledger[0]++ },
		"record":   func(a *Announcement) { a.Record[0]++ },
		"contract": func(a *Announcement) { a.Contract[0]++ },
	} {
		a := base
		change(&a)
		if a.Seed() == base.Seed() {
			t.Errorf("%s does not change the seed", name)
		}
	}
	again := base
	again.Attempt++
	if again.Seed() != base.Seed() {
		t.Error("a new attempt changes the seed")
	}
}

// It gives everyone but the victim nothing to do, or no weight: the sum would be the
// victim's update.
func TestServerGivesOthersNothingToDo(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	all := []*upload{
		w.upload(0, func(h *Header) { h.Order.Work = 9 }),
		w.upload(1, func(h *Header) { h.Order.Weight = 0.009 }),
		w.upload(2),
	}
	objections(t, "no work", w.verdict(3, w.set(all...), all), Objection{"client-00000", ReasonWork}, Objection{"client-00001", ReasonWeight})
	// Nor can it claim another order than the client had.
	all[0].header.Order.Work = 100
	all[1].header.Order.Weight = 1
	objections(t, "changed orders", w.verdict(3, w.set(all...), all), Objection{"client-00000", ReasonHeader}, Objection{"client-00001", ReasonHeader})
}

// Weights above the least one still leave a victim nearly alone when it has almost
// all of them.
func TestServerLetsOneClientDominate(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 4)
	weigh := func(weights ...float64) (u []*upload) {
		for i, x := range weights {
			u = append(u, w.upload(i, func(h *Header) { h.Order.Weight = x }))
		}
		return u
	}
	w.limits.MaxShare = 0.9
	all := weigh(1, 0.02, 0.02, 0.02)
	objections(t, "94 per cent", w.verdict(1, w.set(all...), all), Objection{"client-00000", ReasonDominant})
	all = weigh(1, 0.05, 0.05, 0.05)
	if v := w.verdict(1, w.set(all...), all); !v.Yes() {
		t.Errorf("87 per cent: %+v", v)
	}
	two := NewSet(w.announcement, []Header{all[0].header, all[1].header}, []Header{all[2].header, all[3].header})
	objections(t, "95 per cent of its group", w.verdict(1, two, all), Objection{"client-00000", ReasonDominant})
	w.limits.MaxShare = 0
	if v := w.verdict(1, two, all); !v.Yes() {
		t.Errorf("no limit: %+v", v)
	}
}

func TestServerReplays(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	old := w.uploads(3)
	w.announce(2, 1)
	fresh := w.uploads(3)
	mixed := []*upload{fresh[0], fresh[1], old[2]}
	objections(t, "old upload", w.verdict(4, w.set(mixed...), mixed), Objection{"client-00002", ReasonAnnouncement})

	header := *fresh[2]
	header.boxes = old[2].boxes
	mixed[2] = &header
	objections(t, "old box", w.verdict(4, w.set(mixed...), mixed), Objection{"client-00002", ReasonBox})
	header.boxes = fresh[1].boxes
	objections(t, "another client's box", w.verdict(4, w.set(mixed...), mixed), Objection{"client-00002", ReasonBox})
	swapped := slices.Clone(fresh[2].boxes)
	swapped[3] = fresh[2].boxes[2]
	header.boxes = swapped
	objections(t, "box of another point", w.verdict(4, w.set(mixed...), mixed), Objection{"client-00002", ReasonBox})
	v := w.verdict(4, w.set(fresh...), fresh[:2])
	objections(t, "box withheld", v, Objection{"client-00002", ReasonMissing})

	c := w.mustLook(4, w.set(fresh...), fresh)
	refused(t, "box twice", c.Add(0, fresh[0].boxes[3]), ErrSet)
	refused(t, "box too many", c.Add(3, fresh[0].boxes[3]), ErrSet)
}

// No field of a header can be changed by anyone but the client.
func TestHeaderIsBound(t *testing.T) {
	quote(t, "R10", "The header names announcement, client, key, the order with the work that the client does for it, H(ciphertext), for each point a salted commitment to the share and H(sealed share), and the voucher's word; the client signs all of it.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.upload(0)
	check := func(h Header) error { return h.Verify(w.record, w.announcement.Hash(), testNow, nil) }
	if err := check(u.header); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Header){
		"client":     func(h *Header) { h.Client = "client-00001" },
		"key":        func(h *Header) { h.Key[3] ^= 1 },
		"work":       func(h *Header) { h.Order.Work++ },
		"weight":     func(h *Header) { h.Order.Weight /= 2 },
		"mode":       func(h *Header) { h.Order.Mode = "max" },
		"ciphertext": func(h *Header) { h.Ciphertext[0] ^= 1 },
		"share":      func(h *Header) { h.Shares[2].Share[0] ^= 1 },
		"box":        func(h *Header) { h.Shares[2].Box[0] ^= 1 },
		"voucher":    func(h *Header) { h.Vouch.Voucher = "org-00001" },
		"not after":  func(h *Header) { h.Vouch.NotAfter++ },
		"vouch":      func(h *Header) { h.Vouch.Signature[0] ^= 1 },
		"signature":  func(h *Header) { h.Signature[0] ^= 1 },
	} {
		h := u.header
		h.Shares = slices.Clone(h.Shares)
		change(&h)
		refused(t, name, check(h), statement.ErrSignature)
	}
	h := u.header
	h.Shares = h.Shares[:3]
	refused(t, "fewer shares", check(h), ErrOtherRecord)
}

func TestCertificateRefuses(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	set := w.set(w.uploads(3)...).Hash()
	sign := func(points ...int) (s []SetSignature) {
		for _, p := range points {
			s = append(s, SignSet(w.record.Hash(), "run-1", 1, set, p, w.signing[p-1]))
		}
		return s
	}
	if err := CheckCertificate(w.record, "run-1", 1, set, sign(4, 1, 3)); err != nil {
		t.Fatal(err)
	}
	wrongPoint := sign(1, 2, 3)
	wrongPoint[0].Point = 4
	zero := sign(1, 2, 3)
	zero[0].Point = 0
	otherRecord := append(sign(1, 2), SignSet(statement.Digest{}, "run-1", 1, set, 3, w.signing[2]))
	stranger := append(sign(1, 2), SignSet(w.record.Hash(), "run-1", 1, set, 3, testKey(w.rng)))
	for name, s := range map[string][]SetSignature{
		"none": nil, "two": sign(1, 2), "one twice": sign(1, 2, 2), "wrong point": wrongPoint, "point 0": zero,
		"another record": otherRecord, "stranger": stranger, "too many": sign(1, 2, 3, 4, 1),
	} {
		refused(t, name, CheckCertificate(w.record, "run-1", 1, set, s), ErrCertificate)
	}
	refused(t, "another round", CheckCertificate(w.record, "run-1", 2, set, sign(1, 2, 3)), ErrCertificate)
	refused(t, "another run", CheckCertificate(w.record, "run-2", 1, set, sign(1, 2, 3)), ErrCertificate)
	refused(t, "another set", CheckCertificate(w.record, "run-1", 1, statement.Digest{}, sign(1, 2, 3)), ErrCertificate)
}
