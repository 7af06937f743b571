package keyshare

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
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

// BenchmarkKeyHolder is a holder's whole round: check, unseal, add, sign, answer. Point 4
// of the default committee takes whole shares, and is what "n=100" and "n=10000" name;
// point 1 takes seeds. Boxes stream from a file into one buffer. In the first round of a
// run, "first", every vouch has to be checked; later ones remember them. The metric
// peak-MB is what the heap grows by; the headers, which are the test's own, count as
// much again.
func BenchmarkKeyHolder(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		name := fmt.Sprintf("n=%d", n)
		b.Run(name, func(b *testing.B) { benchmarkHolder(b, n, 4, &Known{}) })
		b.Run(name+"/seed", func(b *testing.B) { benchmarkHolder(b, n, 1, &Known{}) })
		b.Run(name+"/first", func(b *testing.B) { benchmarkHolder(b, n, 4, nil) })
	}
}

func benchmarkHolder(b *testing.B, n, point int, known *Known) {
	w := newWorld(b, testRing, 4, 3, 1, n)
	headers := make([]Header, n)
	file, err := os.Create(filepath.Join(b.TempDir(), "boxes"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for i := range n {
		u := w.upload(i)
		headers[i] = u.header
		if _, err := file.Write(u.boxes[point-1]); err != nil {
			b.Fatal(err)
		}
	}
	box := make([]byte, BoxSize(w.record, w.ring, point))
	var peak, start uint64
	measure := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	round := func() {
		c, err := NewCollector(w.record, w.ring, w.limits, point, w.private[point-1], NewSet(w.announcement, headers), testNow, known)
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			if _, err := file.ReadAt(box, int64(i*len(box))); err != nil {
				b.Fatal(err)
			}
			if err := c.Add(i, box); err != nil {
				b.Fatal(err)
			}
			if i%512 == 0 {
				peak = max(peak, measure())
			}
		}
		if _, a, err := c.Close(w.signing[point-1]); err != nil || len(a.Bytes(w.ring)) == 0 {
			b.Fatal(err)
		}
	}
	if known != nil {
		round()
	}
	runtime.GC()
	start, peak = measure(), 0
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(peak-min(peak, start))/(1<<20), "peak-MB")
}

// BenchmarkCheckUpload is the server's part for one upload besides its vector:
// header, vouch (remembered), boxes.
func BenchmarkCheckUpload(b *testing.B) {
	w := newWorld(b, testRing, 4, 3, 1, 2)
	u := w.upload(0)
	encoded, announcement, known := u.header.Bytes(), w.announcement.Hash(), &Known{}
	for b.Loop() {
		h, err := ParseHeader(encoded)
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Verify(w.record, announcement, testNow, known); err != nil {
			b.Fatal(err)
		}
		if err := h.CheckBoxes(w.record, w.ring, u.boxes); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReconstruct opens from three answers, and from four of which one is odd.
func BenchmarkReconstruct(b *testing.B) {
	w := newWorld(b, testRing, 4, 3, 1, 2)
	u := w.uploads(2)
	set, want := w.set(u...), w.sum(u...)
	var sums []PointSum
	for point := 1; point <= 4; point++ {
		_, a := w.close(point, set, u)
		sums = append(sums, PointSum{point, a.Sums[0]})
	}
	odd := append([]PointSum{{1, randomElement(w.ring, w.rng)}}, sums[1:]...)
	for name, s := range map[string][]PointSum{"agree": sums, "threshold": sums[:3], "odd": odd} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Reconstruct(w.record, w.ring, s, is(want)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
