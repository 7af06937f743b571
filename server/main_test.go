package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/scripttest"
)

func TestMain(m *testing.M) { scripttest.Main(m) }

func TestScripts(t *testing.T) {
	t.Parallel()
	scripttest.Run(t, "testdata/script")
}

// README's walkthrough works when it is followed to the letter. Only what would
// make the test slow or get in the way of another server is put differently: the
// port, the time the server stays up, and less data.
func TestReadme(t *testing.T) {
	t.Parallel()
	commands := scripttest.Commands(t, "../README.md", 0)
	for _, change := range []struct{ from, to string }{
		{"go build -o bin/ ./server ./client ./simulations\n", ""},
		{"bin/", ""},
		{"simulations data -out sites", "simulations data -out sites -images 800"},
		{"-records 8000 -rounds 40 -upload-after 1s", "-records 800 -rounds 10 -upload-after 500ms"},
		{"server init ", "server init -listen 127.0.0.1:$PORT -address localhost:$PORT -linger 2s "},
	} {
		if !strings.Contains(commands, change.from) {
			t.Fatalf("README's commands hold no %q", change.from)
		}
		commands = strings.ReplaceAll(commands, change.from, change.to)
	}
	script := "port PORT\nexec sh -e readme.sh\nstdout '^joined localhost:[0-9]+ as site-4'\nstdout '^run first-run-[0-9]+-[0-9a-f]+: 10 of 10 rounds$'\n" +
		"stdout '^ +10  ok +4/4 '\nstdout '^rounds +10 charged of 10, 0 reserved'\nstdout '^report/report.html'\nstdout 'example +10 of 10 .* finished'\ngrep 'run finished' server.log\ngrep 'the run is finished' clients/site-4.log\n-- readme.sh --\n" + commands
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "readme.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	scripttest.Run(t, dir)
}
