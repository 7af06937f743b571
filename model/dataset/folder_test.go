package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// uniform is a w x h image of one colour.
func uniform(w, h int, c color.Color) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		m.Set(i%w, i/w, c)
	}
	return m
}

func grey(w, h int, v uint8) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = v
	}
	return m
}

// hugePNG is a valid PNG header that claims w x h pixels, and nothing else.
func hugePNG(w, h uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, w)
	chunk = binary.BigEndian.AppendUint32(chunk, h)
	chunk = append(chunk, 8, 6, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

// cmykJPEG is an 8 x 8 baseline JPEG (ITU-T T.81) of one colour in four
// components. With Adobe's marker each is 255 minus the ink, as Photoshop
// writes them. The quantisation step is 8, so that a block's only coefficient
// is its value minus 128.
func cmykJPEG(c, m, y, k int) []byte {
	b := []byte("\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")
	b = append(b, 0xff, 0xdb, 0, 67, 0)
	b = append(b, bytes.Repeat([]byte{8}, 64)...)
	b = append(b, 0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0)
	// Huffman tables: nine codes of four bits for the length of the
	// coefficient, and a code of one bit for the end of the block.
	b = append(b, 0xff, 0xc4, 0, 28, 0x00, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	b = append(b, 0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, 0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0)
	var bits string
	for _, v := range []int{c, m, y, k} {
		d := v - 128
		n := len(fmt.Sprintf("%b", max(d, -d)))
		if d < 0 {
			d += 1<<n - 1
		}
		bits += fmt.Sprintf("%04b%0*b0", n, n, d)
	}
	bits += strings.Repeat("1", (8-len(bits)%8)%8)
	for ; bits != ""; bits = bits[8:] {
		var v byte
		fmt.Sscanf(bits[:8], "%b", &v)
		b = append(b, v)
		if v == 0xff {
			b = append(b, 0)
		}
	}
	return append(b, 0xff, 0xd9)
}

// values reads image i of s as it is, in [0, 1].
func values(s *Set, i int) []float32 {
	x := make([]float32, s.pixels.shape.Size())
	s.Fill(x, nil, []int{i}, Normalization{})
	return x
}

// TestImageKinds reads one uniform image of every kind and checks its colour.
func TestImageKinds(t *testing.T) {
	deep := image.NewGray16(image.Rect(0, 0, 4, 4))
	for i := range 16 {
		deep.SetGray16(i%4, i/4, color.Gray16{Y: 0x1234})
	}
	deepColour := image.NewNRGBA64(image.Rect(0, 0, 4, 4))
	for i := range 16 {
		deepColour.SetNRGBA64(i%4, i/4, color.NRGBA64{0x1234, 0x5678, 0x9abc, 0xffff})
	}
	palette := image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black, color.NRGBA{200, 100, 50, 255}})
	for i := range palette.Pix {
		palette.Pix[i] = 1
	}
	for _, c := range []struct {
		name   string
		data   []byte
		rgb    [3]float64 // in 8-bit units
		within float64    // 0 unless format or filter lose something
		bits   int
		luma   float64
	}{
		{"grey PNG", pngOf(t, grey(4, 4, 77)), [3]float64{77, 77, 77}, 0, 8, 77},
		{"grey JPEG", jpegOf(t, grey(4, 4, 77)), [3]float64{77, 77, 77}, 1, 8, 77},
		{"colour PNG", pngOf(t, uniform(4, 4, color.NRGBA{200, 100, 50, 255})), [3]float64{200, 100, 50}, 0, 8, 124},
		{"colour JPEG", jpegOf(t, uniform(4, 4, color.NRGBA{200, 100, 50, 255})), [3]float64{200, 100, 50}, 2, 8, 124},
		{"palette PNG", pngOf(t, palette), [3]float64{200, 100, 50}, 0, 8, 124},
		{"half transparent PNG", pngOf(t, uniform(4, 4, color.NRGBA{200, 100, 50, 128})), [3]float64{100, 50, 25}, 1, 8, 62},
		{"transparent PNG", pngOf(t, uniform(4, 4, color.NRGBA{200, 100, 50, 0})), [3]float64{0, 0, 0}, 0, 8, 0},
		{"16-bit grey PNG", pngOf(t, deep), [3]float64{0x1234 / 257., 0x1234 / 257., 0x1234 / 257.}, 0, 16, 0x1234 / 257.},
		{"16-bit colour PNG", pngOf(t, deepColour), [3]float64{0x1234 / 257., 0x5678 / 257., 0x9abc / 257.}, 0, 16, 18903 / 257.},
		{"shrunk PNG", pngOf(t, uniform(40, 9, color.NRGBA{200, 100, 50, 255})), [3]float64{200, 100, 50}, 1, 8, 124},
		{"grown grey PNG", pngOf(t, grey(1, 2, 77)), [3]float64{77, 77, 77}, 1, 8, 77},
		{"a line, as tall as may be", pngOf(t, grey(1, 1<<15, 77)), [3]float64{77, 77, 77}, 1, 8, 77},
		{"CMYK JPEG", cmykJPEG(200, 100, 50, 255), [3]float64{200, 100, 50}, 1, 8, 124},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a", "x.png"), c.data)
			for _, channels := range []int{1, 3} {
				s, problems, err := OpenFolder(dir, Options{Shape: Shape{channels, 4, 4}})
				if err != nil || problems != nil {
					t.Fatal(err, problems)
				}
				if s.Bits() != c.bits {
					t.Errorf("%d bits, want %d", s.Bits(), c.bits)
				}
				for j, v := range values(s, 0) {
					want := c.rgb[j/16]
					if channels == 1 {
						want = c.luma
					}
					// 1/257 is one step of 16 bits: rounding of the luma.
					if got := float64(v) * 255; got < want-c.within-0.01 || got > want+c.within+0.01 {
						t.Fatalf("%d channels: value %d is %.3f, want %.3f", channels, j, got, want)
					}
				}
			}
		})
	}
}

