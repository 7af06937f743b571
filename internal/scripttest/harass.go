package scripttest

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// harass kills a started program again and again, at moments that it cannot choose: each time it waits until the
// program has written into DIR, once to six times, and up to 30 ms more, which is as long as a write and what follows it
// take. In between SCRIPT, a file of shell commands, has to succeed while the program is dead; then it is started
// as before. A program that comes to its end by itself, with exit code 0, has been harassed enough.
//
// The moments differ from run to run: repeat a test with -count.
func harass(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 4, "harass NAME COUNT DIR SCRIPT")
	name, dir := args[0], ts.MkAbs(args[2])
	for kill := range atoi(ts, args[1]) {
		p := find(ts, name)
		for range 1 + rand.IntN(6) {
			before := state(dir)
			for end := time.Now().Add(patience); state(dir) == before && len(p.done) == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					ts.Fatalf("%s wrote nothing into %s within %s; its log:\n%s", name, args[2], patience, ts.ReadFile(name+".log"))
				}
			}
		}
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond)
		p.cmd.Process.Kill() // has ended before, if that fails
		<-p.done
		p.done <- nil // for the deferred end
		if code := p.cmd.ProcessState.ExitCode(); code == 0 {
			ts.Logf("%s ended after %d kills", name, kill)
			return
		} else if code > 0 {
			ts.Fatalf("%s ended with %d after %d kills; its log:\n%s", name, code, kill, ts.ReadFile(name+".log"))
		}
		check := exec.Command("sh", "-e", ts.MkAbs(args[3]))
		check.Dir, check.Env = ts.MkAbs("."), append(os.Environ(), "PATH="+ts.Getenv("PATH"))
		if out, err := check.CombinedOutput(); err != nil {
			ts.Fatalf("after kill %d of %s: %v\n%s", kill+1, name, err, out)
		}
		launch(ts, name, p.args)
	}
}

// state changes with every write below dir.
func state(dir string) (s struct {
	files int
	size  int64
	last  time.Time
}) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone again, or not there yet
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			s.files++
			s.size += info.Size()
			if t := info.ModTime(); t.After(s.last) {
				s.last = t
			}
		}
		return nil
	})
	return s
}
