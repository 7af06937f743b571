package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Comparison predicates of VCMPPS that do not signal.
var (
	notEqual     = Imm(4) // true if unordered
	unordered    = Imm(3)
	equal        = Imm(0)
	greater      = Imm(30) // false if unordered
	notLessEqual = Imm(22) // true if unordered
)

func lists(v isa) {
	v.compress()
	if v.wide() {
		v.compressTaps() // AVX2 has sets
		v.live()
	} else {
		v.liveIndexed()
		v.transpose() // both widths use this one
		v.panels()
		v.interleave3()
	}
}

// span emits body for the full vectors of n elements and then, with masked
// accesses, for the rest. body advances its own pointers by the vector; n is
// destroyed. prefix makes the labels.
func (v isa) span(prefix string, n reg.GPVirtual, masks func() reg.GPVirtual, body func(a access)) {
	CMPQ(n, Imm(uint64(v.lanes)))
	JLT(LabelRef(prefix + "tail"))
	Label(prefix + "full")
	body(access{isa: v})
	SUBQ(Imm(uint64(v.lanes)), n)
	CMPQ(n, Imm(uint64(v.lanes)))
	JGE(LabelRef(prefix + "full"))
	Label(prefix + "tail")
	TESTQ(n, n)
	JZ(LabelRef(prefix + "done"))
	t := v.tailMask(n, masks)
	body(access{isa: v, tail: &t})
	Label(prefix + "done")
}

// access reads and writes whole vectors or the live lanes of the last.
type access struct {
	isa
	tail *tail
}

func (a access) load(m Mem, dst reg.VecVirtual) {
	if a.tail != nil {
		a.tail.load(m, dst)
	} else {
		VMOVUPS(m, dst)
	}
}

func (a access) store(src reg.VecVirtual, m Mem) {
	if a.tail != nil {
		a.tail.store(src, m)
	} else {
		VMOVUPS(src, m)
	}
}

// bytes reads one byte for each lane into 32-bit integers. AVX2 reads 8 bytes,
// whatever the tail.
func (a access) widen(m Mem, dst reg.VecVirtual) {
	if a.wide() && a.tail != nil {
		VPMOVZXBD_Z(m, a.tail.k, dst)
	} else {
		VPMOVZXBD(m, dst)
	}
}

// pack appends the lanes of offset and weight that sel selects to two lists and
// advances both. It stores whole vectors.
func (v isa) pack(sel reg.Register, offset, weight reg.VecVirtual, o, w, perm reg.GPVirtual) {
	n := GP64()
	if v.wide() {
		VPCOMPRESSD_Z(offset, sel, offset)
		VCOMPRESSPS_Z(weight, sel, weight)
		KMOVW(sel, n.As32())
	} else {
		at, p := GP64(), YMM()
		VMOVMSKPS(sel, n.As32())
		MOVQ(n, at)
		SHLQ(Imm(5), at)
		VMOVDQU(Mem{Base: perm, Index: at, Scale: 1}, p)
		VPERMD(offset, p, offset)
		VPERMD(weight, p, weight)
	}
	VMOVUPS(offset, at(o, 0))
	VMOVUPS(weight, at(w, 0))
	POPCNTQ(n, n)
	LEAQ(Mem{Base: o, Index: n, Scale: 4}, o)
	LEAQ(Mem{Base: w, Index: n, Scale: 4}, w)
}

