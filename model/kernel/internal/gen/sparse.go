package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func sparse(v isa) {
	if !v.wide() {
		v.bits()
		v.quads()
		v.prefetch()
		for n := 1; n <= mostSelected; n++ {
			v.selected(n)
		}
	}
	for n := 1; n <= 3; n++ {
		for nv := 1; nv <= v.maxSumVectors(n); nv++ {
			v.sums(n, nv, lastMasked)
			if v.wide() {
				continue
			}
			v.sums(n, nv, lastFull)
			v.sumBits(n, nv, lastMasked)
			v.sumBits(n, nv, lastFull)
			if nv == 2 { // 9 floats: three pixels of three colours
				v.sums(n, nv, lastOne)
			}
		}
	}
}

func (v isa) maxSumVectors(rows int) int {
	if v.wide() {
		return 8
	}
	return 12 / rows
}

// last is what there is of the last vector of a row.
type last string

const (
	lastMasked last = "w"
	lastFull   last = "full"
	lastOne    last = "one" // a single element
)

// sums is the kernel of both sparse backward passes. For each group it sums
// weighted windows of src in registers and adds the sum to a window of dst. A
// window is n rows of nv vectors, the last one masked.
func (v isa) sums(n, nv int, end last) {
	masked := end == lastMasked
	v.text(fmt.Sprintf("sums%dx%d%s", n, nv, end), "func(counts, place, offset *int32, weight, src, dst *float32, groups, srcRow, dstRow, tail uintptr, masks int64)")
	Pragma("noescape")
	counts, place, offset := param("counts"), param("place"), param("offset")
	weight, groups := param("weight"), param("groups")
	src := make([]reg.GPVirtual, n)
	src[0] = param("src")
	for r := 1; r < n; r++ {
		src[r] = GP64()
		MOVQ(src[r-1], src[r])
		row := param("srcRow")
		ADDQ(row, src[r])
	}
	dst, dstRow := param("dst"), param("dstRow")
	var t tail
	if masked {
		t = v.tailMask(param("tail"), func() reg.GPVirtual { return param("masks") })
	}
	// Few accumulators would wait for each other: use two sets by turns.
	sets := 1
	if n*nv < 8 && (v.wide() || 2*n*nv <= 12) {
		sets = 2
	}
	acc := make([][]reg.VecVirtual, sets)
	for s := range acc {
		for range n * nv {
			acc[s] = append(acc[s], v.vec())
		}
	}
	// step adds entry i to set s. What is loaded limits it: four gives the weights of
	// four entries, and spares the load of one.
	step := func(s, i int, four reg.VecVirtual) {
		at, w := GP64(), v.vec()
		MOVLQSX(Mem{Base: offset, Disp: 4 * i}, at)
		if four != nil {
			VPERMILPS(Imm(uint64(0x55*i)), four, w)
		} else {
			VBROADCASTSS(Mem{Base: weight, Disp: 4 * i}, w)
		}
		for r := range n {
			for j := range nv {
				m := Mem{Base: src[r], Index: at, Scale: 1, Disp: j * v.bytes()}
				a := acc[s][r*nv+j]
				switch {
				case end == lastOne && j == nv-1:
					VFMADD231SS(m, w.AsX(), a.AsX())
				case !masked || j < nv-1:
					VFMADD231PS(m, w, a)
				case v.wide():
					VFMADD231PS(m, w, t.k, a)
				default:
					x := v.vec()
					t.load(m, x)
					VFMADD231PS(x, w, a)
				}
			}
		}
	}
	entry := func(i int) { step(i, i, nil) }
	Label("group")
	left := GP64()
	MOVLQSX(at(counts, 0), left)
	TESTQ(left, left)
	JZ(LabelRef("next"))
	for s := range acc {
		for _, a := range acc[s] {
			zero(a)
		}
	}
	if sets == 2 {
		SUBQ(Imm(2), left)
		JLT(LabelRef("odd"))
		Label("pair")
		entry(0)
		entry(1)
		ADDQ(Imm(8), offset)
		ADDQ(Imm(8), weight)
		SUBQ(Imm(2), left)
		JGE(LabelRef("pair"))
		Label("odd")
		ADDQ(Imm(2), left)
		JZ(LabelRef("add"))
		entry(0)
		ADDQ(Imm(4), offset)
		ADDQ(Imm(4), weight)
		Label("add")
		for i := range acc[0] {
			VADDPS(acc[1][i], acc[0][i], acc[0][i])
		}
	} else {
		if !v.wide() {
			// A fifth of the instructions are the loop's.
			const unroll = 4
			SUBQ(Imm(unroll), left)
			JLT(LabelRef("few"))
			Label("four")
			weights := YMM()
			VBROADCASTF128(at(weight, 0), weights)
			for i := range unroll {
				step(0, i, weights)
			}
			ADDQ(Imm(4*unroll), offset)
			ADDQ(Imm(4*unroll), weight)
			SUBQ(Imm(unroll), left)
			JGE(LabelRef("four"))
			Label("few")
			ADDQ(Imm(unroll), left)
			JZ(LabelRef("add"))
		}
		Label("single")
		entry(0)
		ADDQ(Imm(4), offset)
		ADDQ(Imm(4), weight)
		DECQ(left)
		JNZ(LabelRef("single"))
		if !v.wide() {
			Label("add")
		}
	}
	to := GP64()
	MOVLQSX(at(place, 0), to)
	ADDQ(dst, to)
	for r := range n {
		for j := range nv {
			m, a := at(to, j*v.bytes()), acc[0][r*nv+j]
			if end == lastOne && j == nv-1 {
				VADDSS(m, a.AsX(), a.AsX())
				VMOVSS(a.AsX(), m)
				continue
			}
			if masked && j == nv-1 {
				x := v.vec()
				t.load(m, x)
				VADDPS(x, a, a)
				t.store(a, m)
				continue
			}
			VADDPS(m, a, a)
			VMOVUPS(a, m)
		}
		if r < n-1 {
			ADDQ(dstRow, to)
		}
	}
	Label("next")
	ADDQ(Imm(4), counts)
	ADDQ(Imm(4), place)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