// TestResizeAverages: a chessboard of single pixels shrinks to grey, as a
// filter that only picks pixels would not.
func TestResizeAverages(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range m.Pix {
		m.Pix[i] = uint8(255 * ((i + i/64) % 2))
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "x.png"), pngOf(t, m))
	s, _, err := OpenFolder(dir, Options{Shape: Shape{1, 4, 4}})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values(s, 0) {
		if v < 0.45 || v > 0.55 {
			t.Errorf("pixel %d is %v, want about 0.5", i, v)
		}
	}
}

// TestCorruptAmongGood is the promise of the package: bad files are named and
// skipped, in order, and the good ones keep their labels.
func TestCorruptAmongGood(t *testing.T) {
	dir := t.TempDir()
	whole := pngOf(t, uniform(30, 30, color.NRGBA{1, 2, 3, 255}))
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 0xff
	bad := map[string][]byte{
		"a/0-empty.png":         nil,
		"a/1-text.png":          []byte("not an image\n"),
		"a/2-truncated.png":     whole[:len(whole)-20],
		"a/3-header.png":        whole[:20],
		"a/4-flipped.png":       flipped,
		"a/5-huge.png":          hugePNG(1e9, 1e9),
		"a/6-wide.png":          hugePNG(1<<26+1, 1),
		"b/7-truncated.jpg":     jpegOf(t, uniform(30, 30, color.White))[:300],
		"b/8-dots.tiff":         []byte("II*\x00"),
		"b/8-tall.png":          pngOf(t, grey(1, 1<<15+1, 1)),
		"b/8-wide.png":          pngOf(t, grey(1<<15+1, 1, 1)),
		"b/9-zero.png":          hugePNG(0, 5),
		"stray-in-no-class.png": whole,
	}
	for name, data := range bad {
		write(t, filepath.Join(dir, name), data)
	}
	write(t, filepath.Join(dir, "README.txt"), []byte("ignored"))
	write(t, filepath.Join(dir, "a", ".DS_Store"), []byte("ignored"))
	write(t, filepath.Join(dir, ".git", "x.png"), []byte("ignored"))
	if err := os.Mkdir(filepath.Join(dir, "empty class"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "b", "99-dangling.png")); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		write(t, filepath.Join(dir, "a", fmt.Sprintf("good-%02d.png", i)), pngOf(t, grey(3, 3, uint8(i))))
		write(t, filepath.Join(dir, "b", fmt.Sprintf("good-%02d.png", i)), pngOf(t, grey(3, 3, uint8(100+i))))
	}
	want := []string{"b/99-dangling.png"}
	for name := range bad {
		want = append(want, name)
	}
	slices.Sort(want)
	for _, procs := range []int{1, 4} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		s, problems, err := OpenFolder(dir, Options{Shape: Shape{1, 3, 3}, Classes: []string{"b", "a", "empty class"}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range problems {
			rel, err := filepath.Rel(dir, p.File)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, filepath.ToSlash(rel))
			if strings.Contains(p.String(), "\n") || strings.Contains(p.Err.Error(), dir) {
				t.Errorf("problem %q: want one line with the path once", p)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{20, 20, 0}, s.Counts()); diff != "" {
			t.Fatalf("counts (-want +got):\n%s", diff)
		}
		for i := range s.Len() { // a before b: folders are read in sorted order
			pixel, label := uint8(i), 1
			if i >= 20 {
				pixel, label = uint8(80+i), 0
			}
			if v := values(s, i)[0]; v != float32(float64(pixel)/255) || s.Label(i) != label {
				t.Errorf("image %d: value %v, label %d; want %d/255 and %d", i, v, s.Label(i), pixel, label)
			}
		}
	}
	s, _, _ := OpenFolder(dir, Options{Shape: Shape{1, 3, 3}})
	if diff := cmp.Diff([]string{"a", "b", "empty class"}, s.Classes()); diff != "" {
		t.Errorf("classes by folder (-want +got):\n%s", diff)
	}
}

