package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func elements(v isa) {
	v.maxPool()
	v.maxPool4()
	if !v.wide() {
		v.winograd()
	}
	v.maxPoolBack()
	v.elementwise("relu", []string{"y"}, func(in []reg.VecVirtual) {
		// The second operand is the result when either is NaN.
		zeros := v.vec()
		zero(zeros)
		VMAXPS(in[0], zeros, in[0])
	})
	v.elementwise("reluBack", []string{"dy", "y"}, func(in []reg.VecVirtual) { v.reluMask(in[0], in[1]) })
	v.elementwise("tanh", []string{"y"}, func(in []reg.VecVirtual) { v.tanh(in[0]) })
	v.elementwise("tanhBack", []string{"dy", "y"}, func(in []reg.VecVirtual) {
		d := v.vec()
		v.broadcast(1, d)
		VFNMADD231PS(in[1], in[1], d)
		VMULPS(d, in[0], in[0])
	})
	v.axpy()
	if !v.wide() {
		v.axpyClear()
	}
	v.scale()
	v.axpy64()
	v.squares()
	v.adam()
	v.momentum()
	v.peak()
	v.slots()
}

// reluMask keeps the gradient where the output is above zero or NaN.
func (v isa) reluMask(dy, y reg.VecVirtual) {
	zeros := v.vec()
	zero(zeros)
	if v.wide() {
		k := K()
		VCMPPS(notLessEqual, zeros, y, k)
		VMOVUPS_Z(dy, k, dy)
		return
	}
	k := v.vec()
	VCMPPS(notLessEqual, zeros, y, k)
	VANDPS(k, dy, dy)
}

var constants = map[string]Mem{}

// constant is a float32 in static data.
func constant(x float32) Mem {
	name := fmt.Sprintf("f%08x", math.Float32bits(x))
	m, ok := constants[name]
	if !ok {
		m = ConstData(name, U32(math.Float32bits(x)))
		constants[name] = m
	}
	return m
}

func (v isa) broadcast(x float32, dst reg.VecVirtual) { VBROADCASTSS(constant(x), dst) }

// elementwise replaces the first operand by a function of all of them.
func (v isa) elementwise(name string, operands []string, f func([]reg.VecVirtual)) {
	sig := "func("
	for _, o := range operands {
		sig += o + " *float32, "
	}
	v.text(name, sig+"n uintptr, masks int64)")
	Pragma("noescape")
	var p []reg.GPVirtual
	for _, o := range operands {
		p = append(p, param(o))
	}
	n := param("n")
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		var in []reg.VecVirtual
		for _, q := range p {
			x := v.vec()
			a.load(at(q, 0), x)
			in = append(in, x)
		}
		f(in)
		a.store(in[0], at(p[0], 0))
		for _, q := range p {
			ADDQ(Imm(uint64(v.bytes())), q)
		}
	})
	VZEROUPPER()
	RET()
}

// tanh is e/(e+2) with e = exp(2|x|)-1 and the sign of x. With 2|x| = n*ln 2 + r,
// e = 2^n*(exp(r)-1) + (2^n-1), which is accurate near zero too; exp(r)-1 is a
// Taylor polynomial, |r| <= ln(2)/2.
func (v isa) tanh(x reg.VecVirtual) {
	and, or := VANDPS, VORPS
	if v.wide() {
		and, or = VPANDD, VPORD
	}
	sign, t := v.vec(), v.vec()
	v.broadcast(float32(math.Copysign(0, -1)), sign)
	and(sign, x, sign)
	v.broadcast(math.Float32frombits(0x7fffffff), t)
	a := v.vec()
	and(t, x, a)
	v.broadcast(9.5, t) // tanh rounds to 1 from 9.02 on
	VMINPS(a, t, a)     // a NaN stays
	VADDPS(a, a, a)
	n := v.vec()
	v.broadcast(float32(math.Log2E), t)
	VMULPS(t, a, n)
	if v.wide() {
		VRNDSCALEPS(Imm(0), n, n)
	} else {
		VROUNDPS(Imm(0), n, n)
	}
	const high = 0.693359375
	v.broadcast(high, t)
	VFNMADD231PS(t, n, a)
	v.broadcast(float32(math.Ln2-high), t)
	VFNMADD231PS(t, n, a)
	// ((...(r/7! + 1/6!)*r + ...)*r + 1)*r
	p := v.vec()
	v.broadcast(float32(1./5040), p)
	for _, c := range []float32{1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1} {
		v.broadcast(c, t)
		VFMADD213PS(t, a, p)
	}
	VMULPS(a, p, p)
	s := v.vec()
	VCVTPS2DQ(n, s)
	VPSLLD(Imm(23), s, s)
	one := v.vec()
	v.broadcast(1, one)
	VPADDD(one, s, s) // 2^n
	e := v.vec()
	VSUBPS(one, s, e)
	VFMADD231PS(p, s, e)
	v.broadcast(2, t)
	VADDPS(t, e, t)
	VDIVPS(t, e, x)
	or(sign, x, x)
}

