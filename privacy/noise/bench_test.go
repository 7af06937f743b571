package noise

import (
	"fmt"
	"math/big"
	"testing"
)

// block is what privatise fills at once.
const block = 4096

func BenchmarkDiscreteGaussian(b *testing.B) {
	for _, sigma := range []int64{1, 3, 4, 32, 512, 6000, 1 << 20, 1 << 26} {
		b.Run(fmt.Sprintf("sigma=%d", sigma), func(b *testing.B) {
			g, err := NewGaussian(big.NewRat(sigma*sigma, 1))
			if err != nil {
				b.Fatal(err)
			}
			benchmark(b, g.Fill32)
		})
	}
}

func BenchmarkSkellam(b *testing.B) {
	for _, variance := range []int64{4, 16, 256, 1 << 12, 1 << 16, 1 << 20, 1 << 22} {
		b.Run(fmt.Sprintf("variance=%d", variance), func(b *testing.B) {
			s, err := NewSkellam(big.NewRat(variance, 1))
			if err != nil {
				b.Fatal(err)
			}
			benchmark(b, s.Fill32)
		})
	}
}

func benchmark(b *testing.B, fill func([]int32, *DRBG)) {
	rng := NewDRBG(Seed{1})
	dst := make([]int32, block)
	b.SetBytes(4 * block)
	b.ReportAllocs()
	for b.Loop() {
		fill(dst, rng)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/block, "ns/draw")
}

func BenchmarkNewSampler(b *testing.B) {
	b.Run("gaussian", func(b *testing.B) {
		for b.Loop() {
			NewGaussian(big.NewRat(6000*6000, 1))
		}
	})
	b.Run("skellam", func(b *testing.B) {
		for b.Loop() {
			NewSkellam(big.NewRat(1<<20, 1))
		}
	})
}
