package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Options say what a model needs of its images.
type Options struct {
	// Shape is the model's input. Folders of images are resized to it; IDX and
	// CIFAR-10 files must have it. Only for those two it may be zero: any.
	Shape Shape
	// Classes are the model's class names in label order. Nil takes the
	// source's own: sorted folder names, digits for IDX, CIFAR-10's.
	Classes []string
	// Split is "train" (or "") or "test", for sources that have both.
	Split string
	// MaxBytes bounds the pixels in memory; 0 is DefaultMaxBytes.
	MaxBytes int64
}

func (o Options) maxBytes() int64 {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return DefaultMaxBytes
}

// Open reads the images at path, a folder of one of these kinds:
//
//   - the IDX files of MNIST under their own names (train-images-idx3-ubyte and
//     so on), compressed (.gz) or not; beside them there may be groups, an IDX file
//     of one dimension (train-groups-idx1-short and so on; ubyte, short or int) or
//     a train-groups.csv with the line "group" and then a line an image;
//   - the binary batches of CIFAR-10 (data_batch_1.bin and so on);
//   - one sub-folder of PNG or JPEG files a class, see OpenFolder, or "train"
//     and "test" with such folders below, of which o.Split takes one.
//
// The problems are files that were skipped; only image folders have them. An
// error is one line that names the path and what to do about it.
func Open(path string, o Options) (*Set, []Problem, error) {
	if o.Split == "" {
		o.Split = "train"
	}
	if o.Split != "train" && o.Split != "test" {
		return nil, nil, fmt.Errorf("open data %s: unknown split %q, want train or test", path, o.Split)
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("open data %s: %w: give the folder that holds the images", path, fs.ErrNotExist)
	case err != nil:
		return nil, nil, fmt.Errorf("open data: %w", err)
	case !info.IsDir():
		return nil, nil, fmt.Errorf("open data %s: %w: a file, want the folder that holds it", path, ErrFormat)
	}
	entries, err := list(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open data: %w", err)
	}
	names := make(map[string]bool, len(entries)) // true for a folder
	for _, e := range entries {
		names[e.name] = e.dir
	}
	cifar, err := listMatching(path, "*_batch*.bin")
	if err != nil {
		return nil, nil, fmt.Errorf("open data: %w", err)
	}
	var s *Set
	switch {
	case hasIDX(names):
		s, err = openIDXFolder(path, names, o)
	case len(cifar) > 0:
		if o.Classes != nil && !slices.Equal(o.Classes, CIFAR10()) {
			return nil, nil, fmt.Errorf("open data %s: %w: CIFAR-10 has the classes %s, the task has %s", path, ErrClass, quoteSome(CIFAR10()), quoteSome(o.Classes))
		}
		s, err = OpenCIFAR10(path, o.Split)
	default:
		if (names["train"] || names["test"]) && !slices.Contains(o.Classes, "train") && !slices.Contains(o.Classes, "test") {
			if !names[o.Split] {
				return nil, nil, fmt.Errorf("open data %s: %w: it has no folder %q for this split", path, ErrEmpty, o.Split)
			}
			path = filepath.Join(path, o.Split)
		}
		return OpenFolder(path, o)
	}
	if err != nil {
		return nil, nil, err
	}
	if o.Shape != (Shape{}) && s.pixels.shape != o.Shape {
		return nil, nil, fmt.Errorf("open data %s: %w: images are %v, the model takes %v: choose another model, or give image files, which are resized", path, ErrShape, s.pixels.shape, o.Shape)
	}
	return s, nil, nil
}

// MNIST's own names, of which each split has a pair.
var idxNames = map[string][2]string{
	"train": {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
	"test":  {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
}

func hasIDX(names map[string]bool) bool {
	for _, pair := range idxNames {
		for _, name := range pair {
			if isFile(names, name) || isFile(names, name+".gz") {
				return true
			}
		}
	}
	return false
}

func isFile(names map[string]bool, name string) bool {
	dir, ok := names[name]
	return ok && !dir
}

func openIDXFolder(dir string, names map[string]bool, o Options) (*Set, error) {
	var paths [2]string
	for i, name := range idxNames[o.Split] {
		switch {
		case isFile(names, name):
			paths[i] = filepath.Join(dir, name)
		case isFile(names, name+".gz"):
			paths[i] = filepath.Join(dir, name+".gz")
		default:
			return nil, fmt.Errorf("open data %s: %w: no %s or %s.gz beside the other IDX files", dir, ErrEmpty, name, name)
		}
	}
	s, err := OpenIDX(paths[0], paths[1], o.Classes)
	if err != nil {
		return nil, err
	}
	return idxGroups(dir, names, o.Split, s)
}