// maxPool takes the maximum over taps offsets for each pixel of a row and each
// channel. The first maximum wins; a NaN wins over numbers, the last over others.
func (v isa) maxPool() {
	v.text("maxPool", "func(x *float32, taps *int64, count uintptr, y *float32, arg *uint8, channels, pixels, step, relu uintptr, masks int64)")
	Pragma("noescape")
	x, y, arg, pixels := param("x"), param("y"), param("arg"), param("pixels")
	one := v.vec()
	v.broadcast(math.Float32frombits(1), one)
	Label("pixel")
	n, xp := param("channels"), GP64()
	MOVQ(x, xp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		suffix := "f"
		if a.tail != nil {
			suffix = "t"
		}
		taps, count, o := param("taps"), param("count"), GP64()
		best, which, tap := v.vec(), v.vec(), v.vec()
		MOVQ(at(taps, 0), o)
		a.load(Mem{Base: xp, Index: o, Scale: 1}, best)
		zero(which)
		zero(tap)
		JMP(LabelRef("next" + suffix))
		Label("tap" + suffix)
		ADDQ(Imm(8), taps)
		VPADDD(one, tap, tap)
		MOVQ(at(taps, 0), o)
		c := v.vec()
		a.load(Mem{Base: xp, Index: o, Scale: 1}, c)
		v.take(c, tap, best, which)
		Label("next" + suffix)
		DECQ(count)
		JNZ(LabelRef("tap" + suffix))
		relu := param("relu")
		TESTQ(relu, relu)
		JZ(LabelRef("linear" + suffix))
		zeros := v.vec()
		zero(zeros)
		VMAXPS(best, zeros, best)
		Label("linear" + suffix)
		a.store(best, at(y, 0))
		a.narrow(which, at(arg, 0))
		ADDQ(Imm(uint64(v.bytes())), xp)
		live := GP64()
		if a.tail != nil {
			MOVQ(n, live)
		} else {
			MOVQ(U32(uint32(v.lanes)), live)
		}
		ADDQ(live, arg)
		LEAQ(Mem{Base: y, Index: live, Scale: 4}, y)
	})
	ADDQ(mustParam("step"), x)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// maxPool4 is maxPool for four taps: see firstMax. A vector with a NaN takes the rule of
// maxPool, tap by tap.
func (v isa) maxPool4() {
	v.text("maxPool4w", "func(x *float32, taps *int64, y *float32, arg *uint8, channels, pixels, step, relu uintptr, masks int64)")
	Pragma("noescape")
	x, y, arg, pixels, relu := param("x"), param("y"), param("arg"), param("pixels"), param("relu")
	var offset [4]reg.GPVirtual
	taps := param("taps")
	for i := range offset {
		offset[i] = GP64()
		MOVQ(at(taps, 8*i), offset[i])
	}
	floor := v.floor(relu)
	Label("pixel")
	n, xp := param("channels"), GP64()
	MOVQ(x, xp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		suffix := "f"
		if a.tail != nil {
			suffix = "t"
		}
		var in [4]reg.VecVirtual
		for i := range in {
			in[i] = v.vec()
			a.load(Mem{Base: xp, Index: offset[i], Scale: 1}, in[i])
		}
		best, which := v.firstMax(in, floor, suffix)
		a.store(best, at(y, 0))
		a.narrow(which, at(arg, 0))
		ADDQ(Imm(uint64(v.bytes())), xp)
		live := GP64()
		if a.tail != nil {
			MOVQ(n, live)
		} else {
			MOVQ(U32(uint32(v.lanes)), live)
		}
		ADDQ(live, arg)
		LEAQ(Mem{Base: y, Index: live, Scale: 4}, y)
	})
	ADDQ(mustParam("step"), x)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// floor is zero if relu is set and else below everything.
