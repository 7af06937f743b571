package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestParticipation(t *testing.T) {
	w := newWorld(t, contract(4), true)
	clients := []string{"anna", "bert", "carl", "dora", "emil", "fine", "gert", "hans"}
	secret := make([]byte, 32)
	co, err := NewCohort(secret, "digits", 1, clients, 16)
	if err != nil {
		t.Fatal(err)
	}
	w.must(Head{}, w.reserve(1, 1))
	w.must(w.ledger.Certify(w.tick(), Certified{Round: 1, Attempt: 1, Set: digest("set"), Cohort: co.Root(), Counts: counts(contract(4), 8)}))
	for _, name := range clients {
		p, err := w.ledger.ProveParticipation(2, co, name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var read Participation
		if err := json.Unmarshal(b, &read); err != nil {
			t.Fatal(err)
		}
		if round, err := read.Check(w.public, "digits", name); err != nil || round != 1 {
			t.Errorf("%s: round %d, %v", name, round, err)
		}
		if _, err := read.Check(w.public, "digits", "somebody"); !errors.Is(err, ErrProof) {
			t.Errorf("%s's proof holds for somebody else: %v", name, err)
		}
		if _, err := read.Check(w.public, "letters", name); !errors.Is(err, ErrProof) {
			t.Errorf("%s's proof holds in another run: %v", name, err)
		}
		read.Member.Head.Size++
		if _, err := read.Check(w.public, "digits", name); !errors.Is(err, ErrProof) {
			t.Errorf("%s's proof holds in a larger cohort: %v", name, err)
		}
	}
	if _, err := co.Prove("ida"); !errors.Is(err, ErrProof) {
		t.Errorf("proof for who was not there: %v", err)
	}
	if _, err := NewCohort(secret, "digits", 1, []string{"anna", "anna"}, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("a client twice: %v", err)
	}
	if _, err := w.ledger.ProveParticipation(0, co, "anna"); err != nil {
		t.Fatal(err)
	} else if p, _ := w.ledger.ProveParticipation(0, co, "anna"); true {
		if _, err := p.Check(w.public, "digits", "anna"); !errors.Is(err, ErrProof) {
			t.Errorf("the plan is taken for a cohort: %v", err)
		}
	}
}

// Any record is provable under any later checkpoint, and no changed proof is.
func TestProofsOfEverything(t *testing.T) {
	w := busy(t)
	_, head := w.ledger.Checkpoint()
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.Int64Range(0, head.Size-1).Draw(t, "record")
		p, err := w.ledger.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		if s, h, err := p.Check(w.public); err != nil || h != head || s.Index != i {
			t.Fatalf("record %d: %v", i, err)
		}
		if len(p.Proof) > 0 {
			k := rapid.IntRange(0, len(p.Proof)-1).Draw(t, "hash")
			p.Proof[k][rapid.IntRange(0, 31).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			if _, _, err := p.Check(w.public); !errors.Is(err, ErrProof) {
				t.Fatalf("a changed proof of record %d: %v", i, err)
			}
		}
	})
	for _, i := range []int64{-1, head.Size} {
		if _, err := w.ledger.Prove(i); !errors.Is(err, ErrProof) {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

// A root hides the names: the same names in another round give other leaves.
func TestCohortsAreUnlinkable(t *testing.T) {
	secret := make([]byte, 32)
	seen := map[Hash]string{}
	for round := 1; round <= 3; round++ {
		c, err := NewCohort(secret, "digits", round, []string{"anna", "bert"}, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range c.leaves {
			if seen[l] != "" {
				t.Errorf("a leaf of round %d was in %s", round, seen[l])
			}
			seen[l] = fmt.Sprintf("round %d", round)
		}
	}
}
