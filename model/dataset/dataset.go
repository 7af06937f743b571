// Package dataset holds labelled images in memory and turns them into batches.
//
// It reads IDX files (MNIST and its relatives), CIFAR-10 binary batches and
// folders of PNG or JPEG images with one sub-folder a class, and it splits,
// normalises and augments. It downloads nothing and writes nothing.
//
// A [Set] keeps pixels, labels, class names and, when the folder has that
// level, opaque group numbers: nothing else. File names, group names, EXIF and
// every other piece of metadata stay behind when a file has been decoded. The
// one place where a file name appears is a [Problem] or an error, which is for
// the data holder's own terminal and must never be put on the wire or in a log
// that leaves the machine.
//
// Pixels are stored as 8 or 16 bit unsigned integers in the order (C, H, W).
// A Set never changes after it is made, and is safe for concurrent use.
package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"slices"
	"sync/atomic"
)

var (
	// ErrFormat marks a file that is not what its kind promises: a wrong magic
	// number, a wrong length, an impossible dimension.
	ErrFormat = errors.New("malformed data")
	// ErrClass marks a label or a class folder that the task does not know.
	ErrClass = errors.New("unknown class")
	// ErrShape marks images that cannot be made to fit the model's input.
	ErrShape = errors.New("wrong image shape")
	// ErrEmpty marks a source without a single usable image.
	ErrEmpty = errors.New("no images")
	// ErrTooLarge marks a file or a set beyond the bounds of this package.
	ErrTooLarge = errors.New("too large")
)

// DefaultMaxBytes bounds the pixels of one set in memory unless Options say
// otherwise: 4 GiB is 27,000 colour images of 224 x 224, or 5 million of MNIST.
const DefaultMaxBytes = 4 << 30

// Shape is the size of one image: channels, height and width in pixels.
type Shape struct {
	C, H, W int
}

// Size is the number of values in one image.
func (s Shape) Size() int { return s.C * s.H * s.W }

// String gives CxHxW, as in 3x32x32.
func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.C, s.H, s.W) }

// maxSide bounds each side of a stored image, so that C*H*W fits an int
// everywhere; maxChannels likewise.
const (
	maxSide     = 1 << 14
	maxChannels = 16
)

func (s Shape) validate() error {
	if s.C < 1 || s.H < 1 || s.W < 1 || s.C > maxChannels || s.H > maxSide || s.W > maxSide {
		return fmt.Errorf("%w: %v, want 1 to %d channels and sides of 1 to %d pixels", ErrShape, s, maxChannels, maxSide)
	}
	return nil
}

// pixels is the storage that a set shares with its subsets. Exactly one of
// p8 and p16 is in use.
type pixels struct {
	shape Shape
	p8    []uint8
	p16   []uint16
	table atomic.Pointer[table] // the last normalisation used, see Fill
}

// Set is a list of labelled images of one shape. The zero value is not usable.
type Set struct {
	pixels  *pixels
	classes []string
	index   []int32 // image i is stored at index[i]
	labels  []int32 // label of image i
	groups  []int32 // group of image i, or nil
}

// New makes a set of 8-bit images. pix holds len(labels) images of the shape
// s, each (C, H, W); every label is an index into classes. The set takes
// ownership of all three slices.
func New(s Shape, pix []uint8, labels []int32, classes []string) (*Set, error) {
	return newSet(&pixels{shape: s, p8: pix}, len(pix), labels, classes)
}

// New16 is New for 16-bit images.
func New16(s Shape, pix []uint16, labels []int32, classes []string) (*Set, error) {
	return newSet(&pixels{shape: s, p16: pix}, len(pix), labels, classes)
}

func newSet(p *pixels, size int, labels []int32, classes []string) (*Set, error) {
	if err := p.shape.validate(); err != nil {
		return nil, err
	}
	if err := validateClasses(classes); err != nil {
		return nil, err
	}
	if int64(size) != int64(len(labels))*int64(p.shape.Size()) {
		return nil, fmt.Errorf("%w: %d pixel values for %d labels of %v images, want %d",
			ErrFormat, size, len(labels), p.shape, int64(len(labels))*int64(p.shape.Size()))
	}
	for i, l := range labels {
		if l < 0 || int(l) >= len(classes) {
			return nil, fmt.Errorf("%w: image %d has label %d, want 0 to %d", ErrClass, i, l, len(classes)-1)
		}
	}
	index := make([]int32, len(labels))
	for i := range index {
		index[i] = int32(i)
	}
	return &Set{pixels: p, classes: classes, index: index, labels: labels}, nil
}

