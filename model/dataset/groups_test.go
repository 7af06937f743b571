package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGroupsLists(t *testing.T) {
	s, err := New(Shape{1, 1, 1}, make([]uint8, 5), make([]int32, 5), []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]int32{{0}, {1}, {2}, {3}, {4}}, s.Groups()); d != "" {
		t.Error(d)
	}
	if s, err = s.WithGroups([]int32{7, 3, 7, 1, 3}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]int32{{0, 2}, {1, 4}, {3}}, s.Groups()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]int32{{0, 1}, {2}}, s.Subset([]int{4, 1, 3}).Groups()); d != "" {
		t.Errorf("subset: %s", d)
	}
}

// idxFile is an IDX file.
func idxFile(magic uint32, dims []uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return append(b, body...)
}

func TestGroupsBesideIDX(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		body []byte
		want [][]int32
		err  string
	}{
		"none":      {want: [][]int32{{0}, {1}, {2}}},
		"bytes":     {file: "train-groups-idx1-ubyte", body: idxFile(0x801, []uint32{3}, []byte{9, 8, 9}), want: [][]int32{{0, 2}, {1}}},
		"shorts":    {file: "train-writers-idx1-short", body: idxFile(0xb01, []uint32{3}, []byte{1, 0, 0, 0, 1, 0}), want: [][]int32{{0, 2}, {1}}},
		"ints":      {file: "train-groups-idx1-int", body: idxFile(0xc01, []uint32{3}, []byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}), want: [][]int32{{0, 1}, {2}}},
		"csv":       {file: "train-groups.csv", body: []byte("group\nann\nbob\nann\n"), want: [][]int32{{0, 2}, {1}}},
		"too few":   {file: "train-groups.csv", body: []byte("group\nann\nbob\n"), err: "2 groups for 3 images"},
		"no header": {file: "train-groups.csv", body: []byte("ann\nbob\nann\n"), err: `want the first line "group"`},
		"no name":   {file: "train-groups.csv", body: []byte("group\nann\n\"\"\nann\n"), err: "line 3 names no group"},
		"floats":    {file: "train-groups-idx1-int", body: idxFile(0xd01, []uint32{3}, make([]byte, 12)), err: "magic number"},
		"short":     {file: "train-groups-idx1-int", body: idxFile(0xc01, []uint32{3}, make([]byte, 11)), err: "truncated"},
		"other n":   {file: "train-groups-idx1-int", body: idxFile(0xc01, []uint32{1 << 30}, nil), err: "1073741824 groups for 3 images"},
		"test's":    {file: "t10k-groups.csv", body: []byte("group\nann\n"), want: [][]int32{{0}, {1}, {2}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name string, b []byte) {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("train-images-idx3-ubyte", idxFile(0x803, []uint32{3, 1, 1}, []byte{1, 2, 3}))
			write("train-labels-idx1-ubyte", idxFile(0x801, []uint32{3}, []byte{0, 1, 2}))
			if c.file != "" {
				write(c.file, c.body)
			}
			s, _, err := Open(dir, Options{})
			if c.err != "" {
				if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, s.Groups()); d != "" {
				t.Error(d)
			}
			if strings.HasPrefix(c.file, "train-") {
				write("train-groups.csv.gz", nil)
				if _, _, err := Open(dir, Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "remove one") {
					t.Errorf("two files of groups: got %v", err)
				}
			}
		})
	}
}

func TestGroupsOfAFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cat/1.png", "cat/2.png", "dog/1.png"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pngOf(t, image.NewGray(image.Rect(0, 0, 2, 2))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func(text string) (*Set, error) {
		if err := os.WriteFile(filepath.Join(dir, "groups.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := Open(dir, Options{Shape: Shape{1, 2, 2}})
		return s, err
	}
	s, err := open("file,group\ndog/1.png,p1\ncat/1.png,p2\ncat/2.png,p1\ncat/gone.png,p9\n")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]int32{{0}, {1, 2}}, s.Groups()); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"file,group\ncat/1.png,p2\n":                  "every image needs a group",
		"file,group\ncat/1.png,p2\ncat//1.png,p3\n":   "names cat//1.png again",
		"file,group\ncat/1.png,p2\ncat/2.png\n":       "wrong number of fields",
		"group,file\np2,cat/1.png\n":                  "first line",
		"file,group\ncat/1.png,\"p2\n":                "malformed",
		"file,group\ncat/1.png,p\ncat/2.png,p\n,,,\n": "wrong number of fields",
	} {
		if _, err := open(text); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte("group\na\nb\n"))
	f.Add(idxFile(0xb01, []uint32{2}, []byte{0, 1, 0, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func() ([]int32, error){
			func() ([]int32, error) { return readGroupColumn(bytes.NewReader(b), 2) },
			func() ([]int32, error) { return readIDXGroups(bytes.NewReader(b), 2) },
		} {
			if g, err := read(); err == nil && len(g) != 2 {
				t.Fatalf("%d groups for 2 images", len(g))
			}
		}
	})
}
