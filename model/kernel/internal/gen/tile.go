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
			v.tile(mr, nv, true)
			if !v.wide() { // a masked load costs AVX2 an instruction more
				v.tile(mr, nv, false)
			}
		}
	}
}

// tile is the micro-kernel of every dense product: an mr by nv block of C stays
// in registers while k runs over segs segments of deep elements.
func (v isa) tile(mr, nv int, masked bool) {
	name := fmt.Sprintf("tile%dx%dw", mr, nv)
	if !masked {
		name = fmt.Sprintf("tile%dx%dfull", mr, nv)
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
	ar := GP64()
	MOVQ(at(s, 0), ar)
	r := newRows(ar, mr)
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
	if mr > 9 {
		high = GP64()
		LEAQ(r.at(a, 8, 0), high)
		ADDQ(ar, high)
	}
	b := param("b")
	segs := GP64()
	MOVQ(at(s, offSegs), segs)
	Label("segment")
	deep := GP64()
	MOVQ(at(s, offDeep), deep)
	Label("depth")
	bv := make([]reg.VecVirtual, nv)
	for j := range bv {
		bv[j] = v.vec()
		load(at(b, j*v.bytes()), j, bv[j])
	}
	for i := range mr {
		m := r.at(a, i%9, 0)
		if i >= 9 {
			m = r.at(high, i-9, 0)
		}
		if v.wide() && nv == 1 {
			VFMADD231PS_BCST(m, bv[0], acc[i][0])
			continue
		}
		x := v.vec()
		VBROADCASTSS(m, x)
		for j := range nv {
			VFMADD231PS(bv[j], x, acc[i][j])
		}
	}
	ADDQ(at(s, offAK), a)
	if mr > 9 {
		ADDQ(at(s, offAK), high)
	}
	ADDQ(at(s, offBK), b)
	DECQ(deep)
	JNZ(LabelRef("depth"))
	ADDQ(at(s, offAS), a)
	if mr > 9 {
		ADDQ(at(s, offAS), high)
	}
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
	DECQ(spillN)
	JNZ(LabelRef("rep"))
	VZEROUPPER()
	RET()
}
