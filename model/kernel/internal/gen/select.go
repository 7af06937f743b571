package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quads gathers the four inputs that the taps of a 2x2 pool may have chosen: for
// each of n elements of each of rows rows a[i], a[i+right], b[i], b[i+right], where b is the row of the
// lower taps and right is in bytes. It stores whole groups of eight quads.
func (v isa) quads() {
	v.text("quads", "func(a, b, dst *float32, rows, n, right, row, dstRow uintptr, masks int64)")
	Pragma("noescape")
	top, low, to, rows, right := param("a"), param("b"), param("dst"), param("rows"), param("right")
	Label("row")
	a, b, dst, n := GP64(), GP64(), GP64(), param("n")
	MOVQ(top, a)
	MOVQ(low, b)
	MOVQ(to, dst)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(l access) {
		in := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
		for i, p := range []reg.GPVirtual{a, b} {
			l.load(at(p, 0), in[2*i])
			l.load(Mem{Base: p, Index: right, Scale: 1}, in[2*i+1])
			ADDQ(Imm(32), p)
		}
		var pair, four [4]reg.VecVirtual
		for i := range pair {
			pair[i], four[i] = YMM(), YMM()
		}
		for i := range 2 {
			VUNPCKLPS(in[2*i+1], in[2*i], pair[i])
			VUNPCKHPS(in[2*i+1], in[2*i], pair[2+i])
		}
		for i := range 2 {
			VUNPCKLPD(pair[2*i+1], pair[2*i], four[2*i])
			VUNPCKHPD(pair[2*i+1], pair[2*i], four[2*i+1])
		}
		for half, how := range []uint64{0x20, 0x31} {
			for i := range 2 {
				x := YMM()
				VPERM2F128(Imm(how), four[2*i+1], four[2*i], x)
				VMOVUPS(x, at(dst, 64*half+32*i))
			}
		}
		SUBQ(I32(-128), dst)
	})
	ADDQ(mustParam("row"), top)
	ADDQ(mustParam("row"), low)
	ADDQ(mustParam("dstRow"), to)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// mostSelected is the quads of a kernel: two accumulators each, and six registers.
const mostSelected = 5

// selected adds to n rows of 16 columns of dst, for each of rows times pixels
// pixels, 16 weights times the members that 16 selectors choose of each of n quads. A
// selector is four bytes for VPSHUFB. Weights and selectors of a pixel are step
// bytes after those of the pixel before; quads are pixel and row bytes after.
// VPSHUFB instead of VPERMILPS: the latter contends with multiply-adds for a port.
func (v isa) selected(n int) {
	v.text(fmt.Sprintf("selected%d", n), "func(quads *float32, selector *int32, weight, dst *float32, rows, pixels, step, pixel, row, dstRow uintptr)")
	Pragma("noescape")
	quads, sel, weight, dst := param("quads"), param("selector"), param("weight"), param("dst")
	rows, step, pixel, dstRow := param("rows"), param("step"), param("pixel"), param("dstRow")
	// Selectors and weights of a row are counted up to its end.
	line := param("pixels")
	IMULQ(step, line)
	ADDQ(line, sel)
	ADDQ(line, weight)
	acc := make([]reg.VecVirtual, 2*n)
	to := newRows(dstRow, n)
	for i := range acc {
		acc[i] = YMM()
		VMOVUPS(to.at(dst, i/2, i%2*32), acc[i])
	}
	Label("row")
	q, from := GP64(), GP64()
	MOVQ(quads, q)
	MOVQ(line, from)
	NEGQ(from)
	Label("pixel")
	var s, w [2]reg.VecVirtual
	for i := range 2 {
		s[i], w[i] = YMM(), YMM()
		VMOVDQU(Mem{Base: sel, Index: from, Scale: 1, Disp: 32 * i}, s[i])
		VMOVUPS(Mem{Base: weight, Index: from, Scale: 1, Disp: 32 * i}, w[i])
	}
	for i := range n {
		x, y := YMM(), YMM()
		VBROADCASTF128(at(q, 16*i), y)
		VPSHUFB(s[0], y, x)
		VPSHUFB(s[1], y, y)
		VFMADD231PS(x, w[0], acc[2*i])
		VFMADD231PS(y, w[1], acc[2*i+1])
	}
	ADDQ(pixel, q)
	ADDQ(step, from)
	JNZ(LabelRef("pixel"))
	ADDQ(line, sel)
	ADDQ(line, weight)
	ADDQ(mustParam("row"), quads)
	DECQ(rows)
	JNZ(LabelRef("row"))
	for i := range acc {
		VMOVUPS(acc[i], to.at(dst, i/2, i%2*32))
	}
	VZEROUPPER()
	RET()
}

// prefetch asks for count cache lines from address p on in L2. Addresses need not exist.
func (v isa) prefetch() {
	v.text("prefetch", "func(p, count uintptr)")
	p, count := param("p"), param("count")
	Label("line")
	PREFETCHT1(at(p, 0))
	ADDQ(Imm(64), p)
	DECQ(count)
	JNZ(LabelRef("line"))
	RET()
}
