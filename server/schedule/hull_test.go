package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The filtered hull of a long table is the chain's.
func TestLongHull(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for name, cost := range map[string]func(x int) float64{
		"random":  func(int) float64 { return r.Float64() },
		"lumps":   func(int) float64 { return float64(r.IntN(3)) },
		"flat":    func(int) float64 { return 1 },
		"convex":  func(x int) float64 { return float64(x * x) },
		"concave": func(x int) float64 { return float64(1000*x - x*x) },
	} {
		for u := 120; u < 420; u += 7 {
			table := dense(u, cost)
			var want []int32
			for j := range table.Tasks {
				want = push(table, want, int32(j))
			}
			if got := lowerHull(table, nil); !slices.Equal(got, want) {
				t.Fatalf("%s, %d options: got %v, want %v", name, u+1, got, want)
			}
		}
	}
}
