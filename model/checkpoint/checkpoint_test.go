package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model"
)

const noLimit = math.MaxInt64

func testModel(t testing.TB) *model.Model {
	t.Helper()
	l, err := model.NewLayout([]model.Tensor{{Name: "fc1.weight", Shape: []int{2, 3}}, {Name: "fc1.bias", Shape: []int{2}}})
	if err != nil {
		t.Fatal(err)
	}
	m := model.New(l)
	copy(m.Params, []float32{1.5, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(-1)), math.MaxFloat32, math.SmallestNonzeroFloat32, 7, -8})
	return m
}

func encode(t testing.TB, m *model.Model, meta map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, m, meta); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestRoundTrip(t *testing.T) {
	for _, meta := range []map[string]string{nil, {"round": "12", "note": "α <b> \" \\ \n"}} {
		m := testModel(t)
		b := encode(t, m, meta)
		if n := binary.LittleEndian.Uint64(b); n%8 != 0 {
			t.Errorf("header has %d bytes, want a multiple of 8", n)
		}
		got, gotMeta, err := Read(bytes.NewReader(b), m.Layout, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got.SHA256() != m.SHA256() {
			t.Errorf("read %v, want %v", got.Params, m.Params)
		}
		if diff := cmp.Diff(meta, gotMeta); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
	}
}

// The layout of a file that Python's safetensors 0.8.0 wrote for
// {"fc1.weight": 2x3, "fc1.bias": 2}: it sorts tensors by name, puts keys of
// its own choice first and pads the header with spaces.
func TestReadsOtherWritersOrder(t *testing.T) {
	m := testModel(t)
	data := make([]byte, 32)
	for i, v := range append(slices.Clone(m.View("fc1.bias")), m.View("fc1.weight")...) {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	header := `{"__metadata__":{"format":"pt"},"fc1.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"fc1.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}}     `
	got, meta, err := Read(bytes.NewReader(file(header, data)), m.Layout, noLimit)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256() != m.SHA256() || meta["format"] != "pt" {
		t.Errorf("read %v with %v, want %v", got.Params, meta, m.Params)
	}
}

func TestRefuses(t *testing.T) {
	const weight, bias = `"fc1.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}`, `"fc1.bias":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}`
	data := make([]byte, 32)
	m := testModel(t)
	if _, _, err := Read(bytes.NewReader(file("{"+weight+","+bias+"}", data)), m.Layout, noLimit); err != nil {
		t.Fatalf("the base of the cases is refused: %v", err)
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "header length: file ends early"},
		"huge header":       {binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "at most 1048576"},
		"short header":      {binary.LittleEndian.AppendUint64(nil, 100), "header: file ends early"},
		"short data":        {file("{"+weight+","+bias+"}", data[:31]), `data of tensor "fc1.bias": file ends early`},
		"trailing data":     {file("{"+weight+","+bias+"}", make([]byte, 33)), "goes on after the last tensor"},
		"not JSON":          {file("PK\x03\x04", data), "header: JSON"},
		"not an object":     {file("[]", data), `"[" where "{" belongs`},
		"after the object":  {file("{"+weight+","+bias+"} {}", data), "something follows"},
		"newline padding":   {file("{"+weight+","+bias+"}\n", data), "something follows"},
		"not UTF-8":         {file("{"+weight+","+bias+",\"__metadata__\":{\"a\":\"\xff\"}}", data), "not UTF-8"},
		"missing tensor":    {file("{"+weight+"}", data[:24]), `tensor "fc1.bias" is missing, want shape [2]`},
		"extra tensor":      {file("{"+weight+","+bias+`,"fc9.bias":{"dtype":"F32","shape":[0],"data_offsets":[32,32]}}`, data), `"fc9.bias" is not part`},
		"repeated tensor":   {file("{"+weight+","+weight+","+bias+"}", data), `"fc1.weight" occurs twice`},
		"repeated field":    {file(`{"fc1.bias":{"dtype":"F32","dtype":"F32"}}`, data), `"dtype" occurs twice`},
		"unknown field":     {file(`{"fc1.bias":{"Dtype":"F32"}}`, data), `unknown key "Dtype"`},
		"wrong type":        {file(strings.Replace("{"+weight+","+bias+"}", "F32", "F16", 1), data), `type "F16", want F32`},
		"wrong shape":       {file(strings.Replace("{"+weight+","+bias+"}", "[2,3]", "[3,2]", 1), data), `"fc1.weight" has shape [3 2], want [2 3]`},
		"wrong rank":        {file(strings.Replace("{"+weight+","+bias+"}", "[2,3]", "[6]", 1), data), "has shape [6], want [2 3]"},
		"deep rank":         {file(strings.Replace("{"+weight+","+bias+"}", "[2,3]", "[1,1,1,1,1,1,1,1,6]", 1), data), "at most 8 numbers"},
		"negative size":     {file(strings.Replace("{"+weight+","+bias+"}", "[2,3]", "[-2,3]", 1), data), "is not a size"},
		"fractional size":   {file(strings.Replace("{"+weight+","+bias+"}", "[2,3]", "[2.0,3]", 1), data), "is not a size"},
		"null size":         {file(strings.Replace("{"+weight+","+bias+"}", "[2,3]", "[null,3]", 1), data), "numbers belongs"},
		"overflowing size":  {file(strings.Replace("{"+weight+","+bias+"}", "[24,32]", "[24,18446744073709551616]", 1), data), "is not a size"},
		"hole":              {file(strings.Replace("{"+weight+","+bias+"}", "[24,32]", "[28,36]", 1), make([]byte, 36)), "starts at byte 28 of the data, want 24"},
		"overlap":           {file(strings.Replace("{"+weight+","+bias+"}", "[24,32]", "[16,24]", 1), data), "starts at byte 16 of the data, want 24"},
		"span too short":    {file(strings.Replace("{"+weight+","+bias+"}", "[24,32]", "[24,28]", 1), data), "want 8 bytes"},
		"backward span":     {file(strings.Replace("{"+weight+","+bias+"}", "[24,32]", "[32,24]", 1), data), "want a begin and an end"},
		"one offset":        {file(strings.Replace("{"+weight+","+bias+"}", "[24,32]", "[24]", 1), data), "want a begin and an end"},
		"metadata not text": {file("{"+weight+","+bias+`,"__metadata__":{"a":1}}`, data), "where a string belongs"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := Read(bytes.NewReader(c.file), m.Layout, noLimit)
			if err == nil || got != nil {
				t.Fatalf("read %v with error %v, want a refusal", got, err)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %q, want one line with %q", err, c.want)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	m := testModel(t)
	b := encode(t, m, nil)
	if _, _, err := Read(bytes.NewReader(b), m.Layout, int64(len(b))-1); err == nil {
		t.Error("a file longer than the limit was read")
	}
}

func TestWriteRefuses(t *testing.T) {
	m := testModel(t)
	for name, meta := range map[string]map[string]string{
		"header too long": {"a": strings.Repeat("x", maxHeader)},
		"not UTF-8":       {"a": "\xff"},
	} {
		if err := Write(io.Discard, m, meta); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	m.Params = m.Params[1:]
	if err := Write(io.Discard, m, nil); err == nil {
		t.Error("a model shorter than its layout was written")
	}
}

func TestFile(t *testing.T) {
	m := testModel(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	for range 2 { // the second time it replaces the first
		if err := WriteFile(path, m, map[string]string{"round": "3"}); err != nil {
			t.Fatal(err)
		}
	}
	got, meta, err := ReadFile(path, m.Layout)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256() != m.SHA256() || meta["round"] != "3" {
		t.Errorf("read %v with %v", got.Params, meta)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode is %v, want 0644", info.Mode().Perm())
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
	other, err := model.NewLayout([]model.Tensor{{Name: "fc1.weight", Shape: []int{3, 2}}, {Name: "fc1.bias", Shape: []int{2}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path, other); err == nil || err.Error() != "checkpoint "+path+`: tensor "fc1.weight" has shape [2 3], want [3 2]` {
		t.Errorf("error is %v", err)
	}
	if _, _, err := ReadFile(path+"-absent", m.Layout); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want os.ErrNotExist", err)
	}
}

// A failed write leaves the old file and no temporary one.
func TestFailedWriteKeepsThePreviousFile(t *testing.T) {
	m := testModel(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	if err := WriteFile(path, m, nil); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, m, map[string]string{"a": "\xff"}); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("error is %v, want one that names %s", err, path)
	}
	if _, _, err := ReadFile(path, m.Layout); err != nil {
		t.Errorf("previous file: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
}

// Whatever is read is written back as a file that reads as the same model.
func FuzzRead(f *testing.F) {
	m := testModel(f)
	good := encode(f, m, map[string]string{"round": "1"})
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(file(`{"__metadata__":{},"fc1.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"fc1.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}}`, make([]byte, 32)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, meta, err := Read(bytes.NewReader(b), m.Layout, noLimit)
		if err != nil {
			if got != nil || meta != nil {
				t.Fatal("a model came with an error")
			}
			return
		}
		again, metaAgain, err := Read(bytes.NewReader(encode(t, got, meta)), m.Layout, noLimit)
		if err != nil {
			t.Fatal(err)
		}
		if again.SHA256() != got.SHA256() || len(metaAgain) != len(meta) {
			t.Fatal("writing and reading again changed the model")
		}
	})
}
