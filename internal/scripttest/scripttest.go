// Package scripttest runs the built programs from scripts: what a user types and
// what a user sees. It is for tests only.
//
// A script is a txtar file of github.com/rogpeppe/go-internal/testscript, with
// these commands beside the usual ones:
//
//	exits CODE PROGRAM ARGS...   run to its end, want that exit code
//	capture NAME PROGRAM ARGS... run, and keep standard output in $NAME
//	start NAME PROGRAM ARGS...   run in the background, output goes to NAME.log
//	signal NAME INT|TERM|KILL|STOP|CONT  send a signal to a started program
//	finish NAME CODE|killed      wait for its end
//	harass NAME COUNT DIR SCRIPT kill -9 and start it again, COUNT times: see harass
//	await FILE PATTERN [COUNT]   wait until so many lines of FILE match
//	port NAME                    put a free port into $NAME
//	fields FILE KEY...           FILE is a JSON object with exactly these keys
//	equal KEY FILE FILE          two JSON objects hold the same value at KEY
//
// The condition [tmpfs] holds where a script can mount a disk of its own.
//
// The programs are built once for a test process, by the go tool, and are first
// in PATH.
package scripttest

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for a program: far beyond what any of them
// needs, so that a slow machine does not fail a test.
const patience = 2 * time.Minute

var update = flag.Bool("update", false, "write what programs say into the scripts and documents that repeat it")

var built string // folder of the programs

var build = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "sotto-bin-"); err != nil {
		return "", err
	}
	built = dir
	if err := watch(); err != nil {
		return "", err
	}
	const module = "github.com/sotto-fl/sotto/"
	out, err := exec.Command("go", "build", "-o", dir, module+"server", module+"client", module+"simulations").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// Main is for TestMain: it removes the built programs after the tests.
func Main(m *testing.M) {
	// Scripts wait more than they compute.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// watch reads every folder of the module. The go tool then knows that the test
// depends on all of it, and does not take a result from its cache although a
// program that the test runs has changed.
func watch() error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	return filepath.WalkDir(strings.TrimSpace(string(out)), func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "runs") {
			return filepath.SkipDir
		}
		return err
	})
}

// Run runs every script in dir.
func Run(t *testing.T, dir string) {
	if testing.Short() {
		t.Skip("runs whole programs: left out with -short")
	}
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Values[running{}] = map[string]*process{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "capture": capture, "start": start, "signal": signal, "finish": finish, "harass": harass,
			"await": await, "port": port, "fields": fields, "equal": equal,
		},
		Condition: func(name string) (bool, error) {
			if name == "tmpfs" {
				return tmpfs(), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}

// tmpfs says whether this machine lets the test mount a small disk of its own, in
// a namespace that ends with the program.
var tmpfs = sync.OnceValue(func() bool {
	return exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", os.TempDir()).Run() == nil
})

func need(ts *testscript.TestScript, neg bool, args []string, n int, form string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", form)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "exits CODE PROGRAM ARGS...")
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func atoi(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "capture NAME PROGRAM ARGS...")
	ts.Check(ts.Exec(args[1], args[2:]...))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

type running struct{}

type process struct {
	cmd  *exec.Cmd
	args []string // program first
	done chan error
}

func processes(ts *testscript.TestScript) map[string]*process {
	return ts.Value(running{}).(map[string]*process)
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "start NAME PROGRAM ARGS...")
	launch(ts, args[0], args[1:])
}

func launch(ts *testscript.TestScript, name string, args []string) *process {
	log, err := os.OpenFile(ts.MkAbs(name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	ts.Check(err)
	defer log.Close() // the program has its own copy
	program := filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], args[0])
	c := exec.Command(program, args[1:]...)
	c.Dir, c.Stdout, c.Stderr = ts.MkAbs("."), log, log
	c.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	ts.Check(c.Start())
	p := &process{c, args, make(chan error, 1)}
	go func() { p.done <- c.Wait() }()
	processes(ts)[name] = p
	ts.Defer(func() {
		c.Process.Kill()
		<-p.done
		close(p.done)
	})
	return p
}

func find(ts *testscript.TestScript, name string) *process {
	p := processes(ts)[name]
	if p == nil {
		ts.Fatalf("no program %s was started", name)
	}
	return p
}

func signal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "signal NAME INT|TERM|KILL|STOP|CONT")
	s, ok := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(s))
}

func finish(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "finish NAME CODE|killed")
	p := find(ts, args[0])
	select {
	case <-p.done:
		p.done <- nil // for the deferred end
	case <-time.After(patience):
		ts.Fatalf("%s did not end within %s; its log:\n%s", args[0], patience, ts.ReadFile(args[0]+".log"))
	}
	got := strconv.Itoa(p.cmd.ProcessState.ExitCode())
	if got == "-1" {
		got = "killed"
	}
	if got != args[1] {
		ts.Fatalf("%s ended with %s, want %s; its log:\n%s", args[0], got, args[1], ts.ReadFile(args[0]+".log"))
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "await FILE PATTERN [COUNT]")
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	count := 1
	if len(args) > 2 {
		count = atoi(ts, args[2])
	}
	var text []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, _ = os.ReadFile(ts.MkAbs(args[0])) // the file may come later
		if len(pattern.FindAll(text, count)) >= count {
			return
		}
	}
	ts.Fatalf("%s does not hold %q %d times after %s:\n%s", args[0], args[1], count, patience, text)
}

func port(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "port NAME")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

func object(ts *testscript.TestScript, file string) map[string]any {
	var m map[string]any
	if err := json.Unmarshal([]byte(ts.ReadFile(file)), &m); err != nil {
		ts.Fatalf("%s: %v", file, err)
	}
	return m
}

func fields(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "fields FILE KEY...")
	got := slices.Sorted(maps.Keys(object(ts, args[0])))
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("%s has the keys\n%v, want\n%v", args[0], got, want)
	}
}

func equal(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] equal KEY FILE FILE")
	}
	a, b := object(ts, args[1])[args[0]], object(ts, args[2])[args[0]]
	if a == nil || b == nil {
		ts.Fatalf("%s: got %v and %v, want a value in both", args[0], a, b)
	}
	if (a == b) == neg {
		ts.Fatalf("%s: %v in %s, %v in %s", args[0], a, args[1], b, args[2])
	}
}
