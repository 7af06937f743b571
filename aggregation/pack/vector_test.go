package pack

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// With vector instructions and without, the same bytes give the same sums and the same
// refusals, at every width and length, with coefficients at and above the largest in
// every place and with carries between the words.
func TestVectorsAgreeWithPortable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	refused, vectors := 0, 0
	for width := 64; width <= MaxBits(2); width++ {
		for _, below := range []uint64{0, 1, 1 << 40} {
			top := []uint64{^uint64(0) - below, 1<<(width-64) - 1}
			if width == 64 {
				top = []uint64{^uint64(0) - below, 0}
			}
			fast, err := NewCoder(2, top)
			if err != nil {
				t.Fatal(err)
			}
			slow := fast
			slow.lanes = nil
			if fast.lanes != nil {
				vectors++
			}
			for _, n := range []int{1, 8, 16, 23, 24, 25, 31, 40, 97} {
				words := make([]uint64, 2*n)
				for i := range n {
					words[2*i], words[2*i+1] = rng.Uint64(), rng.Uint64()&fast.mask(1)
					switch rng.IntN(8 * n) { // about one vector of eight is refused
					case 0:
						copy(words[2*i:], top)
					case 1:
						words[2*i], words[2*i+1] = top[0]+1, top[1]
					}
				}
				body := slow.Append(nil, words)
				start := make([]uint64, len(words))
				for i := range start {
					start[i] = rng.Uint64() >> (i % 2 * 8)
				}
				one, other := slices.Clone(start), slices.Clone(start)
				got, want := fast.Add(one, body), slow.Add(other, body)
				if !errors.Is(got, want) && !(errors.Is(got, ErrMalformed) && errors.Is(want, ErrMalformed)) || !slices.Equal(one, other) {
					t.Fatalf("%d bits, %d coefficients: adding gives %v, portable %v; equal sums: %v", width, n, got, want, slices.Equal(one, other))
				}
				if checked := fast.Check(body, n); (checked == nil) != (want == nil) {
					t.Fatalf("%d bits, %d coefficients: check gives %v, portable %v", width, n, checked, want)
				}
				if want != nil {
					refused++
				}
			}
		}
	}
	if refused < 20 {
		t.Errorf("only %d vectors were refused", refused)
	}
	if vectors == 0 {
		t.Log("this processor has no vector instructions that are used here")
	}
}
