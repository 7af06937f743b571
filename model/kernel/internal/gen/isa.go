package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// isa is one vector width. Vectors have lanes floats.
type isa struct {
	name  string
	lanes int
}

func (v isa) wide() bool { return v.lanes == 16 }

func (v isa) bytes() int { return 4 * v.lanes }

func (v isa) vec() VecVirtual {
	if v.wide() {
		return ZMM()
	}
	return YMM()
}

func (v isa) text(name, signature string) { TEXT(name+v.name, NOSPLIT, signature) }

// tail selects the live lanes of a last vector.
type tail struct {
	isa
	k Register   // AVX-512
	v VecVirtual // AVX2
}

// tailMask makes the mask of the first n lanes, 1 <= n <= lanes. table is the
// address of lanes ones and then lanes zeros; only AVX2 reads it.
func (v isa) tailMask(n GPVirtual, table func() GPVirtual) tail {
	t := tail{isa: v}
	if v.wide() {
		ones := GP32()
		MOVL(I32(-1), ones)
		BZHIL(n.As32(), ones, ones)
		k := K()
		KMOVW(ones, k)
		t.k = k
		return t
	}
	p, back := table(), GP64()
	MOVQ(U32(8), back)
	SUBQ(n, back)
	t.v = YMM()
	VMOVUPS(Mem{Base: p, Index: back, Scale: 4}, t.v)
	return t
}

// load reads the live lanes and zeroes the others; dead lanes touch no memory.
func (t tail) load(m Mem, dst VecVirtual) {
	if t.wide() {
		VMOVUPS_Z(m, t.k, dst)
	} else {
		VMASKMOVPS(m, t.v, dst)
	}
}

func (t tail) store(src VecVirtual, m Mem) {
	if t.wide() {
		VMOVUPS(src, t.k, m)
	} else {
		VMASKMOVPS(src, t.v, m)
	}
}

func zero(v VecVirtual) {
	if v.Size() == 64 {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

func param(name string) GPVirtual { return Load(Param(name), GP64()).(GPVirtual) }

func at(base Register, disp int) Mem { return Mem{Base: base, Disp: disp} }

// rows addresses rows of a matrix whose row stride is a register: up to 9 rows
// from one base need the strides times 1, 3, 5 and 7.
type rows struct {
	odd map[int]GPVirtual
}

func newRows(stride GPVirtual, n int) rows {
	r := rows{odd: map[int]GPVirtual{1: stride}}
	for _, m := range []int{3, 5, 7} {
		if min(n, 9) <= m {
			break
		}
		p := GP64()
		IMUL3Q(U8(m), stride, p)
		r.odd[m] = p
	}
	return r
}

func (r rows) at(base Register, row, disp int) Mem {
	switch row {
	case 0:
		return Mem{Base: base, Disp: disp}
	case 1, 3, 5, 7:
		return Mem{Base: base, Index: r.odd[row], Scale: 1, Disp: disp}
	case 2, 4, 8:
		return Mem{Base: base, Index: r.odd[1], Scale: uint8(row), Disp: disp}
	case 6:
		return Mem{Base: base, Index: r.odd[3], Scale: 2, Disp: disp}
	}
	panic(fmt.Sprintf("row %d", row))
}
