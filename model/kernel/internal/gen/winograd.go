package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winogradIn takes the four inputs of each of tiles tiles of a row, which overlap
// by two, to the four factors of F(2,3). The factors lie in planes, plane bytes apart.
func (v isa) winogradIn() {
	v.text("winogradIn", "func(x, d *float32, tiles, channels, plane uintptr, masks int64)")
	Pragma("noescape")
	x, d, tiles, plane := param("x"), param("d"), param("tiles"), param("plane")
	pixel := param("channels")
	SHLQ(Imm(2), pixel)
	in, out := newRows(pixel, 4), newRows(plane, 4)
	Label("tile")
	n, xp := param("channels"), GP64()
	MOVQ(x, xp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		var q [4]reg.VecVirtual
		for i := range q {
			q[i] = v.vec()
			a.load(in.at(xp, i, 0), q[i])
		}
		f := v.vec()
		VSUBPS(q[2], q[0], q[0])
		VADDPS(q[2], q[1], f)
		VSUBPS(q[1], q[2], q[2])
		VSUBPS(q[3], q[1], q[3])
		for i, r := range []reg.VecVirtual{q[0], f, q[2], q[3]} {
			a.store(r, out.at(d, i, 0))
		}
		ADDQ(Imm(uint64(v.bytes())), xp)
		if a.tail != nil {
			LEAQ(Mem{Base: d, Index: n, Scale: 4}, d)
		} else {
			ADDQ(Imm(uint64(v.bytes())), d)
		}
	})
	LEAQ(Mem{Base: x, Index: pixel, Scale: 2}, x)
	DECQ(tiles)
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// winogradPool makes two outputs of the four products of each of pixels tiles, in
// each of two rows, row bytes apart, and takes their maximum as maxPool4 does.
func (v isa) winogradPool() {
	v.text("winogradPool", "func(x, y *float32, arg *uint8, channels, pixels, step, plane, row, relu uintptr, masks int64)")
	Pragma("noescape")
	x, y, arg, pixels, relu := param("x"), param("y"), param("arg"), param("pixels"), param("relu")
	planes := newRows(param("plane"), 4)
	row := param("row")
	v.pool4(x, y, arg, pixels, relu, func(a access, xp reg.GPVirtual) (in [4]reg.VecVirtual) {
		low := GP64()
		LEAQ(Mem{Base: xp, Index: row, Scale: 1}, low)
		for r, p := range []reg.GPVirtual{xp, low} {
			m, t := v.vec(), v.vec()
			in[2*r], in[2*r+1] = v.vec(), v.vec()
			a.load(planes.at(p, 1, 0), m)
			a.load(planes.at(p, 2, 0), t)
			VADDPS(t, m, in[2*r])
			VSUBPS(t, m, in[2*r+1])
			a.load(planes.at(p, 0, 0), m)
			a.load(planes.at(p, 3, 0), t)
			VADDPS(m, in[2*r], in[2*r])
			VSUBPS(t, in[2*r+1], in[2*r+1])
		}
		return in
	})
}
