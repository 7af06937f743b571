package kernel

import "unsafe"

const (
	cacheLine = 64
	hugePage  = 2 << 20
)

// Alloc returns n zeros that start at a multiple of 64 bytes: a cache line, and
// more than any vector load wants. make promises no more than 4.
//
// From 2 MB on they start at a multiple of that, and the system is asked for pages
// of that size: a step walks through more small pages than a second-level TLB holds.
func Alloc(n int) []float32 {
	align := uintptr(cacheLine)
	if 4*n >= hugePage {
		align = hugePage
	}
	s := make([]float32, n+int(align)/4)
	// The address stays true: Go's collector does not move heap objects, and a
	// slice of variable length is one.
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(s))) % align / 4
	s = s[skip:][:n:n]
	if whole := n &^ (hugePage/4 - 1); whole > 0 {
		adviseHuge(s[:whole])
	}
	return s
}