func (v isa) floor(relu reg.GPVirtual) reg.VecVirtual {
	f := v.vec()
	zero(f)
	TESTQ(relu, relu)
	JNZ(LabelRef("floor"))
	v.broadcast(float32(math.Inf(-1)), f)
	Label("floor")
	return f
}

// firstMax is the maximum of four vectors, floor at least, and the number of
// the first that has it; a NaN wins over numbers, the last over others.
func (v isa) firstMax(in [4]reg.VecVirtual, floor reg.VecVirtual, suffix string) (best, which reg.VecVirtual) {
	best, which = v.vec(), v.vec()
	other := v.vec()
	VMAXPS(in[1], in[0], best)
	VMAXPS(in[3], in[2], other)
	if v.wide() {
		VMAXPS(other, best, best)
		k0, k1 := K(), K()
		VCMPPS(unordered, in[1], in[0], k0)
		VCMPPS(unordered, in[3], in[2], k1)
		KORTESTW(k1, k0)
		JNZ(LabelRef("nan" + suffix))
		// Later taps first, so that the first one wins.
		v.broadcast(math.Float32frombits(3), which)
		t := v.vec()
		for i := 2; i >= 0; i-- {
			k := K()
			VCMPPS(equal, best, in[i], k)
			v.broadcast(math.Float32frombits(uint32(i)), t)
			VMOVDQA32(t, k, which)
		}
	} else {
		k0, k1 := v.vec(), v.vec()
		VCMPPS(unordered, in[1], in[0], k0)
		VCMPPS(unordered, in[3], in[2], k1)
		VORPS(k1, k0, k0)
		nan := GP32()
		VMOVMSKPS(k0, nan)
		TESTL(nan, nan)
		JNZ(LabelRef("nan" + suffix))
		// Masks are minus one, and later taps must be greater.
		VCMPPS(greater, in[0], in[1], k0)
		VCMPPS(greater, in[2], in[3], k1)
		VCMPPS(greater, best, other, which)
		VMAXPS(other, best, best)
		VPADDD(v.vector(math.Float32frombits(^uint32(1))), k1, k1)
		VBLENDVPS(which, k1, k0, which)
		VPABSD(which, which)
	}
	JMP(LabelRef("best" + suffix))
	Label("nan" + suffix)
	VMOVAPS(in[0], best)
	zero(which)
	one, tap := v.vec(), v.vec()
	v.broadcast(math.Float32frombits(1), one)
	zero(tap)
	for i := 1; i < 4; i++ {
		VPADDD(one, tap, tap)
		v.take(in[i], tap, best, which)
	}
	Label("best" + suffix)
	VMAXPS(best, floor, best)
	return best, which
}

// take replaces best by c, and which by tap, where c is greater or NaN.
func (v isa) take(c, tap, best, which reg.VecVirtual) {
	if v.wide() {
		k, nan := K(), K()
		VCMPPS(greater, best, c, k)
		VCMPPS(unordered, c, c, nan)
		KORW(k, nan, k)
		VMOVAPS(c, k, best)
		VMOVDQA32(tap, k, which)
		return
	}
	k, nan := v.vec(), v.vec()
	VCMPPS(greater, best, c, k)
	VCMPPS(unordered, c, c, nan)
	VORPS(nan, k, k)
	VBLENDVPS(k, c, best, best)
	VBLENDVPS(k, tap, which, which)
}

// narrow stores one byte for each lane. AVX2 stores 8 bytes, whatever the tail.
func (a access) narrow(which reg.VecVirtual, m Mem) {
	switch {
	case a.wide() && a.tail != nil:
		VPMOVDB(which, a.tail.k, m)
	case a.wide():
		VPMOVDB(which, m)
	default:
		low, high := XMM(), XMM()
		VEXTRACTI128(Imm(1), which, high)
		VPACKUSDW(high, which.AsX(), low)
		VPACKUSWB(low, low, low)
		VMOVQ(low, m)
	}
}

