//go:build !amd64

package kahe

const vectorScan = false

func scanVector(*[block / 2]uint64, *byte, *[thresholds]int32) {
	panic("kahe: no vector instructions here")
}
