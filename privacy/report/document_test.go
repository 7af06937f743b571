package report

import (
	"bytes"
	"encoding/binary"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sotto-fl/sotto/privacy/ledger"
)

var update = flag.Bool("update", false, "write the output into docs/auditors.md")

// What docs/auditors.md shows as output is what the programs print for the ledger that is in the repository.
func TestAuditorsDocument(t *testing.T) {
	dir := filepath.Join("..", "ledger", "testdata", "v1")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, file := string(read("run.pub")), read("run.ledger")
	_, pin, err := ledger.OpenCheckpoint(read("run.checkpoint"), key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.Verify(file, key)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(b []byte, o ...ledger.Option) string {
		_, err := ledger.Verify(b, key, o...)
		if err == nil {
			t.Fatal("a changed ledger verifies")
		}
		return "server: error: " + err.Error() + "\n"
	}
	outputs := map[string]string{
		"verify -key privacy/ledger/testdata/v1/run.pub privacy/ledger/testdata/v1/run.ledger": Verification(v, false),
		"verify -key run.pub -checkpoint run.checkpoint run.ledger":                            Verification(v, true),
		"verify -key run.pub tampered.ledger":                                                  refused(forge(t, file, v)),
		"verify -key run.pub -checkpoint run.checkpoint shortened.ledger":                      refused(file[:v.Records[len(v.Records)-1].Offset], ledger.Pinned(pin)),
	}
	path := filepath.Join("..", "..", "docs", "auditors.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\n\\$ (?:server|client) ([^\n]*)\n(.*?)```")
	seen := 0
	changed := block.ReplaceAllFunc(doc, func(b []byte) []byte {
		m := block.FindSubmatch(b)
		want, ok := outputs[string(m[1])]
		if !ok {
			t.Errorf("the document shows `%s`, which this test does not know", m[1])
			return b
		}
		seen++
		if string(m[2]) != want && !*update {
			t.Errorf("`%s` prints\n%s\nthe document shows\n%s", m[1], want, m[2])
		}
		return bytes.Replace(b, m[2], []byte(want), 1)
	})
	if seen != len(outputs) {
		t.Errorf("the document shows %d of %d outputs", seen, len(outputs))
	}
	if *update {
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// forge changes a digit of the first commit's epsilon and makes the checksum fit.
func forge(t *testing.T, file []byte, v *ledger.Verified) []byte {
	b := bytes.Clone(file)
	for _, r := range v.Records {
		if r.Record.Kind() != "commit" {
			continue
		}
		at := int(r.Offset)
		n := int(binary.BigEndian.Uint32(b[at:]))
		body := b[at+8 : at+8+n]
		i := bytes.Index(body, []byte(`"spent":0.`)) + len(`"spent":0.`)
		if i < len(`"spent":0.`) {
			t.Fatal("no epsilon in the commit")
		}
		body[i] = '0' + (body[i]-'0'+9)%10
		binary.BigEndian.PutUint32(b[at+8+n:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
		return b
	}
	t.Fatal("no commit")
	return nil
}
