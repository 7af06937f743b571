package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder writes files below a new folder and returns it.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	return dir
}

func TestOpenDetects(t *testing.T) {
	img := pngOf(t, grey(3, 2, 9))
	oneImage, oneLabel := idx(idxImages, []uint32{1, 2, 3}, make([]byte, 6)), idx(idxLabels, []uint32{1}, []byte{1})
	small := Options{Shape: Shape{1, 2, 3}}
	test := Options{Shape: Shape{1, 2, 3}, Split: "test"}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		o     Options
		want  int
	}{
		{"IDX", map[string][]byte{"train-images-idx3-ubyte": twoImages, "train-labels-idx1-ubyte": twoLabels}, small, 2},
		{"IDX, gzip and plain", map[string][]byte{"train-images-idx3-ubyte.gz": zip(twoImages), "train-labels-idx1-ubyte": twoLabels}, small, 2},
		{"IDX, decompressed under its old name", map[string][]byte{"train-images-idx3-ubyte.gz": twoImages, "train-labels-idx1-ubyte.gz": twoLabels}, small, 2},
		{"IDX, test split", map[string][]byte{
			"train-images-idx3-ubyte": twoImages, "train-labels-idx1-ubyte": twoLabels,
			"t10k-images-idx3-ubyte": oneImage, "t10k-labels-idx1-ubyte": oneLabel,
		}, test, 1},
		{"IDX, any shape", map[string][]byte{"train-images-idx3-ubyte": twoImages, "train-labels-idx1-ubyte": twoLabels}, Options{}, 2},
		{"CIFAR-10", map[string][]byte{"data_batch_1.bin": cifarBatch(1, 2, 3)}, Options{Classes: CIFAR10()}, 3},
		{"folder", map[string][]byte{"a/1.png": img, "b/1.png": img}, small, 2},
		{"folder for either split", map[string][]byte{"a/1.png": img, "b/1.png": img}, test, 2},
		{"folder with splits", map[string][]byte{"train/a/1.png": img, "train/a/2.png": img, "test/a/1.png": img}, small, 2},
		{"folder with splits, test", map[string][]byte{"train/a/1.png": img, "train/a/2.png": img, "test/a/1.png": img}, test, 1},
		{"a class called test", map[string][]byte{"test/1.png": img, "exam/2.png": img}, Options{Shape: small.Shape, Classes: []string{"exam", "test"}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, problems, err := Open(folder(t, c.files), c.o)
			if err != nil || len(problems) != 0 {
				t.Fatal(err, problems)
			}
			if s.Len() != c.want {
				t.Errorf("%d images, want %d", s.Len(), c.want)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	img := pngOf(t, grey(3, 2, 9))
	mnist := map[string][]byte{"train-images-idx3-ubyte": twoImages, "train-labels-idx1-ubyte": twoLabels}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		o     Options
		is    error
		says  string
	}{
		{"wrong shape", mnist, Options{Shape: Shape{3, 32, 32}}, ErrShape, "images are 1x2x3, the model takes 3x32x32"},
		{"no test split", mnist, Options{Split: "test"}, ErrEmpty, "no t10k-images-idx3-ubyte"},
		{"no labels", map[string][]byte{"train-images-idx3-ubyte": twoImages}, Options{}, ErrEmpty, "no train-labels-idx1-ubyte"},
		{"too few classes", mnist, Options{Classes: []string{"a", "b"}}, ErrClass, "label 7 of image 0, want 0 to 1"},
		{"CIFAR-10 for another task", map[string][]byte{"data_batch_1.bin": cifarBatch(1)}, Options{Classes: []string{"a"}}, ErrClass, "airplane"},
		{"CIFAR-10 without a test batch", map[string][]byte{"data_batch_1.bin": cifarBatch(1)}, Options{Split: "test"}, ErrEmpty, "test_batch.bin"},
		{"a split that is not there", map[string][]byte{"train/a/1.png": img}, Options{Shape: Shape{1, 2, 3}, Split: "test"}, ErrEmpty, `"test"`},
		{"a split nobody knows", mnist, Options{Split: "validation"}, nil, "want train or test"},
		{"empty", nil, Options{Shape: Shape{1, 2, 3}}, ErrEmpty, "one a class"},
		{"clients side by side", map[string][]byte{"client-1/a/1.png": img}, Options{Shape: Shape{1, 2, 3}, Classes: []string{"a"}}, ErrClass, `"client-1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, c.files)
			s, _, err := Open(dir, c.o)
			if s != nil || err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("got %v, %v; want %v", s, err, c.is)
			}
			for _, want := range []string{c.says, dir} {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q does not say %q on one line", err, want)
				}
			}
		})
	}
	gone := filepath.Join(t.TempDir(), "gone")
	if _, _, err := Open(gone, Options{}); !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), gone) != 1 {
		t.Errorf("a missing folder: %v", err)
	}
	file := filepath.Join(t.TempDir(), "images.zip")
	write(t, file, nil)
	if _, _, err := Open(file, Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "want the folder") {
		t.Errorf("a file: %v", err)
	}
}

// TestOpenFashionMNIST reads real files of another writer, with another gzip.
func TestOpenFashionMNIST(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "fashion-mnist")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs ../shared/data/fashion-mnist beside the repository: %v", err)
	}
	s, _, err := Open(dir, Options{Shape: Shape{1, 28, 28}, Split: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for class, n := range s.Counts() {
		if n != 1000 {
			t.Errorf("class %d has %d images, want 1000", class, n)
		}
	}
}
