package statement

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest is the SHA-256 of a statement, or of content that a statement names.
type Digest [sha256.Size]byte

// Writer appends fields to a statement. The methods return the writer, so that
// calls can be chained. It is not safe for concurrent use.
type Writer struct{ b []byte }

// New starts a statement of the kind that label names. Labels are constants of
// the program.
func New(label string) *Writer {
	return (&Writer{b: make([]byte, 0, 256)}).String(label)
}

// Uint appends an integer in eight bytes.
func (w *Writer) Uint(v uint64) *Writer {
	w.b = binary.BigEndian.AppendUint64(w.b, v)
	return w
}

// Int appends a number that is not negative; a negative one is a programmer error
// and panics.
func (w *Writer) Int(v int) *Writer {
	if v < 0 {
		panic("statement: negative number")
	}
	return w.Uint(uint64(v))
}

// Bool appends a truth value as 0 or 1.
func (w *Writer) Bool(v bool) *Writer {
	if v {
		return w.Uint(1)
	}
	return w.Uint(0)
}

// Bytes appends a byte string with its length.
func (w *Writer) Bytes(v []byte) *Writer {
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(len(v)))
	w.b = append(w.b, v...)
	return w
}

// String appends a string with its length.
func (w *Writer) String(v string) *Writer {
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(len(v)))
	w.b = append(w.b, v...)
	return w
}

// Fixed appends bytes whose number the kind fixes: digests, keys, signatures.
func (w *Writer) Fixed(v []byte) *Writer {
	w.b = append(w.b, v...)
	return w
}

// Count appends the length of the list whose elements follow.
func (w *Writer) Count(n int) *Writer {
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(n))
	return w
}

// Statement returns the bytes written so far. They belong to the caller once the
// writer is no longer used.
func (w *Writer) Statement() []byte { return w.b }

// Hash returns the SHA-256 of the bytes written so far.
func (w *Writer) Hash() Digest { return sha256.Sum256(w.b) }

// Hash returns the SHA-256 of a statement.
func Hash(b []byte) Digest { return sha256.Sum256(b) }

// HashOf returns the SHA-256 of a statement that is in several pieces.
func HashOf(pieces ...[]byte) (d Digest) {
	h := sha256.New()
	for _, p := range pieces {
		h.Write(p)
	}
	h.Sum(d[:0])
	return d
}
