package kernel

import "unsafe"

// Ahead holds what will be read soon, for kernels to ask for a few cache lines at a
// time between other work: a core waits for no more than a few dozen at once. The zero value holds nothing.
type Ahead struct {
	spans [8]struct{ at, lines uintptr }
	first int
	count int
}

// Clear forgets what is left.
func (a *Ahead) Clear() { a.first, a.count = 0, 0 }

// Add appends the cache lines of s, unless there is no room: at most 8 slices.
func Add[T any](a *Ahead, s []T) {
	if len(s) == 0 || a.count == len(a.spans) {
		return
	}
	at := uintptr(unsafe.Pointer(&s[0]))
	end := at + uintptr(len(s))*unsafe.Sizeof(s[0])
	at &^= cacheLine - 1
	a.spans[a.count].at, a.spans[a.count].lines = at, (end-at+cacheLine-1)/cacheLine
	a.count++
}

// take returns the address of the next lines, at most n that follow each other.
func (a *Ahead) take(n int) (at uintptr, lines int) {
	if a == nil || a.first == a.count {
		return 0, 0
	}
	s := &a.spans[a.first]
	at, lines = s.at, min(n, int(s.lines))
	s.at += uintptr(lines) * cacheLine
	s.lines -= uintptr(lines)
	if s.lines == 0 {
		a.first++
	}
	return at, lines
}

// Fetch asks for the next n lines.
func (p *Path) Fetch(a *Ahead, n int) {
	for n > 0 && p.prefetch != nil {
		at, lines := a.take(n)
		if lines == 0 {
			return
		}
		p.prefetch(at, uintptr(lines))
		n -= lines
	}
}
