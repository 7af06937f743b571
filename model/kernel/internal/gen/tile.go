package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets in kernel's strides struct.
const (
	offAK   = 8 * 1
	offAS   = 8 * 2
	offARep = 8 * 3
	offBK   = 8 * 4
	offBS   = 8 * 5
	offCR   = 8 * 6
	offCRep = 8 * 7
	offIR   = 8 * 8
	offIRep = 8 * 9
	offSegs = 8 * 10
	offDeep = 8 * 11
	offNext = 8 * 13
)

// maxTileRows is the height of the tallest tile for a width in vectors. It keeps
// accumulators, operands and a mask within the registers.
func (v isa) maxTileRows(nv int) int {
	if v.wide() {
		return [...]int{0, 14, 12, 8, 6}[nv]
	}
	return [...]int{0, 10, 6}[nv]
}

func tiles(v isa) {
	widest := 4
	if !v.wide() {
		widest = 2
	}
	for nv := 1; nv <= widest; nv++ {
		for mr := 1; mr <= v.maxTileRows(nv); mr++ {
			if v.wide() {
				v.tile(mr, nv, any, true)
				continue
			}
			for _, w := range []walk{byRow, byDepth} {
				v.tile(mr, nv, w, true)
				v.tile(mr, nv, w, false) // a masked load costs an instruction more
			}
			if nv == 2 {
				v.tile(mr, nv, rowAhead, false)
			}
		}
	}
}

// walk is what a tile knows of the strides of A. A processor that runs two
// threads issues half of its instructions for each, and AVX2 needs more of them
// for a multiply-add than AVX-512 does; so its tiles count in displacements.
type walk string

const (
	any     walk = "w"
	byRow   walk = "row"   // the elements of a sum are contiguous
	byDepth walk = "depth" // the rows are, or there is one
	// As byRow, and B comes from beyond an L2 cache: each round asks for lines of the
	// panel that is next, other ones in each repetition.
	rowAhead walk = "rowAhead"
)

// unroll is the elements of a sum of one round of a loop.
func (w walk) unroll() int {
	if w == any {
		return 1
	}
	return 4
}