// compress makes a list of the elements of each row of g that are not zero, with
// the offsets that tab gives for their columns.
func (v isa) compress() {
	v.text("compress", "func(dy *float32, rows, n, step uintptr, tab *int32, tabStep uintptr, offset *int32, weight *float32, counts *int32, perm *[256][8]uint32, masks int64)")
	Pragma("noescape")
	g, rows, tab := param("dy"), param("rows"), param("tab")
	o, w, counts := param("offset"), param("weight"), param("counts")
	var perm reg.GPVirtual
	if !v.wide() {
		perm = param("perm")
	}
	zeros := v.vec()
	zero(zeros)
	Label("row")
	n, gp, tp, first := param("n"), GP64(), GP64(), GP64()
	MOVQ(g, gp)
	MOVQ(tab, tp)
	MOVQ(o, first)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		x, off := v.vec(), v.vec()
		a.load(at(gp, 0), x)
		a.load(at(tp, 0), off)
		ADDQ(Imm(uint64(v.bytes())), gp)
		ADDQ(Imm(uint64(v.bytes())), tp)
		if v.wide() {
			k := K()
			VCMPPS(notEqual, zeros, x, k)
			v.pack(k, off, x, o, w, perm)
		} else {
			k := YMM()
			VCMPPS(notEqual, zeros, x, k)
			v.pack(k, off, x, o, w, perm)
		}
	})
	count := GP64()
	MOVQ(o, count)
	SUBQ(first, count)
	SHRQ(Imm(2), count)
	MOVL(count.As32(), at(counts, 0))
	ADDQ(Imm(4), counts)
	ADDQ(mustParam("step"), g)
	ADDQ(mustParam("tabStep"), tab)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// mustParam is a parameter as a memory operand.
func mustParam(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// compressTaps makes, for each row of g and each tap below taps, the list of
// elements that are not zero and whose arg is that tap.
func (v isa) compressTaps() {
	v.text("compressTaps", "func(dy *float32, arg *uint8, rows, n, step, argStep, taps uintptr, tab, offset *int32, weight *float32, counts *int32, perm *[256][8]uint32, masks int64)")
	Pragma("noescape")
	g, arg := param("dy"), param("arg")
	o, w, counts := param("offset"), param("weight"), param("counts")
	rows := AllocLocal(8)
	t := param("rows")
	MOVQ(t, rows)
	zeros, one := v.vec(), v.vec()
	zero(zeros)
	ones := GP32()
	MOVL(U32(1), ones)
	x := XMM()
	VMOVD(ones, x)
	VPBROADCASTD(x, one)
	Label("row")
	tap, taps := v.vec(), param("taps")
	zero(tap)
	Label("tap")
	n, gp, ap, tp, first := param("n"), GP64(), GP64(), param("tab"), GP64()
	MOVQ(g, gp)
	MOVQ(arg, ap)
	MOVQ(o, first)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		x, off, which := v.vec(), v.vec(), v.vec()
		a.load(at(gp, 0), x)
		a.load(at(tp, 0), off)
		a.widen(at(ap, 0), which)
		ADDQ(Imm(uint64(v.bytes())), gp)
		ADDQ(Imm(uint64(v.bytes())), tp)
		ADDQ(Imm(uint64(v.lanes)), ap)
		k := K()
		VPCMPEQD(which, tap, k)
		VCMPPS(notEqual, zeros, x, k, k)
		v.pack(k, off, x, o, w, reg.GPVirtual(nil))
	})
	count := GP64()
	MOVQ(o, count)
	SUBQ(first, count)
	SHRQ(Imm(2), count)
	MOVL(count.As32(), at(counts, 0))
	ADDQ(Imm(4), counts)
	VPADDD(one, tap, tap)
	DECQ(taps)
	JNZ(LabelRef("tap"))
	ADDQ(mustParam("step"), g)
	ADDQ(mustParam("argStep"), arg)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// live prepares one row of pooled pixels for the lists: dy where y is above zero
// (or NaN), and the offset of the input that each maximum came from.
func (v isa) live() {
	v.text("live", "func(dy, y *float32, arg *uint8, pixels, n uintptr, place, taps *int32, keep *float32, offset *int32, relu uintptr, masks int64)")
	Pragma("noescape")
	dy, y, arg := param("dy"), param("y"), param("arg")
	pixels, place := param("pixels"), param("place")
	keep, offset, relu := param("keep"), param("offset"), param("relu")
	taps, zeros := v.vec(), v.vec()
	p := param("taps")
	VMOVUPS(at(p, 0), taps)
	zero(zeros)
	Label("pixel")
	n, base := param("n"), v.vec()
	VPBROADCASTD(at(place, 0), base)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		g, out, which, off := v.vec(), v.vec(), v.vec(), v.vec()
		a.load(at(dy, 0), g)
		a.widen(at(arg, 0), which)
		VPERMD(taps, which, off)
		VPADDD(base, off, off)
		a.store(off, at(offset, 0))
		a.load(at(y, 0), out)
		suffix := "f"
		if a.tail != nil {
			suffix = "t"
		}
		TESTQ(relu, relu)
		JZ(LabelRef("keep" + suffix))
		k := K()
		VCMPPS(notLessEqual, zeros, out, k)
		VMOVUPS_Z(g, k, g)
		Label("keep" + suffix)
		a.store(g, at(keep, 0))
		step := GP64()
		if a.tail != nil {
			MOVQ(n, step)
		} else {
			MOVQ(U32(uint32(v.lanes)), step)
		}
		ADDQ(step, arg)
		SHLQ(Imm(2), step)
		for _, r := range []reg.GPVirtual{dy, y, keep, offset} {
			ADDQ(step, r)
		}
	})
	ADDQ(Imm(4), place)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// liveIndexed is live with one index for all arrays: half the instructions.
