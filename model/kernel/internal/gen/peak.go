package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
