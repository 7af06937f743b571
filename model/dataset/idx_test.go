package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// idx encodes an IDX file of unsigned bytes.
func idx(magic uint32, dims []uint32, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return append(b, data...)
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

var (
	twoImages = idx(idxImages, []uint32{2, 2, 3}, []byte{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255})
	twoLabels = idx(idxLabels, []uint32{2}, []byte{7, 9})
)

func TestReadIDX(t *testing.T) {
	for name, f := range map[string]func([]byte) []byte{
		"plain": func(b []byte) []byte { return b },
		"gzip":  zip,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ReadIDX(bytes.NewReader(f(twoImages)), bytes.NewReader(f(twoLabels)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c, h, w := s.Shape(); s.Len() != 2 || c != 1 || h != 2 || w != 3 {
				t.Fatalf("%d images of %dx%dx%d, want 2 of 1x2x3", s.Len(), c, h, w)
			}
			got, labels := make([]float32, 12), make([]int32, 2)
			s.Fill(got, labels, []int{1, 0}, Normalization{})
			want := []float32{250. / 255, 251. / 255, 252. / 255, 253. / 255, 254. / 255, 1, 0, 1. / 255, 2. / 255, 3. / 255, 4. / 255, 5. / 255}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pixels (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]int32{9, 7}, labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadIDXRefuses(t *testing.T) {
	for _, c := range []struct {
		name           string
		images, labels []byte
		is             error
		says           string
	}{
		{"empty file", nil, twoLabels, ErrFormat, "wanted 16 bytes, found 0"},
		{"half a header", twoImages[:7], twoLabels, ErrFormat, "wanted 16 bytes, found 7"},
		{"truncated", twoImages[:20], twoLabels, ErrFormat, "wanted 28 bytes, found 20"},
		{"truncated gzip", zip(twoImages)[:30], twoLabels, ErrFormat, "truncated"},
		{"truncated gzip trailer", zip(twoImages)[:len(zip(twoImages))-3], twoLabels, ErrFormat, "truncated"},
		{"truncated gzip header", zip(twoImages)[:5], twoLabels, ErrFormat, "truncated"},
		{"one byte too many", append(twoImages[:28:28], 0), twoLabels, ErrFormat, "found more"},
		{"labels for images", twoLabels, twoLabels, ErrFormat, "magic number 0x00000801, want 0x00000803"},
		{"images for labels", twoImages, twoImages, ErrFormat, "magic"},
		{"16-bit IDX", idx(0x00000b03, []uint32{2, 2, 3}, make([]byte, 24)), twoLabels, ErrFormat, "magic"},
		{"counts differ", idx(idxImages, []uint32{1, 2, 3}, make([]byte, 6)), twoLabels, ErrFormat, "1 images"},
		{"no items", idx(idxImages, []uint32{0, 2, 3}, nil), idx(idxLabels, []uint32{0}, nil), ErrEmpty, "0 items"},
		{"side of zero", idx(idxImages, []uint32{2, 0, 3}, nil), twoLabels, ErrFormat, "side of 0"},
		{"absurd sides", idx(idxImages, []uint32{2, 1 << 31, 1 << 31}, nil), twoLabels, ErrFormat, "side"},
		{"absurd count", idx(idxImages, []uint32{1<<32 - 1, 1 << 14, 1 << 14}, nil), twoLabels, ErrTooLarge, ""},
		{"a lie within bounds", idx(idxImages, []uint32{1 << 20, 1 << 6, 1 << 6}, nil), twoLabels, ErrFormat, "found 16"},
		{"unknown label", twoImages, idx(idxLabels, []uint32{2}, []byte{7, 10}), ErrClass, "label 10 of image 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ReadIDX(bytes.NewReader(c.images), bytes.NewReader(c.labels), nil)
			if s != nil || !errors.Is(err, c.is) {
				t.Fatalf("got %v, %v; want %v", s, err, c.is)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q does not say %q on one line", err, c.says)
			}
		})
	}
}

func TestOpenIDXNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	images, labels := filepath.Join(dir, "images"), filepath.Join(dir, "labels")
	write(t, images, twoImages[:20])
	write(t, labels, twoLabels)
	if _, err := OpenIDX(images, labels, nil); err == nil || !strings.Contains(err.Error(), images) {
		t.Errorf("error %v does not name %s", err, images)
	}
	if _, err := OpenIDX(images, labels+"x", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func FuzzReadIDX(f *testing.F) {
	f.Add(twoImages, twoLabels)
	f.Add(zip(twoImages), zip(twoLabels))
	f.Add(twoImages[:20], twoLabels)
	f.Add(idx(idxImages, []uint32{1 << 20, 1 << 6, 1 << 6}, nil), twoLabels)
	f.Fuzz(func(t *testing.T, images, labels []byte) {
		s, err := ReadIDX(bytes.NewReader(images), bytes.NewReader(labels), nil)
		if err != nil {
			if s != nil {
				t.Error("a set together with an error")
			}
			return
		}
		c, h, w := s.Shape()
		// gzip's best ratio is 1032:1; beyond it memory came from nowhere.
		if n := s.Len() * c * h * w; n > 1100*(len(images)+1) {
			t.Errorf("%d pixels out of %d bytes", n, len(images))
		}
		x := make([]float32, c*h*w)
		for i := range min(s.Len(), 3) {
			s.Fill(x, nil, []int{i}, Normalization{})
		}
	})
}
