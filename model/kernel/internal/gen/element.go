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
