package kernel

import (
	"fmt"
	"unsafe"
)

// Slack is how many elements past the end of its data a list, an argmax or a
// row of bytes must have: the kernels store whole vectors.
const Slack = 16

// List holds weighted offsets, group after group. Counts[i] of them belong to
// group i. The zero value is empty; Reserve makes room.
type List struct {
	Counts []int32
	Offset []int32 // in bytes
	Weight []float32
	groups int
	length int
	part   int32 // of a group too long for one call
}

// NewList returns a list with room for groups and entries.
func NewList(groups, entries int) *List {
	return &List{
		Counts: make([]int32, groups),
		Offset: make([]int32, entries+Slack),
		Weight: make([]float32, entries+Slack),
	}
}

// Reset empties the list.
func (l *List) Reset() { l.groups, l.length = 0, 0 }

// Len is the number of entries in all groups.
func (l *List) Len() int { return l.length }

func (l *List) grow(groups, entries int) (counts, offset *int32, weight *float32) {
	if l.groups+groups > len(l.Counts) || l.length+entries+Slack > len(l.Offset) {
		panic(fmt.Sprintf("kernel: list of %d groups and %d entries has no room for %d and %d", l.groups, l.length, groups, entries))
	}
	return &l.Counts[l.groups], &l.Offset[l.length], &l.Weight[l.length]
}

func (l *List) close(groups int) {
	for _, n := range l.Counts[l.groups : l.groups+groups] {
		l.length += int(n)
	}
	l.groups += groups
}

// Compress appends one group for each of rows rows of g: its elements that are
// not zero, with the offsets of their columns. Row r of g starts at r*step and
// has n elements; its offsets start at r*tabStep of tab.
func (p *Path) Compress(l *List, g []float32, rows, n, step int, tab []int32, tabStep int) {
	if len(g) < span([2]int{rows, step}, [2]int{n, 1}) || len(tab) < span([2]int{rows, tabStep}, [2]int{n, 1}) {
		panic(fmt.Sprintf("kernel: list of %d rows of %d in slices of %d and %d", rows, n, len(g), len(tab)))
	}
	if n > maxRun {
		for r := range rows {
			p.compressLong(l, g[r*step:][:n], tab[r*tabStep:])
		}
		return
	}
	batch := maxRun / n
	for r := 0; r < rows; r += batch {
		k := min(batch, rows-r)
		counts, offset, weight := l.grow(k, k*n)
		p.compress(&g[r*step], uintptr(k), uintptr(n), uintptr(4*step), &tab[r*tabStep], uintptr(4*tabStep), offset, weight, counts, &permutations, maskTable)
		l.close(k)
	}
}

// compressLong appends one group in several calls.
func (p *Path) compressLong(l *List, g []float32, tab []int32) {
	total := int32(0)
	for j := 0; j < len(g); j += maxRun {
		n := min(maxRun, len(g)-j)
		counts, offset, weight := l.grow(1, n)
		p.compress(&g[j], 1, uintptr(n), 0, &tab[j], 0, offset, weight, counts, &permutations, maskTable)
		total += *counts
		l.length += int(*counts)
	}
	l.Counts[l.groups] = total
	l.groups++
}

// CompressTaps appends taps groups for each of rows rows of g: for each tap, the
// elements that are not zero and whose arg is the tap. arg has Slack. Paths that
// have sets do not have it.
func (p *Path) CompressTaps(l *List, g []float32, arg []uint8, rows, n, step, taps int, tab []int32) {
	if len(g) < span([2]int{rows, step}, [2]int{n, 1}) || len(arg) < span([2]int{rows, step}, [2]int{n, 1})+Slack || len(tab) < n {
		panic(fmt.Sprintf("kernel: list of %d rows of %d in slices of %d, %d and %d", rows, n, len(g), len(arg), len(tab)))
	}
	batch := max(1, maxRun/(n*taps))
	for r := 0; r < rows; r += batch {
		k := min(batch, rows-r)
		counts, offset, weight := l.grow(k*taps, k*n)
		p.compressTaps(&g[r*step], &arg[r*step], uintptr(k), uintptr(n), uintptr(4*step), uintptr(step), uintptr(taps), &tab[0], offset, weight, counts, &permutations, maskTable)
		l.close(k * taps)
	}
}

// Sums adds to dst, for each group of l, the weighted sum of windows of src:
//
//	dst[place+r*dstRow+j] += sum over the group of weight * src[offset+r*srcRow+j]
//
// for r < rows, j < cols. place and offset are in bytes, one place for each group;
// a group is summed in the order of the list, in registers, before it is added. The caller
// vouches for the offsets: they are not checked.
func (p *Path) Sums(l *List, place []int32, src, dst []float32, rows, cols, srcRow, dstRow int) {
	if len(place) < l.groups {
		panic(fmt.Sprintf("kernel: %d places for %d groups", len(place), l.groups))
	}
	if len(src) < (rows-1)*srcRow+cols || len(dst) < (rows-1)*dstRow+cols {
		panic("kernel: sums in slices shorter than a window")
	}
	vectors := (cols + p.lanes - 1) / p.lanes
	most := 8
	if p.lanes == 8 {
		most = 12
	}
	for j, left := 0, (vectors+most-1)/most; left > 0; left-- {
		nv := (vectors + left - 1) / left
		vectors -= nv
		width := min(nv*p.lanes, cols-j)
		for r := 0; r < rows; {
			n := min(3, rows-r)
			if p.lanes == 8 {
				n = min(n, 12/nv)
			}
			p.window(l, place, shift(unsafe.SliceData(src), r*srcRow+j), shift(unsafe.SliceData(dst), r*dstRow+j), n, nv, width, srcRow, dstRow)
			r += n
		}
		j += width
	}
}

func (p *Path) window(l *List, place []int32, src, dst *float32, rows, nv, width, srcRow, dstRow int) {
	lanes, ops := p.lanes, &p.ops
	if p.narrow != nil && width <= p.narrow.lanes {
		// Unaligned half vectors cross half as many cache lines.
		lanes, ops = p.narrow.lanes, &p.narrow.ops
	}
	tail := width - (nv-1)*lanes
	f := ops.sums[rows][nv]
	if tail == lanes {
		f = ops.sumsFull[rows][nv]
	} else if one := ops.sumsOne[rows][nv]; tail == 1 && one != nil {
		f = one
	}
	// Several calls, so that none takes long.
	most := max(1, maxWork/(rows*nv*lanes))
	for i, at := 0, 0; i < l.groups; {
		first, entries := i, 0
		if n := int(l.Counts[i]); n > most {
			for ; entries < n; entries += int(l.part) {
				l.part = int32(min(most, n-entries))
				f(&l.part, &place[i], &l.Offset[at+entries], &l.Weight[at+entries], src, dst, 1, uintptr(4*srcRow), uintptr(4*dstRow), uintptr(tail), maskTable)
			}
			at += entries
			i++
			continue
		}
		for i < l.groups && (entries == 0 || entries+int(l.Counts[i]) <= most) && i-first < 4096 {
			entries += int(l.Counts[i])
			i++
		}
		f(&l.Counts[first], &place[first], &l.Offset[at], &l.Weight[at], src, dst, uintptr(i-first), uintptr(4*srcRow), uintptr(4*dstRow), uintptr(tail), maskTable)
		at += entries
	}
}
