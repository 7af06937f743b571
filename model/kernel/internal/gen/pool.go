package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