// narrowExactly is narrow that leaves what is behind a tail. AVX2 only.
func (a access) narrowExactly(which reg.VecVirtual, m Mem) {
	if a.tail == nil {
		a.narrow(which, m)
		return
	}
	pack := func(v reg.VecVirtual) reg.VecVirtual {
		low, high := XMM(), XMM()
		VEXTRACTI128(Imm(1), v, high)
		VPACKSSDW(high, v.AsX(), low)
		VPACKSSWB(low, low, low)
		return low
	}
	old := XMM()
	VMOVQ(m, old)
	VPBLENDVB(pack(a.tail.v), pack(which), old, old)
	VMOVQ(old, m)
}

// maxPoolBack adds each gradient of a row of pixels to the input that its
// maximum came from.
func (v isa) maxPoolBack() {
	v.text("maxPoolBack", "func(dy *float32, arg *uint8, taps *int64, count uintptr, dx *float32, channels, pixels, step uintptr, masks int64)")
	Pragma("noescape")
	dy, arg, dx, pixels := param("dy"), param("arg"), param("dx"), param("pixels")
	one := v.vec()
	v.broadcast(math.Float32frombits(1), one)
	Label("pixel")
	n, xp := param("channels"), GP64()
	MOVQ(dx, xp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		suffix := "f"
		if a.tail != nil {
			suffix = "t"
		}
		taps, count, o := param("taps"), param("count"), GP64()
		g, which, tap := v.vec(), v.vec(), v.vec()
		a.load(at(dy, 0), g)
		a.widen(at(arg, 0), which)
		zero(tap)
		Label("tap" + suffix)
		MOVQ(at(taps, 0), o)
		m := Mem{Base: xp, Index: o, Scale: 1}
		sum := v.vec()
		a.load(m, sum)
		if v.wide() {
			k := K()
			VPCMPEQD(which, tap, k)
			VADDPS(g, sum, k, sum)
		} else {
			k := v.vec()
			VPCMPEQD(which, tap, k)
			VANDPS(g, k, k)
			VADDPS(k, sum, sum)
		}
		a.store(sum, m)
		ADDQ(Imm(8), taps)
		VPADDD(one, tap, tap)
		DECQ(count)
		JNZ(LabelRef("tap" + suffix))
		ADDQ(Imm(uint64(v.bytes())), xp)
		live := GP64()
		if a.tail != nil {
			MOVQ(n, live)
		} else {
			MOVQ(U32(uint32(v.lanes)), live)
		}
		ADDQ(live, arg)
		LEAQ(Mem{Base: dy, Index: live, Scale: 4}, dy)
	})
	ADDQ(mustParam("step"), dx)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// axpy adds c*x to y.
func (v isa) axpy() {
	v.text("axpy", "func(y, x *float32, n uintptr, c float32, masks int64)")
	Pragma("noescape")
	y, x, n, c := param("y"), param("x"), param("n"), v.vec()
	VBROADCASTSS(Load(Param("c"), XMM()), c)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		xv, yv := v.vec(), v.vec()
		a.load(at(x, 0), xv)
		a.load(at(y, 0), yv)
		VFMADD231PS(xv, c, yv)
		a.store(yv, at(y, 0))
		ADDQ(Imm(uint64(v.bytes())), x)
		ADDQ(Imm(uint64(v.bytes())), y)
	})
	VZEROUPPER()
	RET()
}

// axpyClear adds c*x to y and makes x zero, a multiple of two vectors.
func (v isa) axpyClear() {
	v.text("axpyClear", "func(y, x *float32, n uintptr, c float32)")
	Pragma("noescape")
	y, x, n, c, zeros, i := param("y"), param("x"), param("n"), v.vec(), v.vec(), GP64()
	VBROADCASTSS(Load(Param("c"), XMM()), c)
	zero(zeros)
	XORQ(i, i)
	Label("pair")
	for k := range 2 {
		xm := Mem{Base: x, Index: i, Scale: 4, Disp: k * v.bytes()}
		ym := Mem{Base: y, Index: i, Scale: 4, Disp: k * v.bytes()}
		xv, yv := v.vec(), v.vec()
		VMOVUPS(xm, xv)
		VMOVUPS(ym, yv)
		VFMADD231PS(xv, c, yv)
		VMOVUPS(yv, ym)
		VMOVUPS(zeros, xm)
	}
	ADDQ(Imm(uint64(2*v.lanes)), i)
	CMPQ(i, n)
	JLT(LabelRef("pair"))
	VZEROUPPER()
	RET()
}

