// Command central trains cifar-cnn in one place with the reference recipe (Adam
// 1e-3, batches of 64, no augmentation) on CIFAR-10's binary files, and prints the
// test accuracy after each epoch. accuracy.py runs it beside PyTorch.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
)

func main() {
	dir := flag.String("data", "", "folder with data_batch_*.bin and test_batch.bin")
	epochs := flag.Int("epochs", 10, "passes over the training data")
	seed := flag.Uint64("seed", 1, "root of initialisation and shuffling")
	flag.Parse()
	if err := run(*dir, *epochs, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "central: error:", err)
		os.Exit(1)
	}
}

func run(dir string, epochs int, seed uint64) error {
	data, err := dataset.OpenCIFAR10(dir, "train")
	if err != nil {
		return err
	}
	test, err := dataset.OpenCIFAR10(dir, "test")
	if err != nil {
		return err
	}
	a, err := nn.Named("cifar-cnn")
	if err != nil {
		return err
	}
	t, err := train.New(train.Config{
		Architecture: a, Classes: dataset.CIFAR10(),
		Normalization: dataset.Normalization{Mean: []float64{0.5, 0.5, 0.5}, Std: []float64{0.25, 0.25, 0.25}},
		Optimizer:     optim.Config{Name: optim.Adam, LR: 1e-3}, Batch: 64, Epochs: 1, Seed: seed,
	})
	if err != nil {
		return err
	}
	m, err := a.Init(seed)
	if err != nil {
		return err
	}
	fmt.Printf("kernel %s, %d training and %d test images\n", kernel.Name(), data.Len(), test.Len())
	start, number := time.Now(), 0
	_, err = t.Fit(context.Background(), m.Params, data, test, train.Plan{Epochs: epochs}, func(e train.Epoch) {
		number++
		fmt.Printf("epoch %d: training loss %.4f, test accuracy %.2f %%, %.1f s\n", number, e.TrainLoss, 100*e.ValAccuracy, time.Since(start).Seconds())
	})
	return err
}
