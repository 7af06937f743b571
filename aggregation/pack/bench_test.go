package pack

import (
	"fmt"
	"testing"
)

func BenchmarkAdd(b *testing.B) {
	for _, top := range [][]uint64{{1<<47 - 100}, {1<<46 - 100}, {0, 1<<23 - 1}, {0, 1<<31 - 1}} {
		c, err := NewCoder(len(top), top)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{8192, 136275} {
			b.Run(fmt.Sprintf("bits=%d/n=%d", c.Bits(), n), func(b *testing.B) {
				acc := make([]uint64, n*len(top))
				body := make([]byte, c.Size(n))
				for b.Loop() {
					if err := c.Add(acc, body); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/coefficient")
			})
		}
	}
}