// scale multiplies y by c.
func (v isa) scale() {
	v.text("scale", "func(y *float32, n uintptr, c float32, masks int64)")
	Pragma("noescape")
	y, n, c := param("y"), param("n"), v.vec()
	VBROADCASTSS(Load(Param("c"), XMM()), c)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		yv := v.vec()
		a.load(at(y, 0), yv)
		VMULPS(c, yv, yv)
		a.store(yv, at(y, 0))
		ADDQ(Imm(uint64(v.bytes())), y)
	})
	VZEROUPPER()
	RET()
}

// axpy64 adds c*x to y in float64; n is a multiple of half a vector.
func (v isa) axpy64() {
	v.text("axpy64", "func(y *float64, x *float32, n uintptr, c float64)")
	Pragma("noescape")
	y, x, n, c := param("y"), param("x"), param("n"), v.vec()
	VBROADCASTSD(Load(Param("c"), XMM()), c)
	Label("loop")
	xv, yv := v.vec(), v.vec()
	VCVTPS2PD(at(x, 0), xv)
	VMOVUPD(at(y, 0), yv)
	VFMADD231PD(xv, c, yv)
	VMOVUPD(yv, at(y, 0))
	ADDQ(Imm(uint64(v.bytes()/2)), x)
	ADDQ(Imm(uint64(v.bytes())), y)
	SUBQ(Imm(uint64(v.lanes/2)), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// squares sums the squares of x in float64; n is a multiple of two vectors.
func (v isa) squares() {
	v.text("squares", "func(x *float32, n uintptr) float64")
	Pragma("noescape")
	x, n := param("x"), param("n")
	var acc [4]reg.VecVirtual
	for i := range acc {
		acc[i] = v.vec()
		zero(acc[i])
	}
	Label("loop")
	for i := range acc {
		d := v.vec()
		VCVTPS2PD(at(x, i*v.bytes()/2), d)
		VFMADD231PD(d, d, acc[i])
	}
	ADDQ(Imm(uint64(2*v.bytes())), x)
	SUBQ(Imm(uint64(2*v.lanes)), n)
	JNZ(LabelRef("loop"))
	VADDPD(acc[1], acc[0], acc[0])
	VADDPD(acc[3], acc[2], acc[2])
	VADDPD(acc[2], acc[0], acc[0])
	sum := acc[0].AsY()
	if v.wide() {
		h := YMM()
		VEXTRACTF64X4(Imm(1), acc[0], h)
		VADDPD(h, sum, sum)
	}
	h := XMM()
	VEXTRACTF128(Imm(1), sum, h)
	low := acc[0].AsX()
	VADDPD(h, low, low)
	VHADDPD(low, low, low)
	Store(low, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

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

// peak runs 12 independent multiply-adds a round.
func (v isa) peak() { v.chains("peak", 0) }

// slots runs 12 independent multiply-adds and 16 integer additions a round. A core of
// one thread does the additions beside; one that is shared with another thread has no
// issue slots left for them.
func (v isa) slots() { v.chains("slots", 16) }

func (v isa) chains(name string, additions int) {
	v.text(name, "func(rounds uintptr)")
	n := param("rounds")
	x := v.vec()
	zero(x)
	var acc [12]reg.VecVirtual
	for i := range acc {
		acc[i] = v.vec()
		zero(acc[i])
	}
	var sums [4]reg.GPVirtual
	if additions > 0 {
		for i := range sums {
			sums[i] = GP64()
			XORQ(sums[i], sums[i])
		}
	}
	Label("round")
	for i, a := range acc {
		VFMADD231PS(x, x, a)
		for j := additions * i / len(acc); j < additions*(i+1)/len(acc); j++ {
			ADDQ(Imm(1), sums[j%len(sums)])
		}
	}
	DECQ(n)
	JNZ(LabelRef("round"))
	VZEROUPPER()
	RET()
}