func validateClasses(classes []string) error {
	if len(classes) == 0 {
		return fmt.Errorf("%w: no class names given", ErrClass)
	}
	seen := make(map[string]bool, len(classes))
	for _, c := range classes {
		if c == "" || seen[c] {
			return fmt.Errorf("%w: class name %q is empty or given twice", ErrClass, c)
		}
		seen[c] = true
	}
	return nil
}

// WithGroups returns a set with the same images in which image i belongs to
// group[i], such as the patient it shows. The slice is copied.
func (s *Set) WithGroups(group []int32) (*Set, error) {
	if len(group) != s.Len() {
		return nil, fmt.Errorf("%w: %d groups for %d images", ErrFormat, len(group), s.Len())
	}
	t := *s
	t.groups = slices.Clone(group)
	return &t, nil
}

// Len is the number of images.
func (s *Set) Len() int { return len(s.index) }

// Shape is the size of every image: channels, height, width.
func (s *Set) Shape() (c, h, w int) { return s.pixels.shape.C, s.pixels.shape.H, s.pixels.shape.W }

// Bits is 8 or 16, the depth of the stored pixels.
func (s *Set) Bits() int {
	if s.pixels.p16 != nil {
		return 16
	}
	return 8
}

// Label is the class of image i, an index into Classes.
func (s *Set) Label(i int) int { return int(s.labels[i]) }

// Labels gives the label of every image. The slice belongs to the set.
func (s *Set) Labels() []int32 { return s.labels }

// Classes gives the class names in label order. The slice belongs to the set.
func (s *Set) Classes() []string { return s.classes }

// HasGroups says whether the images carry group numbers.
func (s *Set) HasGroups() bool { return s.groups != nil }

// Group is the group of image i. Without groups every image is its own.
func (s *Set) Group(i int) int32 {
	if s.groups == nil {
		return int32(i)
	}
	return s.groups[i]
}

// Counts gives the number of images of each class.
func (s *Set) Counts() []int {
	n := make([]int, len(s.classes))
	for _, l := range s.labels {
		n[l]++
	}
	return n
}

// Subset returns the images at the given positions, in that order; a position
// may occur more than once. Pixels are shared, not copied. It panics if a
// position is outside [0, Len()).
func (s *Set) Subset(index []int) *Set {
	t := &Set{pixels: s.pixels, classes: s.classes, index: make([]int32, len(index)), labels: make([]int32, len(index))}
	if s.groups != nil {
		t.groups = make([]int32, len(index))
	}
	for j, i := range index {
		t.index[j], t.labels[j] = s.index[i], s.labels[i]
		if s.groups != nil {
			t.groups[j] = s.groups[i]
		}
	}
	return t
}

// Image returns a copy of image i: Gray or Gray16 for one channel, NRGBA or
// NRGBA64 for three, nil for any other number of channels.
func (s *Set) Image(i int) image.Image {
	p, sh := s.pixels, s.pixels.shape
	at := int(s.index[i]) * sh.Size()
	plane := sh.H * sh.W
	r := image.Rect(0, 0, sh.W, sh.H)
	switch {
	case sh.C == 1 && p.p16 == nil:
		m := image.NewGray(r)
		copy(m.Pix, p.p8[at:at+plane])
		return m
	case sh.C == 1:
		m := image.NewGray16(r)
		for j, v := range p.p16[at : at+plane] {
			m.SetGray16(j%sh.W, j/sh.W, color.Gray16{Y: v})
		}
		return m
	case sh.C == 3 && p.p16 == nil:
		m := image.NewNRGBA(r)
		for j := range plane {
			m.Pix[4*j], m.Pix[4*j+1], m.Pix[4*j+2], m.Pix[4*j+3] = p.p8[at+j], p.p8[at+plane+j], p.p8[at+2*plane+j], 0xff
		}
		return m
	case sh.C == 3:
		m := image.NewNRGBA64(r)
		for j := range plane {
			m.SetNRGBA64(j%sh.W, j/sh.W, color.NRGBA64{R: p.p16[at+j], G: p.p16[at+plane+j], B: p.p16[at+2*plane+j], A: 0xffff})
		}
		return m
	}
	return nil
}
