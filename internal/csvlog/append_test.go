package csvlog

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.csv")
	for _, rows := range [][][]string{{{"1", "x,y"}}, nil, {{"2", `"`}, {"3", ""}}} {
		if err := Append(path, []string{"n", "text"}, rows); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "n,text\n1,\"x,y\"\n2,\"\"\"\"\n3,\n"; string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := Append(filepath.Join(path, "below"), nil, nil); err == nil {
		t.Error("wrote below a file")
	}
}
