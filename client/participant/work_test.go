package participant

import (
	"errors"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// A client signs for the work that it does, whatever the order claims, and refuses to do
// more than it would sign for, or less than its policy allows others.
func TestSignsTheWorkItDoes(t *testing.T) {
	training, _, err := data{t: t}.Open(task())
	if err != nil {
		t.Fatal(err)
	}
	allowed := policy.Default()
	allowed.Committee, allowed.Work = strings.Repeat("ab", 32), 2
	for _, c := range []struct {
		name     string
		epochs   float64
		steps    int64
		most     int
		contract bool
		says     uint64
		want     uint64 // 0: refused
	}{
		{"all of it", 1, 0, 0, false, 4, 4},
		{"half an epoch", 0.5, 0, 0, false, 2, 2},
		{"the order claims more", 1, 0, 0, false, 1000, 4},
		{"the task stops early", 1, 0, 1, false, 4, 2},
		{"steps", 1, 3, 0, false, 6, 6},
		{"a contract's batch is drawn from all", 1, 0, 0, true, 4, 4},
		{"the order claims less", 2, 0, 0, false, 4, 0},
		{"less than the policy allows", 0.25, 0, 0, false, 4, 0},
	} {
		p := &Participant{task: task(), training: training, sealer: &Sealer{Policy: allowed}}
		p.task.MaxSteps = c.most
		s := &sealed{order: keyshare.Order{Work: c.says, Weight: 1}}
		o := Order{Round: 1, Epochs: c.epochs, Plan: costcurve.Order{Tasks: c.steps}}
		err := p.own(o, s, c.contract)
		if c.want == 0 {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%s: got %v, want ErrRefused", c.name, err)
			}
		} else if err != nil || s.order.Work != c.want {
			t.Errorf("%s: signs for %d (%v), want %d", c.name, s.order.Work, err, c.want)
		}
	}
}
