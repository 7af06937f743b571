package privatise

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/privacy/noise"
)

// DrawBatch appends to dst the indices, ascending, of the Poisson batch of a round: each of n records (or
// groups) enters by its own coin of probability q, cut down to 64 bits. It is a function of
// (seed, round, n, q), so that a repeated attempt repeats its batch exactly; the seed
// is the owner's secret and so is the batch, its length included.
//
// A batch of more than limit records loses the last ones. That is outside of Poisson sampling and must be
// improbable enough to be added to delta (Contract.BatchCap).
func DrawBatch(dst []int32, n int, q float64, limit int, seed noise.Seed, round int) ([]int32, error) {
	if n < 0 || n > math.MaxInt32 || !(q > 0 && q <= 1) || limit < 1 {
		return dst, fmt.Errorf("draw from %d records at rate %g with at most %d, want up to 2^31-1 records, a rate above 0 and at most 1, and at least 1", n, q, limit)
	}
	rng := noise.NewDRBG(seed.Derive("coins", round))
	all := q == 1
	var threshold uint64
	if !all {
		threshold = uint64(math.Ldexp(q, 64)) // exact, then cut: float64 has 53 bits
	}
	start := len(dst)
	var coins [512 * 8]byte
	for i := 0; i < n; i += 512 {
		m := min(512, n-i)
		rng.Fill(coins[:8*m])
		for j := range m {
			if all || binary.LittleEndian.Uint64(coins[8*j:]) < threshold {
				dst = append(dst, int32(i+j))
			}
		}
	}
	return dst[:min(len(dst), start+limit)], nil
}
