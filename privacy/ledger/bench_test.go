package ledger

import (
	"fmt"
	"testing"
)

// A run of distributed DP-SGD with four key holders: three records and three signatures of holders a round.
func BenchmarkVerifyLedger(b *testing.B) {
	for _, rounds := range []int{200, 10000} {
		b.Run(fmt.Sprintf("rounds=%d", rounds), func(b *testing.B) {
			c := examples(rounds)
			c.Epsilon, c.SamplingRate = 8, 0.0341*20/float64(max(rounds, 400))*1
			w := newWorld(b, c, true)
			for i := 1; i <= rounds; i++ {
				w.round(i, 7+i%4)
			}
			b.SetBytes(int64(len(w.storage.b)))
			b.ResetTimer()
			for b.Loop() {
				if _, err := Verify(w.storage.b, w.public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One record with its checkpoint, the disk left out.
func BenchmarkAppend(b *testing.B) {
	w := newWorld(b, clients(24), false)
	for b.Loop() {
		w.must(w.ledger.Add(w.tick(), &Note{Text: "a remark"}))
	}
}