// tile is the micro-kernel of every dense product: an mr by nv block of C stays
// in registers while k runs over segs segments of deep elements.
func (v isa) tile(mr, nv int, w walk, masked bool) {
	name := fmt.Sprintf("tile%dx%d%s", mr, nv, w)
	if !masked {
		name += "Full"
	}
	v.text(name, "func(a, b, c, ini *float32, s *int64, reps, tail uintptr)")
	Pragma("noescape")
	s := param("s")
	var t tail
	if masked {
		n := param("tail")
		t = v.tailMask(n, func() reg.GPVirtual {
			p := GP64()
			MOVQ(at(s, 8*12), p)
			return p
		})
	}
	locals := AllocLocal(24)
	spillC, spillI, spillN := locals, locals.Offset(8), locals.Offset(16)
	tmp := GP64()
	for _, p := range []struct {
		name string
		to   Mem
	}{{"c", spillC}, {"ini", spillI}, {"reps", spillN}} {
		Load(Param(p.name), tmp)
		MOVQ(tmp, p.to)
	}
	a := param("a")
	// Rows of A, or elements of a sum, and rows of B from one address.
	var r, depth, bs rows
	if w != byDepth {
		ar := GP64()
		MOVQ(at(s, 0), ar)
		r = newRows(ar, mr)
	} else {
		ak := GP64()
		MOVQ(at(s, offAK), ak)
		depth = newRows(ak, 4)
	}
	if w != any {
		bk := GP64()
		MOVQ(at(s, offBK), bk)
		bs = newRows(bk, 4)
	}
	acc := make([][]reg.VecVirtual, mr)
	for i := range acc {
		acc[i] = make([]reg.VecVirtual, nv)
		for j := range acc[i] {
			acc[i][j] = v.vec()
		}
	}
	load := func(m Mem, j int, dst reg.VecVirtual) {
		if masked && j == nv-1 {
			t.load(m, dst)
		} else {
			VMOVUPS(m, dst)
		}
	}

	var next reg.GPVirtual
	if w == rowAhead {
		next = GP64()
		MOVQ(at(s, offNext), next)
	}

	Label("rep")
	ini := GP64()
	MOVQ(spillI, ini)
	TESTQ(ini, ini)
	JZ(LabelRef("zero"))
	step := GP64()
	MOVQ(at(s, offIR), step)
	for i := range mr {
		for j := range nv {
			load(at(ini, j*v.bytes()), j, acc[i][j])
		}
		if i < mr-1 {
			ADDQ(step, ini)
		}
	}
	MOVQ(at(s, offIRep), step)
	ADDQ(step, spillI)
	JMP(LabelRef("start"))
	Label("zero")
	for i := range mr {
		for j := range nv {
			zero(acc[i][j])
		}
	}
	Label("start")
	high := a // rows 9 and up
	if mr > 9 && w != byDepth {
		high = GP64()
		LEAQ(r.at(a, 8, 0), high)
		ADDQ(r.odd[1], high)
	}
	rowBase := func(i int) reg.Register {
		if i >= 9 {
			return high
		}
		return a
	}
	b := param("b")
	segs := GP64()
	MOVQ(at(s, offSegs), segs)
	Label("segment")
	deep := GP64()
	MOVQ(at(s, offDeep), deep)
	step1 := func(element func(row int) Mem, bat func(j int) Mem) {
		bv := make([]reg.VecVirtual, nv)
		for j := range bv {
			bv[j] = v.vec()
			load(bat(j), j, bv[j])
		}
		for i := range mr {
			if v.wide() && nv == 1 {
				VFMADD231PS_BCST(element(i), bv[0], acc[i][0])
				continue
			}
			x := v.vec()
			VBROADCASTSS(element(i), x)
			for j := range nv {
				VFMADD231PS(bv[j], x, acc[i][j])
			}
		}
	}
	advance := func(a reg.Register, off int) {
		ADDQ(at(s, off), a)
		if mr > 9 && w != byDepth {
			ADDQ(at(s, off), high)
		}
	}
	if w == any {
		Label("depth")
		step1(func(i int) Mem { return r.at(rowBase(i), i%9, 0) }, func(j int) Mem { return at(b, j*v.bytes()) })
		advance(a, offAK)
		ADDQ(at(s, offBK), b)
		DECQ(deep)
		JNZ(LabelRef("depth"))
	} else {
		n := w.unroll()
		SUBQ(Imm(uint64(n)), deep)
		JLT(LabelRef("rest"))
		Label("round")
		if w == rowAhead {
			PREFETCHT0(Mem{Base: b, Index: next, Scale: 1})
			if mr < 6 { // so are the repetitions fewer
				PREFETCHT0(Mem{Base: b, Index: next, Scale: 1, Disp: 128})
			}
		}
		for k := range n {
			step1(func(i int) Mem {
				if w == byDepth {
					return depth.at(a, k, 4*i)
				}
				return r.at(rowBase(i), i%9, 4*k)
			}, func(j int) Mem { return bs.at(b, k, j*v.bytes()) })
		}
		if w == byDepth {
			LEAQ(depth.at(a, n, 0), a)
		} else {
			ADDQ(Imm(uint64(4*n)), a)
			if mr > 9 {
				ADDQ(Imm(uint64(4*n)), high)
			}
		}
		LEAQ(bs.at(b, n, 0), b)
		SUBQ(Imm(uint64(n)), deep)
		JGE(LabelRef("round"))
		Label("rest")
		ADDQ(Imm(uint64(n)), deep)
		JZ(LabelRef("end"))
		Label("single")
		step1(func(i int) Mem {
			if w == byDepth {
				return at(a, 4*i)
			}
			return r.at(rowBase(i), i%9, 0)
		}, func(j int) Mem { return at(b, j*v.bytes()) })
		advance(a, offAK)
		ADDQ(bs.odd[1], b)
		DECQ(deep)
		JNZ(LabelRef("single"))
		Label("end")
	}
	advance(a, offAS)
	ADDQ(at(s, offBS), b)
	DECQ(segs)
	JNZ(LabelRef("segment"))

	c, cr := GP64(), GP64()
	MOVQ(spillC, c)
	MOVQ(at(s, offCR), cr)
	for i := range mr {
		for j := range nv {
			if masked && j == nv-1 {
				t.store(acc[i][j], at(c, j*v.bytes()))
			} else {
				VMOVUPS(acc[i][j], at(c, j*v.bytes()))
			}
		}
		if i < mr-1 {
			ADDQ(cr, c)
		}
	}
	MOVQ(at(s, offCRep), cr)
	ADDQ(cr, spillC)
	ADDQ(at(s, offARep), a)
	if w == rowAhead {
		ADDQ(Imm(64), next)
	}
	DECQ(spillN)
	JNZ(LabelRef("rep"))
	VZEROUPPER()
	RET()
}
