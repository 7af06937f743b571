package terms

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
)

// Frame is the layout of an encrypted report: the signed header in a field of fixed
// length, the encrypted vector, the boxes by point. Every report of a run has
// exactly Size bytes.
type Frame struct {
	record     *keyshare.Record
	ring       keyshare.Ring
	ciphertext int
	boxes      []int // lengths, by point
}

// headerField is the length field and the header, padded with zeros.
const headerField = 2 + keyshare.MaxHeaderSize

// ErrFrame marks a report that is not laid out as it must be.
var ErrFrame = errors.New("malformed encrypted report")

// NewFrame lays out the reports of one record and parameters.
func NewFrame(r *keyshare.Record, ring keyshare.Ring, p kahe.Params) Frame {
	f := Frame{record: r, ring: ring, ciphertext: p.CiphertextSize()}
	for i := range r.Members {
		f.boxes = append(f.boxes, keyshare.BoxSize(r, ring, i+1))
	}
	return f
}

// Size is the length of a report in bytes.
func (f Frame) Size() int {
	n := headerField + f.ciphertext
	for _, b := range f.boxes {
		n += b
	}
	return n
}

// Upload is a report in its parts. The slices point into the report.
type Upload struct {
	Header     *keyshare.Header
	Ciphertext []byte
	Boxes      [][]byte // by point
}

// Append lays an upload out.
func (f Frame) Append(dst []byte, u Upload) ([]byte, error) {
	h := u.Header.Bytes()
	if len(h) > keyshare.MaxHeaderSize || len(u.Ciphertext) != f.ciphertext || len(u.Boxes) != len(f.boxes) {
		return dst, fmt.Errorf("%w: header of %d bytes, vector of %d, %d boxes", ErrFrame, len(h), len(u.Ciphertext), len(u.Boxes))
	}
	start := len(dst)
	dst = slices.Grow(dst, f.Size())
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(h)))
	dst = append(dst, h...)
	dst = append(dst, make([]byte, start+headerField-len(dst))...)
	dst = append(dst, u.Ciphertext...)
	for i, b := range u.Boxes {
		if len(b) != f.boxes[i] {
			return dst[:start], fmt.Errorf("%w: box %d has %d bytes, want %d", ErrFrame, i+1, len(b), f.boxes[i])
		}
		dst = append(dst, b...)
	}
	return dst, nil
}

// Parse takes a report apart. It checks layout and form: exact length, zero
// padding, a well-formed header. Signatures, hashes and the vector are not looked
// at.
func (f Frame) Parse(b []byte) (Upload, error) {
	if len(b) != f.Size() {
		return Upload{}, fmt.Errorf("%w: %d bytes, want %d", ErrFrame, len(b), f.Size())
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > keyshare.MaxHeaderSize {
		return Upload{}, fmt.Errorf("%w: header of %d bytes, want at most %d", ErrFrame, n, keyshare.MaxHeaderSize)
	}
	for _, x := range b[2+n : headerField] {
		if x != 0 {
			return Upload{}, fmt.Errorf("%w: padding of the header is not zero", ErrFrame)
		}
	}
	h, err := keyshare.ParseHeader(b[2 : 2+n])
	if err != nil {
		return Upload{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	u := Upload{Header: h}
	b = b[headerField:]
	u.Ciphertext, b = b[:f.ciphertext:f.ciphertext], b[f.ciphertext:]
	for _, size := range f.boxes {
		u.Boxes = append(u.Boxes, b[:size:size])
		b = b[size:]
	}
	return u, nil
}

// Hash hashes the parts of a whole report.
func (f Frame) Hash(b []byte) (Hashes, error) {
	h := f.Hasher()
	h.Write(b)
	got, ok := h.Hashes()
	if !ok {
		return got, fmt.Errorf("%w: %d bytes, want %d", ErrFrame, len(b), f.Size())
	}
	return got, nil
}

// Vector is the encrypted vector in a report of the right size. It points into it.
func (f Frame) Vector(b []byte) []byte { return b[headerField : headerField+f.ciphertext] }

// Box says where in a report the box for a point, from 1, begins, and its length.
func (f Frame) Box(point int) (from, size int) {
	from = headerField + f.ciphertext
	for _, n := range f.boxes[:point-1] {
		from += n
	}
	return from, f.boxes[point-1]
}
