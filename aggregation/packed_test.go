package aggregation

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Written out by hand from the definition of the form.
func TestPackedGolden(t *testing.T) {
	for _, test := range []struct {
		v    []int32
		bits int
		want []byte
	}{
		{nil, 20, nil},
		{[]int32{1, -1, 0, -1, 1}, 2, []byte{0b11_00_11_01, 0b01}},
		{[]int32{0x12345, -1}, 20, []byte{0x45, 0x23, 0xf1, 0xff, 0xff}},
		{[]int32{1<<23 - 1, 1 - 1<<23}, 24, []byte{0xff, 0xff, 0x7f, 0x01, 0x00, 0x80}},
	} {
		got := AppendPacked([]byte{0xaa}, test.v, test.bits)
		if !bytes.Equal(got, append([]byte{0xaa}, test.want...)) {
			t.Errorf("%v in %d bits: got %x, want aa%x", test.v, test.bits, got, test.want)
		}
	}
}

func TestPackedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(MinBits, MaxBits).Draw(t, "bits")
		limit := int32(1)<<(bits-1) - 1
		v := rapid.SliceOf(rapid.Int32Range(-limit, limit)).Draw(t, "values")
		packed := AppendPacked(nil, v, bits)
		if len(packed) != PackedLen(len(v), bits) {
			t.Fatalf("%d bytes, want %d", len(packed), PackedLen(len(v), bits))
		}
		got := make([]int32, len(v))
		if err := Unpack(got, packed, bits); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, got); len(v) > 0 && diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestUnpackIsStrict(t *testing.T) {
	good := AppendPacked(nil, []int32{1, -1, 3}, 5) // 15 bits, one of padding
	for name, test := range map[string]struct {
		src  []byte
		bits int
		want error
	}{
		"short":     {good[:1], 5, ErrLength},
		"long":      {append(bytes.Clone(good), 0), 5, ErrLength},
		"padding":   {[]byte{good[0], good[1] | 0x80}, 5, ErrMalformed},
		"lowest":    {[]byte{0x10, 0x00}, 5, ErrMalformed},
		"zero bits": {nil, 0, ErrMalformed},
		"wide":      {make([]byte, 12), 32, ErrMalformed},
	} {
		if err := Unpack(make([]int32, 3), test.src, test.bits); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if err := Unpack(make([]int32, 3), good, 5); err != nil {
		t.Error(err)
	}
}

func TestAppendPackedPanicsOnMisuse(t *testing.T) {
	for name, call := range map[string]func(){
		"value above": func() { AppendPacked(nil, []int32{8}, 4) },
		"value below": func() { AppendPacked(nil, []int32{-8}, 4) },
		"bits":        func() { AppendPacked(nil, nil, 25) },
		"length":      func() { PackedLen(-1, 4) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

// Whatever Unpack accepts is exactly what AppendPacked writes: no vector has two
// encodings.
func FuzzUnpack(f *testing.F) {
	f.Add(AppendPacked(nil, []int32{1, -1, 3}, 5), 3, 5)
	f.Add([]byte{0x10, 0x00}, 3, 5)
	f.Add([]byte{}, 0, 24)
	f.Add(bytes.Repeat([]byte{0xff}, 30), 12, 20)
	f.Fuzz(func(t *testing.T, src []byte, n, bits int) {
		if n < 0 || n > 1<<12 {
			return
		}
		v := make([]int32, n)
		if Unpack(v, src, bits) != nil {
			return
		}
		if again := AppendPacked(nil, v, bits); !bytes.Equal(again, src) {
			t.Fatalf("%x decodes to %v, which encodes to %x", src, v, again)
		}
	})
}

func benchmarkValues(n int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32(i*7919%(1<<19) - 1<<18)
	}
	return v
}

func BenchmarkAppendPacked(b *testing.B) {
	const d = 545_098
	v := benchmarkValues(d)
	buf := make([]byte, 0, PackedLen(d, 20))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendPacked(buf[:0], v, 20)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/d, "ns/value")
}

func BenchmarkUnpack(b *testing.B) {
	const d = 545_098
	v := benchmarkValues(d)
	buf := AppendPacked(nil, v, 20)
	b.ReportAllocs()
	for b.Loop() {
		if err := Unpack(v, buf, 20); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/d, "ns/value")
}
