package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model/checkpoint"
)

const (
	crashDir  = "SOTTO_STORE_CRASH_DIR"
	crashSize = 200_000 // several hundred pages: a kill often falls inside a transaction
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := commitForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// commitForever continues the run in dir, printing each round once Commit has
// returned.
func commitForever(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, dir, testLayout(crashSize))
	if err != nil {
		return err
	}
	next := 0
	if st, err := s.Latest(ctx); err == nil {
		next = st.Round + 1
	}
	for ; ; next++ {
		if next > 0 {
			st, err := s.Latest(ctx)
			if err != nil {
				return err
			}
			if err := s.Begin(ctx, next, st.Attempt+1, []string{"a"}); err != nil {
				return err
			}
		}
		if err := s.Commit(ctx, state(next, crashSize)); err != nil {
			return err
		}
		fmt.Println(next)
	}
}

// Killed at any moment, also in the middle of a commit, a store holds one whole
// state, and never an older one than was acknowledged.
func TestKillDuringCommit(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 12
	if testing.Short() {
		kills = 4
	}
	dir := t.TempDir()
	acknowledged := -1
	rng := rand.New(rand.NewPCG(1, 2))
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
				t.Fatalf("child says %q", lines.Text())
			}
			acknowledged = n
			return true
		}
		if !read() {
			t.Fatalf("child ended by itself: %v", cmd.Wait())
		}
		time.AfterFunc(time.Duration(rng.IntN(30_000))*time.Microsecond, func() { cmd.Process.Kill() })
		for read() {
		}
		cmd.Wait()

		s, err := Open(t.Context(), dir, testLayout(crashSize))
		if err != nil {
			t.Fatal(err)
		}
		got := latest(t, s)
		if got.Round < acknowledged || got.Round > acknowledged+1 {
			t.Fatalf("round %d, acknowledged %d", got.Round, acknowledged)
		}
		want := state(got.Round, crashSize)
		want.Attempt = got.Attempt // begun or not, both are right
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round %d is not whole: %.2000s", got.Round, diff)
		}
		m, _, err := checkpoint.ReadFile(s.Checkpoint(got.Round), testLayout(crashSize))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Params, m.Params); diff != "" {
			t.Fatalf("checkpoint of round %d: %.2000s", got.Round, diff)
		}
		s.Close()
	}
	t.Logf("%d kills, %d rounds", kills, acknowledged)
}
