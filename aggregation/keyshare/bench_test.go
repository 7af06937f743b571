package keyshare

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkDeal is the client's part for its key: split, seal, commit.
func BenchmarkDeal(b *testing.B) {
	w := newWorld(b, testRing, 4, 3, 1, 1)
	h, _ := w.draft(0)
	secret := randomElement(w.ring, w.rng)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		boxes, err := Deal(w.record, w.ring, h, w.public, secret, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		size = 0
		for _, x := range boxes {
			size += len(x)
		}
	}
	b.ReportMetric(float64(size), "bytes-up")
}

// BenchmarkKeyHolder is a holder's whole round: check, unseal, add, sign, answer.
// Point 4 of the default committee takes whole shares, point 1 seeds. Boxes stream
// in, one at a time; only 100 distinct ones are made, under all clients' headers of
// their own, so that set-up stays short.
func BenchmarkKeyHolder(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		for _, point := range []int{1, 4} {
			b.Run(fmt.Sprintf("n=%d/point=%d", n, point), func(b *testing.B) { benchmarkHolder(b, n, point) })
		}
	}
}

func benchmarkHolder(b *testing.B, n, point int) {
	w := newWorld(b, testRing, 4, 3, 1, n)
	headers, boxes := make([]Header, n), make([][]byte, n)
	for i := range n {
		u := w.upload(i)
		headers[i], boxes[i] = u.header, u.boxes[point-1]
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	var held uint64
	for b.Loop() {
		c, err := NewCollector(w.record, w.ring, w.limits, point, w.private[point-1], NewSet(w.announcement, headers), testNow)
		if err != nil {
			b.Fatal(err)
		}
		for i, box := range boxes {
			if err := c.Add(i, box); err != nil {
				b.Fatal(err)
			}
		}
		if _, a, err := c.Close(w.signing[point-1]); err != nil || len(a.Bytes(w.ring)) == 0 {
			b.Fatal(err)
		}
		b.StopTimer()
		runtime.ReadMemStats(&after)
		held = max(held, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))
		b.StartTimer()
	}
	b.ReportMetric(float64(held)/(1<<20), "heap-MB")
}
