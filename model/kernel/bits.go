package kernel

import (
	"fmt"
	"unsafe"
)

// Sets holds, for each pixel, each 64 of its channels and each of the four taps of
// a pool, the set of channels whose gradient is not zero and went to the tap: a bit
// each.
type Sets struct {
	words    []uint64
	pixels   int
	channels int
}

// NewSets returns empty sets.
func NewSets(pixels, channels int) *Sets {
	n := pixels * ((channels + 63) / 64) * 4
	return &Sets{unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(Alloc(2*n)))), n), pixels, channels}
}

// packed is the order in which two levels of packing leave the quarters of four vectors.
var packed = [8]uint32{0, 4, 1, 5, 2, 6, 3, 7}

// HasSets reports whether the path has the kernels of Sets.
func (p *Path) HasSets() bool { return p.bits != nil }

// Fill makes the sets of g, (pixel, channel), with the taps that arg says, 0 to 3.
// arg has Slack.
func (s *Sets) Fill(p *Path, g []float32, arg []uint8) {
	n := s.pixels * s.channels
	if len(g) < n || len(arg) < n+Slack {
		panic(fmt.Sprintf("kernel: sets of %d pixels of %d channels of slices of %d and %d", s.pixels, s.channels, len(g), len(arg)))
	}
	words := len(s.words) / s.pixels
	for i, k := 0, portion(s.pixels, s.channels); i < s.pixels; i += k {
		p.bits(&g[i*s.channels], &arg[i*s.channels], uintptr(min(k, s.pixels-i)), uintptr(s.channels), &s.words[i*words], &packed, maskTable)
	}
}

// BitGroup is one group of Sum: byte offsets of a pixel's set for a tap, of its gradients, and of a window of dst.
type BitGroup struct{ set, weight, place int32 }

// Group is the group of one pixel and tap whose sum is added at place, in bytes.
func (s *Sets) Group(pixel, tap int, place int32) BitGroup {
	return BitGroup{int32(8 * (pixel*(len(s.words)/s.pixels) + tap)), int32(4 * pixel * s.channels), place}
}

// Sum adds to dst, for each group, the weighted sum of windows of src:
//
//	dst[place+r*dstRow+j] += sum over the channels c of the group's set of g[c] * src[c*step+r*srcRow+j]
//
// for r < rows, j < cols, where g are the gradients that the sets are of. Groups are added in order.
// It is fastest if the windows of one do not overlap those of the next. Two lines of what ahead holds
// are fetched with each group. The caller vouches for the places.
func (s *Sets) Sum(p *Path, groups []BitGroup, g, src, dst []float32, rows, cols, step, srcRow, dstRow int, ahead *Ahead) {
	if len(g) < s.pixels*s.channels || len(src) < (s.channels-1)*step+(rows-1)*srcRow+cols || len(dst) < (rows-1)*dstRow+cols {
		panic("kernel: sums in slices shorter than a window")
	}
	vectors := (cols + p.lanes - 1) / p.lanes
	for j, left := 0, (vectors+11)/12; left > 0; left-- {
		nv := (vectors + left - 1) / left
		vectors -= nv
		width := min(nv*p.lanes, cols-j)
		tail := width - (nv-1)*p.lanes
		for r := 0; r < rows; {
			n := min(3, 12/nv, rows-r)
			f := p.sumBits[n][nv]
			if tail == p.lanes {
				f = p.sumBitsFull[n][nv]
			}
			most := max(1, maxWork/(n*width*min(64, s.channels)))
			for c := 0; c < s.channels; c += 64 {
				for i := 0; i < len(groups); {
					k := min(most, len(groups)-i)
					next := uintptr(unsafe.Pointer(&s.words[0])) // is in the cache
					if at, lines := ahead.take(2 * k); lines > 0 {
						next, k = at, (lines+1)/2
					}
					f(&groups[i].set, uintptr(k), &s.words[c/16], &g[c], shift(unsafe.SliceData(src), c*step+r*srcRow+j), shift(unsafe.SliceData(dst), r*dstRow+j),
						uintptr(4*step), uintptr(4*srcRow), uintptr(4*dstRow), next, uintptr(tail), maskTable)
					i += k
				}
			}
			r += n
		}
		j += width
	}
}
