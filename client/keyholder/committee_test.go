package keyholder

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

// Four real holders and an honest server, over three rounds: one holder is away and
// comes back, one is restarted between signature and answer, and a client deals a
// bad share. Every round opens to the exact sum of the keys.
func TestCommitteeOverRounds(t *testing.T) {
	c := mustCommittee(t)
	record := &c.signed.Record
	dirs, holders := make([]string, 4), make([]*Holder, 4)
	start := func(i int) {
		if holders[i] != nil {
			holders[i].Close()
		}
		holders[i] = mustOpen(t, c.config(dirs[i], i+1))
	}
	for i := range dirs {
		dirs[i] = t.TempDir()
		start(i)
	}
	keys := make([][]keyshare.RoundKey, 4) // by point, of rounds 1 to 3
	for i, h := range holders {
		var err error
		if keys[i], err = h.Keys(KeysWanted{"run-1", 1, 3}); err != nil {
			t.Fatal(err)
		}
	}
	for round := uint64(1); round <= 3; round++ {
		a := c.announcement(round)
		public := make([]keyshare.RoundKey, 4)
		for i := range public {
			public[i] = keys[i][round-1]
		}
		if err := keyshare.VerifyRoundKeys(record, &a, public); err != nil {
			t.Fatal(err)
		}
		headers, boxes, secrets := []keyshare.Header{}, [][][]byte{}, [][]uint64{}
		for i := range c.client {
			h := keyshare.Header{Announcement: a.Hash(), Client: fmt.Sprintf("client-%d", i), Key: statement.PublicKey(c.client[i]), Order: keyshare.Order{Work: 5, Weight: 0.5}}
			h.Vouch = keyshare.SignVouch(record.Vouchers[i].Name, c.voucher[i], h.Client, h.Key, farFuture)
			secret := []uint64{uint64(i), round, testInsecureRing.Primes[0] - 1, 7}
			b, err := keyshare.Deal(record, testInsecureRing, &h, public, secret, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if round == 2 && i == 1 { // a bad share for holders 1 and 3
				h.Shares[0].Share[0] ^= 1
				h.Shares[2].Share[0] ^= 1
			}
			h.Sign(c.client[i])
			if err := h.CheckBoxes(record, testInsecureRing, b); err != nil {
				t.Fatal(err)
			}
			headers, boxes, secrets = append(headers, h), append(boxes, b), append(secrets, secret)
		}

		away := map[uint64]int{1: 0, 3: 3}
		present := func(i int) bool { gone, some := away[round]; return !some || gone != i }
		var set *keyshare.Set
		var yes []int
		keep := []int{0, 1, 2, 3}
		for range 3 {
			var group []keyshare.Header
			for _, i := range keep {
				group = append(group, headers[i])
			}
			set = keyshare.NewSet(a, group)
			var verdicts []keyshare.Verdict
			for i, h := range holders {
				if !present(i) {
					continue
				}
				v, err := h.Look(Proposal{set, testContract, func(yield func([]byte, error) bool) {
					for _, k := range keep {
						if !yield(boxes[k][i], nil) {
							return
						}
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				verdicts = append(verdicts, v)
			}
			points, drop, ok := keyshare.Resolve(record, verdicts, len(verdicts))
			if !ok {
				t.Fatalf("round %d: no agreement: %+v", round, verdicts)
			}
			if yes = points; len(drop) == 0 {
				break
			}
			keep = slices.DeleteFunc(keep, func(i int) bool { return slices.Contains(drop, headers[i].Client) })
		}
		cert := Certificate{Run: "run-1", Round: round, Set: set.Hash()}
		for _, point := range yes {
			s, err := holders[point-1].Sign(SignatureWanted{"run-1", round, cert.Set})
			if err != nil {
				t.Fatal(err)
			}
			cert.Signatures = append(cert.Signatures, s)
		}
		start(1)
		var sums []keyshare.PointSum
		for _, point := range yes {
			answer, err := holders[point-1].Answer(cert)
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.Verify(record, testInsecureRing, cert.Set, 1); err != nil {
				t.Fatal(err)
			}
			sums = append(sums, keyshare.PointSum{Point: point, Sum: answer.Sums[0]})
		}
		want := make([]uint64, testInsecureRing.Len())
		for _, i := range keep {
			for j := range want {
				want[j] = (want[j] + secrets[i][j]) % testInsecureRing.Primes[0]
			}
		}
		o, err := keyshare.Reconstruct(record, testInsecureRing, sums, func(key []uint64) bool { return slices.Equal(key, want) })
		if err != nil || len(o.Odd) != 0 {
			t.Fatalf("round %d: %+v, %v", round, o, err)
		}
		if wantKeep := map[uint64]int{1: 4, 2: 3, 3: 4}[round]; len(keep) != wantKeep {
			t.Errorf("round %d: %d clients in the sum, want %d", round, len(keep), wantKeep)
		}
	}
}

// BenchmarkSignDurably is what durability costs a round: a set of two clients in a
// tiny ring, on the disk that holds temporary files.
func BenchmarkSignDurably(b *testing.B) {
	c := mustCommittee(b)
	h := mustOpen(b, c.config(b.TempDir(), 4))
	for round := uint64(1); b.Loop(); round++ {
		b.StopTimer()
		s := c.mustSeal(b, h, round, 0, 1)
		b.StartTimer()
		h.mustSign(b, s)
		if _, err := h.Answer(c.certificate(s, 1, 2, 3)); err != nil {
			b.Fatal(err)
		}
	}
}
