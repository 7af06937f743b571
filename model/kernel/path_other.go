//go:build !amd64

package kernel

const maskTable = 0

func simdPaths() []*Path { return nil }

// Peak is 0 on the portable path.
func (p *Path) Peak(int) float64 { return 0 }

// Slots is 0 on the portable path.
func (p *Path) Slots() float64 { return 0 }

func transpose(src, dst *float32, rows, cols, srcRow, dstRow uintptr) {
	panic("kernel: no vector instructions here")
}

func panels(src, dst *float32, rows, n, srcRow, panel uintptr) {
	panic("kernel: no vector instructions here")
}

func interleave3(src, dst *float32, eights, plane uintptr) {
	panic("kernel: no vector instructions here")
}
