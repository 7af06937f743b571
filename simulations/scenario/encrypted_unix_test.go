//go:build unix

package scenario

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// BenchmarkEncryptedOverPlain is what encryption costs where the model is real: the
// scenario cifar.yaml of ten clients and cifar-cnn, encrypted and with encryption: none,
// five pairs in turn, each pair in the other order. The metrics are medians of the five
// ratios of wall and of processor time; both runs of a pair must end with the same model.
//
// The images are random: timing does not depend on what is in them.
func BenchmarkEncryptedOverPlain(b *testing.B) {
	const pairs = 5
	dir := b.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, images := range map[string]int{"data_batch_1.bin": 10000, "test_batch.bin": 1000} {
		batch := make([]byte, images*3073)
		for i := range batch {
			batch[i] = byte(rng.Uint32())
		}
		for i := range images {
			batch[i*3073] = byte(i % 10)
		}
		if err := os.WriteFile(filepath.Join(dir, name), batch, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	s, err := Load(config.Sources{File: "../scenarios/cifar.yaml"})
	if err != nil {
		b.Fatal(err)
	}
	s.Data.Path = dir
	run := func(encryption string) (wall, cpu time.Duration, model string) {
		s.Run.Encryption = encryption
		used, start := processor(b), time.Now()
		r, err := Run(b.Context(), s, Options{Workers: 2})
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(start), processor(b) - used, r.ModelSHA256
	}
	for b.Loop() {
		var walls, cpus []float64
		for i := range pairs {
			kinds := []string{coordinator.EncryptionThreshold, "none"}
			var wall, cpu [2]time.Duration
			var model [2]string
			for j := range kinds {
				k := (i + j) % 2
				wall[k], cpu[k], model[k] = run(kinds[k])
			}
			if model[0] != model[1] {
				b.Fatalf("pair %d: the encrypted run ends with model %s, the plain one with %s", i+1, model[0], model[1])
			}
			walls = append(walls, wall[0].Seconds()/wall[1].Seconds())
			cpus = append(cpus, cpu[0].Seconds()/cpu[1].Seconds())
			b.Logf("pair %d: wall %.2f over %.2f s, processor %.2f over %.2f s, model_sha256 %s", i+1, wall[0].Seconds(), wall[1].Seconds(), cpu[0].Seconds(), cpu[1].Seconds(), model[0])
		}
		slices.Sort(walls)
		slices.Sort(cpus)
		b.ReportMetric(walls[pairs/2], "wall/plain")
		b.ReportMetric(cpus[pairs/2], "cpu/plain")
	}
}
