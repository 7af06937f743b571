package roomy

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// It holds what was written and nothing more, in whatever order that came.
func TestFileHoldsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	file, random := New(f), rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 3*(64<<20)/2)
	const piece = 1<<20 + 7
	pieces := len(want) / piece
	for i, at := range random.Perm(pieces) {
		part := want[at*piece : (at+1)*piece]
		part[0], part[piece-1] = byte(i), byte(at)
		if n, err := file.WriteAt(part, int64(at*piece)); n != piece || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want[:pieces*piece]) {
		t.Errorf("%d bytes that are not the %d written", len(got), pieces*piece)
	}
}

// What a write cannot do is told as the write's error, and nothing before it is lost.
func TestFileThatCannotBeWritten(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(f).WriteAt([]byte{1}, 0); err == nil {
		t.Error("written to a file that is open for reading")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(f).WriteAt([]byte{1}, 0); err == nil {
		t.Error("written to a closed file")
	}
}
