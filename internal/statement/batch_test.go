package statement

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func signedBatch(t testing.TB, n int) []Signed {
	t.Helper()
	all := make([]Signed, n)
	for i := range all {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s := New(testLabel).Int(i).Statement()
		all[i] = Signed{PublicKey(key), s, Sign(key, s)}
	}
	return all
}

// Exactly the wrong ones are found, whatever is wrong with them and wherever they are.
func TestVerifyAll(t *testing.T) {
	good := signedBatch(t, 140)
	rapid.Check(t, func(rt *rapid.T) {
		all := slices.Clone(good[:rapid.IntRange(0, len(good)).Draw(rt, "n")])
		var want []int
		for i := range all {
			if rapid.IntRange(0, 20).Draw(rt, "wrong") != 0 {
				continue
			}
			switch at := rapid.IntRange(0, 4).Draw(rt, "what"); at {
			case 0: // R, or R and S
				all[i].Signature[rapid.IntRange(0, 63).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			case 1:
				all[i].Key[rapid.IntRange(0, 31).Draw(rt, "byte")] ^= 1
			case 2:
				all[i].Statement = append(slices.Clone(all[i].Statement), 0)
			case 3: // another's
				all[i].Signature = good[(i+1)%len(good)].Signature
			case 4: // of small order: with R and S of zeros Verify takes it one time in four
				all[i].Signature, all[i].Key = Signature{}, Key{}
			}
			if Verify(all[i].Key, all[i].Statement, all[i].Signature) != nil {
				want = append(want, i)
			}
		}
		if got := VerifyAll(all); !slices.Equal(got, want) {
			rt.Fatalf("wrong are %v, want %v", got, want)
		}
	})
}

// Two signatures that are wrong by opposite amounts pass the sum without factors; they
// must not pass this one. S is moved up in one and down in the other.
func TestVerifyAllIsNotASum(t *testing.T) {
	all := signedBatch(t, 2)
	all[0].Signature[40]++
	all[1].Signature[40]--
	if got := VerifyAll(all); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("wrong are %v, want both", got)
	}
}

func BenchmarkVerifyAll(b *testing.B) {
	for _, n := range []int{1, 4, 10, 64} {
		all := signedBatch(b, n)
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			for b.Loop() {
				if VerifyAll(all) != nil {
					b.Fatal("wrong")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/signature")
		})
	}
}
