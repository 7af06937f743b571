package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Layout of kernel's winograd.go, in bytes: the products of a tile and 16 output
// channels lie together, and a line follows so that tiles do not share cache sets.
const (
	productFactor = 4 * 16
	productTile   = 17 * productFactor
)

func (v isa) winograd() {
	v.winogradWeights()
	v.winogradIn()
	for mr := 1; mr <= 6; mr++ {
		v.winogradProduct(mr)
	}
	v.winogradPool()
}

// winogradWeights takes the nine taps of rows rows of cols weights, cols <= 16, to
// the sixteen factors G w G'. Taps are tap bytes apart, factors factor bytes, rows
// of w row bytes and those of a factor 16 floats.
func (v isa) winogradWeights() {
	v.text("winogradWeights", "func(w, d *float32, rows, cols, row, tap, factor uintptr, masks int64)")
	Pragma("noescape")
	w, d, count := param("w"), param("d"), param("rows")
	taps, factors := newRows(param("tap"), 9), newRows(param("factor"), 4)
	half := v.vec()
	v.broadcast(0.5, half)
	Label("row")
	n, wp, dp := param("cols"), GP64(), GP64()
	MOVQ(w, wp)
	MOVQ(d, dp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		to := GP64()
		MOVQ(dp, to)
		write := func(u [3]reg.VecVirtual, last bool) {
			sum, mid, f := v.vec(), v.vec(), v.vec()
			a.store(u[0], factors.at(to, 0, 0))
			VADDPS(u[2], u[0], sum)
			VADDPS(u[1], sum, f)
			VMULPS(half, f, f)
			a.store(f, factors.at(to, 1, 0))
			VSUBPS(u[1], sum, mid)
			VMULPS(half, mid, mid)
			a.store(mid, factors.at(to, 2, 0))
			a.store(u[2], factors.at(to, 3, 0))
			if !last {
				LEAQ(factors.at(to, 4, 0), to)
			}
		}
		var first, middle, sum, u [3]reg.VecVirtual
		for k := range 3 {
			first[k], middle[k], sum[k], u[k] = v.vec(), v.vec(), v.vec(), v.vec()
			a.load(taps.at(wp, k, 0), first[k])
		}
		write(first, false)
		for k := range 3 {
			a.load(taps.at(wp, 3+k, 0), middle[k])
			a.load(taps.at(wp, 6+k, 0), sum[k])
			VADDPS(sum[k], first[k], sum[k])
			VADDPS(middle[k], sum[k], u[k])
			VMULPS(half, u[k], u[k])
		}
		write(u, false)
		for k := range 3 {
			VSUBPS(middle[k], sum[k], sum[k])
			VMULPS(half, sum[k], sum[k])
		}
		write(sum, false)
		var last [3]reg.VecVirtual
		for k := range 3 {
			last[k] = v.vec()
			a.load(taps.at(wp, 6+k, 0), last[k])
		}
		write(last, true)
		ADDQ(Imm(uint64(v.bytes())), wp)
		ADDQ(Imm(uint64(v.bytes())), dp)
	})
	ADDQ(mustParam("row"), w)
	ADDQ(Imm(productFactor), d)
	DECQ(count)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// winogradIn takes the 4x4 inputs d of each of tiles tiles of a row, which overlap
