//go:build unix

package keyholder

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

const killDir = "SOTTO_TEST_KEYHOLDER_DIR"

// TestMain turns the test binary into a key holder that signs one round after
// another and prints each signature once it may leave, until it is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(killDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := signForever(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func signForever(dir string) error {
	c, err := newCommittee()
	if err != nil {
		return err
	}
	h, err := Open(c.config(dir, 4))
	if err != nil {
		return err
	}
	for round := h.memory.vows.Floor("run-1") + 1; ; round++ {
		keys, err := h.Keys(KeysWanted{"run-1", round, 1})
		if err != nil {
			return err
		}
		s, err := c.seal(round, keys[0], 0, 1)
		if err != nil {
			return err
		}
		if v, err := h.Look(s.proposal()); err != nil || !v.Yes() {
			return fmt.Errorf("verdict %+v, %w", v, err)
		}
		signature, err := h.Sign(s.wanted())
		if err != nil {
			return err
		}
		fmt.Printf("%d %x %x\n", round, signature.Set, signature.Signature)
	}
}

// Killed at any moment, a holder remembers every signature that left it.
func TestKill(t *testing.T) {
	c := mustCommittee(t)
	dir := t.TempDir()
	type signed struct {
		round     uint64
		set       statement.Digest
		signature string
	}
	var all []signed
	for kill := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From the first signature on, however long a machine takes for it.
		kept := len(all)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if len(all) == kept {
				time.AfterFunc(time.Duration(kill)*7*time.Millisecond, func() { cmd.Process.Kill() })
			}
			var s signed
			var set string
			if _, err := fmt.Sscanf(lines.Text(), "%d %s %s", &s.round, &set, &s.signature); err != nil || len(s.signature) != 128 {
				break // the kill came in the middle of a line
			}
			b, err := hex.DecodeString(set)
			if err != nil {
				t.Fatal(err)
			}
			s.set = statement.Digest(b)
			all = append(all, s)
		}
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("holder: %s", stderr.String())
		}
	}
	if len(all) == 0 {
		t.Fatal("no holder came to sign")
	}
	h := mustOpen(t, c.config(dir, 4))
	for _, s := range all {
		got, err := h.Sign(SignatureWanted{"run-1", s.round, s.set})
		if err != nil || hex.EncodeToString(got.Signature[:]) != s.signature {
			t.Errorf("round %d again: %v", s.round, err)
		}
		other := s.set
		other[0] ^= 1
		if _, err := h.Sign(SignatureWanted{"run-1", s.round, other}); !errors.Is(err, keyshare.ErrSecondSet) {
			t.Errorf("round %d, another set: got %v, want ErrSecondSet", s.round, err)
		}
	}
	t.Logf("%d signatures survived 8 kills", len(all))
}
