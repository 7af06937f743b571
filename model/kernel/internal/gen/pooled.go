package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets in the strides of convPool, in bytes: from an output of the convolution to
// the one right of it and below it, from a run of the window to the next, and from a
// pooled pixel to the next in x, in y and in arg.
const (
	offRight = 8 * 0
	offBelow = 8 * 1
	offRun   = 8 * 2
	offStepX = 8 * 3
	offStepY = 8 * 4
	offStepA = 8 * 5
	offRuns  = 8 * 6
)

// convPool computes 16 channels of a row of pooled pixels: the four outputs of a
// convolution under each, in registers, and their maximum. Windows are runs runs of
// deep inputs; b is a panel.
func (v isa) convPool(deep int) {
	v.text(fmt.Sprintf("convPool%dx", deep), "func(x, b, bias, y *float32, arg *uint8, s *int64, pixels, relu uintptr)")
	Pragma("noescape")
	x, y, arg, s, pixels := param("x"), param("y"), param("arg"), param("s"), param("pixels")
	floor := v.floor(param("relu"))
	right := GP64()
	MOVQ(at(s, offRight), right)
	Label("pixel")
	const vectors = 2
	var acc [vectors][4]reg.VecVirtual
	bias := param("bias")
	for j := range acc {
		for t := range acc[j] {
			acc[j][t] = v.vec()
			VMOVUPS(at(bias, j*v.bytes()), acc[j][t])
		}
	}
	b, upper, lower, runs := param("b"), GP64(), GP64(), GP64()
	MOVQ(x, upper)
	MOVQ(x, lower)
	ADDQ(at(s, offBelow), lower)
	MOVQ(at(s, offRuns), runs)
	Label("run")
	for k := range deep {
		var w [vectors]reg.VecVirtual
		for j := range w {
			w[j] = v.vec()
			VMOVUPS(at(b, (k*vectors+j)*v.bytes()), w[j])
		}
		for t := range 4 {
			from, in := []reg.GPVirtual{upper, lower}[t/2], v.vec()
			m := at(from, 4*k)
			if t%2 == 1 {
				m = Mem{Base: from, Index: right, Scale: 1, Disp: 4 * k}
			}
			VBROADCASTSS(m, in)
			for j := range w {
				VFMADD231PS(w[j], in, acc[j][t])
			}
		}
	}
	ADDQ(U32(uint32(deep*vectors*v.bytes())), b)
	ADDQ(at(s, offRun), upper)
	ADDQ(at(s, offRun), lower)
	DECQ(runs)
	JNZ(LabelRef("run"))
	for j := range acc {
		best, which := v.firstMax(acc[j], floor, fmt.Sprint(j))
		VMOVUPS(best, at(y, j*v.bytes()))
		access{isa: v}.narrow(which, at(arg, j*v.lanes))
	}
	ADDQ(at(s, offStepX), x)
	ADDQ(at(s, offStepY), y)
	ADDQ(at(s, offStepA), arg)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// pooled has a kernel for each run of a window that first layers have: 3 or 5 pixels
// of one or three colours.
func pooled(v isa) {
	for _, deep := range []int{3, 5, 9, 15} {
		v.convPool(deep)
	}
}
