package keyshare

import (
	"crypto/hpke"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/statement"
)

// The tests of this file play clients and holders that break the rules.

// box seals anything to the holder at point, as a malicious client can.
func (w *world) box(h *Header, point int, plain []byte) []byte {
	w.t.Helper()
	public, err := boxKEM.NewPublicKey(w.public[point-1].Public[:])
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := hpke.Seal(public, boxKDF, boxAEAD, binding(h.Announcement, h, w.record.Members[point-1], point), plain)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// deal replaces the share of a point by one of the client's choosing, committed to
// as it should be, and signs again.
func (w *world) deal(u *upload, point int, share []uint64) {
	plain := w.ring.pack(make([]byte, saltSize), share)
	u.boxes[point-1] = w.box(&u.header, point, plain)
	u.header.Shares[point-1] = Commitment{commit(point, plain), statement.Hash(u.boxes[point-1])}
	u.header.Sign(u.key)
}

// The attack of WillowFold (eprint 2026/264) on summed keys: pass on another
// client's sealed share, or its negative, as one's own, so that the sum cancels or
// doubles the victim's. What is sealed for one name does not open under another.
func TestClientCopiesAnothersShares(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.uploads(3)
	victim, thief := u[0], u[2]
	for point := 1; point <= 4; point++ {
		thief.boxes[point-1] = slices.Clone(victim.boxes[point-1])
		thief.header.Shares[point-1] = victim.header.Shares[point-1]
	}
	thief.header.Sign(thief.key)
	for point := 1; point <= 4; point++ {
		objections(t, "copied", w.verdict(point, w.set(u...), u), Objection{thief.header.Client, ReasonSealed})
	}
	// A bent ciphertext, as negation would need, does not open either.
	for _, at := range []int{0, 1119, 1120, len(thief.boxes[3]) - 1} {
		thief.boxes[3][at] ^= 1
		thief.header.Shares[3].Box = statement.Hash(thief.boxes[3])
		thief.header.Sign(thief.key)
		objections(t, "bent", w.verdict(4, w.set(u...), u), Objection{thief.header.Client, ReasonSealed})
		thief.boxes[3][at] ^= 1
	}
}

func TestClientSendsBadShares(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.uploads(3)
	bad := u[1]
	client := bad.header.Client

	honest := bad.header.Shares[3]
	bad.header.Shares[3].Share[0] ^= 1
	bad.header.Sign(bad.key)
	objections(t, "another share than committed to", w.verdict(4, w.set(u...), u), Objection{client, ReasonShare})
	bad.header.Shares[3] = honest

	over := make([]uint64, w.ring.Len())
	over[2] = w.ring.Primes[0] // not reduced: packs into the same bits
	w.deal(bad, 4, over)
	objections(t, "residue at q", w.verdict(4, w.set(u...), u), Objection{client, ReasonShare})

	plain := w.ring.pack(make([]byte, saltSize), make([]uint64, w.ring.Len()))
	for name, p := range map[string][]byte{"longer": append(slices.Clone(plain), 0), "shorter": plain[:len(plain)-1], "empty": nil} {
		bad.boxes[3] = w.box(&bad.header, 4, p)
		bad.header.Shares[3] = Commitment{commit(4, p), statement.Hash(bad.boxes[3])}
		bad.header.Sign(bad.key)
		objections(t, name, w.verdict(4, w.set(u...), u), Objection{client, ReasonSealed})
	}
	if v := w.verdict(3, w.set(u...), u); !v.Yes() {
		t.Errorf("a holder with a good share objects: %+v", v)
	}
	refused(t, "what the server can see", bad.header.CheckBoxes(w.record, w.ring, bad.boxes), ErrBox)
}

// A share off the polynomial is what its holder cannot see. With a spare answer the
// sum is found all the same, and nobody is named: a lying holder looks the same.
func TestShareOffThePolynomialBlamesNobody(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	for _, guilty := range []string{"client", "holder"} {
		u := w.uploads(3)
		if guilty == "client" {
			w.deal(u[1], 3, randomElement(w.ring, w.rng))
		}
		set := w.set(u...)
		var answers []*Answer
		for point := 1; point <= 4; point++ {
			if v := w.verdict(point, set, u); !v.Yes() {
				t.Fatalf("point %d: %+v", point, v)
			}
			_, a := w.close(point, set, u)
			answers = append(answers, a)
		}
		if guilty == "holder" {
			answers[2].Sums[0] = randomElement(w.ring, w.rng)
		}
		want := w.sum(u...)
		o, err := Reconstruct(w.record, w.ring, group(answers, 0), is(want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(Opening{Key: want, Used: []int{1, 2, 4}, Odd: []int{3}}, *o); d != "" {
			t.Errorf("%s: %s", guilty, d)
		}
		// Exactly t answers, the odd one among them: nothing opens, nobody is named.
		_, err = Reconstruct(w.record, w.ring, group(answers[1:], 0), is(want))
		refused(t, guilty, err, ErrInconsistent)
	}
}

// A holder that answers for another set, or repeats an old sum, is found the same
// way; and its signature does not fit this set to begin with.
func TestHolderAnswersForAnotherSet(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 4)
	u := w.uploads(4)
	set, other := w.set(u...), w.set(u[:2]...)
	_, a := w.close(2, other, u)
	refused(t, "answer to another set", a.Verify(w.record, w.ring, set.Hash(), 1), ErrAnswer)
	a.Set = set.Hash()
	refused(t, "under this set's name", a.Verify(w.record, w.ring, set.Hash(), 1), ErrAnswer)
	a.sign(w.ring, w.signing[1]) // the holder itself lies
	if err := a.Verify(w.record, w.ring, set.Hash(), 1); err != nil {
		t.Fatal(err)
	}
	answers := []*Answer{a}
	for _, p := range []int{1, 3, 4} {
		_, x := w.close(p, set, u)
		answers = append(answers, x)
	}
	o, err := Reconstruct(w.record, w.ring, group(answers, 0), is(w.sum(u...)))
	if err != nil || !slices.Equal(o.Odd, []int{2}) {
		t.Errorf("got %+v, %v", o, err)
	}
	refused(t, "groups", answers[1].Verify(w.record, w.ring, set.Hash(), 2), ErrAnswer)
	stranger := *answers[1]
	stranger.Point = 9
	refused(t, "point", stranger.Verify(w.record, w.ring, set.Hash(), 1), ErrAnswer)
	over := *answers[1]
	over.Sums = [][]uint64{slices.Clone(over.Sums[0])}
	over.Sums[0][0] = w.ring.Primes[0]
	refused(t, "residue at q", over.Verify(w.record, w.ring, set.Hash(), 1), ErrAnswer)
}

// Interpolation takes distinct points 1 to m only, and at least t of them.
func TestReconstructRefuses(t *testing.T) {
	quote(t, "R24", "The server interpolates from t sums at distinct points from 1 to m; it takes no sum that is not signed, not for this set, or not in the ring.")
	quote(t, "R25", "With more than t sums it checks that all lie on polynomials of degree t-1; if not, it tries choices of t, and the one whose noise is within bounds is right.")
	quote(t, "R26", "A sum that does not fit is reported as odd and accuses nobody: a client that dealt its holder a wrong share looks the same as a holder that lies.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	u := w.uploads(3)
	set := w.set(u...)
	var sums []PointSum
	for point := 1; point <= 4; point++ {
		_, a := w.close(point, set, u)
		sums = append(sums, PointSum{point, a.Sums[0]})
	}
	all := func([]uint64) bool { return true }
	at := func(point int) PointSum { return PointSum{point, sums[0].Sum} }
	for name, s := range map[string][]PointSum{
		"none": nil, "t-1": sums[:2], "point 0": {at(0), sums[1], sums[2]}, "point 5": {at(5), sums[1], sums[2]},
		"negative": {at(-1), sums[1], sums[2]}, "one twice": {sums[0], sums[0], sums[1]}, "twice and enough": {sums[0], sums[0], sums[1], sums[2]},
		"same modulo q": {{1 + int(w.ring.Primes[1]), sums[0].Sum}, sums[0], sums[1]},
		"short":         {{1, sums[0].Sum[1:]}, sums[1], sums[2]},
		"over":          {{1, append(slices.Clone(sums[0].Sum[1:]), 1<<60)}, sums[1], sums[2]},
	} {
		_, err := Reconstruct(w.record, w.ring, s, all)
		refused(t, name, err, ErrAnswer)
	}
	// What fewer than t answers interpolate to has nothing to do with the sum.
	for _, pair := range [][]PointSum{{sums[0], sums[1]}, {sums[0], sums[3]}, {sums[2], sums[3]}} {
		got := make([]uint64, w.ring.Len())
		w.ring.evaluate(got, []int{pair[0].Point, pair[1].Point}, [][]uint64{pair[0].Sum, pair[1].Sum}, 0)
		if slices.Equal(got, w.sum(u...)) {
			t.Error("two answers of three open the sum")
		}
	}
	calls := 0
	_, err := Reconstruct(w.record, w.ring, sums, func([]uint64) bool { calls++; return false })
	refused(t, "nothing is accepted", err, ErrInconsistent)
	if calls != 1 {
		t.Errorf("%d candidates for answers that agree, want 1", calls)
	}
}

// One client with bad shares for two of four holders: it is dropped, and the next
// proposal has every holder's yes.
func TestOneClientCannotDeadlockARound(t *testing.T) {
	quote(t, "R15", "A holder checks every header, opens its share of each, and gives a verdict, which binds nobody: yes, or the clients that it objects to and why.")
	quote(t, "R17", "The server leaves clients out until t holders say yes to one set; a client that more than c holders object to is always left out.")
	w := newWorld(t, testInsecureRing, 4, 3, 1, 4)
	u := w.uploads(4)
	for _, point := range []int{2, 4} {
		u[1].header.Shares[point-1].Share[0] ^= 1
	}
	u[1].header.Sign(u[1].key)
	look := func(uploads []*upload) (v []Verdict) {
		for point := 1; point <= 4; point++ {
			v = append(v, w.verdict(point, w.set(uploads...), uploads))
		}
		return v
	}
	points, drop, ok := Resolve(w.record, look(u), 3)
	if !ok || !slices.Equal(drop, []string{u[1].header.Client}) || !slices.Equal(points, []int{1, 2, 3, 4}) {
		t.Fatalf("got holders %v, drop %v, %v", points, drop, ok)
	}
	rest := []*upload{u[0], u[2], u[3]}
	for _, v := range look(rest) {
		if !v.Yes() {
			t.Errorf("after dropping: %+v", v)
		}
	}
}

func TestResolve(t *testing.T) {
	r := committee(4, 3, 1)
	v := func(point int, clients ...string) Verdict {
		x := Verdict{Point: point}
		for _, c := range clients {
			x.Objections = append(x.Objections, Objection{c, ReasonShare})
		}
		return x
	}
	for name, c := range map[string]struct {
		verdicts []Verdict
		want     int
		points   []int
		drop     []string
		ok       bool
	}{
		"all yes":                           {[]Verdict{v(1), v(2), v(3), v(4)}, 4, []int{1, 2, 3, 4}, nil, true},
		"three of four":                     {[]Verdict{v(1), v(3), v(4)}, 3, []int{1, 3, 4}, nil, true},
		"three, four wanted":                {[]Verdict{v(1), v(3), v(4)}, 4, nil, nil, false},
		"two of four":                       {[]Verdict{v(1), v(4)}, 3, nil, nil, false},
		"one twice":                         {[]Verdict{v(1), v(4), v(4)}, 3, nil, nil, false},
		"refusal":                           {[]Verdict{v(1), v(2), {Point: 3, Refusal: "no"}}, 3, nil, nil, false},
		"one objector may be left out":      {[]Verdict{v(1), v(2, "a"), v(3), v(4)}, 3, []int{1, 3, 4}, nil, true},
		"or its client":                     {[]Verdict{v(1), v(2, "a"), v(3), v(4)}, 4, []int{1, 2, 3, 4}, []string{"a"}, true},
		"two objectors may not":             {[]Verdict{v(1, "a"), v(2, "a"), v(3), v(4)}, 3, []int{1, 2, 3, 4}, []string{"a"}, true},
		"objections to different clients":   {[]Verdict{v(1, "a"), v(2, "b"), v(3), v(4)}, 3, []int{1, 3, 4}, []string{"a"}, true},
		"a holder that objects to everyone": {[]Verdict{v(1, "a", "b", "c"), v(2), v(3), v(4)}, 3, []int{2, 3, 4}, nil, true},
		"below the threshold":               {[]Verdict{v(1), v(2), v(3, "a")}, 1, []int{1, 2, 3}, []string{"a"}, true},
	} {
		points, drop, ok := Resolve(r, c.verdicts, c.want)
		if !slices.Equal(points, c.points) || !slices.Equal(drop, c.drop) || ok != c.ok {
			t.Errorf("%s: got %v, %v, %v; want %v, %v, %v", name, points, drop, ok, c.points, c.drop, c.ok)
		}
	}
}

// Two uploads of one client share neither key seeds nor boxes, also when everything
// about them is the same: the randomness is fresh.
func TestDealIsFresh(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 1)
	h, _ := w.draft(0)
	secret := randomElement(w.ring, w.rng)
	seen := map[statement.Digest]bool{}
	for range 2 {
		if _, err := Deal(w.record, w.ring, h, w.public, secret, rand.Reader); err != nil {
			t.Fatal(err)
		}
		for _, c := range h.Shares {
			if seen[c.Share] || seen[c.Box] {
				t.Error("a share or box repeats")
			}
			seen[c.Share], seen[c.Box] = true, true
		}
	}
}

// A failing source of randomness ends in an error, never in a share that can be
// guessed.
func TestDealWithoutRandomness(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 1)
	h, _ := w.draft(0)
	secret := randomElement(w.ring, w.rng)
	for n := range 200 {
		boxes, err := Deal(w.record, w.ring, h, w.public, secret, &shortReader{n})
		if (err == nil) != (boxes != nil) {
			t.Fatal("boxes and an error, or neither")
		}
		if err == nil {
			if n < 2*SeedSize+4*saltSize {
				t.Fatalf("%d random bytes were enough", n)
			}
			return
		}
	}
	t.Error("200 random bytes are not enough")
}

type shortReader struct{ left int }

func (r *shortReader) Read(b []byte) (int, error) {
	n := min(len(b), r.left)
	r.left -= n
	if n == 0 {
		return 0, errShort
	}
	return rand.Read(b[:n])
}
