package benchmarks

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sotto-fl/sotto/model/dataset"
)

var data = flag.String("data", "", "folder with CIFAR-10's binary files, for BenchmarkLive")

// BenchmarkLive trains cifar-cnn on real images and reports the share of pooled
// outputs that are alive between two steps: what the pictures of the other
// benchmarks are to be compared with.
func BenchmarkLive(b *testing.B) {
	if *data == "" {
		b.Skip("needs CIFAR-10's binary files: -data FOLDER")
	}
	set, err := dataset.OpenCIFAR10(*data, "train")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t, r, index := task(b, "cifar-cnn", 64, 64, 1), rand.New(rand.NewPCG(1, 2)), make([]int, 64)
		from, visits := 0, [2]float64{}
		for _, to := range []int{1, 100, 400, 1600} {
			for range to - from {
				for i := range index {
					index[i] = r.IntN(set.Len())
				}
				set.Fill(t.X, t.Labels, index, dataset.Normalization{Mean: []float64{0.5}, Std: []float64{0.25}})
				t.Opt.Begin(1e-3)
				t.Net.Train(t.X, t.Labels, t.update)
			}
			w := t.Net.Work()
			if len(w.Live) == 0 {
				b.Skip("the portable path does not count")
			}
			for c := range visits {
				all := w.Live[c] * float64(to)
				b.ReportMetric(100*(all-visits[c])/float64(to-from), fmt.Sprintf("%%live-conv%d-to-step-%d", c+1, to))
				visits[c] = all
			}
			from = to
		}
	}
	b.ReportMetric(0, "ns/op")
}
