package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Digits are the class names of MNIST, "0" to "9", and the default for IDX
// files, which carry no names.
func Digits() []string {
	d := make([]string, 10)
	for i := range d {
		d[i] = strconv.Itoa(i)
	}
	return d
}

// IDX magic numbers: two zero bytes, 0x08 for unsigned bytes, the number of
// dimensions (LeCun, Cortes, Burges: "The MNIST database", file formats).
const (
	idxImages = 0x00000803
	idxLabels = 0x00000801
)

// OpenIDX reads a pair of IDX files. See ReadIDX.
func OpenIDX(images, labels string, classes []string) (*Set, error) {
	fi, err := os.Open(images)
	if err != nil {
		return nil, fmt.Errorf("open IDX images: %w", err)
	}
	defer fi.Close()
	fl, err := os.Open(labels)
	if err != nil {
		return nil, fmt.Errorf("open IDX labels: %w", err)
	}
	defer fl.Close()
	return readIDX(images, fi, labels, fl, classes)
}

// ReadIDX reads images (three dimensions of unsigned bytes: count, rows,
// columns) and labels (one dimension), each plain or compressed with gzip.
// Classes names the labels in order; nil means Digits. Images are 1xHxW.
//
// It is strict: magic numbers, dimensions, equal counts, exact lengths and
// labels below len(classes), else an error that wraps ErrFormat, ErrClass,
// ErrEmpty or ErrTooLarge. Memory stays in proportion to the bytes that are
// really there, whatever a header claims.
func ReadIDX(images, labels io.Reader, classes []string) (*Set, error) {
	return readIDX("IDX images", images, "IDX labels", labels, classes)
}

func readIDX(imagesName string, images io.Reader, labelsName string, labels io.Reader, classes []string) (*Set, error) {
	if classes == nil {
		classes = Digits()
	}
	if err := validateClasses(classes); err != nil {
		return nil, err
	}
	// Labels first: they are small, and a mismatch is found before the work.
	lab, dims, err := readIDXFile(labels, idxLabels)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", labelsName, err)
	}
	for i, l := range lab {
		if int(l) >= len(classes) {
			return nil, fmt.Errorf("read %s: %w: label %d of image %d, want 0 to %d (%d classes)", labelsName, ErrClass, l, i, len(classes)-1, len(classes))
		}
	}
	pix, idims, err := readIDXFile(images, idxImages)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", imagesName, err)
	}
	if idims[0] != dims[0] {
		return nil, fmt.Errorf("read %s: %w: %d images, but %s has %d labels", imagesName, ErrFormat, idims[0], labelsName, dims[0])
	}
	wide := make([]int32, len(lab))
	for i, l := range lab {
		wide[i] = int32(l)
	}
	return New(Shape{C: 1, H: idims[1], W: idims[2]}, pix, wide, classes)
}

// readIDXFile reads one IDX file of unsigned bytes with the given magic number.
func readIDXFile(r io.Reader, magic uint32) (data []byte, dims []int, err error) {
	r, err = decompress(r)
	if err != nil {
		return nil, nil, err
	}
	head := make([]byte, 4+4*int(magic&0xff))
	n, err := io.ReadFull(r, head)
	if got := binary.BigEndian.Uint32(head); n >= 4 && got != magic {
		return nil, nil, fmt.Errorf("%w: IDX magic number %#08x, want %#08x", ErrFormat, got, magic)
	}
	if err != nil {
		return nil, nil, shortRead(err, int64(len(head)), int64(n))
	}
	size := int64(1)
	for at := 4; at < len(head); at += 4 {
		d := int64(binary.BigEndian.Uint32(head[at:]))
		switch {
		case d == 0 && at == 4:
			return nil, nil, fmt.Errorf("%w: the file says it holds 0 items", ErrEmpty)
		case d == 0 || (at > 4 && d > maxSide):
			return nil, nil, fmt.Errorf("%w: image side of %d pixels, want 1 to %d", ErrFormat, d, maxSide)
		}
		dims = append(dims, int(d))
		// d < 2^32 and size <= 2^32 before each step: no overflow.
		if size *= d; size > DefaultMaxBytes {
			return nil, nil, fmt.Errorf("%w: dimensions %v need more than %d bytes", ErrTooLarge, dims, int64(DefaultMaxBytes))
		}
	}
	data, err = readExactly(r, size)
	if err != nil {
		var short *lengthError
		if errors.As(err, &short) { // count the header too, as `ls -l` does
			short.want += int64(len(head))
			short.found += int64(len(head))
		}
		return nil, nil, err
	}
	return data, dims, nil
}

// lengthError is a file that is shorter or longer than its header says.
type lengthError struct {
	want, found int64
	longer      bool
}

func (e *lengthError) Error() string {
	if e.longer {
		return fmt.Sprintf("%v: wanted %d bytes, found more", ErrFormat, e.want)
	}
	return fmt.Sprintf("%v: truncated: wanted %d bytes, found %d", ErrFormat, e.want, e.found)
}

func (e *lengthError) Unwrap() error { return ErrFormat }

// shortRead turns the end of a file into a lengthError and leaves others.
func shortRead(err error, want, found int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &lengthError{want: want, found: found}
	}
	return damaged(err)
}

// damaged marks what gzip finds wrong with a file as ErrFormat.
func damaged(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return err
}

// readExactly reads size bytes and the end of the input. Its buffer grows with
// the bytes that arrive, so a header that lies costs nothing.
func readExactly(r io.Reader, size int64) ([]byte, error) {
	buf := make([]byte, 0, min(size, 1<<20))
	for int64(len(buf)) < size {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(size, 4*int64(cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return nil, shortRead(err, size, int64(len(buf)))
		}
	}
	// One byte more: it must not exist, and gzip checks its sum on the way.
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return nil, &lengthError{want: size, found: size + 1, longer: true}
	case !errors.Is(err, io.EOF):
		return nil, shortRead(err, size, size)
	}
	return buf, nil
}

// decompress unpacks r if it starts with gzip's two magic bytes.
func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := b.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return b, nil // a read error shows up again at the first Read
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, shortRead(err, 18, 0)
	}
	return z, nil
}
