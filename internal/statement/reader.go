package statement

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed says that bytes are not a statement of the expected kind.
var ErrMalformed = errors.New("malformed statement")

// Reader takes a statement apart. The first problem sticks: later reads return
// zero values, and Close reports it. It is not safe for concurrent use.
type Reader struct {
	label string
	all   int
	rest  []byte
	err   error
}

// Read starts reading a statement of the kind that label names. b is not changed
// and must not change while it is read.
func Read(b []byte, label string) *Reader {
	r := &Reader{label: label, all: len(b), rest: b}
	if got := r.take("label", r.length("label", len(label))); r.err == nil && string(got) != label {
		r.fail("label", "got %q", got)
	}
	return r
}

func (r *Reader) fail(field, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %s at byte %d: %s", ErrMalformed, r.label, field, r.all-len(r.rest), fmt.Sprintf(format, args...))
		r.rest = nil
	}
}

// Fail notes a problem of a field whose bytes were read but whose value is not
// allowed.
func (r *Reader) Fail(field, format string, args ...any) { r.fail(field, format, args...) }

func (r *Reader) take(field string, n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.fail(field, "got %d bytes, want %d", len(r.rest), n)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *Reader) length(field string, limit int) int {
	b := r.take(field, 4)
	if b == nil {
		return 0
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(limit) {
		r.fail(field, "length %d, want at most %d", n, limit)
		return 0
	}
	return int(n)
}

// Uint reads an integer that is at most limit.
func (r *Reader) Uint(field string, limit uint64) uint64 {
	b := r.take(field, 8)
	if b == nil {
		return 0
	}
	v := binary.BigEndian.Uint64(b)
	if v > limit {
		r.fail(field, "got %d, want at most %d", v, limit)
		return 0
	}
	return v
}

// Int reads a number that is at most limit.
func (r *Reader) Int(field string, limit int) int { return int(r.Uint(field, uint64(limit))) }

// Bool reads a truth value.
func (r *Reader) Bool(field string) bool { return r.Uint(field, 1) == 1 }

// Bytes reads a byte string of at most limit bytes. The result is part of the
// input, not a copy.
func (r *Reader) Bytes(field string, limit int) []byte { return r.take(field, r.length(field, limit)) }

// String reads a string of at most limit bytes.
func (r *Reader) String(field string, limit int) string { return string(r.Bytes(field, limit)) }

// Fixed fills dst.
func (r *Reader) Fixed(field string, dst []byte) { copy(dst, r.take(field, len(dst))) }

// Digest reads 32 bytes.
func (r *Reader) Digest(field string) (d Digest) {
	r.Fixed(field, d[:])
	return d
}

// Count reads the length of a list: at most limit elements, each of at least size
// bytes (1 or more), all of which must be present. A caller may therefore make
// room for them.
func (r *Reader) Count(field string, limit, size int) int {
	n := r.length(field, limit)
	if n > len(r.rest)/max(size, 1) {
		r.fail(field, "%d elements cannot be in %d bytes", n, len(r.rest))
		return 0
	}
	return n
}

// Err returns the first problem so far.
func (r *Reader) Err() error { return r.err }

// Close returns the first problem, or that bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("end", "%d bytes are left over", len(r.rest))
	}
	return r.err
}