// by two, to the sixteen factors B' d B. Rows of inputs are row bytes apart, factors
// factor bytes and tiles of a factor tile bytes.
func (v isa) winogradIn() {
	v.text("winogradIn", "func(x, d *float32, tiles, channels, row, tile, factor uintptr, masks int64)")
	Pragma("noescape")
	x, d, tiles, pixel := param("x"), param("d"), param("tiles"), param("channels")
	row := param("row")
	SHLQ(Imm(2), pixel)
	in, out := newRows(pixel, 4), newRows(param("factor"), 4)
	Label("tile")
	n, xp, dp := param("channels"), GP64(), GP64()
	MOVQ(x, xp)
	MOVQ(d, dp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		from, to := GP64(), GP64()
		MOVQ(dp, to)
		load := func(i int) (q [4]reg.VecVirtual) {
			switch i {
			case 0:
				MOVQ(xp, from)
			default:
				LEAQ(Mem{Base: xp, Index: row, Scale: uint8(i)}, from)
			}
			for k := range q {
				q[k] = v.vec()
				a.load(in.at(from, k, 0), q[k])
			}
			return q
		}
		combine := func(f func(k int, dst reg.VecVirtual), last bool) {
			var q [4]reg.VecVirtual
			for k := range q {
				q[k] = v.vec()
				f(k, q[k])
			}
			t := v.vec()
			VSUBPS(q[2], q[0], q[0])
			VADDPS(q[2], q[1], t)
			VSUBPS(q[1], q[2], q[2])
			VSUBPS(q[3], q[1], q[3])
			for k, r := range []reg.VecVirtual{q[0], t, q[2], q[3]} {
				a.store(r, out.at(to, k, 0))
			}
			if !last {
				LEAQ(out.at(to, 4, 0), to)
			}
		}
		first, third := load(0), load(2)
		combine(func(k int, dst reg.VecVirtual) { VSUBPS(third[k], first[k], dst) }, false)
		second := load(1)
		combine(func(k int, dst reg.VecVirtual) { VADDPS(third[k], second[k], dst) }, false)
		combine(func(k int, dst reg.VecVirtual) { VSUBPS(second[k], third[k], dst) }, false)
		LEAQ(Mem{Base: xp, Index: row, Scale: 2}, from)
		ADDQ(row, from)
		combine(func(k int, dst reg.VecVirtual) {
			a.load(in.at(from, k, 0), dst)
			VSUBPS(dst, second[k], dst)
		}, true)
		ADDQ(Imm(uint64(v.bytes())), xp)
		ADDQ(Imm(uint64(v.bytes())), dp)
	})
	LEAQ(Mem{Base: x, Index: pixel, Scale: 2}, x)
	ADDQ(mustParam("tile"), d)
	DECQ(tiles)
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// winogradProduct multiplies factors a of blocks times mr tiles by factors b of a
// panel of 16 output channels, for each of count factors. depth, a multiple of 4, is the
// input channels; tiles of a are so many floats apart.
func (v isa) winogradProduct(mr int) {
	v.text(fmt.Sprintf("winogradProduct%dw", mr), "func(a, b, c *float32, blocks, count, depth, factor uintptr)")
	Pragma("noescape")
	const nv, unroll = 2, 4
	a, b, c, tile := param("a"), param("b"), param("c"), param("depth")
	SHLQ(Imm(2), tile)
	tiles := newRows(tile, mr)
	skip := GP64() // from the end of the first tile of a block to the next block
	IMUL3Q(Imm(uint64(mr-1)), tile, skip)
	ADDQ(U32(128), b) // in the middle of what a byte of displacement reaches
	var acc [6][nv]reg.VecVirtual
	for i := range mr {
		for j := range nv {
			acc[i][j] = v.vec()
		}
	}
	Label("factor")
	ap, cp, bp, n := GP64(), GP64(), GP64(), param("blocks")
	MOVQ(a, ap)
	MOVQ(c, cp)
	Label("block")
	MOVQ(b, bp)
	k := param("depth")
	round := func(first bool) {
		for s := range unroll {
			var bv [nv]reg.VecVirtual
			for j := range bv {
				bv[j] = v.vec()
				VMOVUPS(at(bp, s*productFactor+j*v.bytes()-128), bv[j])
			}
			for i := range mr {
				x := v.vec()
				VBROADCASTSS(tiles.at(ap, i, 4*s), x)
				for j := range bv {
					if first && s == 0 {
						VMULPS(bv[j], x, acc[i][j])
					} else {
						VFMADD231PS(bv[j], x, acc[i][j])
					}
				}
			}
		}
		ADDQ(Imm(4*unroll), ap)
		ADDQ(U32(unroll*productFactor), bp)
	}
	round(true)
	SUBQ(Imm(unroll), k)
	JZ(LabelRef("end"))
	Label("round")
	round(false)
	SUBQ(Imm(unroll), k)
	JNZ(LabelRef("round"))
	Label("end")
	for i := range mr {
		for j := range nv {
			VMOVUPS(acc[i][j], at(cp, i*productTile+j*v.bytes()))
		}
	}
	ADDQ(skip, ap)
	ADDQ(U32(mr*productTile), cp)
	DECQ(n)
	JNZ(LabelRef("block"))
	MOVQ(bp, b)
	ADDQ(mustParam("factor"), a)
	ADDQ(Imm(productFactor), c)
	count := param("count")
	DECQ(count)
	MOVQ(count, mustParam("count"))
	JNZ(LabelRef("factor"))
	VZEROUPPER()
	RET()
}

// winogradPool makes the 2x2 outputs A' m A of the products m of each of tiles tiles and
// the channels of a panel, adds the bias, and takes their maximum as maxPool4 does. The gaps
// are what lies in y and arg between a tile and the next, in bytes.
func (v isa) winogradPool() {
	v.text("winogradPool", "func(m, bias, y *float32, arg *uint8, channels, tiles, yGap, argGap, relu uintptr, masks int64)")
	Pragma("noescape")
	m, bias, y, arg, tiles, relu := param("m"), param("bias"), param("y"), param("arg"), param("tiles"), param("relu")
	SUBQ(m, bias) // from products to bias
	v.pool4(m, y, arg, tiles, relu, func(a access, mp reg.GPVirtual) (out [4]reg.VecVirtual) {
		// Down the columns first. The product (1, 1) goes into every output with
		// the sign +, and the bias with it.
		for k := range 4 {
			up, low, t := v.vec(), v.vec(), v.vec()
			product := func(i int) Mem { return at(mp, (4*i+k)*productFactor) }
			VMOVUPS(product(1), t)
			if k == 1 {
				b := v.vec()
				a.load(Mem{Base: mp, Index: bias, Scale: 1}, b)
				VADDPS(b, t, t)
			}
			VMOVUPS(product(2), low)
			VADDPS(low, t, up)
			VSUBPS(low, t, low)
			VADDPS(product(0), up, up)
			VSUBPS(product(3), low, low)
			switch k {
			case 0:
				out[0], out[2] = up, low
			case 1:
				VADDPS(up, out[0], out[0])
				VADDPS(low, out[2], out[2])
				out[1], out[3] = up, low
			case 2:
				VADDPS(up, out[0], out[0])
				VADDPS(low, out[2], out[2])
				VSUBPS(up, out[1], out[1])
				VSUBPS(low, out[3], out[3])
			case 3:
				VSUBPS(up, out[1], out[1])
				VSUBPS(low, out[3], out[3])
			}
		}
		return out
	}, func() {
		ADDQ(U32(productTile), m)
		SUBQ(U32(productTile), bias)
		ADDQ(mustParam("yGap"), y)
		ADDQ(mustParam("argGap"), arg)
	})
}
