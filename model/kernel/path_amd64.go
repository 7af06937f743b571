package kernel

import (
	"time"
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate internal/gen/generate.sh

// masks is a window on eight lanes of ones and then eight of zeros: AVX2's tail
// masks.
var masks = [16]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}

var maskTable = int64(uintptr(unsafe.Pointer(&masks[0])))

// simdPaths lists what the processor and the operating system support, in order
// of width.
func simdPaths() []*Path {
	var paths []*Path
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT {
		paths = append(paths, &Path{name: "avx2", lanes: 8, widest: 2, rows: [5]int{1: 10, 2: 6}, byRow: tiles256row, byDepth: tiles256depth, packs: true, ahead: tiles256ahead, peak: peak256, slots: slots256, ops: ops256})
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
			paths = append(paths, &Path{name: "avx512", lanes: 16, widest: 4, rows: [5]int{1: 14, 2: 12, 3: 8, 4: 6}, byRow: tileSet{tiles512, tiles512}, byDepth: tileSet{tiles512, tiles512}, peak: peak512, slots: slots512, ops: ops512, narrow: paths[0]})
		}
	}
	return paths
}

// Peak measures the float32 peak of one core in GFLOP/s: the best of n runs of
// about 20 us of independent multiply-adds in registers. It is 0 on the portable
// path.
func (p *Path) Peak(n int) float64 {
	if p.peak == nil {
		return 0
	}
	const rounds = 4000 // of 12 multiply-adds
	p.peak(rounds)      // a vector unit may have to wake up
	best := 0.0
	for range n {
		start := time.Now()
		p.peak(rounds)
		best = max(best, rounds*12*2*float64(p.lanes)/float64(time.Since(start).Nanoseconds()))
	}
	return best
}

// Slots is the rate of one core in GFLOP/s for about 4 us of multiply-adds in
// registers with other instructions between them: near Peak on a core of one's own, and
// far below while another thread has half of its issue slots. It is 0 on the portable
// path.
func (p *Path) Slots() float64 {
	if p.slots == nil {
		return 0
	}
	const rounds = 2000 // of 12 multiply-adds
	start := time.Now()
	p.slots(rounds)
	return rounds * 12 * 2 * float64(p.lanes) / float64(time.Since(start).Nanoseconds())
}