func (v isa) liveIndexed() {
	v.text("live", "func(dy, y *float32, arg *uint8, pixels, n uintptr, place, taps *int32, keep *float32, offset *int32, relu uintptr, masks int64)")
	Pragma("noescape")
	dy, y, arg := param("dy"), param("y"), param("arg")
	pixels, place := param("pixels"), param("place")
	keep, offset, relu := param("keep"), param("offset"), param("relu")
	taps, zeros := v.vec(), v.vec()
	p := param("taps")
	VMOVUPS(at(p, 0), taps)
	zero(zeros)
	i := GP64()
	XORQ(i, i)
	body := func(a access, label string) {
		on := func(p reg.GPVirtual) Mem { return Mem{Base: p, Index: i, Scale: 4} }
		g, out, off := v.vec(), v.vec(), v.vec()
		a.load(on(dy), g)
		VPMOVZXBD(Mem{Base: arg, Index: i, Scale: 1}, off)
		VPERMD(taps, off, off)
		base := v.vec()
		VPBROADCASTD(at(place, 0), base)
		VPADDD(base, off, off)
		a.store(off, on(offset))
		TESTQ(relu, relu)
		JZ(LabelRef(label))
		a.load(on(y), out)
		VCMPPS(notLessEqual, zeros, out, out)
		VANDPS(out, g, g)
		Label(label)
		a.store(g, on(keep))
	}
	Label("pixel")
	end := param("n")
	ANDQ(I32(-8), end)
	ADDQ(i, end)
	CMPQ(i, end)
	JE(LabelRef("tail"))
	Label("full")
	body(access{isa: v}, "keep")
	ADDQ(Imm(8), i)
	CMPQ(i, end)
	JLT(LabelRef("full"))
	Label("tail")
	rest := param("n")
	ANDQ(Imm(7), rest)
	JZ(LabelRef("next"))
	t := v.tailMask(rest, func() reg.GPVirtual { return param("masks") })
	body(access{isa: v, tail: &t}, "keepTail")
	ADDQ(rest, i)
	Label("next")
	ADDQ(Imm(4), place)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// transpose turns 8x8 blocks: rows and cols count blocks, strides are in bytes.
func (v isa) transpose() {
	v.text("transpose", "func(src, dst *float32, rows, cols, srcRow, dstRow uintptr)")
	Pragma("noescape")
	src, dst, rows := param("src"), param("dst"), param("rows")
	sr, dr := param("srcRow"), param("dstRow")
	s, d := newRows(sr, 8), newRows(dr, 8)
	Label("row")
	cols, sp, dp := param("cols"), GP64(), GP64()
	MOVQ(src, sp)
	MOVQ(dst, dp)
	Label("col")
	in := make([]reg.VecVirtual, 8)
	for i := range in {
		in[i] = YMM()
		VMOVUPS(s.at(sp, i, 0), in[i])
	}
	pair := make([]reg.VecVirtual, 8)
	for i := 0; i < 8; i += 2 {
		pair[i], pair[i+1] = YMM(), YMM()
		VUNPCKLPS(in[i+1], in[i], pair[i])
		VUNPCKHPS(in[i+1], in[i], pair[i+1])
	}
	four := make([]reg.VecVirtual, 8)
	for i := 0; i < 8; i += 4 {
		for j := range 2 {
			four[i+2*j], four[i+2*j+1] = YMM(), YMM()
			VSHUFPS(Imm(0x44), pair[i+2+j], pair[i+j], four[i+2*j])
			VSHUFPS(Imm(0xee), pair[i+2+j], pair[i+j], four[i+2*j+1])
		}
	}
	for i := range 4 {
		low, high := YMM(), YMM()
		VPERM2F128(Imm(0x20), four[4+i], four[i], low)
		VPERM2F128(Imm(0x31), four[4+i], four[i], high)
		VMOVUPS(low, d.at(dp, i, 0))
		VMOVUPS(high, d.at(dp, 4+i, 0))
	}
	ADDQ(Imm(32), sp)
	LEAQ(Mem{Base: dp, Index: dr, Scale: 8}, dp)
	DECQ(cols)
	JNZ(LabelRef("col"))
	LEAQ(Mem{Base: src, Index: sr, Scale: 8}, src)
	ADDQ(Imm(32), dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// panels copies rows of n elements into panels of 16 columns, the last one filled
// up with zeros. Strides are in bytes.
func (v isa) panels() {
	v.text("panels", "func(src, dst *float32, rows, n, srcRow, panel uintptr, masks int64)")
	Pragma("noescape")
	src, dst, rows, panel := param("src"), param("dst"), param("rows"), param("panel")
	n, full, rest := param("n"), GP64(), GP64()
	MOVQ(n, full)
	SHRQ(Imm(4), full)
	MOVQ(n, rest)
	ANDQ(Imm(15), rest)
	// Masks of the two vectors of the last panel.
	low, high := GP64(), GP64()
	MOVQ(U32(8), low)
	CMPQ(rest, low)
	CMOVQLT(rest, low)
	MOVQ(rest, high)
	SUBQ(low, high)
	var masks [2]tail
	for i, n := range []reg.GPVirtual{low, high} {
		masks[i] = v.tailMask(n, func() reg.GPVirtual { return param("masks") })
	}
	x, y := v.vec(), v.vec()
	Label("row")
	sp, dp, left := GP64(), GP64(), GP64()
	MOVQ(src, sp)
	MOVQ(dst, dp)
	MOVQ(full, left)
	TESTQ(left, left)
	JZ(LabelRef("last"))
	Label("panel")
	VMOVUPS(at(sp, 0), x)
	VMOVUPS(at(sp, 32), y)
	VMOVUPS(x, at(dp, 0))
	VMOVUPS(y, at(dp, 32))
	ADDQ(Imm(64), sp)
	ADDQ(panel, dp)
	DECQ(left)
	JNZ(LabelRef("panel"))
	Label("last")
	TESTQ(rest, rest)
	JZ(LabelRef("next"))
	masks[0].load(at(sp, 0), x)
	masks[1].load(at(sp, 32), y)
	VMOVUPS(x, at(dp, 0))
	VMOVUPS(y, at(dp, 32))
	Label("next")
	ADDQ(mustParam("srcRow"), src)
	ADDQ(Imm(64), dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// interleave3 turns three planes of pixels into pixels of three channels, eight at
// a time. index tells, for each of three vectors of output, the pixel of each lane.
func (v isa) interleave3() {
	v.text("interleave3", "func(src, dst *float32, eights, plane uintptr, index *[3][8]uint32)")
	Pragma("noescape")
	src, dst, n := param("src"), param("dst"), param("eights")
	planes := newRows(param("plane"), 3)
	table := param("index")
	var index [3]reg.VecVirtual
	for i := range index {
		index[i] = YMM()
		VMOVDQU(at(table, 32*i), index[i])
	}
	Label("loop")
	var in [3]reg.VecVirtual
	for c := range in {
		in[c] = YMM()
		VMOVUPS(planes.at(src, c, 0), in[c])
	}
	for k := range 3 {
		out := YMM()
		VPERMPS(in[0], index[k], out)
		for c := 1; c < 3; c++ {
			lanes := 0
			for l := range 8 {
				if (8*k+l)%3 == c {
					lanes |= 1 << l
				}
			}
			x := YMM()
			VPERMPS(in[c], index[k], x)
			VBLENDPS(Imm(uint64(lanes)), x, out, out)
		}
		VMOVUPS(out, at(dst, 32*k))
	}
	ADDQ(Imm(32), src)
	ADDQ(Imm(96), dst)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
