package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/simulations/export"
	"github.com/sotto-fl/sotto/simulations/mnist"
	"github.com/sotto-fl/sotto/simulations/partition"
)

// testImages is how many test images go with the sites: enough to see accuracy
// to half a per cent, few enough to write in a second.
const testImages = 2000

// writeData writes site-1 .. site-N and test, each a folder of images.
func writeData(args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("data", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	out := f.String("out", "sites", "")
	clients := f.Int("clients", 4, "")
	alpha := f.Float64("alpha", 0.5, "")
	images := f.Int("images", 8000, "")
	root := f.Uint64("seed", 1, "")
	if err := f.Parse(args); err != nil {
		return &config.UsageError{Err: err}
	}
	if f.NArg() > 0 {
		return config.Usagef("data takes flags only, got %q", f.Arg(0))
	}
	training, test, err := mnist.Load()
	if err != nil {
		return err
	}
	if *clients < 1 || *images < 10**clients || *images > training.Len() {
		return config.Usagef("-clients is %d and -images is %d, want at least 1 client and between 10 images a client and %d in all", *clients, *images, training.Len())
	}
	training = training.Subset(seed.New(*root, "data/sample", 0, "").Perm(training.Len())[:*images])
	rng := seed.New(*root, "data/partition", 0, "")
	parts, err := partition.IID(training.Len(), *clients, rng)
	if *alpha != 0 {
		parts, err = partition.Dirichlet(training.Labels(), partition.DirichletConfig{Clients: *clients, Alpha: *alpha, Min: 10}, rng)
	}
	if err != nil {
		return &config.UsageError{Err: err}
	}
	// Before anything is written: a half of two different deals must not look whole.
	if entries, err := os.ReadDir(*out); err == nil && len(entries) > 0 {
		return config.WithHint(config.Usagef("%s: the folder is not empty", *out), "name a new folder with -out, or remove this one")
	}
	for i, index := range parts {
		dir := filepath.Join(*out, fmt.Sprintf("site-%d", i+1))
		if err := export.WriteFolder(dir, training.Subset(index)); err != nil {
			return diskFull(err)
		}
		fmt.Fprintf(stdout, "%s: %d images, per class %v\n", dir, len(index), training.Subset(index).Counts())
	}
	dir := filepath.Join(*out, "test")
	if err := export.WriteFolder(dir, test.Subset(seed.New(*root, "data/test", 0, "").Perm(test.Len())[:testImages])); err != nil {
		return diskFull(err)
	}
	fmt.Fprintf(stdout, "%s: %d images nobody trains on\n", dir, testImages)
	return nil
}
