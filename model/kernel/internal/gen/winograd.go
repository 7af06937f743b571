package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Layouts of kernel's winograd.go, in bytes. The 36 factors of a tile and eight input
// channels lie together, and so do its 36 products with 16 output channels; behind the
// factors and the products of a tile is a cache line, so that tiles do not share sets.
const (
	winogradSide    = 6 // rows and columns of a tile of inputs
	factorGroup     = winogradSide * winogradSide * 4 * 8
	productFactor   = 4 * 16
	productTile     = winogradSide*winogradSide*productFactor + cacheLine
	cacheLine       = 64
	winogradTallest = 6 // tiles of a block
)

func (v isa) winograd() {
	v.winogradWeights()
	v.winogradIn()
	for mr := 1; mr <= winogradTallest; mr++ {
		v.winogradProduct(mr)
	}
	v.winogradPool()
}

// vector is a vector of x in static data.
func (v isa) vector(x float32) Mem {
	bits := math.Float32bits(x)
	name := fmt.Sprintf("v%08x", bits)
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range v.lanes {
			DATA(4*i, U32(bits))
		}
		constants[name] = m
	}
	return m
}

// winogradWeights takes the nine taps of rows rows of cols weights, cols <= 16, to
// the 36 factors G w G'. Taps are tap bytes apart, factors factor bytes, rows
// of w row bytes and those of a factor 16 floats.
func (v isa) winogradWeights() {
	v.text("winogradWeights", "func(w, d *float32, rows, cols, row, tap, factor uintptr, masks int64)")
	Pragma("noescape")
	w, d, count := param("w"), param("d"), param("rows")
	taps, factors := newRows(param("tap"), 9), newRows(param("factor"), winogradSide)
	Label("row")
	n, wp, dp := param("cols"), GP64(), GP64()
	MOVQ(w, wp)
	MOVQ(d, dp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		to := GP64()
		MOVQ(dp, to)
		vec3 := func() (u [3]reg.VecVirtual) {
			for k := range u {
				u[k] = v.vec()
			}
			return u
		}
		load := func(r int) [3]reg.VecVirtual {
			u := vec3()
			for k := range u {
				a.load(taps.at(wp, 3*r+k, 0), u[k])
			}
			return u
		}
		// sums are those of g0 and g2, and of g1, in the rows 1 and 2 of G, or 3 and 4.
		sums := func(g0, g1, g2 reg.VecVirtual, far bool) (even, odd reg.VecVirtual) {
			even, odd = v.vec(), v.vec()
			if far {
				VMULPS(v.vector(1./24), g0, even)
				VFMADD231PS(v.vector(1./6), g2, even)
				VMULPS(v.vector(1./12), g1, odd)
			} else {
				VADDPS(g2, g0, even)
				VMULPS(v.vector(-1./6), even, even)
				VMULPS(v.vector(-1./6), g1, odd)
			}
			return even, odd
		}
		across := func(u [3]reg.VecVirtual) {
			f := v.vec()
			VMULPS(v.vector(1./4), u[0], f)
			a.store(f, factors.at(to, 0, 0))
			for i, far := range []bool{false, true} {
				even, odd := sums(u[0], u[1], u[2], far)
				f := v.vec()
				VADDPS(odd, even, f)
				VSUBPS(odd, even, even)
				a.store(f, factors.at(to, 1+2*i, 0))
				a.store(even, factors.at(to, 2+2*i, 0))
			}
			a.store(u[2], factors.at(to, 5, 0))
			LEAQ(factors.at(to, winogradSide, 0), to)
		}
		u := load(0)
		for k := range u {
			VMULPS(v.vector(1./4), u[k], u[k])
		}
		across(u)
		for _, far := range []bool{false, true} {
			var even, odd [3]reg.VecVirtual
			top, middle, low := load(0), load(1), load(2)
			for k := range u {
				even[k], odd[k] = sums(top[k], middle[k], low[k], far)
			}
			u := vec3()
			for k := range u {
				VADDPS(odd[k], even[k], u[k])
			}
			across(u)
			for k := range u {
				VSUBPS(odd[k], even[k], even[k])
			}
			across(even)
		}
		across(load(2))
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

// winogradIn takes the 6x6 inputs x of each of tiles tiles of a row, which overlap
// by two, to the 36 factors B' x B. Rows of inputs are row bytes apart, tiles of factors
// tile bytes.
func (v isa) winogradIn() {
	v.text("winogradIn", "func(x, d *float32, tiles, channels, row, tile uintptr, masks int64)")
	Pragma("noescape")
	x, d, tiles, pixel := param("x"), param("d"), param("tiles"), param("channels")
	rows := newRows(param("row"), winogradSide)
	SHLQ(Imm(2), pixel)
	// transform makes six outputs of six inputs.
	transform := func(load func(i int, dst reg.VecVirtual), store func(i int, src reg.VecVirtual)) {
		var q [winogradSide]reg.VecVirtual
		for i := range q {
			q[i] = v.vec()
			load(i, q[i])
		}
		even, odd := v.vec(), v.vec()
		VSUBPS(q[2], q[4], even)
		VSUBPS(q[1], q[3], odd)
		VSUBPS(q[2], q[0], q[0])
		VFMADD132PS(v.vector(4), even, q[0]) // 4 x0 - 5 x2 + x4
		store(0, q[0])
		VSUBPS(q[3], q[5], q[5])
		VFNMADD231PS(v.vector(4), odd, q[5]) // 4 x1 - 5 x3 + x5
		store(5, q[5])
		VFNMADD231PS(v.vector(4), q[2], q[4]) // x4 - 4 x2
		VFNMADD231PS(v.vector(4), q[1], q[3]) // x3 - 4 x1
		VADDPS(q[3], q[4], q[1])
		VSUBPS(q[3], q[4], q[2])
		store(1, q[1])
		store(2, q[2])
		VADDPS(odd, odd, odd)
		VADDPS(odd, even, q[3]) // x4 - x2 + 2 (x3 - x1)
		VSUBPS(odd, even, q[4])
		store(3, q[3])
		store(4, q[4])
	}
	Label("tile")
	n, xp, dp := param("channels"), GP64(), GP64()
	MOVQ(x, xp)
	MOVQ(d, dp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		factor := func(i, k int) Mem { return at(dp, (winogradSide*i+k)*v.bytes()) }
		from := GP64()
		MOVQ(xp, from)
		for k := range winogradSide {
			transform(func(i int, dst reg.VecVirtual) { a.load(rows.at(from, i, 0), dst) }, func(i int, src reg.VecVirtual) { VMOVUPS(src, factor(i, k)) })
			if k < winogradSide-1 {
				ADDQ(pixel, from)
			}
		}
		for i := range winogradSide {
			transform(func(k int, dst reg.VecVirtual) { VMOVUPS(factor(i, k), dst) }, func(k int, src reg.VecVirtual) { VMOVUPS(src, factor(i, k)) })
		}
		ADDQ(Imm(uint64(v.bytes())), xp)
		ADDQ(U32(factorGroup), dp)
	})
	LEAQ(Mem{Base: x, Index: pixel, Scale: 4}, x)
	ADDQ(mustParam("tile"), d)
	DECQ(tiles)
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// winogradProduct multiplies factors a of blocks times mr tiles by factors b of a
// panel of 16 output channels, for each of count factors. depth, a multiple of 8, is the
// input channels, and tiles of a are tile bytes apart.
func (v isa) winogradProduct(mr int) {
	v.text(fmt.Sprintf("winogradProduct%dw", mr), "func(a, b, c *float32, blocks, count, depth, tile uintptr)")
	Pragma("noescape")
	const nv, unroll = 2, 8
	a, b, c, tile := param("a"), param("b"), param("c"), param("tile")
	tiles := newRows(tile, mr)
	skip := GP64() // from the end of the first tile of a block to the next block
	IMUL3Q(Imm(uint64(mr-1)), tile, skip)
	ADDQ(Imm(cacheLine), skip)
	ADDQ(U32(128), b) // in the middle of what a byte of displacement reaches
	var acc [winogradTallest][nv]reg.VecVirtual
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
		ADDQ(U32(factorGroup), ap)
		ADDQ(U32(unroll*productFactor), bp)
		SUBQ(Imm(unroll), k)
	}
	round(true)
	JZ(LabelRef("store"))
	Label("round")
	round(false)
	JNZ(LabelRef("round"))
	Label("store")
	for i := range mr {
		for j := range nv {
			VMOVUPS(acc[i][j], at(cp, i*productTile+j*v.bytes()))
		}
	}
	ADDQ(skip, ap)
	ADDQ(U32(mr*productTile), cp)
	DECQ(n)
	JNZ(LabelRef("block"))
	LEAQ(at(bp, cacheLine), b)
	ADDQ(Imm(uint64(v.bytes())), a)
	ADDQ(Imm(productFactor), c)
	count := param("count")
	DECQ(count)
	MOVQ(count, mustParam("count"))
	JNZ(LabelRef("factor"))
	VZEROUPPER()
	RET()
}

// winogradPool makes the 4x4 outputs A' m A of the products m of each of tiles tiles and
// the channels of a panel, adds the bias, and takes the maximum of each 2x2 of them as
// maxPool4 does. It overwrites m. Rows of y and arg are yRow and argRow bytes apart, pixels of arg out
// bytes and those of y as many floats; the gaps are from the last channel of a tile to the next tile.
func (v isa) winogradPool() {
	v.text("winogradPool", "func(m, bias, y *float32, arg *uint8, channels, tiles, out, yRow, yGap, argRow, argGap, relu uintptr, masks int64)")
	Pragma("noescape")
	m, bias, y, arg, out := param("m"), param("bias"), param("y"), param("arg"), param("out")
	yRow, argRow := param("yRow"), param("argRow")
	SUBQ(m, bias) // from products to bias
	floor := v.floor(param("relu"))
	// transform makes four outputs of six products in memory.
	transform := func(product func(i int) Mem, bias *Mem) (o [4]reg.VecVirtual) {
		var q [5]reg.VecVirtual
		for i := 1; i < 5; i++ {
			q[i] = v.vec()
			VMOVUPS(product(i), q[i])
		}
		if bias != nil {
			b := v.vec()
			VMOVUPS(*bias, b)
			VADDPS(b, q[1], q[1])
		}
		near, far := v.vec(), v.vec() // differences
		VSUBPS(q[2], q[1], near)
		VADDPS(q[2], q[1], q[1])
		VSUBPS(q[4], q[3], far)
		VADDPS(q[4], q[3], q[3])
		for i := range o {
			o[i] = v.vec()
		}
		VADDPS(product(0), q[1], o[0])
		VADDPS(q[3], o[0], o[0])
		VADDPS(product(5), near, o[3])
		VFMADD231PS(v.vector(8), far, o[3])
		VFMADD231PS(v.vector(2), far, near)
		VFMADD231PS(v.vector(4), q[3], q[1])
		o[1], o[2] = near, q[1]
		return o
	}
	Label("tile")
	// What the next tile will write: a store waits for its line, and those after it.
	yn, an := GP64(), GP64()
	LEAQ(Mem{Base: y, Index: out, Scale: 8}, yn)
	LEAQ(Mem{Base: arg, Index: out, Scale: 2}, an)
	PREFETCHT0(at(yn, 0))
	PREFETCHT0(Mem{Base: yn, Index: out, Scale: 4})
	PREFETCHT0(at(an, 0))
	PREFETCHT0(Mem{Base: an, Index: out, Scale: 1})
	ADDQ(yRow, yn)
	ADDQ(argRow, an)
	PREFETCHT0(at(yn, 0))
	PREFETCHT0(Mem{Base: yn, Index: out, Scale: 4})
	PREFETCHT0(at(an, 0))
	PREFETCHT0(Mem{Base: an, Index: out, Scale: 1})
	n, mp := param("channels"), GP64()
	MOVQ(m, mp)
	v.span("", n, func() reg.GPVirtual { return param("masks") }, func(a access) {
		product := func(i, k int) Mem { return at(mp, (winogradSide*i+k)*productFactor) }
		for k := range winogradSide {
			// The product (1, 1) goes into every output with the factor 1, and the bias with it.
			var b *Mem
			if k == 1 {
				b = &Mem{Base: mp, Index: bias, Scale: 1}
			}
			for i, z := range transform(func(i int) Mem { return product(i, k) }, b) {
				VMOVUPS(z, product(i, k))
			}
		}
		for q := range 2 {
			var o [2][4]reg.VecVirtual
			for r := range o {
				o[r] = transform(func(k int) Mem { return product(2*q+r, k) }, nil)
			}
			yp, ap := y, arg
			if q == 1 {
				yp, ap = GP64(), GP64()
				LEAQ(Mem{Base: y, Index: yRow, Scale: 1}, yp)
				LEAQ(Mem{Base: arg, Index: argRow, Scale: 1}, ap)
			}
			for p := range 2 {
				suffix := fmt.Sprintf("f%d%d", q, p)
				if a.tail != nil {
					suffix = fmt.Sprintf("t%d%d", q, p)
				}
				best, which := v.firstMax([4]reg.VecVirtual{o[0][2*p], o[0][2*p+1], o[1][2*p], o[1][2*p+1]}, floor, suffix)
				ym, am := at(yp, 0), at(ap, 0)
				if p == 1 {
					ym, am = Mem{Base: yp, Index: out, Scale: 4}, Mem{Base: ap, Index: out, Scale: 1}
				}
				a.store(best, ym)
				a.narrowExactly(which, am)
			}
		}
		ADDQ(Imm(uint64(v.bytes())), mp)
		live := GP64()
		if a.tail != nil {
			MOVQ(n, live)
		} else {
			MOVQ(U32(uint32(v.lanes)), live)
		}
		ADDQ(live, arg)
		LEAQ(Mem{Base: y, Index: live, Scale: 4}, y)
	})
	ADDQ(U32(productTile), m)
	SUBQ(U32(productTile), bias)
	ADDQ(mustParam("yGap"), y)
	ADDQ(mustParam("argGap"), arg)
	count := param("tiles")
	DECQ(count)
	MOVQ(count, mustParam("tiles"))
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	RET()
}
