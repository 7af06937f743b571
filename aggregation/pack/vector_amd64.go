package pack

import "golang.org/x/sys/cpu"

// lanes2 is what the vector instructions need to read eight coefficients of two limbs,
// which are Bits whole bytes: where each begins, how it is shifted, and its bounds. The
// assembly knows the order of the fields.
type lanes2 struct {
	offset [8]uint64  // of a coefficient's first byte
	right  [16]uint64 // both words of a coefficient go down by its bit offset,
	left   [16]uint64 // and the upper one's lowest bits join the lower word
	mask   [4]uint64  // of two coefficients
	limit  [4]uint64  // the upper word of the maximum, less one
	shift  [8]uint64  // for the bits from 56 on alone,
	high   uint64     // their mask
	top    uint64     // and those of the maximum, less one
}

// newLanes2 returns nil where the processor has no AVX2, and for maxima whose upper
// word is so small that honest coefficients often reach it.
func newLanes2(c *Coder) *lanes2 {
	if !cpu.X86.HasAVX2 || c.limbs != 2 || c.max[1] < 1<<12 {
		return nil
	}
	k := &lanes2{high: 255 | c.mask(1)<<8, top: c.max[0]>>56 | c.max[1]<<8 - 1}
	for i := range k.offset {
		pos := uint64(i * c.bits)
		k.offset[i], k.shift[i] = pos>>3, pos&7
		for l := range 2 {
			k.right[2*i+l], k.left[2*i+l] = pos&7, 64-pos&7
		}
	}
	for i := 0; i < 4; i += 2 {
		k.mask[i], k.mask[i+1] = c.mask(0), c.mask(1)
		k.limit[i+1] = c.max[1] - 1
	}
	return k
}

// add adds the coefficients of src, eight for each 16 words of acc, and reports
// whether some upper word reaches that of the maximum. Up to 16 bytes are read from
// where a coefficient begins.
func (k *lanes2) add(acc []uint64, src []byte) bool {
	return addLanes2(&acc[0], &src[0], len(acc)/16, k)>>63 != 0
}

// doubt reports whether one of 8*groups coefficients reaches the top bits of the
// maximum.
func (k *lanes2) doubt(src []byte, groups int) bool {
	return doubtLanes2(&src[0], groups, k)>>63 != 0
}

//go:noescape
func addLanes2(acc *uint64, src *byte, groups int, k *lanes2) (doubt uint64)

//go:noescape
func doubtLanes2(src *byte, groups int, k *lanes2) (doubt uint64)
