package dataset

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cifarBatch is one record a label: the planes are filled with 10, 20 and 30
// more than the label, and the last pixel of each plane is 255.
func cifarBatch(labels ...byte) []byte {
	var b []byte
	for _, l := range labels {
		b = append(b, l)
		for plane := range 3 {
			p := bytes.Repeat([]byte{l + byte(10*(plane+1))}, 1024)
			p[1023] = 255
			b = append(b, p...)
		}
	}
	return b
}

func TestReadCIFAR10(t *testing.T) {
	for name, data := range map[string][]byte{"plain": cifarBatch(3, 9), "gzip": zip(cifarBatch(3, 9))} {
		s, err := ReadCIFAR10(bytes.NewReader(data))
		if err != nil {
			t.Fatal(name, err)
		}
		if c, h, w := s.Shape(); s.Len() != 2 || c != 3 || h != 32 || w != 32 || s.Label(0) != 3 || s.Classes()[s.Label(1)] != "truck" {
			t.Fatalf("%s: %d images of %dx%dx%d, labels %v", name, s.Len(), c, h, w, s.Labels())
		}
		x := make([]float32, cifarPixels)
		s.Fill(x, nil, []int{1}, Normalization{})
		for at, want := range map[int]uint8{0: 19, 1022: 19, 1023: 255, 1024: 29, 2048: 39, 3071: 255} {
			if x[at] != float32(float64(want)/255) {
				t.Errorf("%s: value %d is %v, want %d/255", name, at, x[at], want)
			}
		}
	}
}

func TestReadCIFAR10Refuses(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		is   error
		says string
	}{
		{"empty", nil, ErrFormat, "wanted 3073 bytes, found 0"},
		{"cut short", cifarBatch(1, 2)[:5000], ErrFormat, "wanted 6146 bytes, found 5000"},
		{"one byte more", append(cifarBatch(1), 0), ErrFormat, "wanted 6146 bytes, found 3074"},
		{"label 10", cifarBatch(1, 10), ErrClass, "label 10 of image 1"},
		{"broken gzip", zip(cifarBatch(1))[:40], ErrFormat, ""},
	} {
		s, err := ReadCIFAR10(bytes.NewReader(c.data))
		if s != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, %v; want %q", c.name, s, err, c.says)
		}
	}
}

func TestOpenCIFAR10(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "data_batch_2.bin"), cifarBatch(5))
	write(t, filepath.Join(dir, "data_batch_1.bin"), cifarBatch(4, 4))
	write(t, filepath.Join(dir, "test_batch.bin"), cifarBatch(7))
	for split, want := range map[string][]int32{"": {4, 4, 5}, "train": {4, 4, 5}, "test": {7}} {
		s, problems, err := Open(dir, Options{Split: split, Shape: Shape{3, 32, 32}})
		if err != nil || problems != nil || !slices.Equal(s.Labels(), want) {
			t.Errorf("split %q: %v, %v, %v; want labels %v", split, s, problems, err, want)
		}
	}
	write(t, filepath.Join(dir, "data_batch_3.bin"), cifarBatch(5)[:3000])
	if _, _, err := Open(dir, Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "data_batch_3.bin") {
		t.Errorf("error %v does not name the batch", err)
	}
}

func FuzzReadCIFAR10(f *testing.F) {
	f.Add(cifarBatch(0, 9))
	f.Add(zip(cifarBatch(1)))
	f.Add(cifarBatch(1)[:100])
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadCIFAR10(bytes.NewReader(data))
		if err != nil {
			if s != nil {
				t.Error("a set together with an error")
			}
			return
		}
		if s.Len() == 0 || s.Len()*cifarRecord > 1100*(len(data)+1) {
			t.Errorf("%d images out of %d bytes", s.Len(), len(data))
		}
	})
}
