package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// different verifies bytes that must not verify, and returns the difference.
func different(t *testing.T, what string, b []byte, public string, options ...Option) *Difference {
	t.Helper()
	_, err := Verify(b, public, options...)
	var d *Difference
	if !errors.As(err, &d) || !errors.Is(err, ErrDifferent) {
		t.Fatalf("%s: %v, want a difference", what, err)
	}
	return d
}

// offsets are where each record's frame starts, and the end of the file.
func offsets(v *Verified, size int) []int {
	var out []int
	for _, r := range v.Records {
		out = append(out, int(r.Offset))
	}
	return append(out, size)
}

// Every byte of the file counts, and the record that it belongs to is named.
func TestEveryByteCounts(t *testing.T) {
	w := newWorld(t, contract(3), true)
	w.round(1, 10)
	w.must(Head{}, w.reserve(2, 1))
	at := offsets(w.verify(), len(w.storage.b))
	flips := []byte{0x01, 0x20, 0x80}
	for i := range w.storage.b {
		for _, flip := range flips {
			if testing.Short() && i%7 != 0 {
				continue
			}
			b := slices.Clone(w.storage.b)
			b[i] ^= flip
			d := different(t, fmt.Sprintf("byte %d ^ %02x", i, flip), b, w.public)
			record, _ := slices.BinarySearch(at, i+1)
			if want := int64(record - 1); d.Index != want {
				t.Fatalf("byte %d ^ %02x is in record %d, the difference names %v", i, flip, want, d)
			}
			if d.Offset > int64(i) {
				t.Fatalf("byte %d ^ %02x: %v points behind it", i, flip, d)
			}
		}
	}
}

// A forger who also makes checksums fit is caught by tree and signatures.
func TestForgedRecords(t *testing.T) {
	w := busy(t)
	v := w.verify()
	at := offsets(v, len(w.storage.b))
	frames, _, _, err := scan(w.storage.b)
	if err != nil {
		t.Fatal(err)
	}
	rebuild := func(change func(i int, f frame) []byte) []byte {
		b := []byte(fileStart)
		for i, f := range frames {
			b = appendFrame(b, f.typ, change(i, f))
		}
		return b
	}
	for i := range frames {
		b := rebuild(func(j int, f frame) []byte {
			body := slices.Clone(f.body)
			if j == i {
				// A digit or letter inside, so that the form stays as it is.
				k := strings.IndexAny(string(body), "0123456789abcdef")
				for n := 0; n < 30; n++ {
					if more := strings.IndexAny(string(body[k+1:]), "0123456789abcdef"); more >= 0 {
						k += 1 + more
					}
				}
				body[k] ^= 1
			}
			return body
		})
		if d := different(t, fmt.Sprintf("frame %d", i), b, w.public); d.Index != int64(i/2) {
			t.Errorf("frame %d was forged, the difference names %v", i, d)
		}
	}
	for i := range v.Records {
		dropped := append(slices.Clone(w.storage.b[:at[i]]), w.storage.b[at[i+1]:]...)
		if i+1 < len(v.Records) {
			if d := different(t, "dropped", dropped, w.public); d.Index != int64(i) {
				t.Errorf("record %d was dropped, the difference names %v", i, d)
			}
		}
		doubled := append(slices.Clone(w.storage.b[:at[i+1]]), w.storage.b[at[i]:]...)
		if d := different(t, "doubled", doubled, w.public); d.Index != int64(i+1) {
			t.Errorf("record %d was doubled, the difference names %v", i, d)
		}
		if i+2 < len(at) {
			swapped := slices.Concat(w.storage.b[:at[i]], w.storage.b[at[i+1]:at[i+2]], w.storage.b[at[i]:at[i+1]], w.storage.b[at[i+2]:])
			if d := different(t, "swapped", swapped, w.public); d.Index != int64(i) {
				t.Errorf("records %d and %d were swapped, the difference names %v", i, i+1, d)
			}
		}
	}
	_, stranger, err := GenerateKey(testRandom(9), "ledger.example")
	if err != nil {
		t.Fatal(err)
	}
	if d := different(t, "another key", w.storage.b, stranger); d.Index != 0 || !strings.Contains(d.What, "signature") {
		t.Errorf("another key: %v", d)
	}
}

