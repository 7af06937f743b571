package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bits makes, for each of pixels pixels of n channels and each of four taps, a set
// of the channels whose gradient is not zero and whose arg is the tap: words of 64
// bits, (pixel, 64 channels, tap). masks starts at a multiple of 32 bytes; bits of
// channels that do not exist are left alone.
func (v isa) bits() {
	v.text("bits", "func(dy *float32, arg *uint8, pixels, n uintptr, sets *uint64, order *[8]uint32, masks int64)")
	Pragma("noescape")
	g, arg, pixels, to := param("dy"), param("arg"), param("pixels"), param("sets")
	zeros := v.vec()
	zero(zeros)
	taps := []reg.VecVirtual{zeros, YMM(), YMM(), YMM()}
	VPCMPEQD(zeros, zeros, taps[1])
	VPSRLD(Imm(31), taps[1], taps[1])
	VPADDD(taps[1], taps[1], taps[2])
	VPADDD(taps[1], taps[2], taps[3])
	// The same as bytes. order undoes what packing does to the order of four vectors.
	bytes := []reg.VecVirtual{zeros, YMM(), YMM(), YMM()}
	VPCMPEQB(zeros, zeros, bytes[1])
	VPABSB(bytes[1], bytes[1])
	VPADDB(bytes[1], bytes[1], bytes[2])
	VPADDB(bytes[1], bytes[2], bytes[3])
	order := YMM()
	table := param("order")
	VMOVDQU(at(table, 0), order)
	// next goes on to the next channels: of the same words, or the first of the next four.
	next := func(bytes int) {
		over := GP64()
		LEAQ(at(to, bytes+24), over)
		ADDQ(Imm(uint64(bytes)), to)
		TESTQ(U32(7), to)
		CMOVQEQ(over, to)
	}
	Label("pixel")
	n := param("n")
	CMPQ(n, Imm(32))
	JLT(LabelRef("rest"))
	Label("block")
	var dead [4]reg.VecVirtual
	for i := range dead {
		dead[i] = YMM()
		VCMPPS(equal, at(g, 32*i), zeros, dead[i])
	}
	VPACKSSDW(dead[1], dead[0], dead[0])
	VPACKSSDW(dead[3], dead[2], dead[2])
	VPACKSSWB(dead[2], dead[0], dead[0])
	VPERMD(dead[0], order, dead[0])
	VPOR(at(arg, 0), dead[0], dead[0]) // all ones is no tap
	for t, tap := range bytes {
		set, k := YMM(), GP32()
		VPCMPEQB(tap, dead[0], set)
		VPMOVMSKB(set, k)
		MOVL(k, at(to, 8*t))
	}
	SUBQ(I32(-128), g)
	ADDQ(Imm(32), arg)
	next(4)
	SUBQ(Imm(32), n)
	CMPQ(n, Imm(32))
	JGE(LabelRef("block"))
	Label("rest")
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		x, which := v.vec(), v.vec()
		a.load(at(g, 0), x)
		a.widen(at(arg, 0), which)
		step := GP64()
		if a.tail != nil {
			MOVQ(n, step)
		} else {
			MOVQ(U32(uint32(v.lanes)), step)
		}
		ADDQ(step, arg)
		LEAQ(Mem{Base: g, Index: step, Scale: 4}, g)
		VCMPPS(notEqual, zeros, x, x)
		for t, tap := range taps {
			set, k := YMM(), GP32()
			VPCMPEQD(tap, which, set)
			VPAND(x, set, set)
			VMOVMSKPS(set, k)
			MOVB(k.As8(), at(to, 8*t))
		}
		next(1)
	})
	ADDQ(Imm(31), to)
	ANDQ(I32(-32), to)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// sumBits is sums for groups that are sets of at most 64 neighbours, in place of
// lists: no list is written or read, and an entry is 13 vector loads and 4 instructions for
// its 12 multiply-adds. The windows of dst begin the sums: those of
// neighbouring groups should not overlap.
func (v isa) sumBits(n, nv int, end last) {
	masked := end == lastMasked
	v.text(fmt.Sprintf("sumBits%dx%d%s", n, nv, end), "func(groups *int32, count uintptr, sets *uint64, weight, src, dst *float32, step, srcRow, dstRow, ahead, tail uintptr, masks int64)")
	Pragma("noescape")
	group, count, sets, weight := param("groups"), param("count"), param("sets"), param("weight")
	dst, step, ahead := param("dst"), param("step"), param("ahead")
	src := make([]reg.GPVirtual, n)
	src[0] = param("src")
	for r := 1; r < n; r++ {
		src[r] = GP64()
		MOVQ(src[r-1], src[r])
		ADDQ(mustParam("srcRow"), src[r])
	}
	var t tail
	if masked {
		t = v.tailMask(param("tail"), func() reg.GPVirtual { return param("masks") })
	}
	acc := make([]reg.VecVirtual, n*nv)
	for i := range acc {
		acc[i] = v.vec()
	}
	window := func(move func(last bool, m Mem, a reg.VecVirtual)) {
		to := GP64()
		MOVLQSX(at(group, 8), to)
		ADDQ(dst, to)
		for r := range n {
			for j := range nv {
				move(j == nv-1, at(to, j*v.bytes()), acc[r*nv+j])
			}
			if r < n-1 {
				ADDQ(mustParam("dstRow"), to)
			}
		}
	}
	Label("group")
	set, w := GP64(), GP64()
	MOVLQSX(at(group, 0), set)
	MOVQ(Mem{Base: sets, Index: set, Scale: 1}, set)
	PREFETCHT1(at(ahead, 0))
	PREFETCHT1(at(ahead, 64))
	SUBQ(I32(-128), ahead)
	TESTQ(set, set)
	JZ(LabelRef("next"))
	window(func(last bool, m Mem, a reg.VecVirtual) {
		if masked && last {
			t.load(m, a)
		} else {
			VMOVUPS(m, a)
		}
	})
	MOVLQSX(at(group, 4), w)
	ADDQ(weight, w)
	Label("entry")
	bit, x := GP64(), v.vec()
	TZCNTQ(set, bit)
	VBROADCASTSS(Mem{Base: w, Index: bit, Scale: 4}, x)
	IMULQ(step, bit)
	BLSRQ(set, set)
	for r := range n {
		for j := range nv {
			m, a := Mem{Base: src[r], Index: bit, Scale: 1, Disp: j * v.bytes()}, acc[r*nv+j]
			if masked && j == nv-1 {
				y := v.vec()
				t.load(m, y)
				VFMADD231PS(y, x, a)
			} else {
				VFMADD231PS(m, x, a)
			}
		}
	}
	JNZ(LabelRef("entry"))
	window(func(last bool, m Mem, a reg.VecVirtual) {
		if masked && last {
			t.store(a, m)
		} else {
			VMOVUPS(a, m)
		}
	})
	Label("next")
	ADDQ(Imm(12), group)
	DECQ(count)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
