package keyholder

import (
	"context"
	"errors"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
)

// script is a server that hands out tasks in order and notes what comes back.
type script struct {
	closures []keyshare.Closure
	heads    []Head
	tasks    []any // Task, or an error to return instead

	keys       []keyshare.RoundKey
	verdicts   []keyshare.Verdict
	signatures []keyshare.SetSignature
	answers    []*keyshare.Answer
	declined   []error
}

func (s *script) Heads(context.Context) ([]Head, error) { return s.heads, nil }

func (s *script) NextTask(context.Context) (Task, error) {
	if len(s.tasks) == 0 {
		return nil, ErrFinished
	}
	t := s.tasks[0]
	s.tasks = s.tasks[1:]
	if err, ok := t.(error); ok {
		return nil, err
	}
	return t.(Task), nil
}

func (s *script) PublishKeys(_ context.Context, k []keyshare.RoundKey) error {
	s.keys = append(s.keys, k...)
	return nil
}

func (s *script) Verdict(_ context.Context, v keyshare.Verdict) error {
	s.verdicts = append(s.verdicts, v)
	return nil
}

func (s *script) Signature(_ context.Context, x keyshare.SetSignature) error {
	s.signatures = append(s.signatures, x)
	return nil
}

func (s *script) Closure(_ context.Context, c keyshare.Closure) error {
	s.closures = append(s.closures, c)
	return nil
}

func (s *script) Answer(_ context.Context, a *keyshare.Answer) error {
	s.answers = append(s.answers, a)
	return nil
}

func (s *script) Decline(_ context.Context, err error) error {
	s.declined = append(s.declined, err)
	return nil
}

func TestRun(t *testing.T) {
	c := mustCommittee(t)
	h := mustOpen(t, c.config(t.TempDir(), 4))
	set := c.mustSeal(t, h, 2, 0, 1, 3)
	other := c.mustSeal(t, h, 2, 0, 1)
	s := &script{heads: []Head{{"run-1", 1}}, tasks: []any{
		KeysWanted{"run-1", 1, 1},
		KeysWanted{"run-1", 3, 2},
		errors.New("connection lost"),
		set.wanted(),
		set.proposal(),
		set.wanted(),
		other.proposal(),
		other.wanted(),
		c.certificate(set, 1, 2),
		c.certificate(set, 1, 2, 3),
	}}
	if err := h.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if len(s.keys) != 2 || len(s.signatures) != 1 || len(s.answers) != 1 || len(s.verdicts) != 2 {
		t.Errorf("got %d keys, %d signatures, %d answers, %d verdicts", len(s.keys), len(s.signatures), len(s.answers), len(s.verdicts))
	}
	if !s.verdicts[0].Yes() || s.verdicts[1].Yes() {
		t.Errorf("verdicts %+v", s.verdicts)
	}
	wanted := []error{keyshare.ErrSpent, keyshare.ErrSet, keyshare.ErrSecondSet, keyshare.ErrCertificate}
	if len(s.declined) != len(wanted) {
		t.Fatalf("declined %v", s.declined)
	}
	for i, e := range wanted {
		want(t, "declined", s.declined[i], e)
	}
}

func TestRunEnds(t *testing.T) {
	c := mustCommittee(t)
	h := mustOpen(t, c.config(t.TempDir(), 4))
	want(t, "refused", h.Run(t.Context(), &script{tasks: []any{ErrRefused}}), ErrRefused)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, "cancelled", h.Run(ctx, &script{tasks: []any{errors.New("lost")}}), context.Canceled)
}