// Only a checkpoint that somebody kept shows that the end is gone, or that another ledger took its place.
func TestRollbackShowsAgainstAPin(t *testing.T) {
	w := newWorld(t, contract(5), true)
	w.round(1, 10)
	v1 := w.verify()
	old := slices.Clone(w.storage.b)
	w.round(2, 10)
	checkpoint, head := w.ledger.Checkpoint()
	if _, h, err := OpenCheckpoint(checkpoint, w.public); err != nil || h != head {
		t.Fatalf("%v, %v", h, err)
	}
	w.verify(Pinned(v1.Head), Pinned(head))
	if _, err := Verify(old, w.public); err != nil {
		t.Fatalf("a shorter ledger verifies without a pin: %v", err)
	}
	if d := different(t, "rolled back", old, w.public, Pinned(head)); d.Index != 4 || !strings.Contains(d.Got, "cut off") {
		t.Errorf("rolled back: %v", d)
	}
	for cut := 1; cut < 40; cut++ {
		b := w.storage.b[:len(w.storage.b)-cut]
		if d := different(t, "cut", b, w.public); d.Index != int64(len(w.verify().Records)-1) {
			t.Errorf("%d bytes are gone: %v", cut, d)
		}
	}
	// The same key, another history.
	w.storage.b = old
	w.reopen()
	w.now += 1000
	w.round(2, 9)
	if d := different(t, "split view", w.storage.b, w.public, Pinned(head)); d.Index != head.Size-1 {
		t.Errorf("split view: %v", d)
	}
}

// A server that signs wrong numbers with its own key is caught too.
func TestDishonestServer(t *testing.T) {
	honest := newWorld(t, contract(5), true)
	for name, lie := range map[string]struct {
		what string
		do   func(r Record)
	}{
		"epsilon": {"epsilon spent", func(r Record) {
			if c, ok := r.(*Certified); ok {
				c.Balance.Spent /= 2
			}
		}},
		"rounds": {"rounds charged", func(r Record) {
			if c, ok := r.(*Commit); ok {
				c.Balance.Rounds--
			}
		}},
		"noise": {"the record", func(r Record) {
			if c, ok := r.(*Certified); ok {
				c.Noise.Effective *= 2
			}
		}},
		"milestones": {"epsilon after", func(r Record) {
			if p, ok := r.(*Plan); ok {
				for i := range p.Milestones {
					p.Milestones[i].Epsilon *= 0.9
				}
			}
		}},
		"certificate": {"the key holders' signatures", func(r Record) {
			if c, ok := r.(*Commit); ok {
				c.Certificate[0].Signature[3] ^= 1
			}
		}},
		"plan's hash": {"the record", func(r Record) {
			if c, ok := r.(*Reserve); ok {
				c.Plan[0] ^= 1
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p, keys := newPlan(t, contract(5), true)
			w := &world{t: t, holders: keys, storage: &memory{}, private: honest.private, public: honest.public}
			state := &State{}
			liar := liar{state, lie.do}
			s, err := newSigner(w.private)
			if err != nil {
				t.Fatal(err)
			}
			w.ledger = &Ledger{state: state}
			w.ledger.w = writer{storage: w.storage, signer: s, machine: liar}
			w.must(w.ledger.add(w.tick(), p))
			w.round(1, 8)
			if d := different(t, name, w.storage.b, w.public); !strings.HasPrefix(d.What, lie.what) {
				t.Errorf("got %v, want a difference in %s", d, lie.what)
			}
		})
	}
}

// liar is a server whose program was changed: it checks nothing and falsifies what it writes.
type liar struct {
	*State
	lie func(Record)
}

func (l liar) check(r Record) (Balance, error) {
	b, err := l.State.check(r)
	if p := balance(r); p != nil {
		*p = b
	}
	l.lie(r)
	if p := balance(r); p != nil {
		b = *p
	}
	if strings.Contains(fmt.Sprint(err), "under plan") {
		err = nil
	}
	return b, err
}

func (l liar) signed(Record) func() error { return nil }
