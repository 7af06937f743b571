package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const crashDir = "SOTTO_LEDGER_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := releaseForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// releaseForever is a server that goes on where the last one was killed. It prints a round's number when the key holders
// would have signed: the round is then released, whatever the ledger says later.
func releaseForever(dir string) error {
	f, err := OpenFile(filepath.Join(dir, "ledger"))
	if err != nil {
		return err
	}
	private, public, err := GenerateKey(testRandom(1), "ledger.example")
	if err != nil {
		return err
	}
	l, err := Open(f, private, public)
	if err != nil {
		return err
	}
	next := 1
	if n := len(l.state.Rounds); n > 0 {
		next = l.state.Rounds[n-1].Number + 1
	}
	if o, ok := l.Unfinished(); ok {
		if _, err := l.Void(start, Void{Round: o.Number, Attempt: o.Attempt, Reason: "the server was restarted"}); err != nil {
			return err
		}
	}
	for ; ; next++ {
		c := counts(l.state.Contract, 400)
		if _, err := l.Reserve(start, Reserve{Round: next, Attempt: 1, ModelIn: l.state.Model}); err != nil {
			return err
		}
		if _, err := l.Certify(start, Certified{Round: next, Attempt: 1, Set: digest("set"), Counts: c}); err != nil {
			return err
		}
		fmt.Println(next)
		if next%3 == 0 {
			if _, err := l.Void(start, Void{Round: next, Attempt: 1, Reason: "wrong key"}); err != nil {
				return err
			}
			continue
		}
		if _, err := l.Commit(start, Commit{Round: next, Attempt: 1, Set: digest("set"), Counts: c, ModelIn: l.state.Model, ModelOut: digest("model %d", next)}); err != nil {
			return err
		}
	}
}

// Killed at any moment, a ledger verifies and claims at least what was released.
func TestKillNeverClaimsLess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	private, public, err := GenerateKey(testRandom(1), "ledger.example")
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := clients(100000)
	c.Noise = 600
	p, _ := newPlan(t, c, false)
	l, err := Create(f, private, start, p)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := l.Prove(0); err != nil {
		t.Error(err)
	} else if s, _, err := plan.Check(public); err != nil || s.Record.Kind() != "plan" {
		t.Errorf("the plan's proof: %v", err)
	}
	if _, err := OpenFile(path); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("mode %v, want everyone to read it", info.Mode())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 10
	if testing.Short() {
		kills = 3
	}
	rng := rand.New(rand.NewPCG(1, 2))
	released := map[int]bool{}
	torn := 0
	for range kills {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		read := func() bool {
			if !lines.Scan() {
				return false
			}
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			released[n] = true
			return true
		}
		if !read() {
			t.Fatalf("the child ended by itself: %v", cmd.Wait())
		}
		time.AfterFunc(time.Duration(rng.IntN(20_000))*time.Microsecond, func() { cmd.Process.Kill() })
		for read() {
		}
		cmd.Wait()

		// Also cut off in the middle of a write, which a kill alone hardly does.
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if rng.IntN(2) == 0 {
			b = append(b, appendFrame(nil, typeRecord, []byte("a record that was never acknowledged"))[:rng.IntN(40)+1]...)
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			torn++
		}
		f, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err = f.Read()
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		v, err := Verify(b, public)
		if err != nil {
			t.Fatal(err)
		}
		for n := range released {
			if r := v.byRound[n]; r == nil || !r.Charged {
				t.Fatalf("round %d was released and is not charged: %+v", n, r)
			}
		}
		if got, want := v.Balance.Claim, v.Plan.After(len(released)); got < want {
			t.Fatalf("claims epsilon %v, %v was released", got, want)
		}
	}
	t.Logf("%d kills, %d torn ends, %d rounds released", kills, torn, len(released))
}

// What a crash cannot explain is left alone.
func TestDamageIsNotRepaired(t *testing.T) {
	w := newWorld(t, clients(24), false)
	w.round(1, 400)
	v := w.verify()
	whole := w.storage.b
	last := int(v.Records[len(v.Records)-1].Offset)
	zeros := make([]byte, 100)
	for name, test := range map[string]struct {
		b    []byte
		keep int // -1: refused
	}{
		"whole":                     {whole, len(whole)},
		"nothing":                   {nil, 0},
		"half a first line":         {[]byte(fileStart[:5]), 0},
		"first line alone":          {[]byte(fileStart), 0},
		"half a first record":       {whole[:100], 0},
		"half a record":             {whole[:last+50], last},
		"a length":                  {whole[:last+5], last},
		"a record, no checkpoint":   {whole[:len(whole)-150], last},
		"zeros":                     {append(append([]byte{}, whole...), zeros...), len(whole)},
		"something else":            {[]byte("not a ledger, but long enough"), -1},
		"a wrong length at the end": {append(append([]byte{}, whole...), 0, 0, 1, 0, 0, 0, 0, 1, 2), -1},
		"a flipped byte":            {flipped(whole, len(whole)-20), -1},
		"a flipped length":          {flipped(whole, last+2), -1},
		"two records":               {append(append([]byte{}, whole...), whole[last:last+v.Records[1].Size/2]...), len(whole)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger")
			if err := os.WriteFile(path, test.b, 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := OpenFile(path)
			if (err != nil) != (test.keep < 0) {
				t.Fatalf("%v", err)
			}
			want := test.b
			if err == nil {
				f.Close()
				want = test.b[:test.keep]
			} else if !errors.Is(err, ErrDifferent) {
				t.Errorf("%v, want a difference", err)
			}
			if got, _ := os.ReadFile(path); !equal(got, want) {
				t.Errorf("%d bytes are left, want %d", len(got), len(want))
			}
		})
	}
}

func flipped(b []byte, i int) []byte {
	c := append([]byte{}, b...)
	c[i] ^= 1
	return c
}
