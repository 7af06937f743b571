package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// FuzzVerify feeds files from anywhere: no panic, and only the file itself verifies.
func FuzzVerify(f *testing.F) {
	w := busy(f)
	f.Add(w.storage.b)
	f.Add([]byte(fileStart))
	f.Add(w.storage.b[:len(w.storage.b)/2])
	good := bytes.Clone(w.storage.b)
	ends := map[int]bool{}
	v := w.verify()
	for _, r := range v.Records {
		ends[int(r.Offset)+r.Size] = true
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Verify(b, w.public)
		if err == nil {
			if !ends[len(b)] || !bytes.Equal(b, good[:len(b)]) {
				t.Fatal("other bytes verify")
			}
			return
		}
		if !errors.Is(err, ErrDifferent) {
			t.Fatalf("%v is no difference", err)
		}
	})
}

// FuzzRecord: what decodes has this one encoding.
func FuzzRecord(f *testing.F) {
	w := busy(f)
	for _, r := range w.verify().Records {
		b, err := encode(r.Index, r.Time, r.Record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{
		`{"index":0,"time":"2026-11-24T08:00:01Z","kind":"note","body":{"text":"x"}}`,
		`{"index":0,"time":"2026-11-24T08:00:01Z","kind":"note","body":{"text":"x","text":"x"}}`,
		`{"index":0,"time":"2026-11-24T08:00:01Z","kind":"accept","body":{"plan":null}}`,
		`{"index":0,"time":"2026-11-24T08:00:01Z","kind":"metric","body":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(s.Index, s.Time, s.Record)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q decodes and encodes to %q, %v", b, again, err)
		}
	})
}

// FuzzProof: no bytes of a proof make another client a participant.
func FuzzProof(f *testing.F) {
	w := newWorld(f, contract(4), true)
	c, err := NewCohort(make([]byte, 32), "digits", 1, []string{"anna", "bert"}, 0)
	if err != nil {
		f.Fatal(err)
	}
	w.must(Head{}, w.reserve(1, 1))
	w.must(w.ledger.Certify(w.tick(), Certified{Round: 1, Attempt: 1, Set: digest("set"), Cohort: c.Root(), Counts: counts(contract(4), 8)}))
	p, err := w.ledger.ProveParticipation(2, c, "anna")
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Participation
		if json.Unmarshal(b, &p) != nil {
			return
		}
		if _, err := p.Check(w.public, "digits", "carl"); err == nil {
			t.Fatal("carl took part")
		}
	})
}

// FuzzCheckpoint: a checkpoint's text has one form.
func FuzzCheckpoint(f *testing.F) {
	f.Add(checkpointText("sotto.ledger/v1/run/digits", Head{7, digest("root")}))
	f.Fuzz(func(t *testing.T, s string) {
		origin, h, err := parseCheckpointText(s)
		if err == nil && checkpointText(origin, h) != s {
			t.Fatalf("%q is read as %q", s, checkpointText(origin, h))
		}
	})
}
