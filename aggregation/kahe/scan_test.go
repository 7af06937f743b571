package kahe

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// With vector instructions the scan counts what it counts without them, at and beside
// every threshold and for either sign.
func TestVectorScanAgreesWithPortable(t *testing.T) {
	if !vectorScan {
		t.Skip("this processor has no AVX2")
	}
	g := theGaussian()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		bytes := make([]byte, 4*block)
		for i := range block {
			v := rng.Uint32()
			switch rng.IntN(3) {
			case 0:
				v = v&(1<<31) | uint32(g.limits[rng.IntN(thresholds)]+int32(rng.IntN(3)-1))&(1<<31-1)
			case 1:
				v = v&(1<<31) | []uint32{0, 1, 1<<31 - 1}[rng.IntN(3)]
			}
			binary.LittleEndian.PutUint32(bytes[4*i:], v)
		}
		var got, want [block / 2]uint64
		scanVector(&got, &bytes[0], &g.limits)
		g.scan(&want, bytes)
		if got != want {
			t.Fatal("counts differ")
		}
	}
}
