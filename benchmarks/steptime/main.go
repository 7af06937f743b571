// Command steptime times training steps or forward passes in this process and
// prints the rate of each repetition, for compare.py to compare with.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sotto-fl/sotto/benchmarks"
	"github.com/sotto-fl/sotto/model/kernel"
)

func main() {
	model := flag.String("model", "cifar-cnn", "a named architecture")
	batch := flag.Int("batch", 64, "examples in a step")
	workers := flag.Int("threads", 1, "goroutines")
	mode := flag.String("mode", "train", "train, forward or clipped")
	reps := flag.Int("reps", 5, "repetitions")
	seconds := flag.Float64("seconds", 0.3, "length of one repetition")
	flag.Parse()
	t, err := benchmarks.NewTask(*model, *batch, *batch, *workers)
	if err != nil {
		fmt.Fprintln(os.Stderr, "steptime: error:", err)
		os.Exit(1)
	}
	step := t.Step
	switch *mode {
	case "forward":
		step = func() { t.Net.Forward(t.X, *batch) }
	case "clipped":
		step = t.ClippedStep
	}
	step()
	var rates []float64
	for range *reps {
		start, n := time.Now(), 0
		for time.Since(start).Seconds() < *seconds {
			step()
			n++
		}
		rates = append(rates, float64(n**batch)/time.Since(start).Seconds())
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"kernel": kernel.Name(), "peak_gflops": kernel.Default().Peak(20), "samples_per_s": rates,
	})
}
