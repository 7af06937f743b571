package kernel

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n random floats that end where an unreadable page begins, or,
// one time in two, begin where one ends.
func guarded(t testing.TB, r *rand.Rand, n int) []float32 {
	t.Helper()
	page := syscall.Getpagesize()
	size := (4*n + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(m) })
	for _, g := range [][]byte{m[:page], m[page+size:]} {
		if err := syscall.Mprotect(g, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	at := page
	if r.IntN(2) == 0 {
		at += size - 4*n
	}
	s := unsafe.Slice((*float32)(unsafe.Pointer(&m[at])), n)
	copy(s, random(r, n))
	return s
}
