package scenario

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/privacy/ledger"
)

// places is how many bytes are tried: go test ./simulations/scenario -run Tampered -places 5000 -timeout 1h.
var places = flag.Int("places", 40, "bytes of a run's ledger, beside each record's first and last, that are flipped")

// The ledger that the default run leaves does not verify with a byte flipped anywhere, a record dropped, doubled, reordered or
// cut off, and the difference names the record.
func TestLedgerOfTheDefaultRunTampered(t *testing.T) {
	s := Default()
	s.Data.Test = 100
	s.Run.Rounds.Count, s.Run.Rounds.Evaluate = 2, 2
	s.Run.Contract.Rounds, s.Run.Contract.MaxParticipations = 2, 2 // each verification prices both again
	s.Run.Task.Copies = 1
	r := run(t, s, 2)
	whole, key := r.Ledger, r.LedgerKey
	v, err := ledger.Verify(whole, key)
	if err != nil {
		t.Fatal(err)
	}
	if v.Balance.Rounds != 2 {
		t.Fatalf("%d rounds charged, want 2", v.Balance.Rounds)
	}
	var at []int // where each record starts, and the end
	for _, r := range v.Records {
		at = append(at, int(r.Offset))
	}
	at = append(at, len(whole))
	last := len(v.Records) - 1
	tampered := func(what string, b []byte, record int, options ...ledger.Option) {
		t.Helper()
		_, err := ledger.Verify(b, key, options...)
		var d *ledger.Difference
		if !errors.As(err, &d) || !errors.Is(err, ledger.ErrDifferent) {
			t.Errorf("%s: %v, want a difference", what, err)
		} else if d.Index != int64(record) {
			t.Errorf("%s: the difference names %v, want record %d", what, d, record)
		}
	}

	// Each record's first byte, its checkpoint's last, and others at random, with any bit.
	where := []int{0, len(whole) - 1}
	for i := range v.Records {
		where = append(where, at[i], at[i+1]-1)
	}
	rng := rand.New(rand.NewPCG(2026, 11))
	for range *places {
		where = append(where, rng.IntN(len(whole)))
	}
	for _, i := range where {
		flip := byte(1) << rng.IntN(8)
		b := slices.Clone(whole)
		b[i] ^= flip
		record, found := slices.BinarySearch(at, i)
		if !found {
			record--
		}
		tampered(fmt.Sprintf("byte %d of %d ^ %02x", i, len(whole), flip), b, record) // -1 is the file's first line
	}

	for i := range v.Records {
		cut := slices.Concat(whole[:at[i]], whole[at[i+1]:])
		if i < last {
			tampered(fmt.Sprintf("record %d dropped", i), cut, i)
			swapped := slices.Concat(whole[:at[i]], whole[at[i+1]:at[i+2]], whole[at[i]:at[i+1]], whole[at[i+2]:])
			tampered(fmt.Sprintf("records %d and %d swapped", i, i+1), swapped, i)
		}
		tampered(fmt.Sprintf("record %d doubled", i), slices.Concat(whole[:at[i+1]], whole[at[i]:]), i+1)
		if i == 0 {
			continue
		}
		// Rolled back to before record i: a ledger that verifies by itself, but not for whoever has seen more.
		shorter := whole[:at[i]]
		if _, err := ledger.Verify(shorter, key); err != nil {
			t.Errorf("the first %d records: %v", i, err)
		}
		tampered(fmt.Sprintf("rolled back to %d records", i), shorter, i, ledger.Pinned(v.Head))
	}
	// Cut off within the last record, by any amount.
	for range 4 {
		tampered("cut off", whole[:at[last]+1+rng.IntN(len(whole)-at[last]-1)], last)
	}
}
