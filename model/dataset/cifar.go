package dataset

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// CIFAR10 are the class names of CIFAR-10, in label order.
func CIFAR10() []string {
	return []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
}

const (
	cifarPixels = 3 * 32 * 32
	cifarRecord = 1 + cifarPixels // label, then the red, green and blue plane
	// The published batches have 10,000 records, 31 MB. This leaves room for
	// all of CIFAR-10 in one file many times over.
	cifarMaxBytes = 1 << 30
)

// OpenCIFAR10 reads the binary version of CIFAR-10 (Krizhevsky, "Learning
// multiple layers of features from tiny images", 2009): data_batch_*.bin of dir
// for the split "train" or "", test_batch.bin for "test".
func OpenCIFAR10(dir, split string) (*Set, error) {
	pattern := "data_batch_*.bin"
	if split == "test" {
		pattern = "test_batch.bin"
	}
	names, err := listMatching(dir, pattern)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("open CIFAR-10 folder %s: %w: no %s", dir, ErrEmpty, pattern)
	}
	var pix []uint8
	var labels []int32
	for _, name := range names {
		if pix, labels, err = appendCIFARFile(pix, labels, name); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return New(Shape{3, 32, 32}, pix, labels, CIFAR10())
}

// listMatching gives the paths in dir, sorted, whose names match the pattern.
// Unlike filepath.Glob it takes dir literally and reports what stops it.
func listMatching(dir, pattern string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, nil
}

func appendCIFARFile(pix []uint8, labels []int32, name string) ([]uint8, []int32, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return appendCIFAR(pix, labels, f)
}

// ReadCIFAR10 reads one binary batch, plain or compressed with gzip: records
// of 3073 bytes, a label of 0 to 9 and the three planes of a 32 x 32 image. It
// refuses an empty batch, a record that is cut short and a label above 9.
func ReadCIFAR10(r io.Reader) (*Set, error) {
	pix, labels, err := appendCIFAR(nil, nil, r)
	if err != nil {
		return nil, fmt.Errorf("read CIFAR-10 batch: %w", err)
	}
	return New(Shape{3, 32, 32}, pix, labels, CIFAR10())
}

func appendCIFAR(pix []uint8, labels []int32, r io.Reader) ([]uint8, []int32, error) {
	r, err := decompress(r)
	if err != nil {
		return nil, nil, err
	}
	var record [cifarRecord]byte
	for n := int64(0); ; n++ {
		got, err := io.ReadFull(r, record[:])
		switch {
		case err == io.EOF && n == 0:
			return nil, nil, &lengthError{want: cifarRecord, found: 0}
		case err == io.EOF:
			return pix, labels, nil
		case err != nil:
			return nil, nil, shortRead(err, (n+1)*cifarRecord, n*cifarRecord+int64(got))
		case n*cifarRecord > cifarMaxBytes:
			return nil, nil, fmt.Errorf("%w: more than %d bytes in one batch", ErrTooLarge, int64(cifarMaxBytes))
		case record[0] > 9:
			return nil, nil, fmt.Errorf("%w: label %d of image %d, want 0 to 9", ErrClass, record[0], n)
		}
		labels = append(labels, int32(record[0]))
		pix = append(pix, record[1:]...)
	}
}
