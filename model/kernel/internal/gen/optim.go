package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// flush treats denormal numbers as zero until the function that it returns is
// called: they would cost a hundred cycles each, and the moments of weights whose
// gradients stay zero decay into them.
func flush() (restore func()) {
	const flushToZero, denormalsAreZero = 1 << 15, 1 << 6
	locals := AllocLocal(8)
	old, changed := locals, locals.Offset(4)
	STMXCSR(old)
	r := GP32()
	MOVL(old, r)
	ORL(U32(flushToZero|denormalsAreZero), r)
	MOVL(r, changed)
	LDMXCSR(changed)
	return func() { LDMXCSR(old) }
}

// adamAhead is how far ahead, in bytes, adam asks for the moments: they come from
// beyond an L2 cache, in runs too short for the processor to see far ahead by itself.
const adamAhead = 1024

// adam is one step of optim's rule; s holds 1-beta1, beta2, 1-beta2, rate, scale
// and epsilon.
func (v isa) adam() {
	v.text("adam", "func(w, dw, m, u *float32, n uintptr, s *[6]float32, masks int64)")
	Pragma("noescape")
	restore := flush()
	w, g, m, u, n, s := param("w"), param("dw"), param("m"), param("u"), param("n"), param("s")
	var c [6]reg.VecVirtual
	for i := range c {
		c[i] = v.vec()
		VBROADCASTSS(at(s, 4*i), c[i])
	}
	update := func(a access, w, g, m, u Mem) {
		gv, mv, uv, wv := v.vec(), v.vec(), v.vec(), v.vec()
		a.load(g, gv)
		a.load(m, mv)
		a.load(u, uv)
		d := v.vec()
		VSUBPS(mv, gv, d)
		VFMADD231PS(c[0], d, mv)
		a.store(mv, m)
		VMULPS(gv, gv, gv)
		VMULPS(c[1], uv, uv)
		VFMADD231PS(c[2], gv, uv)
		a.store(uv, u)
		VSQRTPS(uv, d)
		VFMADD213PS(c[5], c[4], d)
		VMULPS(c[3], mv, mv)
		VDIVPS(d, mv, mv)
		a.load(w, wv)
		VSUBPS(mv, wv, wv)
		a.store(wv, w)
	}
	const line = 16 // elements of a cache line
	i := GP64()
	XORQ(i, i)
	SUBQ(Imm(line), n)
	JLT(LabelRef("rest"))
	Label("line")
	element := func(p reg.GPVirtual, disp int) Mem { return Mem{Base: p, Index: i, Scale: 4, Disp: disp} }
	PREFETCHT0(element(m, adamAhead))
	PREFETCHT0(element(u, adamAhead))
	for k := 0; k < line; k += v.lanes {
		update(access{isa: v}, element(w, 4*k), element(g, 4*k), element(m, 4*k), element(u, 4*k))
	}
	ADDQ(Imm(line), i)
	SUBQ(Imm(line), n)
	JGE(LabelRef("line"))
	Label("rest")
	ADDQ(Imm(line), n)
	for _, p := range []reg.GPVirtual{w, g, m, u} {
		LEAQ(element(p, 0), p)
	}
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		update(a, at(w, 0), at(g, 0), at(m, 0), at(u, 0))
		for _, p := range []reg.GPVirtual{w, g, m, u} {
			ADDQ(Imm(uint64(v.bytes())), p)
		}
	})
	restore()
	VZEROUPPER()
	RET()
}

// momentum is one step of SGD; s holds the momentum and the rate.
func (v isa) momentum() {
	v.text("momentum", "func(w, dw, m *float32, n uintptr, s *[2]float32, masks int64)")
	Pragma("noescape")
	restore := flush()
	w, g, m, n, s := param("w"), param("dw"), param("m"), param("n"), param("s")
	keep, rate := v.vec(), v.vec()
	VBROADCASTSS(at(s, 0), keep)
	VBROADCASTSS(at(s, 4), rate)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		gv, mv, wv := v.vec(), v.vec(), v.vec()
		a.load(at(g, 0), gv)
		a.load(at(m, 0), mv)
		VFMADD231PS(keep, mv, gv)
		a.store(gv, at(m, 0))
		a.load(at(w, 0), wv)
		VFNMADD231PS(gv, rate, wv)
		a.store(wv, at(w, 0))
		for _, p := range []reg.GPVirtual{w, g, m} {
			ADDQ(Imm(uint64(v.bytes())), p)
		}
	})
	restore()
	VZEROUPPER()
	RET()
}
