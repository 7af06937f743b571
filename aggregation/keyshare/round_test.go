package keyshare

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/statement"
)

// The whole way of a round, with two groups, every choice of t holders, and every
// message through its wire form.
func TestRound(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 6)
	uploads := w.uploads(6)
	set := NewSet(w.announcement,
		[]Header{uploads[5].header, uploads[1].header, uploads[3].header},
		[]Header{uploads[4].header, uploads[0].header, uploads[2].header})
	for _, u := range uploads {
		if err := u.header.Verify(w.record, w.announcement.Hash(), testNow, nil); err != nil {
			t.Fatal(err)
		}
		if err := u.header.CheckBoxes(w.record, w.ring, u.boxes); err != nil {
			t.Fatal(err)
		}
	}
	var signatures []SetSignature
	var answers []*Answer
	for point := 1; point <= 4; point++ {
		c := w.mustLook(point, set, uploads)
		v := c.Verdict()
		if !v.Yes() || v.Set != set.Hash() {
			t.Fatalf("point %d: verdict %+v", point, v)
		}
		s, a, err := c.Close(w.signing[point-1])
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSetSignature(s.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		signatures = append(signatures, *again)
		b, err := ParseAnswer(w.ring, len(set.Groups), a.Bytes(w.ring))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(w.record, w.ring, set.Hash(), 2); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, b)
	}
	if err := CheckCertificate(w.record, w.announcement.Run, w.announcement.Round, set.Hash(), signatures[1:]); err != nil {
		t.Fatal(err)
	}
	want := [][]uint64{w.sum(uploads[0], uploads[2], uploads[4]), w.sum(uploads[1], uploads[3], uploads[5])}
	for g := range want {
		subsets(4, 3, func(c []int) bool {
			o, err := Reconstruct(w.record, w.ring, group([]*Answer{answers[c[0]], answers[c[1]], answers[c[2]]}, g), is(want[g]))
			if err != nil || len(o.Odd) > 0 || !slices.Equal(o.Key, want[g]) {
				t.Errorf("group %d, holders %v: %+v, %v", g, c, o, err)
			}
			return true
		})
	}
}

// For random committees and sets the holders' sums open to the sum of the keys.
func TestRoundProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.IntRange(2, 5).Draw(rt, "m")
		th := rapid.IntRange(m/2+1, m).Draw(rt, "t")
		n := rapid.IntRange(2, 6).Draw(rt, "n")
		w := newWorld(t, testInsecureRing, m, th, 0, n)
		uploads := w.uploads(n)
		set := w.set(uploads...)
		var answers []*Answer
		for _, p := range w.rng.Perm(m)[:th] {
			_, a := w.close(p+1, set, uploads)
			answers = append(answers, a)
		}
		if _, err := Reconstruct(w.record, w.ring, group(answers, 0), is(w.sum(uploads...))); err != nil {
			rt.Fatal(err)
		}
	})
}

// The hash of a set does not depend on the order in which uploads came.
func TestSetHashIsCanonical(t *testing.T) {
	quote(t, "R13", "A set is the announcement and one or more disjoint groups of signed headers, each in order of the client's name; the set's hash covers all of it, signatures included.")
	w := newWorld(t, testInsecureRing, 2, 2, 1, 5)
	u := w.uploads(5)
	h := func(i ...int) (g []Header) {
		for _, j := range i {
			g = append(g, u[j].header)
		}
		return g
	}
	a := NewSet(w.announcement, h(4, 0), h(3, 1, 2)).Hash()
	if b := NewSet(w.announcement, h(2, 3, 1), h(0, 4)).Hash(); a != b {
		t.Error("order changes the hash")
	}
	for name, s := range map[string]*Set{
		"groups":  NewSet(w.announcement, h(0, 4, 1, 2, 3)),
		"moved":   NewSet(w.announcement, h(0, 4, 3), h(1, 2)),
		"dropped": NewSet(w.announcement, h(0, 4), h(1, 2)),
	} {
		if s.Hash() == a {
			t.Errorf("%s: same hash", name)
		}
	}
	signed := h(0, 4)
	signed[0].Signature[0] ^= 1
	if NewSet(w.announcement, signed, h(3, 1, 2)).Hash() == a {
		t.Error("signature is not part of the hash")
	}
	other := w.announcement
	other.Deadline++
	if NewSet(other, h(4, 0), h(3, 1, 2)).Hash() == a {
		t.Error("announcement is not part of the hash")
	}
}

// Concurrent Adds give the same sum.
func TestCollectorConcurrent(t *testing.T) {
	w := newWorld(t, testInsecureRing, 3, 3, 2, 8)
	uploads := w.uploads(40)
	set := w.set(uploads...)
	c, err := NewCollector(w.record, w.ring, w.limits, 3, w.private[2], set, testNow, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for worker := range 4 {
		go func() {
			for i := worker; i < len(uploads); i += 4 {
				if err := c.Add(i, uploads[i].boxes[2]); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	_, got, err := c.Close(w.signing[2])
	if err != nil {
		t.Fatal(err)
	}
	if _, want := w.close(3, set, uploads); !slices.Equal(got.Sums[0], want.Sums[0]) {
		t.Error("sums differ")
	}
}

func TestVows(t *testing.T) {
	var v Vows
	a, b := statement.Digest{1}, statement.Digest{2}
	step := func(name string, err, want error) {
		t.Helper()
		if !isErr(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	step("first", v.Promise("run", 3, a), nil)
	step("same", v.Promise("run", 3, a), nil)
	step("another", v.Promise("run", 3, b), ErrSecondSet)
	step("another again", v.Check("run", 3, b), ErrSecondSet)
	step("another run", v.Promise("run2", 3, b), nil)
	v.Raise("run", 5)
	v.Raise("run", 4)
	step("at the floor", v.Promise("run", 5, a), ErrSpent)
	step("before one that was signed", v.Check("run", 2, a), ErrSpent)
	step("same below the floor", v.Promise("run", 3, a), nil)
	step("another below the floor", v.Promise("run", 3, b), ErrSecondSet)
	step("above the floor", v.Promise("run", 6, b), nil)
	if d, ok := v.Signed("run", 6); !ok || d != b {
		t.Errorf("signed: got %x, %v", d[:1], ok)
	}
}

func isErr(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

var errShort = errors.New("no randomness left")