// TestNothingPrivateInSet: no path, name or metadata of a file can be reached
// from a set, whatever holds it.
func TestNothingPrivateInSet(t *testing.T) {
	const secret = "patient-4711-smith"
	data := jpegOf(t, grey(4, 4, 5))
	exif := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(2 + 6 + len(secret))}, "Exif\x00\x00"+secret...)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", secret, secret+".jpg"), append(exif, data[2:]...))
	s, _, err := OpenFolder(dir, Options{Shape: Shape{1, 4, 4}})
	if err != nil {
		t.Fatal(err)
	}
	if dump := fmt.Sprintf("%+v %+v", *s, s.pixels); strings.Contains(dump, "smith") {
		t.Errorf("the set knows more than pixels and labels: %s", dump)
	}
	if !s.HasGroups() || s.Group(0) != 0 {
		t.Errorf("group %d (%v), want 0", s.Group(0), s.HasGroups())
	}
}

func TestGroups(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"benign/p2/1.png", "benign/p1/1.png", "benign/p1/2.png", "malign/p3/1.png", "malign/p1/9.png"} {
		write(t, filepath.Join(dir, name), pngOf(t, grey(2, 2, 9)))
	}
	s, _, err := OpenFolder(dir, Options{Shape: Shape{1, 2, 2}})
	if err != nil {
		t.Fatal(err)
	}
	var got []int32
	for i := range s.Len() {
		got = append(got, s.Group(i))
	}
	// p1 of both classes is one patient.
	if diff := cmp.Diff([]int32{0, 0, 1, 0, 2}, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if sub := s.Subset([]int{4, 3}); sub.Group(0) != 2 || sub.Group(1) != 0 {
		t.Error("a subset lost its groups")
	}
	write(t, filepath.Join(dir, "benign", "loose.png"), pngOf(t, grey(2, 2, 9)))
	if _, _, err := OpenFolder(dir, Options{Shape: Shape{1, 2, 2}}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "loose.png") {
		t.Errorf("an image without a group: %v", err)
	}
}

func TestOpenFolderRefuses(t *testing.T) {
	one := Options{Shape: Shape{1, 2, 2}}
	img := pngOf(t, grey(2, 2, 9))
	for _, c := range []struct {
		name  string
		files map[string][]byte
		o     Options
		is    error
		says  string
	}{
		{"nothing", nil, one, ErrEmpty, "one a class"},
		{"images without classes", map[string][]byte{"x.png": img}, one, ErrEmpty, "one a class"},
		{"an unknown class", map[string][]byte{"cat/x.png": img, "dgo/x.png": img}, Options{Shape: one.Shape, Classes: []string{"cat", "dog"}}, ErrClass, `folder "dgo", want one of "cat", "dog"`},
		{"a case apart", map[string][]byte{"Cat/x.png": img}, Options{Shape: one.Shape, Classes: []string{"cat"}}, ErrClass, `"Cat"`},
		{"only corrupt ones", map[string][]byte{"a/x.png": nil, "a/y.png": nil}, one, ErrEmpty, "none of 2 files"},
		{"too deep", map[string][]byte{"a/b/c/x.png": img}, one, ErrFormat, "too deep"},
		{"no shape", map[string][]byte{"a/x.png": img}, Options{}, ErrShape, "0x0x0"},
		{"two channels", map[string][]byte{"a/x.png": img}, Options{Shape: Shape{2, 2, 2}}, ErrShape, "1 or 3 channels"},
		{"twice the same class", map[string][]byte{"a/x.png": img}, Options{Shape: one.Shape, Classes: []string{"a", "a"}}, ErrClass, "twice"},
		{"beyond memory", map[string][]byte{"a/x.png": img, "a/y.png": img}, Options{Shape: one.Shape, MaxBytes: 7}, ErrTooLarge, "need 8 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, data := range c.files {
				write(t, filepath.Join(dir, name), data)
			}
			s, _, err := OpenFolder(dir, c.o)
			if s != nil || !errors.Is(err, c.is) {
				t.Fatalf("got %v, %v; want %v", s, err, c.is)
			}
			for _, want := range []string{c.says, dir} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	if _, _, err := OpenFolder(filepath.Join(t.TempDir(), "gone"), one); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "good.png"), pngOf(t, grey(2, 2, 9)))
	write(t, filepath.Join(dir, "a", "locked.png"), pngOf(t, grey(2, 2, 9)))
	if err := os.Chmod(filepath.Join(dir, "a", "locked.png"), 0); err != nil {
		t.Fatal(err)
	}
	s, problems, err := OpenFolder(dir, Options{Shape: Shape{1, 2, 2}})
	if err != nil || s.Len() != 1 || len(problems) != 1 || !errors.Is(problems[0].Err, fs.ErrPermission) {
		t.Fatalf("an unreadable file: %v, %v", problems, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "b"), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenFolder(dir, Options{Shape: Shape{1, 2, 2}}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an unreadable class folder: %v", err)
	}
}

func BenchmarkOpenFolder(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		name := filepath.Join(dir, fmt.Sprint(i%10), fmt.Sprintf("%d.png", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, pngOf(b, grey(28, 28, uint8(i))), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for name, shape := range map[string]Shape{"as is": {1, 28, 28}, "resized": {3, 32, 32}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := OpenFolder(dir, Options{Shape: shape}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
