package costcurve

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Canonical encodings: a kind byte and a version byte, then big-endian integers
// and IEEE 754 bits, lists after a 32-bit count, strings after a 16-bit length. Equal
// values have equal bytes, so that they can be signed and compared: negative zero
// is written as zero, and decoders refuse it, trailing bytes, and whatever Validate
// refuses. The encodings are injective: decode, then append, gives the same bytes.
const (
	kindCurve byte = 'C'
	kindTable byte = 'T'
	kindPrice byte = 'P'
	kindOrder byte = 'O'
	version   byte = 1
)

func appendFloat(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(v+0)) // -0 + 0 is +0
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// Append appends the canonical encoding of a valid curve to b.
func (c Curve) Append(b []byte) []byte {
	b = append(b, kindCurve, version)
	b = appendFloat(b, c.Fixed)
	b = appendFloat(b, c.Window)
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Segments)))
	for _, s := range c.Segments {
		b = binary.BigEndian.AppendUint64(b, uint64(s.Tasks))
		b = appendFloat(b, s.Joules)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Points)))
	for _, p := range c.Points {
		b = appendString(b, p.Name)
		b = appendFloat(b, p.Seconds)
		b = appendFloat(b, p.Joules)
	}
	return b
}

// DecodeCurve reads and validates a curve from bytes that may be hostile.
func DecodeCurve(b []byte) (Curve, error) {
	r := reader{b: b}
	r.kind(kindCurve)
	c := Curve{Fixed: r.float(), Window: r.float()}
	c.Segments = make([]Segment, r.count(MaxSegments))
	for i := range c.Segments {
		c.Segments[i] = Segment{r.int(), r.float()}
	}
	if n := r.count(MaxModes); n > 0 {
		c.Points = make([]Point, n)
	}
	for i := range c.Points {
		c.Points[i] = Point{r.string(MaxName), r.float(), r.float()}
	}
	if err := r.end("curve"); err != nil {
		return Curve{}, err
	}
	if err := c.Validate(); err != nil {
		return Curve{}, err
	}
	return c, nil
}

// Append appends the canonical encoding of a valid table to b.
func (t Table) Append(b []byte) []byte {
	b = append(b, kindTable, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.Tasks)))
	for j, x := range t.Tasks {
		b = binary.BigEndian.AppendUint32(b, uint32(x))
		b = appendFloat(b, t.Joules[j])
	}
	return b
}

// DecodeTable reads and validates a table from bytes that may be hostile.
func DecodeTable(b []byte) (Table, error) {
	r := reader{b: b}
	r.kind(kindTable)
	n := r.count(MaxOptions)
	if n > len(r.b)/12 {
		n, r.bad = 0, true // allocate only what the bytes can fill
	}
	t := Table{make([]int32, n), make([]float64, n)}
	for j := range t.Tasks {
		t.Tasks[j], t.Joules[j] = int32(r.uint32()), r.float()
	}
	if err := r.end("table"); err != nil {
		return Table{}, err
	}
	if err := t.Validate(); err != nil {
		return Table{}, err
	}
	return t, nil
}

// Append appends the canonical encoding of a valid price to b.
func (p Price) Append(b []byte) []byte {
	b = append(b, kindPrice, version)
	return appendFloat(appendFloat(b, p.Lambda), p.Theta)
}

// DecodePrice reads and validates a price from bytes that may be hostile.
func DecodePrice(b []byte) (Price, error) {
	r := reader{b: b}
	r.kind(kindPrice)
	p := Price{r.float(), r.float()}
	if err := r.end("price"); err != nil {
		return Price{}, err
	}
	return p, p.Validate()
}

// Append appends the canonical encoding of a valid order to b.
func (o Order) Append(b []byte) []byte {
	b = append(b, kindOrder, version)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Tasks))
	b = appendString(b, o.Mode)
	b = appendString(b, o.SwitchTo)
	b = binary.BigEndian.AppendUint64(b, uint64(o.SwitchAfter))
	return binary.BigEndian.AppendUint64(b, uint64(o.StartAt))
}

// DecodeOrder reads and validates an order from bytes that may be hostile.
func DecodeOrder(b []byte) (Order, error) {
	r := reader{b: b}
	r.kind(kindOrder)
	o := Order{Tasks: r.int(), Mode: r.string(MaxName), SwitchTo: r.string(MaxName), SwitchAfter: time.Duration(r.int()), StartAt: time.Duration(r.int())}
	if err := r.end("order"); err != nil {
		return Order{}, err
	}
	if err := o.Validate(); err != nil {
		return Order{}, err
	}
	return o, nil
}

// Validate refuses an order that no scheduler gives: negative or unbounded figures,
// or a change of mode without a first mode, a second one, or a time.
func (o Order) Validate() error {
	switch {
	case o.Tasks < 0 || o.Tasks > MaxTasks:
		return fmt.Errorf("%w: order for %d tasks, want 0 to %d", ErrInvalid, o.Tasks, int64(MaxTasks))
	case len(o.Mode) > MaxName || len(o.SwitchTo) > MaxName:
		return fmt.Errorf("%w: order names a mode in more than %d bytes", ErrInvalid, MaxName)
	case o.StartAt < 0 || o.StartAt.Seconds() > MaxSeconds, o.SwitchAfter < 0 || o.SwitchAfter.Seconds() > MaxSeconds:
		return fmt.Errorf("%w: order starts after %v and switches after %v, want 0 to %g s", ErrInvalid, o.StartAt, o.SwitchAfter, float64(MaxSeconds))
	case (o.SwitchTo != "") != (o.SwitchAfter > 0), o.SwitchTo != "" && (o.Mode == "" || o.Mode == o.SwitchTo):
		return fmt.Errorf("%w: order changes from mode %q to %q after %v", ErrInvalid, o.Mode, o.SwitchTo, o.SwitchAfter)
	}
	return nil
}

// reader takes an encoding apart. After the first fault it returns zeros, and end
// reports it.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) kind(k byte) {
	if head := r.take(2); head != nil && (head[0] != k || head[1] != version) {
		r.bad = true
	}
}

func (r *reader) uint32() uint32 {
	if head := r.take(4); head != nil {
		return binary.BigEndian.Uint32(head)
	}
	return 0
}

func (r *reader) int() int64 {
	if head := r.take(8); head != nil {
		return int64(binary.BigEndian.Uint64(head))
	}
	return 0
}

func (r *reader) float() float64 {
	v := math.Float64frombits(uint64(r.int()))
	if v == 0 && math.Signbit(v) || math.IsNaN(v) {
		r.bad = true
		return 0
	}
	return v
}

func (r *reader) count(most int) int {
	n := r.uint32()
	if n > uint32(most) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) string(most int) string {
	head := r.take(2)
	if head == nil {
		return ""
	}
	n := int(binary.BigEndian.Uint16(head))
	if n > most {
		r.bad = true
		return ""
	}
	return string(r.take(n))
}

func (r *reader) end(what string) error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w: %s", ErrEncoding, what)
	}
	return nil
}
