package meter

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	peaks := 0
	m := New(func() float64 { peaks++; return float64(peaks % 3) })
	for _, ms := range []time.Duration{9, 1, 2, 8, 3} {
		m.Add(ms*time.Millisecond, 2*ms*time.Millisecond)
	}
	m.Stop()
	// 9, 1+2+8 and the two ends.
	if peaks != 4 || m.Peak() != 2 {
		t.Errorf("%d samples of the peak, best %v, want 4 and 2", peaks, m.Peak())
	}
	if m.CPU() != 3*time.Millisecond || m.Wall() != 6*time.Millisecond || m.Least() != time.Millisecond {
		t.Errorf("median %v and %v, least %v, want 3ms, 6ms and 1ms", m.CPU(), m.Wall(), m.Least())
	}
}

// Old samples make room, and the clock of the thread does not run while it sleeps.
func TestTime(t *testing.T) {
	m := New(nil)
	defer m.Stop()
	m.Time(func() { time.Sleep(20 * time.Millisecond) })
	if m.Wall() < 20*time.Millisecond || m.CPU() > m.Wall() {
		t.Errorf("asleep for %v by the wall and %v of the thread, want at least 20ms, and less", m.Wall(), m.CPU())
	}
	for range most {
		m.Add(1, 1)
	}
	if m.CPU() != 1 || len(m.cpu) != most {
		t.Errorf("median %v of %d samples, want 1ns of %d", m.CPU(), len(m.cpu), most)
	}
	if n := testing.AllocsPerRun(10, func() { m.Time(func() {}) }); n != 0 {
		t.Errorf("%v allocations a sample, want none", n)
	}
}

// Samples beside another thread are told by what is called around them.
func TestAlone(t *testing.T) {
	rates := []float64{10, 10, 10, 6, 5, 10, 9, 9} // before and after each
	m := New(func() float64 { return 10.5 })
	defer m.Stop()
	if d, share := m.Alone(); d != 0 || share != 0 {
		t.Errorf("before the first sample %v and %v", d, share)
	}
	m.Watch(func() float64 { r := rates[0]; rates = rates[1:]; return r })
	for range 4 {
		m.Time(func() { time.Sleep(time.Millisecond) })
	}
	m.cpu = []time.Duration{1, 2, 3, 5}
	if d, share := m.Alone(); d != 1 || share != 0.5 {
		t.Errorf("median %v of a share of %v, want 1ns of 0.5", d, share)
	}
}
