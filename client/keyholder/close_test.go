package keyholder

import (
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

func TestProtocolR28(t *testing.T) {
	quote(t, "R28", "Asked to close a void round, a holder that signed nothing in it writes that it never will to its journal, erases the round's key, and only then signs a closure; one that signed, or whose journal may be an old copy, refuses.")
	c := mustCommittee(t)
	dir := t.TempDir()
	h := mustOpen(t, c.config(dir, 4))
	one := c.mustSeal(t, h, 1, 0, 1)
	two := c.mustSeal(t, h, 2, 0, 1)
	if v, err := h.Look(one.proposal()); err != nil || !v.Yes() {
		t.Fatalf("%+v, %v", v, err)
	}
	want := func(what string, err, target error) { want(t, what, err, target) }
	_, err := h.Forswear(ClosureWanted{"run-1", 9})
	want("a round without keys", err, keyshare.ErrSpent)
	_, err = h.Forswear(ClosureWanted{"", 1})
	want("no run", err, keyshare.ErrSpent)
	closure, err := h.Forswear(ClosureWanted{"run-1", 1})
	if err != nil {
		t.Fatal(err)
	}
	record := &h.cfg.Record.Record
	if err := closure.Verify(record, "run-1"); err != nil {
		t.Error(err)
	}
	hash := record.Hash()
	if err := statement.Verify(statement.PublicKey(h.cfg.Signing), ledger.ClosureStatement(ledger.Hash(hash), "run-1", 1), closure.Signature); err != nil {
		t.Errorf("an auditor reads another statement: %v", err)
	}
	_, err = h.Sign(one.wanted())
	want("a signature in a closed round", err, keyshare.ErrSpent)
	_, err = h.Answer(c.certificate(one, 1, 2, 3))
	want("an answer in a closed round", err, keyshare.ErrCertificate)
	h.mustSign(t, two)
	_, err = h.Forswear(ClosureWanted{"run-1", 2})
	want("a signed round", err, keyshare.ErrSpent)
	h.Close()

	h = mustOpen(t, c.config(dir, 4))
	if again, err := h.Forswear(ClosureWanted{"run-1", 1}); err != nil || again != closure {
		t.Errorf("after a restart: %v", err)
	}
	_, err = h.Sign(one.wanted())
	want("a signature in a closed round, after a restart", err, keyshare.ErrSpent)
	if _, err := h.Keys(KeysWanted{"run-1", 3, 2}); err != nil {
		t.Fatal(err)
	}
	if err := h.raise(Head{"run-1", 3}); err != nil { // the journal may be an old copy
		t.Fatal(err)
	}
	_, err = h.Forswear(ClosureWanted{"run-1", 3})
	want("a round that an old journal may have signed", err, keyshare.ErrSpent)
}
