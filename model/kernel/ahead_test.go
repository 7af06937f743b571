package kernel

import "testing"

func TestAhead(t *testing.T) {
	var a Ahead
	s := Alloc(100) // 400 bytes from the start of a line: 7 lines
	Add(&a, s)
	Add(&a, []int32(nil))
	Add(&a, s[15:17]) // ends of two lines
	lines := map[uintptr]int{}
	total := 0
	for _, want := range []int{3, 3, 1, 2, 0} {
		at, n := a.take(3)
		if n != want {
			t.Fatalf("took %d lines, want %d", n, want)
		}
		for i := range n {
			lines[at+uintptr(i)*cacheLine]++
		}
		total += n
	}
	if len(lines) != 7 || total != 9 {
		t.Errorf("took %d lines, %d of them different, want 9 and 7", total, len(lines))
	}
	for range 20 { // more than there is room for
		Add(&a, s)
	}
	a.Clear()
	for range 20 {
		Add(&a, s)
	}
	total = 0
	for _, n := a.take(1000); n > 0; _, n = a.take(1000) {
		total += n
	}
	if total != 8*7 {
		t.Errorf("took %d lines of 20 slices, want those of 8", total)
	}
	if _, n := (*Ahead)(nil).take(1); n != 0 {
		t.Error("nothing ahead has lines")
	}
}

// An address need not exist.
func TestFetch(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		var a Ahead
		a.spans[0].at, a.spans[0].lines, a.count = 64, 1000, 1
		p.Fetch(&a, 2000)
		if p.prefetch != nil && a.first != a.count {
			t.Error("lines are left")
		}
	})
}
