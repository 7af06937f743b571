package kernel

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for huge pages, which s fills and starts at. It may be refused:
// nothing but speed depends on it.
func adviseHuge(s []float32) {
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s)), unix.MADV_HUGEPAGE)
}
